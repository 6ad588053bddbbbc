"""PoseNet: how did the camera move between two pictures? For training where nothing tells poses.

Source: Zhou et al., "Unsupervised Learning of Depth and Ego-Motion from Video", CVPR 2017, with the scaling by 0.01 of
Godard et al., "Digging Into Self-Supervised Monocular Depth Estimation" (Monodepth2), ICCV 2019.
"""

import torch
from torch import nn

from dfd_depth_ros.networks.blocks import conv
from dfd_depth_ros.optics.pinhole import rays, rigid

WIDTHS = (16, 24, 32, 48, 64)
SCALE = 0.01  # so that the first steps move the camera little


class PoseNet(nn.Module):
    """Two pictures (B, 3, H, W) in 0..1 of one camera with lens state (B, 5) to the motion (B, 4, 4) that takes a point
    in the first camera's axes to the second's, in metres. Untrained it is the identity."""

    def __init__(self):
        super().__init__()
        steps = zip((6 + 2, *WIDTHS[:-1]), WIDTHS, strict=True)
        self.body = nn.Sequential(*(conv(inputs, outputs, stride=2) for inputs, outputs in steps))
        self.head = nn.Conv2d(WIDTHS[-1], 6, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, first: torch.Tensor, second: torch.Tensor, lens: torch.Tensor) -> torch.Tensor:
        looks = rays(lens, *first.shape[-2:])[:, :2]
        found = self.head(self.body(torch.cat([first - 0.5, second - 0.5, looks], 1))).mean((2, 3))
        return rigid(SCALE * found)
