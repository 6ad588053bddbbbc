"""The bricks of both networks: convolutions with batch normalisation, residual pairs, and a U-shaped body."""

from collections.abc import Sequence
from itertools import zip_longest

import torch
from torch import nn


def conv(inputs: int, outputs: int, stride: int = 1, kernel: int = 3) -> nn.Sequential:
    """Convolution, normalisation, ReLU: (B, inputs, H, W) to (B, outputs, H / stride, W / stride)."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, (kernel - 1) // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class Residual(nn.Module):
    """Two 3x3 convolutions around a shortcut (He et al., "Deep Residual Learning", CVPR 2016)."""

    def __init__(self, width: int):
        super().__init__()
        self.first = conv(width, width)
        self.second = nn.Sequential(nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width))

    def forward(self, x):
        return (x + self.second(self.first(x))).relu_()


class UNet(nn.Module):
    """A U-shaped body (Ronneberger et al., MICCAI 2015): (B, widths[0], H, W) in and out, H and W multiples of
    2^(len(widths) - 1). `blocks` residual pairs at each level on the way down, one convolution on the way up."""

    def __init__(self, widths: tuple[int, ...], blocks: tuple[int, ...]):
        super().__init__()
        pairs = list(zip(widths[:-1], widths[1:], strict=True))
        self.levels = nn.ModuleList(
            nn.Sequential(*(Residual(width) for _ in range(count))) for width, count in zip(widths, blocks, strict=True)
        )
        self.down = nn.ModuleList(conv(upper, lower, stride=2) for upper, lower in pairs)
        self.up = nn.ModuleList(conv(lower, upper, kernel=1) for upper, lower in pairs)
        self.merge = nn.ModuleList(conv(upper, upper) for upper, _ in pairs)

    def forward(self, x: torch.Tensor, told: Sequence[torch.Tensor] = ()) -> torch.Tensor:
        """told: what to add to each level below the first one, if anything."""
        kept = []
        for level, down, more in zip_longest(self.levels[:-1], self.down, told):
            x = level(x)
            kept.append(x)
            x = down(x) if more is None else down(x) + more
        x = self.levels[-1](x)
        for skip, up, merge in zip(reversed(kept), reversed(self.up), reversed(self.merge), strict=True):
            x = merge(skip + self.raised(up, x))
        return x

    def raised(self, up: nn.Module, x: torch.Tensor) -> torch.Tensor:
        """A level as large as the one above it."""
        return upsample(up(x), 2)


def upsample(x: torch.Tensor, factor: int) -> torch.Tensor:
    """Bilinear, by a whole factor."""
    return nn.functional.interpolate(x, scale_factor=factor, mode='bilinear', align_corners=False)


def halved(image: torch.Tensor) -> torch.Tensor:
    """(B, C, H, W) of even sides to means over 2 x 2, (B, C, H/2, W/2). With few channels several times faster than a
    layer that pools."""
    rows = image[..., ::2, :] + image[..., 1::2, :]
    return (rows[..., ::2] + rows[..., 1::2]) / 4
