"""Training without one of its parts, to tell what the part is worth."""

from typing import cast

import torch
from torch import nn

from dfd_depth_ros.networks.depth import LENS_CHANNELS
from dfd_depth_ros.networks.model import DfdModel

LOSSES = ('siamese', 'side', 'blur', 'outline')
PARTS = {
    'siamese': 'the loss of two pictures that imply one depth',
    'side': 'the loss of the side of focus alone',
    'blur': 'the loss of what DefocusNet reads',
    'outline': 'the loss of single pixels',
    'half size': 'the second look, at half the size: it is not trusted',
    'fringe': 'chromatic aberration in the pictures that are learned from',
    'lens': 'lens and rays as inputs of DepthNet; what lies beyond infinity stays ruled out',
}


def check_part(without: str) -> None:
    """Raises ValueError for what is no part of the training."""
    if without and without not in PARTS:
        raise ValueError(f'training without {without!r} is not known; there are {", ".join(PARTS)}')


def take_out(model: DfdModel, without: str) -> None:
    """Make a part of the model do nothing, now and while it is trained: weights stay a file like any other."""
    if without == 'half size':
        model.trust.data = torch.tensor([1.0, 0.0])
        model.trust.requires_grad_(False)
    if without == 'lens':
        weight = cast(nn.Conv2d, model.depth_net.enter[0]).weight
        told = torch.zeros(weight.shape[1], dtype=torch.bool)
        told[-LENS_CHANNELS:] = torch.tensor([*(False,) * 3, *(True,) * (LENS_CHANNELS - 3)])  # three maps are of blur
        weight.data[:, told] = 0
        weight.register_hook(lambda grad: grad.masked_fill(told.to(grad.device)[:, None, None], 0))


def kept(terms: dict[str, torch.Tensor], without: str) -> dict[str, torch.Tensor]:
    """Terms of the loss without the one that is left out."""
    return {name: value for name, value in terms.items() if name != without}
