"""DepthNet: from blur, picture features and the lens to a distribution of signed CoC, which is inverse depth in the
lens' own units.

Inverse depth is 1/s - c / K, so relative to the focus distance only one number of the lens matters: c_inf = K / s, the
CoC of a point at infinity (s / d = 1 - c / c_inf). DepthNet sees both hypotheses, near and far, in that unit, and the
direction in which each pixel looks, and adds to the evidence of DefocusNet what the surroundings tell. One set of
weights therefore serves every camera.
"""

import torch
from torch import nn
from torch.nn.functional import avg_pool2d

from dfd_depth_ros.networks.blocks import UNet, conv, upsample
from dfd_depth_ros.networks.defocus import Defocus
from dfd_depth_ros.networks.posterior import BINS
from dfd_depth_ros.optics.lens import Lens

LENS_CHANNELS = 10
CELL = 4  # pixels on a side of a cell of the distribution
NEIGHBOURS = 9
STRONGEST = 30.0  # logit of belonging to a cell: nothing beside it counts, and its exponential is far from overflow


def lens_state(lens: Lens, height: int, width: int, centre: tuple[float, float] | None = None) -> list[float]:
    """What the networks are told of a lens: gain K in pixel * metre, focus in dioptres, focal length in pixels, and the
    principal point x, y in pixels, in the middle of (height, width) pixels unless `centre` says otherwise."""
    x, y = centre or ((width - 1) / 2, (height - 1) / 2)
    return [lens.gain, lens.focus_dioptre, lens.focal_length_m / lens.pixel_pitch_m, x, y]


class DepthNet(nn.Module):
    """`Defocus` and lens (B, 5, see `lens_state`) to logits of signed CoC (B, BINS, H/4, W/4) and the features that
    they were read from, see `belonging`. H and W of the picture are multiples of 32.

    features: channels of `Defocus.features`. widths, blocks: of the body at 1/8, 1/16 and 1/32. context: channels of
    what `ContextNet` tells, 0 for nothing.
    """

    def __init__(self, features: int, widths: tuple[int, ...], blocks: tuple[int, ...], context: int = 0):
        super().__init__()
        self.enter = conv(features + LENS_CHANNELS, widths[0], stride=2)
        self.body = UNet(tuple(widths), tuple(blocks))
        self.told = nn.ModuleList(nn.Conv2d(context, width, 1) for width in widths[1:] if context)
        self.narrow = conv(widths[0], features, kernel=1)
        self.join = conv(features, features)
        self.head = nn.Conv2d(features, BINS, 1)
        self.belong = nn.Conv2d(features, NEIGHBOURS * CELL**2, 1)
        nn.init.zeros_(self.head.weight)  # begin with what DefocusNet reads
        nn.init.zeros_(self.head.bias)

    def forward(
        self, defocus: Defocus, lens: torch.Tensor, context: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """context: what `ContextNet` tells, (B, C, h, w) with h and w 1/16 or 1/32 of H and W; None for nothing."""
        units = _in_lens_units(defocus, lens).to(defocus.features.dtype)
        entered = self.enter(torch.cat([defocus.features, units], 1))
        told = [] if context is None else [tell(context) for tell in self.told]
        body = self.body(entered, [_resized(more, entered.shape[-1] >> n) for n, more in enumerate(told, 1)])
        joined = self.join(upsample(self.narrow(body), 2) + defocus.features)
        return defocus.logits + self.head(joined).float(), joined

    def belonging(self, features: torch.Tensor) -> torch.Tensor:
        """For each pixel of a cell, logits of the cells around it that it belongs to: (B, 9, 16, H/4, W/4). features:
        as `forward` gives them. Source: Teed and Deng, "RAFT", ECCV 2020."""
        return self.belong(features).clamp_(-STRONGEST, STRONGEST).unflatten(1, (NEIGHBOURS, CELL**2))


def _resized(maps, width):
    """(B, C, h, w) maps of twice, once or half that width."""
    if maps.shape[-1] > width:
        return avg_pool2d(maps, 2)
    return maps if maps.shape[-1] == width else upsample(maps, 2)


def _in_lens_units(defocus: Defocus, lens: torch.Tensor) -> torch.Tensor:
    """(B, 10, H/4, W/4): the blur as read, both hypotheses of s / d, the lens as constant maps, and the rays."""
    gain, focus = lens[:, :1, None, None], lens[:, 1:2, None, None]
    at_infinity = gain * focus
    ratio = (defocus.magnitude / (at_infinity + 0.1)).clamp(max=4)
    maps = [defocus.magnitude / 4, defocus.log_sigma, torch.tanh(defocus.far_logit / 2), 1 - ratio, 1 + ratio]
    constants = [torch.log1p(at_infinity) / 2, torch.log2(focus + 0.05) / 2, torch.log2(gain) / 4]
    return torch.cat([*maps, *(value.expand_as(defocus.magnitude) for value in [*constants, *_rays(defocus, lens)])], 1)


def _rays(defocus, lens):
    """Tangents of the angles to the optical axis, to the right and down."""
    rows, columns = (
        torch.arange(count, device=lens.device, dtype=lens.dtype) * CELL + (CELL - 1) / 2
        for count in defocus.magnitude.shape[-2:]
    )
    fx, x, y = (lens[:, index, None, None, None] for index in (2, 3, 4))
    return ((columns - x) / fx).clamp(-2, 2), ((rows[:, None] - y) / fx).clamp(-2, 2)
