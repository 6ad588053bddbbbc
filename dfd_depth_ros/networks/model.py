"""Both networks as one: picture and lens in, signed CoC with its sigma and sign probability out."""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.functional import pad

from dfd_depth_ros.networks.blocks import fuse, upsample
from dfd_depth_ros.networks.defocus import Defocus, DefocusNet
from dfd_depth_ros.networks.depth import DepthNet

STRIDE = 32

ARCHITECTURES = {
    'dfd_small': {
        'defocus': {'fine': 16, 'widths': (48, 80, 128), 'blocks': (1, 2, 2)},
        'depth': {'widths': (32, 64, 96, 128), 'blocks': (1, 1, 1, 2)},
    },
}


@dataclass(frozen=True)
class Prediction:
    """(B, 1, H, W) each: coc signed pixels; sigma of it in pixels; far_logit; defocus: what DefocusNet alone read."""

    coc: torch.Tensor
    sigma: torch.Tensor
    far_logit: torch.Tensor
    defocus: Defocus


class DfdModel(nn.Module):
    """DefocusNet and DepthNet of a named architecture.

    image: (B, 3, H, W) gamma-encoded RGB in 0..1, any size. lens: (B, 2) gain K in pixel * metre and focus in dioptres.
    sigma_scale: calibration of sigma found after training, carried with the weights.
    Raises ValueError for an unknown architecture.
    """

    def __init__(self, architecture: str = 'dfd_small'):
        super().__init__()
        if architecture not in ARCHITECTURES:
            raise ValueError(f'unknown architecture {architecture!r}; there are {", ".join(ARCHITECTURES)}')
        shape = ARCHITECTURES[architecture]
        self.architecture = architecture
        self.defocus_net = DefocusNet(**shape['defocus'])
        self.depth_net = DepthNet(
            features=shape['defocus']['widths'][0], fine=shape['defocus']['fine'], **shape['depth']
        )
        self.register_buffer('sigma_scale', torch.ones(()))

    def forward(self, image: torch.Tensor, lens: torch.Tensor) -> Prediction:
        height, width = image.shape[-2:]
        padded = pad(image, (0, -width % STRIDE, 0, -height % STRIDE), mode='replicate')
        defocus = self.defocus_net(padded)
        coc, log_sigma, far_logit = (upsample(x, 2)[..., :height, :width] for x in self.depth_net(defocus, lens))
        return Prediction(coc, log_sigma.exp() * self.sigma_scale, far_logit, defocus)

    def for_inference(self) -> 'DfdModel':
        """Fold normalisation into convolutions, in place; the model no longer trains."""
        return fuse(self.eval().requires_grad_(False)).to(memory_format=torch.channels_last)
