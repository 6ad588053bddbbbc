"""Steadier depth over video: filters on inverse depth, where errors of defocus are even.

A filter is a function of the newest measurement and the state it returned for the frame before (None at first):
(inverse_depth, sigma, state) -> (inverse_depth, sigma, state), all (H, W) tensors in dioptres.
"""

from collections.abc import Callable

import torch

Filter = Callable[[torch.Tensor, torch.Tensor, tuple | None], tuple[torch.Tensor, torch.Tensor, tuple | None]]

GATE = 2.0  # standard deviations of the difference beyond which the past is dropped
SHARE = 0.5  # least weight of the newest frame: the state follows a moving camera within a few frames


def none(inverse_depth, sigma, state=None):
    """Every frame for itself."""
    return inverse_depth, sigma, None


def ema(inverse_depth, sigma, state=None):
    """Exponential moving average, weighted by inverse variance; a pixel that differs from its past by more than GATE
    sigmas starts anew. Errors of neighbouring frames are far from independent, so sigma is averaged too and never
    claimed to shrink."""
    if state is None or state[0].shape != inverse_depth.shape:
        return inverse_depth, sigma, (inverse_depth, sigma)
    past, past_sigma = state
    weight = (past_sigma**2 / (past_sigma**2 + sigma**2)).clamp(SHARE, 1)
    jumped = (inverse_depth - past).abs() > GATE * torch.hypot(sigma, past_sigma)
    weight = torch.where(jumped | ~past.isfinite(), torch.ones_like(weight), weight)
    mean, spread = torch.lerp(past, inverse_depth, weight), torch.lerp(past_sigma, sigma, weight)
    return mean, spread, (mean, spread)


FILTERS: dict[str, Filter] = {'none': none, 'ema': ema}
