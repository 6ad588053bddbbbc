"""The networks as one: picture and lens in, signed CoC with its sigma and sign probability out."""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import pad, unfold

from dfd_depth_ros.networks import posterior
from dfd_depth_ros.networks.context import ContextNet
from dfd_depth_ros.networks.defocus import Defocus, DefocusNet
from dfd_depth_ros.networks.depth import CELL, NEIGHBOURS, DepthNet
from dfd_depth_ros.networks.fused import fuse
from dfd_depth_ros.networks.scales import STRIDE, halved, padded, pooled
from dfd_depth_ros.optics.residual import LensResidual

ARCHITECTURES: dict[str, dict] = {
    'dfd_small': {
        'defocus': {'fine': 16, 'quarter': 40, 'eighth': 96, 'blocks': 2},
        'depth': {'widths': (64, 112, 160), 'blocks': (1, 1, 2)},
        'context': 96,
    },
    'dfd_base': {  # as large as 20 MB of weights allow
        'defocus': {'fine': 32, 'quarter': 64, 'eighth': 144, 'blocks': 3},
        'depth': {'widths': (112, 160, 192), 'blocks': (1, 2, 2)},
        'context': 0,
    },
}


@dataclass(frozen=True)
class Distribution:
    """What the networks say, in cells of 4 x 4 pixels. logits: of signed CoC, (B, BINS, H/4, W/4), what is impossible
    ruled out (`networks.posterior`). belong: (B, 9, 16, H/4, W/4), see `to_pixels`. lens: (B, 5) state with its
    residual. defocus: what DefocusNet alone read."""

    logits: torch.Tensor
    belong: torch.Tensor
    lens: torch.Tensor
    defocus: Defocus


@dataclass(frozen=True)
class Prediction:
    """(B, 1, H, W) each: coc signed pixels; sigma of it in pixels; far: probability of lying behind focus; seen: coc
    before the base blur of the residual is taken out. lens: (B, 5) state of the lens with its residual. defocus: what
    DefocusNet alone read. probability: of signed CoC in cells, (B, BINS, H/4, W/4), None where there is no such thing.
    """

    coc: torch.Tensor
    sigma: torch.Tensor
    far: torch.Tensor
    seen: torch.Tensor
    lens: torch.Tensor
    defocus: Defocus
    probability: torch.Tensor | None = None

    def inverse_depth(self) -> torch.Tensor:
        """(B, 1, H, W) 1/m, below zero where the CoC is above that of infinity."""
        gain, focus = self.lens[:, :1, None, None], self.lens[:, 1:2, None, None]
        return focus - self.coc / gain


class DfdModel(nn.Module):
    """DefocusNet, ContextNet and DepthNet of a named architecture.

    image: (B, 3, H, W) gamma-encoded RGB in 0..1, any size. lens: (B, 5), see `lens_state`.
    side: which side of focus is possible, 'both', 'behind' or 'front'. sigma_scale: calibration of sigma found after
    training, carried with the weights. residual: what the lens as it is told leaves out.
    Raises ValueError for an unknown architecture.
    """

    sigma_scale: torch.Tensor

    def __init__(self, architecture: str = 'dfd_small'):
        super().__init__()
        if architecture not in ARCHITECTURES:
            raise ValueError(f'unknown architecture {architecture!r}; there are {", ".join(ARCHITECTURES)}')
        shape = ARCHITECTURES[architecture]
        self.architecture, context = architecture, shape['context']
        self.defocus_net = DefocusNet(**shape['defocus'])
        self.context_net = ContextNet(context) if context else None
        self.depth_net = DepthNet(features=shape['defocus']['quarter'], **shape['depth'], context=context)
        self.residual = LensResidual()
        self.trust = nn.Parameter(torch.full((2,), 0.5))  # in the picture as it is, and at half the size
        self.register_buffer('sigma_scale', torch.ones(()))

    def forward(self, image: torch.Tensor, lens: torch.Tensor, side: str = 'both', decide: bool = True) -> Prediction:
        return self.read(self.distribution(image, lens, side), image.shape[-2:], decide)

    def distribution(self, image: torch.Tensor, lens: torch.Tensor, side: str = 'both') -> Distribution:
        """What the networks say about each cell, from two looks (`networks.scales`)."""
        image, lens = padded(image), self.residual(lens)
        smaller, its_lens = halved(image, lens)
        smaller = padded(smaller)
        context = self.context_net(smaller) if self.context_net else None
        here = None if context is None else context[..., : image.shape[-2] // STRIDE, : image.shape[-1] // STRIDE]
        defocus, logits, features = self._look(image, lens, here)
        _, wider, _ = self._look(smaller, its_lens, context)
        never = posterior.impossible(lens[:, 0] * lens[:, 1], side)
        belong = self.depth_net.belonging(features)
        return Distribution(pooled(logits, wider, self.trust, never), belong, lens, defocus)

    def _look(self, image, lens, context):
        defocus = self.defocus_net(image)
        return defocus, *self.depth_net(defocus, lens, context)

    def read(self, found: Distribution, size: torch.Size | tuple[int, int], decide: bool = True) -> Prediction:
        """One CoC with its sigma and side for each of (H, W) pixels. decide: see `posterior.decided`; what is to
        be learned from, and not to be used, is the median as it is."""
        probability = posterior.shares(found.logits)
        middle, sigma = posterior.estimate(probability)
        coc = posterior.decided(probability, found.lens[:, 0], found.lens[:, 1]) if decide else middle
        sigma = (sigma**2 + (coc - middle) ** 2).sqrt()
        cells = torch.cat([coc, coc**2 + sigma**2, posterior.far_share(probability)], 1)
        coc, square, far = to_pixels(cells, found.belong, size).split(1, 1)
        sigma = (square - coc**2).clamp(min=1e-4).sqrt() * self.sigma_scale
        alone = self.residual.without_base_blur(coc)
        sigma = sigma * (coc.abs() + sigma) / (alone.abs() + sigma)
        return Prediction(alone, sigma, far, coc, found.lens, found.defocus, probability)

    def sides(self, prediction: Prediction) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """What is near and what is far if it is: probability, signed CoC and sigma in pixels, (B, 2, H/4, W/4) each,
        the near side of focus first."""
        share, coc, sigma = posterior.sides(prediction.probability)
        return share, self.residual.without_base_blur(coc), sigma * self.sigma_scale

    def for_inference(self) -> 'DfdModel':
        """Fold normalisation into convolutions, in place; the model no longer trains."""
        return fuse(self.eval().requires_grad_(False)).to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def to_pixels(cells: torch.Tensor, belong: torch.Tensor, size: torch.Size | tuple[int, int]) -> torch.Tensor:
    """Each pixel is a mixture of the nine cells around it. cells: (B, C, H/4, W/4). belong: logits of the mixture,
    (B, 9, 16, H/4, W/4). Returns the (B, C, *size) pixels at the upper left."""
    batch, channels, height, width = cells.shape
    around = unfold(pad(cells, (1, 1, 1, 1), mode='replicate'), 3).view(batch, channels, NEIGHBOURS, height, width)
    around = pad(around.permute(0, 3, 4, 1, 2).flatten(0, 2), (0, 0, 0, 1), value=1.0)  # ones collect the weights
    weights = belong.permute(0, 3, 4, 1, 2).flatten(0, 2).exp().float()  # of half precision in half the time
    with torch.autocast(cells.device.type, enabled=False):  # as (B H/4 W/4) small products of matrices
        mixed = torch.bmm(around, weights)
    pixels = (mixed[:, :-1] / mixed[:, -1:]).view(batch, height, width, channels, CELL, CELL).permute(0, 3, 1, 4, 2, 5)
    return pixels.reshape(batch, channels, CELL * height, CELL * width)[..., : size[0], : size[1]]
