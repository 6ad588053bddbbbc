"""Focus breathing: a lens that focuses nearer stands further from the sensor, and the picture grows.

A thin lens focused at D dioptres forms its image at v = f / (1 - f * D) behind it, the same as f * s / (s - f) with
s = 1 / D. The focal length in pixels is v / p, so relative to infinity it grows by v / f = 1 / (1 - f * D). Lenses that
focus by moving single elements breathe in their own way, some even backwards: those are measured.
"""

import itertools
import math

import numpy as np

from dfd_depth_ros.optics.lens import LensError

KINDS = ('none', 'thin_lens')


def growth(breathing, focus_dioptre: float, focal_length_m: float) -> float:
    """How much larger the picture is than with the lens at infinity. breathing: what `checked` returns."""
    if breathing == 'none':
        return 1.0
    if breathing == 'thin_lens':
        return 1 / (1 - focal_length_m * focus_dioptre)
    dioptres, factors = zip(*breathing, strict=True)
    return float(np.interp(focus_dioptre, dioptres, factors))


def relative_growth(breathing, focus_dioptre: float, calibrated_dioptre: float, focal_length_m: float) -> float:
    """How much larger the picture is than it was when the camera was calibrated, focused at calibrated_dioptre: the
    factor from the focal length in pixels of the calibration to the present one."""
    now, then = (growth(breathing, focus, focal_length_m) for focus in (focus_dioptre, calibrated_dioptre))
    return now / then


def checked(breathing):
    """'none', 'thin_lens', or a table as a tuple of (dioptre, fx relative to infinity), from what a lens file says: one
    of the two words, or a mapping or a list of such pairs. Raises LensError for anything else."""
    if breathing is None or breathing in KINDS:
        return breathing or 'none'
    pairs = breathing.items() if isinstance(breathing, dict) else breathing
    try:
        table = tuple(sorted((float(dioptre), float(factor)) for dioptre, factor in pairs))
    except (TypeError, ValueError):
        table = ()
    if len(table) < 2 or not all(math.isfinite(dioptre) and factor > 0 for dioptre, factor in table):
        raise LensError(
            f'lens breathing is {breathing!r}; it must be none, thin_lens or a table of at least two dioptres with the '
            'fx there relative to infinity'
        )
    if any(one[0] == other[0] for one, other in itertools.pairwise(table)):
        raise LensError(f'lens breathing is {breathing!r}; it has a dioptre twice')
    return table
