"""What a lens can see: expected error of depth over distance, reach, near/far twins, and where to focus.

An error of blur e pixels is an error of e / K dioptres; to it add, in squares, what is not known of the focus and of
the gain, sigma = |1/s - 1/d| * gain_sigma. Depth then errs by d^2 sigma, so its relative error is d * sigma: every lens
has a distance beyond which it tells less than was asked of it.

`error` is everywhere a function from |CoC| to one standard deviation of it, both in pixels (`estimation.blur` has the
measured one of the networks).
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from dfd_depth_ros.optics.lens import Lens, LensError

Error = Callable[[np.ndarray], np.ndarray]
NEAREST_M, FARTHEST_M, STEPS = 0.02, 200.0, 1200
CANDIDATES = 160  # focus settings tried for a range


def relative_sigma(lens: Lens, error: Error, depth_m) -> np.ndarray:
    """Expected one standard deviation of depth over depth at distances in metres, given the side of focus."""
    depth_m = np.asarray(depth_m, float)
    away = lens.focus_dioptre - 1 / depth_m
    blur = error(np.abs(lens.gain * away)) / lens.gain
    return depth_m * np.sqrt(blur**2 + lens.focus_dioptre_sigma**2 + (away * lens.gain_sigma) ** 2)


def reach(lens: Lens, error: Error, share: float) -> tuple[float, float]:
    """Nearest and farthest distance in metres between which the relative sigma stays within `share`: of all such
    stretches the longest in dioptres. (NaN, NaN) where there is none; the far end is inf beyond FARTHEST_M."""
    depth = np.geomspace(max(NEAREST_M, 1.01 * lens.focal_length_m), FARTHEST_M, STEPS)
    good = np.concatenate([[False], relative_sigma(lens, error, depth) <= share, [False]])
    starts, ends = (np.flatnonzero(np.diff(good.astype(int)) == step) for step in (1, -1))
    if not len(starts):
        return np.nan, np.nan
    best = np.argmax(1 / depth[starts] - 1 / depth[ends - 1])
    far = np.inf if ends[best] == STEPS else float(depth[ends[best] - 1])
    return float(depth[starts[best]]), far


def twin(lens: Lens, depth_m: float) -> float:
    """The distance in metres on the other side of focus that is blurred as much, inf or NaN where there is none."""
    inverse = 2 * lens.focus_dioptre - 1 / depth_m
    return 1 / inverse if inverse > 0 else (np.inf if inverse == 0 else np.nan)


def ambiguous_from(lens: Lens) -> float:
    """Distance in metres from which on blur alone leaves two answers, unless the side of focus is told: nearer points
    are blurred more than infinity is. NaN where there is none, because the side is told or focus is at infinity."""
    return 1 / (2 * lens.focus_dioptre) if lens.side == 'both' and lens.focus_dioptre else np.nan


def focus_for(lens: Lens, error: Error, near_m: float, far_m: float) -> Lens:
    """The lens focused, and its side set, so that the whole range lies on one side of focus and its worst relative
    sigma is least. Raises LensError for a range that is none."""
    if not 0 < near_m < far_m:
        raise LensError(f'the range {near_m:g} to {far_m:g} m is none; give the near end first, both above zero')
    near, far = 1 / near_m, 1 / far_m if np.isfinite(far_m) else 0.0
    nearest = 0.5 / lens.focal_length_m  # two focal lengths
    if near >= nearest:
        raise LensError(f'the range begins at {near_m:g} m, within two focal lengths of {lens.focal_length_m:g} m')
    depth = 1 / np.linspace(near, max(far, 1 / FARTHEST_M), 200)
    settings = [('behind', focus) for focus in np.linspace(near, min(1.6 * near, nearest), CANDIDATES)]
    settings += [('front', focus) for focus in np.linspace(0, far, CANDIDATES)]
    lenses = [replace(lens, focus_dioptre=float(focus), side=side) for side, focus in settings]
    return min(lenses, key=lambda candidate: relative_sigma(candidate, error, depth).max())
