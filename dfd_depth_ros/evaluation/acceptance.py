"""Acceptance as a factory does it: a board at a known distance, many frames, and one verdict."""

from collections.abc import Iterable

import numpy as np

from dfd_depth_ros.evaluation.metrics import is_depth

MARGIN = 0.25  # of the picture on each side of the window by default
LEAST_DEPTH = 0.9  # share of the window that must have depth


class AcceptanceError(ValueError):
    """Depth that cannot be judged; the message says why."""


def judge(depths: Iterable[np.ndarray], distance_m: float, tolerance_m: float, window: float = 1 - 2 * MARGIN) -> dict:
    """Judge depth images (H, W) metres of a board at `distance_m`.

    window: share of width and height in the middle that the board fills. Returns `frames`, `mean_m`, `error_m` (mean
    minus distance), `spread_m` (standard deviation of the frames' medians), `pixel_spread_m` (median over frames of
    the standard deviation over pixels), `coverage` (share of pixels with depth) and `passed`. Raises AcceptanceError
    where there is no frame or an argument is none.
    """
    if not (np.isfinite(distance_m) and distance_m > 0 and tolerance_m > 0):
        raise AcceptanceError(f'distance {distance_m:g} m and tolerance {tolerance_m:g} m must be above zero')
    if not 0 < window <= 1:
        raise AcceptanceError(f'the window is {window:g} of the picture; it must be above 0 and at most 1')
    means, medians, spreads, coverage = [], [], [], []
    for depth in depths:
        height, width = depth.shape
        top, left = (round(side * (1 - window) / 2) for side in (height, width))
        inside = depth[top : height - top, left : width - left]
        known = is_depth(inside)
        coverage.append(known.mean())
        if known.any():
            means.append(inside[known].mean(dtype=np.float64))
            medians.append(np.median(inside[known]))
            spreads.append(inside[known].std(dtype=np.float64))
    if not coverage:
        raise AcceptanceError('no depth image came')
    mean = float(np.mean(means)) if means else float('nan')
    covered = float(np.mean(coverage))
    return {
        'frames': len(coverage),
        'distance_m': float(distance_m),
        'tolerance_m': float(tolerance_m),
        'mean_m': mean,
        'error_m': mean - distance_m,
        'spread_m': float(np.std(medians)) if medians else float('nan'),
        'pixel_spread_m': float(np.median(spreads)) if spreads else float('nan'),
        'coverage': covered,
        'passed': bool(abs(mean - distance_m) <= tolerance_m and covered >= LEAST_DEPTH),
    }
