"""Fit a lens to readings of blur at known depths, with what remains unknown of it.

DefocusNet knows no lens and reads |CoC|; the lens that is sought blurs inverse depth q by

    |c| = |K g (1 + v r^2) (a t + b - q)|,    seen as sqrt(c^2 + c0^2),

with K the gain as told and g its correction, t the focus as told, a and b its scale and offset, v the change of blur
towards the corners (r = 1 there) and c0 the blur that is there at perfect focus. Since |c| has no sign it does not
matter that blur alone cannot tell near from far. What the networks make of a CoC, in the median and in spread, is
`estimation.blur.BlurTable`. Readings are soft-L1 residuals (least squares near zero, absolute value far out), so that a
wall without texture or a wrong depth counts little; uncertainty is that of a bootstrap over frames, because the errors
within one frame go together, and for a single frame that of the Jacobian.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import least_squares

from dfd_depth_ros.estimation.blur import BlurTable
from dfd_depth_ros.optics.lens import Lens

NAMES = ('log_gain', 'focus_scale', 'focus_offset', 'base_px', 'radial')
BOOTSTRAPS = 60
READER_SIGMA = 0.1  # of gain: what simulated boards came out wrong by, because the table is that of other pictures
APPROXIMATE, CALIBRATED = 0.15, 0.08  # largest gain sigma of a lens so called
# One standard deviation of what a lens may be off by before anything is measured: an f-number of a third of a stop, a
# focus scale, and the rest. It decides only what the readings leave open.
PRIOR = {'log_gain': 0.25, 'focus_scale': 0.2, 'focus_offset': 0.3, 'base_px': 0.8, 'radial': 0.2}
GRID = {'log_gain': (-0.3, 0.0, 0.3), 'focus': (0.75, 0.87, 1.0, 1.15, 1.3)}
FOCUSES = 3  # told settings from which on scale and offset of the focus are told apart
FOCUS_SPAN = 0.15  # of the farthest and nearest of them, relative to their mean


@dataclass(frozen=True)
class Readings:
    """Readings of blur at known depth, (N,) each. frame: index of the frame. gain, told: K and focus in dioptres as
    told. inverse: true 1/depth. radius: from the middle, 1 in the corner. magnitude: |CoC| in pixels that was read.
    weight: how many independent readings it stands for."""

    frame: np.ndarray
    gain: np.ndarray
    told: np.ndarray
    inverse: np.ndarray
    radius: np.ndarray
    magnitude: np.ndarray
    weight: np.ndarray

    def where(self, keep) -> 'Readings':
        """Those at an index or a mask."""
        return Readings(*(getattr(self, name)[keep] for name in self.__dataclass_fields__))


@dataclass(frozen=True)
class LensFit:
    """values and sigmas: by name of NAMES, sigma 0 for what was held. correlation: of log_gain and focus. before and
    after: root mean square of the readings' errors in pixels, as told and as fitted. reader: one standard deviation of
    the gain, relative, that the reader of the blur adds."""

    values: dict
    sigmas: dict
    correlation: float
    before: float
    after: float
    reader: float = READER_SIGMA

    def focus(self, told: float) -> float:
        """True focus in dioptres of a told one."""
        return self.values['focus_scale'] * told + self.values['focus_offset']


NOTHING = {'log_gain': 0.0, 'focus_scale': 1.0, 'focus_offset': 0.0, 'base_px': 0.0, 'radial': 0.0}


def expected(values: dict, readings: Readings, table: BlurTable) -> tuple[np.ndarray, np.ndarray]:
    """What DefocusNet should read and its spread, in pixels, (N,) each."""
    gain = readings.gain * np.exp(values['log_gain']) * (1 + values['radial'] * readings.radius**2)
    away = values['focus_scale'] * readings.told + values['focus_offset'] - readings.inverse
    seen = np.hypot(gain * away, values['base_px'])
    return table.read(seen), table.spread(seen)


def fit(readings: Readings, table: BlurTable, bootstraps: int = BOOTSTRAPS, seed: int = 0) -> LensFit:
    """The lens that explains the readings best. Focus offset is fitted only where the told focus varies enough."""
    told = np.unique(np.round(readings.told, 4))
    varied = len(told) >= FOCUSES and np.ptp(told) > FOCUS_SPAN * max(told.mean(), 1e-6)
    names = [name for name in NAMES if name != ('focus_offset' if told.any() else 'focus_scale') or varied]
    best = _solve(readings, table, names)
    frames, rng = np.unique(readings.frame), np.random.default_rng(seed)
    if len(frames) >= 4 and bootstraps:
        members = [np.flatnonzero(readings.frame == frame) for frame in frames]
        draws = []
        for _ in range(bootstraps):
            chosen = rng.integers(len(frames), size=len(frames))
            sample = readings.where(np.concatenate([members[index] for index in chosen]))
            draws.append(_local(sample, table, names, best.x).x)
        covariance = np.cov(np.array(draws).T)
    else:
        covariance = np.linalg.pinv(best.jac.T @ best.jac)
    sigma = np.sqrt(np.diag(covariance))
    values = NOTHING | dict(zip(names, map(float, best.x), strict=True))
    values['base_px'] = abs(values['base_px'])
    second = names.index('focus_scale' if told.any() else 'focus_offset')
    correlation = covariance[0, second] / max(sigma[0] * sigma[second], 1e-12)
    return LensFit(
        values,
        dict.fromkeys(NAMES, 0.0) | dict(zip(names, map(float, sigma), strict=True)),
        float(correlation),
        error_px(NOTHING, readings, table),
        error_px(values, readings, table),
    )


def error_px(values: dict, readings: Readings, table: BlurTable) -> float:
    """Weighted root mean square of reading minus expectation in pixels."""
    wrong = readings.magnitude - expected(values, readings, table)[0]
    return float(np.sqrt(np.average(wrong**2, weights=readings.weight)))


def calibrated(lens: Lens, result: LensFit) -> Lens:
    """A told lens as it was found to be: its f-number and focus corrected, with their sigmas and quality."""
    focus = max(result.focus(lens.focus_dioptre), 0.0)
    beyond = (1 - lens.focal_length_m * lens.focus_dioptre) / (1 - lens.focal_length_m * focus)
    return replace(
        lens,
        f_number=lens.f_number * beyond / np.exp(result.values['log_gain']),
        focus_dioptre=focus,
        focus_dioptre_sigma=focus_sigma(lens.focus_dioptre, result),
        gain_sigma=gain_sigma(result),
        quality=quality(lens, result),
    )


def corrected_gain(lens: Lens, log_gain: float, sigma: float) -> tuple[Lens, float]:
    """A told lens with its gain alone corrected, as a sweep finds it, and the gain's relative sigma with that of the
    reader; APPROXIMATE at best, because the focus stays as told."""
    sigma = float(np.hypot(sigma, READER_SIGMA))
    word = 'APPROXIMATE' if sigma <= APPROXIMATE else 'UNCALIBRATED'
    return replace(lens, f_number=lens.f_number / np.exp(log_gain), gain_sigma=sigma, quality=word), sigma


def gain_sigma(result: LensFit) -> float:
    """One standard deviation of the gain over the gain, with that of the reader."""
    return float(np.hypot(result.sigmas['log_gain'], result.reader))


def focus_sigma(told: float, result: LensFit) -> float:
    """One standard deviation of the focus in dioptres."""
    return float(np.hypot(result.sigmas['focus_scale'] * told, result.sigmas['focus_offset']))


def quality(lens: Lens, result: LensFit) -> str:
    """CALIBRATED where gain is known to 8 % and focus to half a pixel of CoC, APPROXIMATE to 15 % and a pixel and a
    half, else UNCALIBRATED."""
    gain, focus = gain_sigma(result), lens.gain * focus_sigma(lens.focus_dioptre, result)
    if gain <= CALIBRATED and focus <= 0.5:
        return 'CALIBRATED'
    return 'APPROXIMATE' if gain <= APPROXIMATE and focus <= 1.5 else 'UNCALIBRATED'


def _solve(readings, table, names):
    """The best of local searches that begin over a grid of gain and focus."""
    start = dict(NOTHING, base_px=0.5)
    focus = float(np.median(readings.told))
    starts = []
    for log_gain in GRID['log_gain']:
        for scale in GRID['focus']:
            moved = {'focus_scale': scale} if focus else {'focus_offset': (scale - 0.75) / 2}
            starts.append([(start | {'log_gain': log_gain} | moved)[name] for name in names])
    return min((_local(readings, table, names, x) for x in starts), key=lambda found: found.cost)


def _local(readings, table, names, start):
    weight = np.sqrt(readings.weight)
    centre = np.array([NOTHING[name] for name in names])
    width = np.array([PRIOR[name] for name in names])

    def residuals(x):
        values = NOTHING | dict(zip(names, x, strict=True))
        read, spread = expected(values, readings, table)
        return np.concatenate([(readings.magnitude - read) / spread * weight, (x - centre) / width])

    return least_squares(residuals, start, loss='soft_l1', x_scale=width, max_nfev=60)
