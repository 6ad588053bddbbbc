"""A second look at the picture at half its size: half the blur, and surroundings twice as wide.

The same networks look twice, and what both say is multiplied as opinions of two experts are (a logarithmic pool;
Genest and Zidek, "Combining probability distributions", Statistical Science 1986). At half the size a CoC of c pixels
is one of c / 2, so before that the distribution of the second look is stretched to the classes of the first one.
"""

import torch
from torch.nn.functional import interpolate, pad

from dfd_depth_ros.networks import blocks
from dfd_depth_ros.networks.onednn import product
from dfd_depth_ros.networks.posterior import BINS, centres, symlog

STRIDE = 32


def padded(image: torch.Tensor) -> torch.Tensor:
    """(B, C, H, W) with sides that are multiples of STRIDE, by repeating the last row and column."""
    right, below = -image.shape[-1] % STRIDE, -image.shape[-2] % STRIDE
    return pad(image, (0, right, 0, below), mode='replicate') if right or below else image


def halved(image: torch.Tensor, lens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Picture of even sides and state of the lens (B, 5; `networks.depth.lens_state`) at half the size: pixels of twice
    the pitch, so gain and focal length in pixels are half of what they were."""
    gain, focus, fx, x, y = lens.unbind(-1)
    return blocks.halved(image), torch.stack([gain / 2, focus, fx / 2, (x - 0.5) / 2, (y - 0.5) / 2], -1)


def pooled(closer: torch.Tensor, wider: torch.Tensor, trust: torch.Tensor, never: torch.Tensor) -> torch.Tensor:
    """What both looks say, (B, BINS, H, W). closer: logits of the picture, (B, BINS, H, W). wider: those of half its
    size, (B, BINS, h, w), h and w at least half of H and W. trust: (2,) in the two. never: (B, BINS, 1, 1), far below
    zero for what cannot be. All that is done before enlarging costs a quarter."""
    small = trust[1] * doubled(wider) + never
    large = interpolate(small, scale_factor=2, mode='bilinear', align_corners=False)
    return torch.addcmul(large[..., : closer.shape[-2], : closer.shape[-1]], closer, trust[0])


def doubled(logits: torch.Tensor) -> torch.Tensor:
    """Logits of signed CoC (B, BINS, h, w) of a picture of half the size, as logits of CoC in the picture itself."""
    side_by_side = logits.movedim(1, -1)  # the classes of a pixel, see `posterior.shares`
    return product(side_by_side, _stretch(logits).T).movedim(-1, 1) + _density(logits)


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
