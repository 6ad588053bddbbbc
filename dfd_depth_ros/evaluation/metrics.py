"""Single-frame metrics. Depth is compared as it is, in metres: nothing is ever rescaled to the ground truth.

A pixel counts where the ground truth is known (finite, above zero) and the prediction is a depth (finite, above zero).
Predictions that are NaN, +inf or -inf (REP 117) lower `valid_fraction` and enter no error.
Each function takes vectors of counting pixels, (N,) in the units of their names, and returns a float, NaN for N = 0.
Definitions of abs_rel, rmse, log10 and delta: Eigen et al., "Depth map prediction from a single image using a
multi-scale deep network", NeurIPS 2014.
"""

import cv2
import numpy as np

from dfd_depth_ros.estimation.estimate import Estimate

METRICS = (  # in the order of the JSON: means over frames, but for two medians over all pixels of all frames
    *('abs_rel', 'abs_rel_median', 'abs_rel_behind', 'abs_rel_front', 'abs_rel_textured', 'abs_rel_bare'),
    *('sign_accuracy', 'rmse_m', 'mae_m', 'log10'),
    *('delta1', 'delta2', 'delta3', 'coverage_1sigma', 'coverage_2sigma', 'valid_fraction'),
    *('coc_mae_px', 'coc_median_px'),
)
SIGN_COC_PX = 0.5  # a true blur below this has no side that could be read
EDGE_PX = 1.0  # a step of CoC from one pixel to the next that only an occlusion makes
TEXTURE_PX, TEXTURE_LEVELS = 9, 1.0  # window, and standard deviation of grey levels of 255 that makes it textured


def is_depth(depth: np.ndarray) -> np.ndarray:
    """Where an array holds a distance: finite and above zero."""
    return np.isfinite(depth) & (depth > 0)


def abs_rel(depth: np.ndarray, truth: np.ndarray) -> float:
    """Mean of |depth - truth| / truth."""
    return _mean(np.abs(depth - truth) / truth)


def mae(depth: np.ndarray, truth: np.ndarray) -> float:
    """Mean of |depth - truth| in metres."""
    return _mean(np.abs(depth - truth))


def rmse(depth: np.ndarray, truth: np.ndarray) -> float:
    """Root of the mean of (depth - truth)^2 in metres."""
    return float(np.sqrt(_mean((depth - truth) ** 2)))


def log10(depth: np.ndarray, truth: np.ndarray) -> float:
    """Mean of |log10 depth - log10 truth|."""
    return _mean(np.abs(np.log10(depth) - np.log10(truth)))


def delta(depth: np.ndarray, truth: np.ndarray, power: int = 1) -> float:
    """Share of pixels whose ratio to the truth, the larger over the smaller, lies below 1.25 ** power."""
    return _mean(np.maximum(depth / truth, truth / depth) < 1.25**power)


def coverage(depth: np.ndarray, truth: np.ndarray, sigma: np.ndarray, width: float = 1.0) -> float:
    """Share of pixels with |depth - truth| <= width * sigma; .683 and .954 for a Gaussian of width 1 and 2. A sigma
    that is not finite covers nothing."""
    return _mean(np.isfinite(sigma) & (np.abs(depth - truth) <= width * sigma))


def sign_accuracy(coc: np.ndarray, true_coc: np.ndarray) -> float:
    """Share of pixels on the right side of focus, among those with |true CoC| above SIGN_COC_PX and a finite CoC."""
    readable = np.isfinite(coc) & (np.abs(true_coc) > SIGN_COC_PX)
    return _mean((coc[readable] > 0) == (true_coc[readable] > 0))


def contrast(image: np.ndarray) -> np.ndarray:
    """(H, W) float32: standard deviation in grey levels of a (H, W, 3) uint8 picture in a small window."""
    grey, window = image.mean(2, dtype=np.float32), (TEXTURE_PX, TEXTURE_PX)
    mean, square = cv2.blur(grey, window), cv2.blur(grey**2, window)
    return np.sqrt(np.maximum(square - mean**2, 0))


def textured(image: np.ndarray) -> np.ndarray:
    """(H, W) bool: where a (H, W, 3) uint8 picture varies enough in a small window that blur could be read there."""
    return contrast(image) >= TEXTURE_LEVELS


def edge_distance(true_coc: np.ndarray) -> np.ndarray:
    """(H, W) float32: pixels to the nearest occlusion edge, where CoC (H, W) changes by more than EDGE_PX between
    neighbours; a large number where there is none. Holes make no edges."""
    away = np.ones(true_coc.shape, np.uint8)
    for axis in (0, 1):
        jump = np.abs(np.diff(true_coc, axis=axis)) > EDGE_PX
        first, second = (np.s_[:-1], np.s_[1:]) if axis == 0 else (np.s_[:, :-1], np.s_[:, 1:])
        away[first][jump], away[second][jump] = 0, 0
    return cv2.distanceTransform(away, cv2.DIST_L2, cv2.DIST_MASK_5) if not away.all() else away * np.float32(4095)


def frame_metrics(estimate: Estimate, truth: np.ndarray, true_coc: np.ndarray, texture: np.ndarray) -> dict:
    """All metrics of one frame, by their names in the JSON of `evaluate`.

    truth: (H, W) metres, NaN unknown. true_coc: (H, W) signed pixels. texture: (H, W) bool, as from `textured`.
    Values are floats, NaN where nothing counts.
    """
    known = is_depth(truth)
    counted = known & is_depth(estimate.depth)
    depth, true, sigma = (array[counted].astype(np.float64) for array in (estimate.depth, truth, estimate.sigma))
    behind, texture = true_coc[counted] > 0, texture[counted]
    coc, coc_true = estimate.coc[known].astype(np.float64), true_coc[known].astype(np.float64)
    coc_error = np.abs(coc - coc_true)
    return {
        'abs_rel': abs_rel(depth, true),
        'abs_rel_behind': abs_rel(depth[behind], true[behind]),
        'abs_rel_front': abs_rel(depth[~behind], true[~behind]),
        'abs_rel_textured': abs_rel(depth[texture], true[texture]),
        'abs_rel_bare': abs_rel(depth[~texture], true[~texture]),
        'sign_accuracy': sign_accuracy(coc, coc_true),
        'rmse_m': rmse(depth, true),
        'mae_m': mae(depth, true),
        'log10': log10(depth, true),
        'delta1': delta(depth, true, 1),
        'delta2': delta(depth, true, 2),
        'delta3': delta(depth, true, 3),
        'coverage_1sigma': coverage(depth, true, sigma, 1),
        'coverage_2sigma': coverage(depth, true, sigma, 2),
        'valid_fraction': _mean(counted[known]),
        'coc_mae_px': _mean(coc_error[np.isfinite(coc_error)]),
    }


def mean_over_frames(rows: list[dict], names: tuple[str, ...]) -> dict:
    """Mean of each named metric over the frames where it is a number: every frame weighs the same, as is the custom of
    the field (pooled over pixels, large frames would weigh more). NaN where it is a number nowhere."""
    columns = {name: np.array([row.get(name, np.nan) for row in rows], np.float64) for name in names}
    return {name: _mean(column[np.isfinite(column)]) for name, column in columns.items()}


def over_frames(values) -> dict:
    """Median over frames of a metric (N,) and its mean over the worst tenth of them, at least one; NaN for none."""
    values = np.sort([value for value in values if np.isfinite(value)])
    worst = values[len(values) - max(1, len(values) // 10) :] if len(values) else values
    return {'frame_median': float(np.median(values)) if len(values) else float('nan'), 'worst_decile': _mean(worst)}


def _mean(values: np.ndarray) -> float:
    return float(np.mean(values)) if values.size else float('nan')
