"""Lens distortion: where each pixel of a raw image looks.

The picture stays as it is, with its blur; only its rays are straightened. The models are those of ROS camera
calibration, under its names: `plumb_bob` (k1 k2 p1 p2 k3; Brown 1971), `rational_polynomial` (k1 k2 p1 p2 k3 k4 k5 k6,
and up to 14 coefficients as OpenCV counts them) and `equidistant`, which some drivers call `fisheye` (k1 k2 k3 k4;
Kannala and Brandt, PAMI 2006).
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

MODELS = {
    'plumb_bob': (4, 5),
    'rational_polynomial': (8, 12, 14),
    'equidistant': (4,),
    'fisheye': (4,),
}
_FISHEYE = ('equidistant', 'fisheye')
_STEPS = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 100, 1e-9)
_TOLERANCE = 0.25  # pixels that a ray may come back beside where it started


class DistortionError(ValueError):
    """A distortion that no ray can be drawn for; the message names the model or the coefficients."""


@dataclass(frozen=True)
class Distortion:
    """model: a name of MODELS. coefficients: as many as the model has. Raises DistortionError for any other."""

    model: str
    coefficients: tuple[float, ...]

    def __post_init__(self):
        if self.model not in MODELS:
            known = ', '.join(MODELS)
            raise DistortionError(f'distortion model {self.model!r} is unknown; the known ones are {known}')
        count, allowed = len(self.coefficients), MODELS[self.model]
        if count not in allowed:
            wanted = ' or '.join(map(str, allowed))
            raise DistortionError(f'distortion model {self.model} has {wanted} coefficients; {count} are given')
        if not all(math.isfinite(value) for value in self.coefficients):
            raise DistortionError(f'distortion coefficients are {list(self.coefficients)}; they must be finite numbers')


@lru_cache(maxsize=4)
def rays(
    fx: float, fy: float, cx: float, cy: float, distortion: Distortion | None, height: int, width: int, stride: int = 1
) -> np.ndarray:
    """(H, W, 2) float32: x/z and y/z of every stride-th row and column of an image of height x width pixels; NaN where
    the model cannot be inverted, as beyond the edge of its calibration. Kept for the last cameras; do not write to it.
    """
    u, v = np.meshgrid(np.arange(0, width, stride, dtype=np.float64), np.arange(0, height, stride, dtype=np.float64))
    found = np.stack([(u - cx) / fx, (v - cy) / fy], axis=-1)
    if distortion is not None:
        found = _undistorted(found, distortion, fx)
    found = found.astype(np.float32)
    found.flags.writeable = False
    return found


def bend(fx: float, fy: float, cx: float, cy: float, distortion: Distortion, height: int, width: int) -> float:
    """Pixels by which a distortion moves the point of an image of height x width pixels that it moves most, seen at
    some forty places of each row and column; infinite where rays beyond the edge of the calibration are NaN."""
    stride = max(1, min(height, width) // 40)
    bent, straight = (rays(fx, fy, cx, cy, model, height, width, stride) for model in (distortion, None))
    most = float(np.linalg.norm((bent - straight) * (fx, fy), axis=-1).max())
    return math.inf if math.isnan(most) else most


def _undistorted(distorted: np.ndarray, distortion: Distortion, fx: float) -> np.ndarray:
    """Rays from those of a pinhole camera, with every answer put to the test: sent through the lens again it must meet
    its own pixel."""
    coefficients, points = np.array(distortion.coefficients), distorted.reshape(-1, 1, 2)
    if distortion.model in _FISHEYE:
        straight = cv2.fisheye.undistortPoints(points, np.eye(3), coefficients, criteria=_STEPS)
        straight[np.abs(straight) > 1e5] = np.nan  # OpenCV's mark for a point that did not converge
        back = cv2.fisheye.distortPoints(straight, np.eye(3), coefficients)
    else:
        undistort = getattr(cv2, 'undistortPointsIter', cv2.undistortPoints)  # OpenCV 5 made one function of the two
        straight = undistort(points, np.eye(3), coefficients, R=None, P=None, criteria=_STEPS)
        space = np.concatenate([straight, np.ones_like(straight[..., :1])], axis=-1)
        back = cv2.projectPoints(space, np.zeros(3), np.zeros(3), np.eye(3), coefficients)[0]
    missed = ~(np.linalg.norm(back - points, axis=-1) * fx < _TOLERANCE)
    straight[missed] = np.nan
    return straight.reshape(distorted.shape)
