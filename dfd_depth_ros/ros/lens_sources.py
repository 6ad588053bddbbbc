"""The lens state that belongs to an image: fixed by parameters, or matched by stamp from messages."""

import math
from dataclasses import replace
from typing import NamedTuple

from dfd_depth_ros.optics import breathing
from dfd_depth_ros.optics.lens import Lens, LensError, check_units
from dfd_depth_ros.ros.lens_buffer import LensBuffer, LensMatch
from dfd_depth_ros.scenes.frame import Intrinsics
from dfd_depth_ros.scenes.lens_files import read_lens_values
from dfd_depth_ros.scenes.lens_metadata import STATE_NAMES, Dialect, parse_keys, read_metadata

_PARAMETER_NAMES = (
    'focal_length_m', 'f_number', 'focus_distance_m', 'pixel_pitch_m', 'sensor_pitch_m', 'focus_dioptre_sigma', 'side'
)  # fmt: skip
# Names of one thing, of which the newest counts.
_ALIKE = (('focus_dioptre', 'focus_distance_m'), ('pixel_pitch_m', 'sensor_pitch_m'))
_UNKNOWN_PITCH = 1e-6
_FAR_M = 100.0  # who sets a lens to a finite distance beyond this probably means millimetres
_LIKELY_FX = 1.25  # focal length / pixel pitch and fx of the calibration differ by less
_FINEST_GROWTH = 3  # decimals of the growth by breathing: a tenth of a percent, so that rays are kept while they hold


class Added(NamedTuple):
    """What came of a lens message. unknown: names that were ignored. problem: a sentence about its stamp, or ''."""

    unknown: list[str]
    problem: str


class LensSource:
    """Where the node gets the lens of an image from, as the `lens.*` parameters say."""

    def __init__(self):
        self._buffer = LensBuffer()
        self._settings: dict = {}
        self._values: dict = {}
        self._dialect = Dialect()

    def configure(self, settings: dict) -> None:
        """Take new parameters. Raises LensError where they name a wrong lens file, or no whole lens where one is
        needed, and then changes nothing."""
        values = static_values(settings)
        keys, hardware_id, *correction = (
            settings[f'lens.metadata.{name}'] for name in ('keys', 'hardware_id', 'scale', 'offset')
        )
        dialect = Dialect(parse_keys(keys), hardware_id, *correction)
        if settings['lens.source'] == 'parameters' or settings['lens.policy'] == 'static':
            to_lens(values)
        self._settings, self._values, self._dialect = settings, values, dialect

    def add(self, stamp: int, values: dict[str, float], is_moving: bool = False) -> Added:
        """Store what a lens message says at a stamp in nanoseconds; parameters say the rest. Raises LensError where the
        lens would not be physical."""
        known = {name: value for name, value in values.items() if name in STATE_NAMES}
        lens = to_lens(merged(self._values, known)) if known else None
        problem = self._buffer.add(stamp, lens, is_moving) if lens else ''
        return Added(sorted(set(values) - set(known)), problem)

    def add_metadata(self, stamp: int, statuses) -> Added:
        """Store what the statuses of a DiagnosticArray say. Raises LensError where they tell no lens state."""
        return self.add(stamp, *read_metadata(statuses, self._dialect))

    def match(self, stamp: int, camera: Intrinsics | None, sensor_pixels: float | None = None) -> LensMatch:
        """The lens of an image with that stamp (nanoseconds) and camera (None: uncalibrated); may wait for
        `lens.wait_s`. sensor_pixels: pixels of the sensor in one of the image, across, where it is known. Raises
        LensError where there is none."""
        settings, values = self._settings, self._values
        if settings['lens.source'] == 'parameters':
            match = LensMatch(to_lens(values), 0.0, 'fixed')
        else:
            policy, limits = settings['lens.policy'], (settings['lens.max_age_s'], settings['lens.wait_s'])
            static = to_lens(values) if policy == 'static' else None
            match = self._buffer.match(stamp, limits[0], policy, static, limits[1], settings['lens.moving'])
        return replace(match, lens=with_pixel_pitch(match.lens, values, camera, sensor_pixels))

    def breathed(self, camera: Intrinsics, lens: Lens) -> Intrinsics:
        """The camera as the lens makes it at its present focus, where the lens file says how it breathes."""
        kind, calibrated = self._values.get('breathing', 'none'), self._values.get('calibration_dioptre', 0.0)
        growth = breathing.relative_growth(kind, lens.focus_dioptre, calibrated, lens.focal_length_m)
        factor = round(growth, _FINEST_GROWTH)
        return replace(camera, fx=camera.fx * factor, fy=camera.fy * factor)

    def facts(self) -> dict[str, str]:
        """Where the lens comes from, for `lens_model`."""
        return {'source': self._settings['lens.source']}

    def doubts(self, lens: Lens, camera: Intrinsics | None) -> str:
        """A sentence where the focus can hardly be meant, or lens and calibration belong to one image, else ''."""
        if self._settings['lens.source'] == 'parameters' and _FAR_M <= lens.focus_distance_m < math.inf:
            meant = lens.focus_distance_m / 1000
            return f'lens focus_distance_m is {lens.focus_distance_m:g}, all but infinity; did you mean {meant:g}?'
        said = lens.focal_length_m / lens.pixel_pitch_m
        if camera is None or 1 / _LIKELY_FX < said / camera.fx < _LIKELY_FX:
            return ''
        return (
            f'lens.focal_length_m / lens.pixel_pitch_m is {said:.4g} pixel but fx of camera_info is {camera.fx:.4g}; '
            f'is the pitch that of this image? {lens.focal_length_m / camera.fx:.3g} m would fit'
        )


def static_values(settings: dict) -> dict:
    """Lens values from the lens file, overridden by the `lens.*` parameters that are neither zero nor empty. Raises
    LensError where the file is wrong."""
    values = read_lens_values(settings['lens.file']) if settings['lens.file'] else {}
    given = {name: settings[f'lens.{name}'] for name in _PARAMETER_NAMES if settings[f'lens.{name}']}
    values = merged(values, given)
    check_units(values)
    calibrated = values.get('calibration_dioptre', 0.0)
    if not (isinstance(calibrated, int | float) and 0 <= calibrated < math.inf):
        raise LensError(f'lens calibration_dioptre is {calibrated!r}; it must be a number, not negative')
    return values | {'breathing': breathing.checked(values.get('breathing'))}


def merged(values: dict, newer: dict) -> dict:
    """Lens values with newer ones on top; a new focus, in dioptres or as a distance, takes the place of the old one,
    and so does a new pitch."""
    for names in _ALIKE:
        if any(name in newer for name in names):
            values = {name: value for name, value in values.items() if name not in names}
    return values | newer


def to_lens(values: dict) -> Lens:
    """Lens from values; the pixel pitch may be missing and is then a placeholder until with_pixel_pitch replaces it.
    Raises LensError where a value is missing or not physical."""
    return Lens.from_dict({'pixel_pitch_m': _UNKNOWN_PITCH} | values)


def with_pixel_pitch(lens: Lens, values: dict, camera: Intrinsics | None, sensor_pixels: float | None = None) -> Lens:
    """The lens with its pixel pitch: the given one; else that of the sensor times the pixels of it that went into one;
    else focal length / fx. Raises LensError where nothing of it is known."""
    if 'pixel_pitch_m' in values:
        return replace(lens, pixel_pitch_m=float(values['pixel_pitch_m']))
    if 'sensor_pitch_m' in values:
        if sensor_pixels is None:
            raise LensError('lens.sensor_pitch_m needs a camera_info that tells the size of the full image')
        pitch = float(values['sensor_pitch_m']) * sensor_pixels
        return to_lens(lens.to_dict() | {'pixel_pitch_m': pitch})
    if camera is None:
        raise LensError('pixel pitch is unknown; set lens.pixel_pitch_m or publish a calibrated camera_info')
    return replace(lens, pixel_pitch_m=lens.focal_length_m / camera.fx)
