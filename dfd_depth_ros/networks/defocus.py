"""DefocusNet: how much is each pixel blurred, how sure is that, and on which side of focus does it lie?

It sees one picture and knows no lens, so it reads pixels of blur and nothing else. In training two pictures of one
scene at different lens settings pass through the same weights (Siamese; Zhang et al. 2024, "Depth Estimation Based on
3D Gaussian Splatting Siamese Defocus").
"""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import pixel_unshuffle, softplus

from dfd_depth_ros.networks.blocks import UNet, conv
from dfd_depth_ros.networks.cues import CHANNELS, blur_cues


@dataclass(frozen=True)
class Defocus:
    """What one picture says about blur, at a quarter of its resolution.

    magnitude: |CoC| in pixels of the picture, (B, 1, H/4, W/4). log_sigma: natural logarithm of its sigma in pixels.
    far_logit: above zero behind focus. features: (B, C, H/4, W/4). fine: features at half resolution.
    """

    magnitude: torch.Tensor
    log_sigma: torch.Tensor
    far_logit: torch.Tensor
    features: torch.Tensor
    fine: torch.Tensor


class DefocusNet(nn.Module):
    """(B, 3, H, W) gamma-encoded picture in 0..1, H and W multiples of 16, to `Defocus`.

    fine: channels at half resolution. widths, blocks: of the body at 1/4, 1/8 and 1/16.
    """

    def __init__(self, fine: int = 16, widths=(48, 80, 128), blocks=(1, 2, 2)):
        super().__init__()
        self.stem = nn.Sequential(conv(12, fine), conv(fine, fine))
        self.down = conv(fine, widths[0] - CHANNELS, stride=2)
        self.body = UNet(tuple(widths), tuple(blocks))
        self.head = nn.Conv2d(widths[0], 3, 1)

    def forward(self, image: torch.Tensor) -> Defocus:
        mean = image.mean((1, 2, 3), keepdim=True)
        spread = image.std((1, 2, 3), keepdim=True)
        fine = self.stem(pixel_unshuffle((image - mean) / (spread + 0.05), 2))
        features = self.body(torch.cat([self.down(fine), blur_cues(image)], 1))
        level, log_sigma, far_logit = self.head(features).split(1, 1)
        level = softplus(level)  # log(1 + |CoC|): the cues are logarithms, and blur is told apart by ratios
        return Defocus(level.expm1(), level + log_sigma.clamp(-5, 2), far_logit, features, fine)
