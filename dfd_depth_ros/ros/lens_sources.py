"""The lens state that belongs to an image: fixed by parameters, or matched by stamp from messages."""

from dataclasses import replace

from dfd_depth_ros.optics.lens import Lens, LensError
from dfd_depth_ros.ros.lens_buffer import LensBuffer, LensMatch
from dfd_depth_ros.scenes.frame import Intrinsics
from dfd_depth_ros.scenes.lens_files import read_lens_values

MESSAGE_NAMES = ('focus_dioptre', 'focus_distance_m', 'focal_length_m', 'f_number', 'focus_dioptre_sigma')
_PARAMETER_NAMES = ('focal_length_m', 'f_number', 'focus_distance_m', 'pixel_pitch_m', 'focus_dioptre_sigma', 'side')
_FOCUS = ('focus_dioptre', 'focus_distance_m')
_UNKNOWN_PITCH = 1.0


class LensSource:
    """Where the node gets the lens of an image from, as the `lens.*` parameters say."""

    def __init__(self):
        self._buffer = LensBuffer()
        self._settings: dict = {}
        self._values: dict = {}

    def configure(self, settings: dict) -> None:
        """Take new parameters. Raises LensError where they name a wrong lens file, or no whole lens where one is
        needed, and then changes nothing."""
        values = static_values(settings)
        if settings['lens.source'] == 'parameters' or settings['lens.policy'] == 'static':
            to_lens(values)
        self._settings, self._values = settings, values

    def add(self, stamp: int, values: dict[str, float]) -> list[str]:
        """Store what a lens message says at a stamp in nanoseconds; parameters say the rest. Returns the names that are
        unknown and ignored. Raises LensError where the lens would not be physical."""
        known = {name: value for name, value in values.items() if name in MESSAGE_NAMES}
        if known:
            self._buffer.add(stamp, to_lens(merged(self._values, known)))
        return sorted(set(values) - set(known))

    def match(self, stamp: int, camera: Intrinsics | None) -> LensMatch:
        """The lens of an image with that stamp (nanoseconds) and camera (None: uncalibrated); may wait for
        `lens.wait_s`. Raises LensError where there is none."""
        settings, values = self._settings, self._values
        if settings['lens.source'] == 'parameters':
            match = LensMatch(to_lens(values), 0.0, 'fixed')
        else:
            policy = settings['lens.policy']
            static = to_lens(values) if policy == 'static' else None
            match = self._buffer.match(stamp, settings['lens.max_age_s'], policy, static, settings['lens.wait_s'])
        return replace(match, lens=with_pixel_pitch(match.lens, values, camera))


def static_values(settings: dict) -> dict:
    """Lens values from the lens file, overridden by the `lens.*` parameters that are neither zero nor empty. Raises
    LensError where the file is wrong."""
    values = read_lens_values(settings['lens.file']) if settings['lens.file'] else {}
    given = {name: settings[f'lens.{name}'] for name in _PARAMETER_NAMES if settings[f'lens.{name}']}
    return merged(values, given)


def merged(values: dict, newer: dict) -> dict:
    """Lens values with newer ones on top; a new focus, in dioptres or as a distance, takes the place of the old one."""
    if any(name in newer for name in _FOCUS):
        values = {name: value for name, value in values.items() if name not in _FOCUS}
    return values | newer


def to_lens(values: dict) -> Lens:
    """Lens from values; the pixel pitch may be missing and is then a placeholder until with_pixel_pitch replaces it.
    Raises LensError where a value is missing or not physical."""
    return Lens.from_dict({'pixel_pitch_m': _UNKNOWN_PITCH} | values)


def with_pixel_pitch(lens: Lens, values: dict, camera: Intrinsics | None) -> Lens:
    """The lens with its pixel pitch: the given one, else focal length / fx. Raises LensError without either."""
    if 'pixel_pitch_m' in values:
        return replace(lens, pixel_pitch_m=float(values['pixel_pitch_m']))
    if camera is None:
        raise LensError('pixel pitch is unknown; set lens.pixel_pitch_m or publish a calibrated camera_info')
    return replace(lens, pixel_pitch_m=lens.focal_length_m / camera.fx)
