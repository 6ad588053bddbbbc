"""Lens metadata as camera drivers publish it: keys and values in text, read into a lens state.

camera_ros puts what libcamera knows about a frame into a DiagnosticArray: one status whose values are pairs of text,
among them `LensPosition` in dioptres, `AfState` (0 idle, 1 scanning, 2 focused, 3 failed) and much that concerns no
lens, as lists `[ 1.6, 2.3 ]` or rectangles `(768, 432)/2304x1728`. Only the keys that are asked for are looked at.
"""

import math
import re
from dataclasses import dataclass, field
from typing import NamedTuple

from dfd_depth_ros.optics.lens import LensError

STATE_NAMES = ('focus_dioptre', 'focus_distance_m', 'focal_length_m', 'f_number', 'focus_dioptre_sigma')
_FOCUS = ('focus_dioptre', 'focus_distance_m')
_MOVING, _STILL = ('1', 'true', 'scanning', 'moving'), ('0', '2', '3', 'false', 'idle', 'focused', 'failed', 'still')
# As C prints it, whatever the language of the machine; one number in brackets is a list of one.
_NUMBER = re.compile(
    r'\[?\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[+-]?inf(?:inity)?|[+-]?nan)\s*\]?', re.I | re.A
)
_AT_INFINITY = 0.1  # dioptres: a correction may end this little beyond infinity, and means infinity
LIBCAMERA = 'focus_dioptre=LensPosition moving=AfState'


class NoLensMetadataError(LensError):
    """Statuses that tell of something else than the lens."""


class LensReading(NamedTuple):
    """values: lens state by its own names. is_moving: the driver says that the lens moves at this instant."""

    values: dict[str, float]
    is_moving: bool


@dataclass(frozen=True)
class Dialect:
    """How a driver speaks. keys: what we call it -> its key. hardware_id: the status that counts; empty: each. The
    focus in dioptres is scale * value + offset (1/m)."""

    keys: dict[str, str] = field(default_factory=lambda: parse_keys(LIBCAMERA))
    hardware_id: str = ''
    scale: float = 1.0
    offset: float = 0.0


def parse_keys(text: str) -> dict[str, str]:
    """What we call it -> the key of the driver, of 'focus_dioptre=LensPosition moving=AfState'. Raises LensError."""
    pairs = [pair.partition('=')[::2] for pair in text.replace(',', ' ').split()]
    known = (*STATE_NAMES, 'moving')
    for name, key in pairs:
        if name not in known or not key:
            pair = f'{name}={key}' if key else name
            raise LensError(f'lens.metadata.keys has {pair!r}; it must be NAME=KEY with a NAME of {", ".join(known)}')
    if not any(name in _FOCUS for name, _ in pairs):
        raise LensError('lens.metadata.keys names no focus; it needs focus_dioptre=KEY or focus_distance_m=KEY')
    return dict(pairs)


def read_metadata(statuses, dialect: Dialect) -> LensReading:
    """The lens state that the statuses of a DiagnosticArray (of rclpy or rosbags) tell, whatever their level. Raises
    NoLensMetadataError where the focus is missing, LensError where it is told twice or is no number."""
    chosen = [status for status in statuses if dialect.hardware_id in ('', status.hardware_id)]
    if not chosen:
        there = ', '.join(repr(status.hardware_id) for status in statuses) or 'no status at all'
        raise NoLensMetadataError(f'lens metadata has no status of hardware_id {dialect.hardware_id!r}; it has {there}')
    pairs = [(pair.key, pair.value.strip(), status.hardware_id) for status in chosen for pair in status.values]
    found = {name: _only(key, pairs) for name, key in dialect.keys.items()}
    if not any(found.get(name) is not None for name in _FOCUS):
        missing = ' or '.join(dialect.keys[name] for name in _FOCUS if name in dialect.keys)
        there = ', '.join(dict.fromkeys(key for key, _, _ in pairs)) or 'no keys'
        raise NoLensMetadataError(f'lens metadata has no key {missing}; it has {there}')
    is_moving = _is_moving(dialect.keys.get('moving'), found.pop('moving', None))
    values = {name: _number(dialect.keys[name], text) for name, text in found.items() if text is not None}
    return LensReading(_corrected(values, dialect), is_moving)


def _only(key: str, pairs: list) -> str | None:
    """The one value of a key, None where it is not there."""
    values = {value: hardware_id for name, value, hardware_id in pairs if name == key}
    if len(values) > 1:
        told = ' and '.join(f'{value} ({hardware_id!r})' for value, hardware_id in values.items())
        raise LensError(f'lens metadata tells {key} more than once: {told}; set lens.metadata.hardware_id')
    return next(iter(values), None)


def _number(key: str, text: str) -> float:
    match = _NUMBER.fullmatch(text)
    if not match:
        raise LensError(f'lens metadata {key} is {text!r}; it must be one number, with a point')
    return float(match[1])


def _is_moving(key: str | None, text: str | None) -> bool:
    if text is not None and text.lower() not in (*_MOVING, *_STILL):
        raise LensError(f'lens metadata {key} is {text!r}; it must be 0, 1, 2, 3, true or false')
    return text is not None and text.lower() in _MOVING


def _corrected(values: dict[str, float], dialect: Dialect) -> dict[str, float]:
    """The values with the correction of the focus; a distance becomes dioptres where there is something to correct."""
    if (dialect.scale, dialect.offset) == (1.0, 0.0):
        return values
    distance = values.get('focus_distance_m', 0.0)
    raw = values['focus_dioptre'] if 'focus_dioptre' in values else 1 / distance if distance > 0 else math.nan
    focus = dialect.scale * raw + dialect.offset
    rest = {name: value for name, value in values.items() if name not in _FOCUS}
    return rest | {'focus_dioptre': 0.0 if -_AT_INFINITY < focus < 0 else focus}
