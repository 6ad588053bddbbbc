"""DefocusNet: how much is each pixel blurred, how sure is that, and on which side of focus does it lie?

It sees one picture and knows no lens, so it reads pixels of blur and nothing else. In training two pictures of one
scene at different lens settings pass through the same weights (Siamese; Zhang et al. 2024, "Depth Estimation Based on
3D Gaussian Splatting Siamese Defocus").
"""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import adaptive_max_pool2d

from dfd_depth_ros.networks import posterior
from dfd_depth_ros.networks.blocks import Residual, conv, upsample
from dfd_depth_ros.networks.cues import LocalSpectrum


@dataclass(frozen=True)
class Defocus:
    """What one picture says about blur, at a quarter of its resolution.

    logits: of signed CoC, (B, BINS, H/4, W/4). magnitude: |CoC| in pixels of the picture, (B, 1, H/4, W/4). log_sigma:
    natural logarithm of its sigma in pixels. far_logit: above zero behind focus. features: (B, C, H/4, W/4).
    """

    logits: torch.Tensor
    magnitude: torch.Tensor
    log_sigma: torch.Tensor
    far_logit: torch.Tensor
    features: torch.Tensor


class DefocusNet(nn.Module):
    """(B, 3, H, W) gamma-encoded picture in 0..1, H and W multiples of 8, to `Defocus`.

    fine, quarter, eighth: channels at 1/2, 1/4 and 1/8 of the resolution. blocks: residual pairs at 1/8, where learned
    features meet the local spectrum.
    """

    def __init__(self, fine: int, quarter: int, eighth: int, blocks: int):
        super().__init__()
        self.stem = nn.Sequential(
            conv(3, fine, stride=2, kernel=6), conv(fine, fine), conv(fine, quarter, stride=2), Residual(quarter)
        )
        self.down = conv(quarter, eighth, stride=2)
        self.spectrum = LocalSpectrum()
        self.mix = conv(self.spectrum.channels, eighth, kernel=1)
        self.meet = conv(2 * eighth, eighth, kernel=1)
        self.camera = CameraSummary(eighth)
        self.body = nn.Sequential(*(Residual(eighth) for _ in range(blocks)))
        self.up = conv(eighth, quarter, kernel=1)
        self.join = conv(quarter, quarter)
        self.head = nn.Conv2d(quarter, posterior.BINS, 1)

    def forward(self, image: torch.Tensor) -> Defocus:
        centred = image - image.mean((1, 2, 3), keepdim=True)
        contrast = centred.square().mean((1, 2, 3), keepdim=True).sqrt()
        detail = self.stem(centred / (contrast + 0.05))
        blur = self.meet(torch.cat([self.down(detail), self.mix(self.spectrum(image))], 1))
        features = self.join(detail + upsample(self.up(self.body(self.camera(blur))), 2))
        logits = self.head(features).float()
        probability = posterior.shares(logits)
        magnitude, relative = posterior.magnitude(probability)
        far = posterior.far_share(probability)
        return Defocus(logits, magnitude, (relative * (1 + magnitude)).log(), torch.logit(far, 1e-3), features)


class CameraSummary(nn.Module):
    """(B, width, H, W) features, each channel scaled and shifted by what all of the picture tells of the camera.

    Noise, sharpening and compression look like blur or its absence, and are the same everywhere in a picture: how sharp
    its sharpest place is and what remains in its flattest says more of them than any one place does. Begins as next to
    nothing.
    Source of scaling and shifting: Perez et al., "FiLM: Visual Reasoning with a General Conditioning Layer", AAAI 2018.
    """

    def __init__(self, width: int):
        super().__init__()
        self.read = nn.Sequential(nn.Linear(2 * width, width), nn.ReLU(inplace=True))
        self.tell = nn.Linear(width, 2 * width)
        nn.init.normal_(self.tell.weight, std=1e-3)
        nn.init.zeros_(self.tell.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        whole = torch.cat([x.mean((2, 3)), adaptive_max_pool2d(x, 1).flatten(1)], 1)
        scale, shift = self.tell(self.read(whole)).to(x.dtype)[..., None, None].chunk(2, 1)
        return torch.addcmul(x + shift, x, scale)
