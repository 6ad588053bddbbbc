"""Steadier depth over video: filters on inverse depth, where errors of defocus are even.

A filter is one step (`reading.Step`): the newest reading, the state that it returned for the frame before, already
moved along with the picture (`smoother`), and what changed in between.
"""

from typing import NamedTuple

import torch

from dfd_depth_ros.temporal.geometry import geometry
from dfd_depth_ros.temporal.kalman import kalman
from dfd_depth_ros.temporal.reading import Change, Reading, Steady, Step

GATE = 2.0  # standard deviations of the difference beyond which the past is dropped
SHARE = 0.5  # least weight of the newest frame: the state follows a moving camera within a few frames


def ema(reading: Reading, past: torch.Tensor | None, change: Change | None) -> Steady:
    """Exponential moving average, weighted by inverse variance; a pixel that differs from its past by more than GATE
    sigmas starts anew. Errors of neighbouring frames are far from independent, so sigma is averaged too and never
    claimed to shrink."""
    inverse_depth, sigma = reading.inverse_depth, reading.sigma
    if past is None:
        past = torch.full((2, *sigma.shape), torch.nan, device=sigma.device, dtype=sigma.dtype)
    weight = (past[1] ** 2 / (past[1] ** 2 + sigma**2)).clamp(SHARE, 1)
    jumped = (inverse_depth - past[0]).abs() > GATE * torch.hypot(sigma, past[1])
    weight = torch.where(jumped, torch.ones_like(weight), weight)
    mean, spread = (
        torch.where(old.isfinite(), torch.lerp(old, new, weight), new)
        for old, new in zip(past, (inverse_depth, sigma), strict=True)
    )
    return Steady(mean, spread, reading.far, torch.stack([mean, spread]))


class Filter(NamedTuple):
    """A filter by its step. depths: how many of the first channels of its state are inverse depths, which a camera that
    moves ahead changes. refocus: whether it goes on where the focus jumps."""

    step: Step | None
    depths: int = 0
    refocus: bool = False


FILTERS: dict[str, Filter] = {
    'none': Filter(None),
    'ema': Filter(ema, 1),
    'geometry': Filter(geometry, 5, True),
    'kalman': Filter(kalman, 2, True),
}
DEFAULT = 'kalman'  # the one that docs/video.md shows to be the steadiest at the least error
