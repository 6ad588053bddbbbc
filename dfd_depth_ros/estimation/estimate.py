"""What the package knows about one frame after looking at it."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Estimate:
    """Per-pixel result, all (H, W) float32.

    depth: metres along Z; NaN unknown, +inf beyond range, -inf too near (REP 117), never 0.
    sigma: one standard deviation of depth in metres, NaN or inf where depth is not finite.
    coc: signed CoC in pixels. far_probability: probability that the point lies behind the focal plane.
    notes: short plain sentences for diagnostics ('little blur to read'), usually empty.
    """

    depth: np.ndarray
    sigma: np.ndarray
    coc: np.ndarray
    far_probability: np.ndarray
    notes: tuple[str, ...] = ()
