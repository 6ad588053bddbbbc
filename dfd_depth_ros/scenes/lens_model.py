"""The lens as one JSON text, in the words and units of OpenTrackIO, so that a recording explains itself.

OpenTrackIO (SMPTE RiS-OSVP, version 1) counts `focusDistance` in metres, `pinholeFocalLength`, `nominalFocalLength` and
`activeSensorPhysicalDimensions` in millimetres, and gives `custom` to whoever needs more: there stand, in SI units, the
values that this package computes with. `pinholeFocalLength` is the distance of the image from the lens, which a thin
lens makes f / (1 - f * D) at D dioptres; a lens at infinity has no `focusDistance`.
"""

import json
import math
from dataclasses import fields

from dfd_depth_ros.optics.breathing import growth
from dfd_depth_ros.optics.lens import Lens, LensError

NAME = 'dfd_depth_ros'
_KEPT = tuple(field.name for field in fields(Lens))


def lens_model(lens: Lens, height: int, width: int, **facts: str) -> dict:
    """The model of a lens before images of this size. facts: what else is to be told, as weights_digest."""
    to_mm = 1000.0
    moving = {
        'fStop': lens.f_number,
        'pinholeFocalLength': to_mm
        * lens.focal_length_m
        * growth('thin_lens', lens.focus_dioptre, lens.focal_length_m),
    }
    if math.isfinite(lens.focus_distance_m):
        moving['focusDistance'] = lens.focus_distance_m
    size = {name: to_mm * lens.pixel_pitch_m * count for name, count in (('height', height), ('width', width))}
    return {
        'static': {
            'camera': {
                'activeSensorPhysicalDimensions': size,
                'activeSensorResolution': {'height': height, 'width': width},
            },
            'lens': {'nominalFocalLength': to_mm * lens.focal_length_m},
        },
        'lens': moving,
        'custom': {NAME: {name: getattr(lens, name) for name in _KEPT} | facts},
    }


def to_text(model: dict) -> str:
    """The model as JSON, always written alike."""
    return json.dumps(model, sort_keys=True)


def without_focus(model: dict) -> dict:
    """What stays of a model while the lens focuses."""
    custom = {name: value for name, value in model['custom'][NAME].items() if not name.startswith('focus_')}
    return model['static'] | {'fStop': model['lens']['fStop'], 'custom': custom}


def read_lens_model(text: str) -> dict:
    """Lens values of such a text, with the keys of a frames folder; a text of another writer gives what the words of
    OpenTrackIO tell. Raises LensError where it is no such text."""
    try:
        model = json.loads(text)
        camera, lens = model.get('static', {}).get('camera', {}), model.get('lens', {})
        values = {
            'focal_length_m': _metres(model.get('static', {}).get('lens', {}).get('nominalFocalLength')),
            'f_number': lens.get('fStop'),
            'focus_distance_m': lens.get('focusDistance'),
            'pixel_pitch_m': _pitch(camera),
        }
        own = {name: value for name, value in model.get('custom', {}).get(NAME, {}).items() if name in _KEPT}
    except (ValueError, TypeError, AttributeError, KeyError, ZeroDivisionError) as error:
        raise LensError(f'lens_model cannot be read: {type(error).__name__}: {error}') from None
    if 'focus_dioptre' in own:
        del values['focus_distance_m']
    return {name: value for name, value in (values | own).items() if value is not None}


def _metres(millimetres: float | None) -> float | None:
    return None if millimetres is None else millimetres / 1000


def _pitch(camera: dict) -> float | None:
    """Width of a pixel in metres, where the sensor is told in millimetres and in pixels."""
    if not {'activeSensorPhysicalDimensions', 'activeSensorResolution'} <= camera.keys():
        return None
    return _metres(camera['activeSensorPhysicalDimensions']['width'] / camera['activeSensorResolution']['width'])
