"""Packing and unpacking: down and up without losing detail.

Instead of striding and interpolating, pixels are folded into channels and back, and a 3D convolution across those
channels learns what to keep. Source: Guizilini et al., "3D Packing for Self-Supervised Monocular Depth Estimation"
(PackNet), CVPR 2020; there with 8 feature maps of the 3D convolution.
"""

import torch
from torch import nn
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from dfd_depth_ros.networks.blocks import UNet, conv

MAPS = 4  # of a 3D convolution


class Packing(nn.Module):
    """(B, inputs, H, W) to (B, outputs, H/2, W/2), H and W even."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.across = nn.Conv3d(1, MAPS, 3, padding=1)
        self.narrow = conv(4 * inputs * MAPS, outputs)

    def forward(self, x):
        return self.narrow(self.across(pixel_unshuffle(x, 2)[:, None]).flatten(1, 2))


class Unpacking(nn.Module):
    """(B, inputs, H, W) to (B, outputs, 2H, 2W). outputs: a multiple of MAPS."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.narrow = conv(inputs, 4 * outputs // MAPS)
        self.across = nn.Conv3d(1, MAPS, 3, padding=1)

    def forward(self, x):
        return pixel_shuffle(self.across(self.narrow(x)[:, None]).flatten(1, 2), 2)


class PackedUNet(UNet):
    """A `UNet` that packs on its way down and unpacks on its way up."""

    def __init__(self, widths: tuple[int, ...], blocks: tuple[int, ...]):
        super().__init__(widths, blocks)
        pairs = list(zip(widths[:-1], widths[1:], strict=True))
        self.down = nn.ModuleList(Packing(upper, lower) for upper, lower in pairs)
        self.up = nn.ModuleList(Unpacking(lower, upper) for upper, lower in pairs)

    def raised(self, up: nn.Module, x: torch.Tensor) -> torch.Tensor:
        """A level as large as the one above it."""
        return up(x)
