"""DepthNet: from blur, picture features and the lens to signed CoC, which is inverse depth in the lens' own units.

Inverse depth is 1/s - c / K, so relative to the focus distance only one number of the lens matters: c_inf = K / s, the
CoC of a point at infinity (s / d = 1 - c / c_inf). DepthNet sees both hypotheses, near and far, in that unit, and fills
in what blur cannot tell from context. One set of weights therefore serves every camera.
"""

import torch
from torch import nn

from dfd_depth_ros.networks.blocks import UNet, conv, upsample
from dfd_depth_ros.networks.defocus import Defocus

LENS_CHANNELS = 8


class DepthNet(nn.Module):
    """`Defocus` and lens (B, 2: gain in pixel * metre, focus in dioptres) to signed CoC, log sigma and far logit,
    (B, 1, H/2, W/2) each, CoC in pixels of the picture. H and W of the picture are multiples of 32."""

    def __init__(self, features: int = 48, fine: int = 16, widths=(48, 64, 96, 128), blocks=(1, 1, 1, 2)):
        super().__init__()
        self.enter = conv(features + LENS_CHANNELS, widths[0])
        self.body = UNet(tuple(widths), tuple(blocks))
        self.narrow = conv(widths[0], fine, kernel=1)
        self.join = conv(2 * fine, fine)
        self.head = nn.Conv2d(fine, 3, 3, padding=1)
        nn.init.zeros_(self.head.weight)  # begin with what DefocusNet reads

    def forward(self, defocus: Defocus, lens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        body = self.body(self.enter(torch.cat([defocus.features, _in_lens_units(defocus, lens)], 1)))
        fine = self.join(torch.cat([upsample(self.narrow(body), 2), defocus.fine], 1))
        change, log_sigma, far_logit = self.head(fine).split(1, 1)
        magnitude, logit = upsample(defocus.magnitude, 2), upsample(defocus.far_logit, 2)
        coc = magnitude * torch.tanh(logit / 2) + change * (1 + magnitude)
        return coc, torch.log1p(coc.abs()) + log_sigma.clamp(-5, 2), logit + far_logit


def _in_lens_units(defocus: Defocus, lens: torch.Tensor) -> torch.Tensor:
    """(B, 8, H/4, W/4): the blur as read, both hypotheses of s / d, and the lens as constant maps."""
    gain, focus = lens[:, :1, None, None], lens[:, 1:, None, None]
    at_infinity = gain * focus
    ratio = (defocus.magnitude / (at_infinity + 0.1)).clamp(max=4)
    maps = [defocus.magnitude / 4, defocus.log_sigma, torch.tanh(defocus.far_logit / 2), 1 - ratio, 1 + ratio]
    constants = [torch.log1p(at_infinity) / 2, torch.log2(focus + 0.05) / 2, torch.log2(gain) / 4]
    return torch.cat([*maps, *(value.expand_as(defocus.magnitude) for value in constants)], 1)
