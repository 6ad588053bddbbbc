"""A second look at the picture at half its size: half the blur, and surroundings twice as wide.

The same networks look twice, and what both say is multiplied as opinions of two experts are (a logarithmic pool;
Genest and Zidek, "Combining probability distributions", Statistical Science 1986). At half the size a CoC of c pixels
is one of c / 2, so before that the distribution of the second look is stretched to the classes of the first one.
"""

import torch
from torch.nn.functional import avg_pool2d, interpolate, pad

from dfd_depth_ros.networks.posterior import BINS, centres, symlog

STRIDE = 32


def padded(image: torch.Tensor) -> torch.Tensor:
    """(B, C, H, W) with sides that are multiples of STRIDE, by repeating the last row and column."""
    height, width = image.shape[-2:]
    return pad(image, (0, -width % STRIDE, 0, -height % STRIDE), mode='replicate')


def halved(image: torch.Tensor, lens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Picture of even sides and state of the lens (B, 5; `networks.depth.lens_state`) at half the size: pixels of twice
    the pitch, so gain and focal length in pixels are half of what they were."""
    gain, focus, fx, x, y = lens.unbind(-1)
    return avg_pool2d(image, 2), torch.stack([gain / 2, focus, fx / 2, (x - 0.5) / 2, (y - 0.5) / 2], -1)


def doubled(logits: torch.Tensor, size: torch.Size | tuple[int, int]) -> torch.Tensor:
    """Logits of signed CoC (B, BINS, h, w) of a picture of half the size, as logits of the picture itself, of which the
    upper left (H, W) cells are returned; h and w are at least half of them."""
    stretched = torch.einsum('kj,bjhw->bkhw', _stretch(logits), logits) + _density(logits)
    return interpolate(stretched, scale_factor=2, mode='bilinear', align_corners=False)[..., : size[0], : size[1]]


def _stretch(like: torch.Tensor) -> torch.Tensor:
    """(BINS, BINS): row k interpolates between the two classes around half the CoC of class k."""
    coc = centres(like).flatten()
    place = (symlog(coc / 2) - symlog(coc[0])) / (symlog(coc[1]) - symlog(coc[0]))
    lower = place.long().clamp(max=BINS - 2)
    share = (place - lower)[:, None]
    rows = torch.eye(BINS, device=like.device, dtype=like.dtype)
    return (1 - share) * rows[lower] + share * rows[lower + 1]


def _density(like: torch.Tensor) -> torch.Tensor:
    """(BINS, 1, 1): logarithm of how much of a class of half the CoC a class takes up."""
    size = centres(like).abs()
    return ((1 + size) / (2 + size)).log()
