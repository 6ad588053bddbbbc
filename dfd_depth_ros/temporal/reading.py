"""What a filter is told about one frame, and what it remembers."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F


@dataclass(frozen=True)
class Sides:
    """Both readings of a blur that does not tell its side: index 0 is the near side of focus, 1 the far side.
    share: probability. inverse_depth, sigma: dioptres. (2, h, w) each, of any resolution."""

    share: torch.Tensor
    inverse_depth: torch.Tensor
    sigma: torch.Tensor


@dataclass(frozen=True)
class Reading:
    """Depth of one frame by itself. inverse_depth, sigma: (H, W) dioptres, NaN unknown. far: (H, W) probability of
    lying behind focus. gain, focus: K in pixel * metre and 1/s in dioptres. sides: near and far, where the network
    tells them apart."""

    inverse_depth: torch.Tensor
    sigma: torch.Tensor
    far: torch.Tensor
    gain: float
    focus: float
    sides: Sides


@dataclass(frozen=True)
class Change:
    """What happened since the frame before, on the grid of the filter. blur: pixels of CoC by which the focus moved.
    focus: 1/s of the frame before, in dioptres. speed: (h, w) part of its depth by which a point may have come or
    gone."""

    blur: float
    focus: float
    speed: torch.Tensor


@dataclass(frozen=True)
class Steady:
    """What a filter makes of a frame: (h, w) inverse depth and sigma in dioptres, probability of the far side, and
    `state` (C, h, w), which comes back with the next frame, moved along with the picture, NaN where nothing is known.
    """

    inverse_depth: torch.Tensor
    sigma: torch.Tensor
    far: torch.Tensor
    state: torch.Tensor


Step = Callable[[Reading, torch.Tensor | None, Change | None], Steady]


def mirrored(inverse_depth: torch.Tensor, sigma: torch.Tensor, far: torch.Tensor, focus: float) -> Sides:
    """Sides of a reading that knows only its depth and its side: the other one has as much blur, 1/s +- |c|/K."""
    blur = (inverse_depth - focus).abs()
    return Sides(torch.stack([1 - far, far]), torch.stack([focus + blur, focus - blur]), torch.stack([sigma, sigma]))


def on_grid(reading: Reading, step: int) -> Reading:
    """A reading on every `step`-th pixel: means over step x step pixels, the sides resized to match."""

    def small(field):
        return F.avg_pool2d(field[None, None], step, ceil_mode=True)[0, 0]

    inverse_depth, sigma, far = (small(field) for field in (reading.inverse_depth, reading.sigma, reading.far))
    parts = torch.cat([reading.sides.share, reading.sides.inverse_depth, reading.sides.sigma])
    if parts.shape[-2:] != far.shape:
        parts = F.interpolate(parts[None], size=far.shape, mode='bilinear', align_corners=False)[0]
    return Reading(inverse_depth, sigma, far, reading.gain, reading.focus, Sides(*parts.split(2)))
