"""The thin lens: where metres, dioptres and pixels of blur meet.

Everything is SI. The circle of confusion (CoC) is a diameter in pixels of the image as processed and is signed:
positive behind the focal plane. It is affine in inverse depth,

    c = K * (1/s - 1/d),    K = A * f * s / ((s - f) * p),    A = f / N

with focal length f, f-number N, focus distance s, depth d along the optical axis, aperture diameter A and pixel pitch
p. Focus is stored in dioptres (1/m), so that a lens focused at infinity is the finite number 0.

Source: thin-lens equation; e.g. Potmesil and Chakravarty, "A lens and aperture camera model", SIGGRAPH 1981.
"""

import math
from dataclasses import dataclass, fields, replace

SIDES = ('both', 'behind', 'front')
QUALITIES = ('UNCALIBRATED', 'APPROXIMATE', 'CALIBRATED')


class LensError(ValueError):
    """A lens state that no thin lens can have; the message names the value and the rule that it breaks."""


@dataclass(frozen=True)
class Lens:
    """A lens and its state at one instant.

    focal_length_m: f in metres. f_number: N = f / aperture diameter. pixel_pitch_m: metres per pixel of the image as
    processed (it grows when the image shrinks). focus_dioptre: 1 / focus distance, 0 = infinity.
    focus_dioptre_sigma: one standard deviation of it, 0 = exact. side: which side of the focal plane the scene may lie
    on, 'both', 'behind' or 'front'. gain_sigma: one standard deviation of K over K, 0 = exact. quality: how well the
    lens is known, see `calibrate_lens`. Raises LensError where a value is not physical.
    """

    focal_length_m: float
    f_number: float
    pixel_pitch_m: float
    focus_dioptre: float
    focus_dioptre_sigma: float = 0.0
    side: str = 'both'
    gain_sigma: float = 0.0
    quality: str = 'UNCALIBRATED'

    def __post_init__(self):
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name not in _WORDS and not math.isfinite(value):
                raise LensError(f'lens {field.name} is {value}; it must be a finite number')
        for name in ('focal_length_m', 'f_number', 'pixel_pitch_m'):
            if getattr(self, name) <= 0:
                raise LensError(f'lens {name} is {getattr(self, name):g}; it must be above zero')
        for name in ('focus_dioptre', 'focus_dioptre_sigma', 'gain_sigma'):
            if getattr(self, name) < 0:
                raise LensError(f'lens {name} is {getattr(self, name):g}; it must not be negative')
        if self.focus_dioptre * self.focal_length_m >= 1:
            raise LensError(
                f'focus distance {1 / self.focus_dioptre:g} m lies inside the focal length {self.focal_length_m:g} m'
            )
        for name, words in _WORDS.items():
            if getattr(self, name) not in words:
                raise LensError(f'lens {name} is {getattr(self, name)!r}; it must be one of {", ".join(words)}')

    @classmethod
    def focused_at(cls, focus_distance_m: float, **values) -> 'Lens':
        """The lens focused at a distance in metres; infinity is allowed."""
        if not focus_distance_m > 0:
            raise LensError(f'focus distance is {focus_distance_m} m; it must be above zero')
        return cls(focus_dioptre=1 / focus_distance_m, **values)

    @property
    def focus_distance_m(self) -> float:
        """Focus distance s in metres, inf where the lens is focused at infinity."""
        return 1 / self.focus_dioptre if self.focus_dioptre else math.inf

    @property
    def aperture_m(self) -> float:
        """Diameter of the entrance pupil, A = f / N, in metres."""
        return self.focal_length_m / self.f_number

    @property
    def gain(self) -> float:
        """K in pixel * metre: pixels of CoC for each dioptre away from focus."""
        beyond = 1 - self.focal_length_m * self.focus_dioptre  # (s - f) / s, finite at infinity too
        return self.aperture_m * self.focal_length_m / (beyond * self.pixel_pitch_m)

    def coc(self, inverse_depth):
        """Signed CoC diameter in pixels of points at inverse depth (1/m; number, array or tensor)."""
        return self.gain * (self.focus_dioptre - inverse_depth)

    def inverse_depth(self, coc):
        """Inverse depth (1/m) of points with a signed CoC in pixels (number, array or tensor). May come out negative
        for a CoC above that of infinity: the caller decides what that means."""
        return self.focus_dioptre - coc / self.gain

    def resized(self, scale: float) -> 'Lens':
        """The same lens behind an image resized by `scale` (0.5 = half the width): the pitch grows as it shrinks."""
        return replace(self, pixel_pitch_m=self.pixel_pitch_m / scale)

    def to_dict(self) -> dict:
        """The lens as the frames folder writes it."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if (name, value) not in _DEFAULTS}

    @classmethod
    def from_dict(cls, values: dict) -> 'Lens':
        """A lens from a mapping with `focus_dioptre` or `focus_distance_m`. Unknown keys are ignored; a missing one
        raises LensError with its name."""
        values = {name: value for name, value in values.items() if value is not None}
        known = {field.name for field in fields(cls)}
        state: dict = {
            name: value if name in _WORDS else _number(name, value) for name, value in values.items() if name in known
        }
        missing = [name for name in ('focal_length_m', 'f_number', 'pixel_pitch_m') if name not in state]
        if missing:
            raise LensError(f'lens has no {", ".join(missing)}')
        check_units(values)
        if 'focus_dioptre' in state:
            check_focus(values)
            return cls(**state)
        if 'focus_distance_m' not in values:
            raise LensError('lens has neither focus_dioptre nor focus_distance_m')
        return cls.focused_at(_number('focus_distance_m', values['focus_distance_m']), **state)


_WORDS = {'side': SIDES, 'quality': QUALITIES}
_DEFAULTS = (('focus_dioptre_sigma', 0.0), ('side', 'both'), ('gain_sigma', 0.0), ('quality', 'UNCALIBRATED'))
# What a camera lens can be said to have; beyond lies a slip of the unit. name: (least, most, unit)
_LIKELY = {
    'focal_length_m': (5e-4, 1.2, ' m'),
    'pixel_pitch_m': (2e-7, 5e-4, ' m'),
    'sensor_pitch_m': (2e-7, 5e-4, ' m'),
    'f_number': (0.3, 300.0, ''),
}
_SLIPS = (1e-3, 1e-6)  # millimetres and micrometres where metres are meant
_AGREEMENT = (0.05, 0.02)  # relative, and in dioptres: the larger one counts


def check_units(values: dict) -> None:
    """Raise LensError for a positive number that no camera lens has, as millimetres where metres are meant, with the
    one that was probably meant. Values may be missing; what is not positive or not finite is named by Lens itself."""
    for name in _LIKELY.keys() & values.keys():
        value, (low, high, unit) = _number(name, values[name]), _LIKELY[name]
        if not 0 < value < math.inf or low <= value <= high:
            continue
        meant = [value * slip for slip in _SLIPS if unit and low <= value * slip <= high]
        advice = f'; did you mean {meant[0]:g}?' if meant else ''
        raise LensError(f'lens {name} is {value:g}; it must lie between {low:g} and {high:g}{unit}{advice}')


def check_focus(values: dict) -> None:
    """Raise LensError where a focus in dioptres and one in metres are told together and differ."""
    if not {'focus_dioptre', 'focus_distance_m'} <= values.keys():
        return
    dioptre, distance_m = (_number(name, values[name]) for name in ('focus_dioptre', 'focus_distance_m'))
    if _agree(dioptre, distance_m):
        return
    meant = [distance_m * slip for slip in _SLIPS if _agree(dioptre, distance_m * slip)]
    advice = f'; did you mean focus_distance_m {meant[0]:g}?' if meant else ''
    raise LensError(
        f'lens focus_dioptre is {dioptre:g} and focus_distance_m is {distance_m:g}, which is '
        f'{1 / distance_m if distance_m else math.inf:g} dioptre: they disagree{advice}'
    )


def _agree(dioptre: float, distance_m: float) -> bool:
    if not distance_m > 0:
        return False
    return abs(dioptre - 1 / distance_m) <= max(_AGREEMENT[0] * dioptre, _AGREEMENT[1])


def _number(name: str, value) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise LensError(f'lens {name} is {value!r}; it must be a number') from None
