"""Small networks after other people's ideas, trained and scored as ours are, to tell what each idea is worth.

peer_d3          one picture to depth by an encoder and a decoder, which is told nothing of the lens (Carvalho et al.,
                 "Deep Depth from Defocus", ECCV Workshops 2018; their encoder is a DenseNet-121)
peer_stack       two pictures through one encoder, what it finds pooled by the maximum, to a CoC for each picture and
                 from these to depth (Maximov et al., "Focus on Defocus", CVPR 2020)
peer_image_only  our DepthNet over a picture that is shrunk eight times, which hides blur, without any reading of blur
                 and without what the lens blurs with: what a picture tells of depth by what is in it

Each stands where `networks.model.DfdModel` stands: `distribution` for the losses, `forward` for a `Prediction`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn.functional import avg_pool2d, pixel_unshuffle

from dfd_depth_ros.networks import posterior
from dfd_depth_ros.networks.blocks import Residual, UNet, conv, upsample
from dfd_depth_ros.networks.defocus import Defocus
from dfd_depth_ros.networks.depth import DepthNet
from dfd_depth_ros.networks.fused import fuse
from dfd_depth_ros.networks.model import Distribution, Prediction, to_pixels
from dfd_depth_ros.networks.scales import padded

REFERENCE = (8.0, 0.4)  # gain and focus of the lens in whose CoC `ImageOnly` says inverse depth: 0 to 4.4 dioptres
HIDDEN = 8  # times that `ImageOnly` shrinks its picture


@dataclass(frozen=True)
class Regression:
    """What a network says that knows no sigma. inverse: (B, 1, H, W) 1/m. blur: (B, 1, H/4, W/4) |CoC| in pixels that
    was read on the way, or None."""

    inverse: torch.Tensor
    blur: torch.Tensor | None = None


@dataclass(frozen=True)
class Referred(Distribution):
    """A distribution of the CoC that the lens REFERENCE would give: of inverse depth, whatever the lens was."""


class Peer(nn.Module):
    """What all peers share. architecture: name in PEERS. sigma_scale: as that of `DfdModel`; where a network has no
    sigma of its own it is one width in pixels of CoC for all."""

    sigma_scale: torch.Tensor
    distribution: Callable[[torch.Tensor, torch.Tensor], Any]

    def __init__(self, architecture: str):
        super().__init__()
        self.architecture = architecture
        self.register_buffer('sigma_scale', torch.ones(()))

    def forward(self, image: torch.Tensor, lens: torch.Tensor, side: str = 'both') -> Prediction:
        inverse = self.distribution(image, lens).inverse
        return self._prediction(inverse, torch.ones_like(inverse), lens)

    def for_inference(self) -> 'Peer':
        """Fold normalisation into convolutions, in place."""
        fuse(self.eval().requires_grad_(False))
        return self

    def _prediction(self, inverse, sigma, lens):
        """inverse depth in 1/m and sigma in pixels of CoC, (B, 1, H, W) each."""
        gain, focus = lens[:, :1, None, None], lens[:, 1:2, None, None]
        coc = gain * (focus - inverse)
        far, cells = (coc > 0).float(), coc[..., 1::4, 1::4]
        defocus = Defocus(cells, cells.abs(), torch.zeros_like(cells), cells, cells)
        return Prediction(coc, sigma * self.sigma_scale, far, coc, lens, defocus)


class D3(Peer):
    """Picture (B, 3, H, W) of any size to `Regression`."""

    def __init__(self, architecture: str, widths: tuple[int, ...] = (40, 64, 112, 160)):
        super().__init__(architecture)
        self.enter = _enter(24, widths[0])
        self.body = UNet(widths, (1,) * len(widths))
        self.head = nn.Conv2d(widths[0], 1, 1)

    def distribution(self, image: torch.Tensor, lens: torch.Tensor, side: str = 'both') -> Regression:
        """`lens` and `side` are what it is not told."""
        return Regression(_full(self.head(self.body(self.enter(_normal(padded(image))))), image))


class Stack(Peer):
    """Pictures (2 N, 3, H, W), rows 2i and 2i + 1 of one scene, to `Regression`, a row for each picture. lens: (2 N, 5)
    as of `networks.depth.lens_state`; the original knows its one camera by heart."""

    def __init__(self, architecture: str, width: int = 40, widths: tuple[int, ...] = (40, 64, 112)):
        super().__init__(architecture)
        self.encoder = nn.Sequential(_enter(16, width), Residual(width))
        self.enter = conv(2 * width, widths[0])
        self.decoder = UNet(widths, (1,) * len(widths))
        self.blur = nn.Conv2d(widths[0], 1, 1)
        self.depth = nn.Sequential(conv(6, widths[0]), UNet(widths, (1,) * len(widths)), nn.Conv2d(widths[0], 1, 1))

    def distribution(self, image: torch.Tensor, lens: torch.Tensor, side: str = 'both') -> Regression:
        """Both pictures are looked at together; `side` is not used."""
        each = self.encoder(_normal(padded(image)))
        pooled = each.unflatten(0, (-1, 2)).amax(1).repeat_interleave(2, 0)
        blur = nn.functional.softplus(self.blur(self.decoder(self.enter(torch.cat([each, pooled], 1))))).float()
        gain, focus = lens[:, :1, None, None], lens[:, 1:2, None, None]
        own = torch.cat([torch.log1p(blur), *(x.expand_as(blur) for x in (torch.log2(gain) / 4, focus / 2))], 1)
        other = own.unflatten(0, (-1, 2)).flip(1).flatten(0, 1)
        return Regression(_full(self.depth(torch.cat([own, other], 1)), image), blur)


class ImageOnly(Peer):
    """Picture (B, 3, H, W) of any size to `Referred`. Of `lens` it uses where each pixel looks."""

    def __init__(self, architecture: str, width: int = 40):
        super().__init__(architecture)
        self.enter = nn.Sequential(conv(3, width), Residual(width))
        self.depth_net = DepthNet(width, (64, 112, 160), (1, 1, 2))

    def distribution(self, image: torch.Tensor, lens: torch.Tensor, side: str = 'both') -> Referred:
        """`side` is not used."""
        small = _normal(avg_pool2d(padded(image), HIDDEN), unshuffle=1)
        features = upsample(self.enter(small), HIDDEN // 4)
        nothing = features.new_zeros(len(features), 1, *features.shape[-2:])
        flat = nothing.expand(-1, posterior.BINS, -1, -1)
        told = torch.cat([lens.new_tensor(REFERENCE).expand(len(lens), 2), lens[:, 2:]], 1)
        logits, read = self.depth_net(Defocus(flat, nothing, nothing, nothing, features), told)
        belong = self.depth_net.belonging(read)
        return Referred(logits, belong, told, Defocus(flat, nothing, nothing, nothing, features))

    def forward(self, image: torch.Tensor, lens: torch.Tensor, side: str = 'both') -> Prediction:
        found = self.distribution(image, lens)
        coc, sigma = posterior.estimate(found.logits.softmax(1))
        moments = to_pixels(torch.cat([coc, coc**2 + sigma**2], 1), found.belong, image.shape[-2:])
        coc, square = moments.split(1, 1)
        sigma = (square - coc**2).clamp(min=1e-4).sqrt()
        return self._prediction(REFERENCE[1] - coc / REFERENCE[0], sigma * lens[:, :1, None, None] / REFERENCE[0], lens)


PEERS = {
    name: partial(kind, name)
    for name, kind in {'peer_d3': D3, 'peer_stack': Stack, 'peer_image_only': ImageOnly}.items()
}


def referred(lens: torch.Tensor, coc: torch.Tensor) -> torch.Tensor:
    """CoC in pixels (B, 1, H, W) through lenses (B, 5) as the CoC that the lens REFERENCE would give."""
    inverse = lens[:, 1:2, None, None] - coc / lens[:, :1, None, None]
    return REFERENCE[0] * (REFERENCE[1] - inverse)


def _enter(fine, quarter):
    return nn.Sequential(conv(12, fine), conv(fine, quarter, stride=2))


def _normal(image, unshuffle=2):
    """Zero mean and about unit contrast, pixels of squares of `unshuffle` as channels."""
    mean, contrast = image.mean((1, 2, 3), keepdim=True), image.std((1, 2, 3), keepdim=True)
    return pixel_unshuffle((image - mean) / (contrast + 0.05), unshuffle)


def _full(level, image):
    """Logarithm of inverse depth in cells of 4 pixels as inverse depth of the pixels of a picture."""
    height, width = image.shape[-2:]
    return upsample(level.float(), 4)[..., :height, :width].clamp(-6, 4).exp()
