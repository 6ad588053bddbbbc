"""Does a fitted lens give better depth? A fit explains readings of blur; what counts are metres.

Frames are halved by turns. Each half is read with the lens as told and with the lens that the other half fits, so that
no frame judges a lens that it helped to find.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from dfd_depth_ros.estimation import lens_fit
from dfd_depth_ros.estimation.blur import BlurTable
from dfd_depth_ros.evaluation.metrics import abs_rel, is_depth
from dfd_depth_ros.scenes.frame import Frame

FEWEST = 4  # frames of a half


@dataclass(frozen=True)
class LensCheck:
    """AbsRel over held-out frames with the lens as told and as fitted, and the standard error of what was gained."""

    told: float
    fitted: float
    doubt: float

    @property
    def is_worse(self) -> bool:
        """Whether depth is better with the lens as told."""
        return self.fitted > self.told


def check(frames: Iterable[Frame], readings: lens_fit.Readings, table: BlurTable, estimator) -> LensCheck | None:
    """frames: those that were read, in the same order. readings: what `lens_readings.gather` found in them. estimator:
    a `DepthEstimator` without a filter. None where there are too few frames to halve."""
    halves = [readings.where(readings.frame % 2 == half) for half in (0, 1)]
    if min(len(np.unique(half.frame)) for half in halves) < FEWEST:
        return None
    fits = [lens_fit.fit(half, table, bootstraps=0) for half in halves]
    used, errors = set(readings.frame), []
    for number, frame in enumerate(frames):
        if number in used:
            fitted = lens_fit.calibrated(frame.lens, fits[1 - number % 2])
            errors.append([_error(estimator, frame, lens) for lens in (frame.lens, fitted)])
    told, fitted = np.array(errors).T
    return LensCheck(
        float(told.mean()), float(fitted.mean()), float((told - fitted).std(ddof=1) / np.sqrt(len(errors)))
    )


def _error(estimator, frame, lens):
    depth = estimator.estimate(frame.image, lens).depth
    known = is_depth(frame.depth) & is_depth(depth)
    return abs_rel(depth[known], frame.depth[known])
