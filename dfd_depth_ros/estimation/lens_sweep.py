"""Fit a lens to a free focus sweep: one static scene at several focus settings, without depth.

Inverse depth q is unknown in every cell but the same in all frames, so that what counts is how blur changes from frame
to frame: |c_i| = K_i g |t_i - q|. Two things no sweep can tell, because depth is unknown: an offset of the focus scale,
which moves q along, and the focus scale apart from the gain, of which blur shows only the product. So the focus is
taken as told, and `g` is that product: metric depth from this lens is right up to the error of the told focus.

Frames are registered first: a thin lens magnifies by 1 / (1 - f t) (focus breathing), and what is left is found
(`temporal.motion.registration`).
"""

from dataclasses import dataclass

import cv2
import numpy as np
from scipy.optimize import minimize

from dfd_depth_ros.estimation.blur import STRIDE, BlurTable, read_blur
from dfd_depth_ros.estimation.lens_readings import CalibrationDataError
from dfd_depth_ros.networks.depth import CELL
from dfd_depth_ros.temporal.motion import registration

FRAMES = 3  # the least
FOCUS_SPAN_PX = 2.0  # by which blur must change over the sweep
SMALL = 320  # pixels of width at which frames are registered
COARSE_PX = 6.0  # sigma of the blur under which a static scene looks the same at every focus
STILL = 0.75  # least correlation of registered, blurred frames
CELLS = 250  # that are fitted
DEPTHS = np.concatenate([[0.0], np.geomspace(0.02, 12.0, 100)])  # inverse depths tried for each cell
SPREAD_AT_LEAST = 0.3  # pixels


@dataclass(frozen=True)
class SweepFit:
    """log_gain, sigma: of gain times focus scale and its jackknife deviation over frames. base_px: blur at perfect
    focus. before, after: root mean square error in pixels with which a frame's blur is predicted from the other frames,
    with the lens as told and as fitted to those others alone. breathing: measured over thin-lens magnification, minus
    one each, None where it is too small to measure. notes: sentences."""

    log_gain: float
    sigma: float
    base_px: float
    before: float
    after: float
    breathing: float | None
    notes: tuple[str, ...] = ()


def fit_sweep(frames: list, model, table: BlurTable) -> SweepFit:
    """Fit the frames of a sweep. Raises CalibrationDataError where they are no sweep, the scene moves or shows no
    texture."""
    gain, told = (np.array([getattr(frame.lens, name) for frame in frames]) for name in ('gain', 'focus_dioptre'))
    if len(np.unique(np.round(told, 4))) < FRAMES:
        raise CalibrationDataError(
            f'there is no depth and no focus sweep: {len(np.unique(np.round(told, 4)))} focus settings, {FRAMES} are '
            'the least; give depth with the frames, or record a static scene at 5 settings and more'
        )
    if np.ptp(told) * gain.mean() < FOCUS_SPAN_PX:
        raise CalibrationDataError(
            f'the focus sweep changes blur by {np.ptp(told) * gain.mean():.2g} px, {FOCUS_SPAN_PX:g} px are the least; '
            'turn the focus further'
        )
    reading, breathing = _registered(frames, model)
    log_gain, base = _solve(gain, told, reading, table)
    before: list[float] = []
    after: list[float] = []
    gains = []
    for left in range(len(frames)):
        others = np.arange(len(frames)) != left
        alone = _solve(gain[others], told[others], reading[others], table, [(log_gain, base)])
        gains.append(alone[0])
        for errors, (found_gain, found_base) in ((before, (0.0, 0.0)), (after, alone)):
            inverse = _depths(gain[others], told[others], reading[others], table, found_gain, found_base)
            blur = np.hypot(gain[left] * np.exp(found_gain) * (told[left] - inverse), found_base)
            errors.append(np.mean((table.read(blur) - reading[left]) ** 2))
    jackknife = np.sqrt((len(gains) - 1) / len(gains) * np.sum((np.array(gains) - np.mean(gains)) ** 2))
    as_told, as_fitted = (float(np.sqrt(np.mean(errors))) for errors in (before, after))
    return SweepFit(log_gain, float(jackknife), base, as_told, as_fitted, breathing)


def _registered(frames, model) -> tuple[np.ndarray, float | None]:
    """|CoC| of each frame in the cells that all of them see with texture, (frames, CELLS at most), seen from the first
    frame; and the breathing, measured over predicted."""
    height, width = (side - side % STRIDE for side in frames[0].image.shape[:2])
    readings, usable, measured, predicted = [], [], [], []
    for frame in frames:
        if frame.image.shape != frames[0].image.shape:
            raise CalibrationDataError(f'{frame.name} has another size than {frames[0].name}; a sweep needs one size')
        warp, alike = _alignment(frames[0], frame)
        if alike < STILL:
            raise CalibrationDataError(
                f'the scene or the camera moves: {frame.name} and {frames[0].name} correlate by {alike:.2f} after '
                f'registration, {STILL:g} is the least; use a tripod and a scene that stands still'
            )
        measured.append(np.sqrt(abs(np.linalg.det(warp[:, :2]))) - 1)
        predicted.append(_breathing(frames[0], frame) - 1)
        image = cv2.warpAffine(
            frame.image, warp, frame.image.shape[1::-1], flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        )
        inside = cv2.warpAffine(
            np.ones(frame.image.shape[:2], np.uint8), warp, frame.image.shape[1::-1], flags=cv2.WARP_INVERSE_MAP
        )
        reading = read_blur(model, image)
        readings.append(cv2.blur(reading.magnitude, (3, 3)))
        usable.append(reading.usable & (cv2.erode(inside, np.ones((33, 33)))[:height:CELL, :width:CELL] > 0))
    good = np.flatnonzero(np.all(usable, 0))
    if len(good) < 30:
        raise CalibrationDataError(
            f'{len(good)} places show texture at every focus, 30 are the least; choose a scene with fine texture at '
            'several distances'
        )
    good = good[np.linspace(0, len(good) - 1, min(CELLS, len(good))).astype(int)]
    expected, found = np.array(predicted), np.array(measured)
    seen = np.abs(expected).max() > 2e-3
    breathing = float(expected @ found / (expected @ expected)) if seen else None
    return np.stack([reading.ravel()[good] for reading in readings]), breathing


def _breathing(first, frame) -> float:
    """Thin-lens magnification of a frame over that of the first."""
    focal = frame.lens.focal_length_m
    return (1 - focal * first.lens.focus_dioptre) / (1 - focal * frame.lens.focus_dioptre)


def _alignment(first, frame) -> tuple[np.ndarray, float]:
    """Affine map (2, 3) from pixels of the first frame to those of another, and how alike they then are."""
    scale = min(1.0, SMALL / first.image.shape[1])
    pictures = [_coarse(picture.image, scale) for picture in (first, frame)]
    centre = (np.array(pictures[0].shape[::-1]) - 1) / 2
    zoom = _breathing(first, frame)
    warp = np.column_stack([np.eye(2) * zoom, centre - zoom * centre]).astype(np.float32)
    found = (warp, 1.0) if frame is first else registration(pictures[1], pictures[0], warp, 1)
    warp, alike = found or (warp, 0.0)
    warp = warp.copy()
    warp[:, 2] /= scale
    return warp, alike


def _coarse(image, scale):
    grey = cv2.resize(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return cv2.GaussianBlur(grey.astype(np.float32), (0, 0), max(1.0, COARSE_PX * scale))


def _costs(gain, told, reading, table, log_gain, base) -> np.ndarray:
    """Robust cost (cells, DEPTHS) of every inverse depth in every cell."""
    blur = np.hypot((gain * np.exp(log_gain))[:, None] * (told[:, None] - DEPTHS), base)
    read, spread = table.read(blur), np.maximum(table.spread(blur), SPREAD_AT_LEAST)
    wrong = (reading[:, :, None] - read[:, None]) / spread[:, None]
    return (2 * (np.sqrt(1 + wrong**2) - 1) + 2 * np.log(spread)[:, None]).sum(0)


def _depths(gain, told, reading, table, log_gain, base) -> np.ndarray:
    return DEPTHS[_costs(gain, told, reading, table, log_gain, base).argmin(1)]


STARTS = tuple((log_gain, 0.5) for log_gain in (-0.3, 0.0, 0.3))


def _solve(gain, told, reading, table, starts=STARTS) -> tuple[float, float]:
    """log_gain and base blur of least cost, each cell at its best inverse depth."""

    def cost(x):
        best = _costs(gain, told, reading, table, x[0], abs(x[1])).min(1)
        return best.mean() + (x[0] / 0.25) ** 2 / len(best) + (x[1] / 0.8) ** 2 / len(best)

    found = min(
        (minimize(cost, x, method='Nelder-Mead', options={'maxfev': 40, 'xatol': 5e-3, 'fatol': 1e-4}) for x in starts),
        key=lambda result: result.fun,
    )
    return float(found.x[0]), float(abs(found.x[1]))
