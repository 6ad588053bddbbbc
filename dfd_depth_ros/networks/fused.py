"""Networks made ready for inference: each convolution does what follows it in the same pass.

Normalisation is folded into the convolution before it. On a processor the shortcut that is added and the activation
are computed by oneDNN while the numbers are at hand, not in two more passes over memory, and the weights stay arranged
as it wants them for the largest picture so far, not anew at each call. The numbers are the same, but for the last bit
of a sum in bfloat16. Where oneDNN is not at hand (`networks.onednn`), everything is done one after the other.
"""

import torch
from torch import nn

from dfd_depth_ros.networks import onednn
from dfd_depth_ros.networks.blocks import Residual
from dfd_depth_ros.networks.context import Inverted, SameConv

_ACTIVATIONS = {nn.ReLU: ('relu', []), nn.ReLU6: ('hardtanh', [0.0, 6.0])}


def fuse(module: nn.Module) -> nn.Module:
    """Replace every convolution of a module in evaluation mode, in place, by one that does what follows it. The module
    no longer trains, and the names of its parameters change. Returns it."""
    for name, child in module.named_children():
        setattr(module, name, _ready(child))
    return module


def _ready(module):
    """What takes the place of a module."""
    if isinstance(module, _Fused | _Shortcut):
        return module
    if isinstance(module, nn.Conv2d):
        return _Fused(module)
    if isinstance(module, Residual):
        return _Shortcut([*_joined(module.first), *_joined(module.second)], nn.ReLU(inplace=True))
    if isinstance(module, Inverted) and module.adds:
        return _Shortcut(_joined(module.body), None)
    return nn.Sequential(*_joined(module)) if isinstance(module, nn.Sequential) else fuse(module)


def _joined(sequence):
    """The parts of a nn.Sequential, normalisation and activation joined to the convolution before them."""
    parts: list = []
    for part in sequence:
        last = parts[-1] if parts and isinstance(parts[-1], _Fused) else None
        if last and isinstance(part, nn.BatchNorm2d):
            last.conv = nn.utils.fusion.fuse_conv_bn_eval(last.conv, part)
        elif last and type(part) in _ACTIVATIONS:
            last.activation = part
        else:
            parts.append(_ready(part))
    return parts


class _Fused(nn.Module):
    """A convolution, a shortcut that is added to it, if any, and an activation, if any."""

    def __init__(self, conv: nn.Conv2d):
        super().__init__()
        self.conv, self.activation = conv, None
        self._arranged: tuple = (None, (), 0)  # weights, what they were arranged from, for how many pixels

    def __getstate__(self):
        return self.__dict__ | {'_arranged': (None, (), 0)}  # oneDNN's tensors cannot be copied

    def forward(self, x, shortcut=None):
        weight = self.conv.weight
        if not onednn.at_hand(x, weight) or _is_cast(weight):
            return self._one_after_the_other(x, shortcut)
        like_weight = {'dtype': weight.dtype, 'memory_format': torch.channels_last}
        x = x.to(**like_weight)
        if isinstance(self.conv, SameConv):
            x = self.conv.surrounded(x)
        kind, numbers = _ACTIVATIONS.get(type(self.activation), (None, []))
        given = (self._weight(x.shape), self.conv.bias, *_geometry(self.conv))
        if shortcut is None:
            return torch.ops.mkldnn._convolution_pointwise(x, *given, kind or 'none', numbers, '')
        sum_of = (x, shortcut.to(**like_weight))
        return torch.ops.mkldnn._convolution_pointwise(*sum_of, *given, 'add', 1.0, kind, numbers, '')

    def _one_after_the_other(self, x, shortcut):
        x = self.conv(x) if shortcut is None else shortcut + self.conv(x)
        return x if self.activation is None else self.activation(x)

    def _weight(self, size):
        """The weights as oneDNN wants them for an input of that size, arranged anew if they have changed or the input
        is larger than any before. For a smaller one it may want some otherwise, and then arranges these at each call:
        a test picture comes first, and must not decide."""
        weight = self.conv.weight
        state = (weight.data_ptr(), weight.dtype, 0 if weight.is_inference() else weight._version)
        arranged, origin, pixels = self._arranged
        if origin != state or size.numel() > pixels:
            arranged = torch.ops.mkldnn._reorder_convolution_weight(weight, *_geometry(self.conv), size)
            self._arranged = arranged, state, size.numel()
        return arranged


class _Shortcut(nn.Module):
    """What a residual block gives: its input, and what its convolutions make of it, added."""

    def __init__(self, parts, activation):
        super().__init__()
        self.before, self.last = nn.Sequential(*parts[:-1]), parts[-1]
        self.last.activation = activation

    def forward(self, x):
        return self.last(self.before(x), x)


def _is_cast(weight):
    """Whether PyTorch shall cast the weight."""
    return torch.is_autocast_enabled('cpu') and torch.get_autocast_dtype('cpu') != weight.dtype


def _geometry(conv):
    return conv.padding, conv.stride, conv.dilation, conv.groups
