"""The lens as a text in the words of OpenTrackIO: units, what is kept exactly, and the texts of others."""

import json
import math

import pytest

from dfd_depth_ros.optics.lens import Lens, LensError
from dfd_depth_ros.scenes.lens_model import lens_model, read_lens_model, to_text, without_focus

LENS = Lens(0.05, 1.4, 4e-6, 0.5, 0.02, 'behind', 0.1, 'APPROXIMATE')


def test_the_words_and_units_are_those_of_open_track_io():
    assert lens_model(LENS, 480, 640, source='joint_state', weights_digest='d1935') == {
        'static': {
            'camera': {
                'activeSensorPhysicalDimensions': {
                    'height': pytest.approx(1.92),  # mm: 480 pixels of 4 micrometres
                    'width': pytest.approx(2.56),
                },
                'activeSensorResolution': {'height': 480, 'width': 640},
            },
            'lens': {'nominalFocalLength': pytest.approx(50.0)},  # mm
        },
        'lens': {
            'fStop': 1.4,
            'pinholeFocalLength': pytest.approx(100 / 1.95),  # mm: 1 / f = 1 / v + 1 / s with s = 2 m
            'focusDistance': pytest.approx(2.0),  # m
        },
        'custom': {
            'dfd_depth_ros': {
                'focal_length_m': 0.05,
                'f_number': 1.4,
                'pixel_pitch_m': 4e-6,
                'focus_dioptre': 0.5,
                'focus_dioptre_sigma': 0.02,
                'side': 'behind',
                'gain_sigma': 0.1,
                'quality': 'APPROXIMATE',
                'source': 'joint_state',
                'weights_digest': 'd1935',
            }
        },
    }


def test_at_infinity_there_is_no_distance_and_the_image_lies_in_the_focal_plane():
    moving = lens_model(Lens(0.05, 2.0, 4e-6, 0.0), 6, 8)['lens']
    assert moving == {'fStop': 2.0, 'pinholeFocalLength': pytest.approx(50.0)}
    text = to_text(lens_model(Lens(0.05, 2.0, 4e-6, 0.0), 6, 8))
    assert 'Infinity' not in text and 'NaN' not in text, 'JSON has no such words'


@pytest.mark.parametrize('focus', [0.0, 0.1, 0.5, 7.0])
def test_what_is_written_is_read_back_to_the_last_bit(focus):
    lens = Lens(0.035, 1.8, 3.45e-6, focus, 0.01, 'front', 0.2, 'CALIBRATED')
    values = read_lens_model(to_text(lens_model(lens, 480, 640, weights_digest='d1935')))
    assert Lens.from_dict(values) == lens
    assert 'weights_digest' not in values


def test_one_model_is_one_text():
    assert to_text({'b': 1, 'a': 2}) == to_text({'a': 2, 'b': 1}) == '{"a": 2, "b": 1}'


def test_without_focus_a_focusing_lens_is_one_model_and_another_lens_is_another():
    def rest(*lens, size=(480, 640), **facts):
        return without_focus(lens_model(Lens(*lens), *size, **facts))

    same = rest(0.05, 1.4, 4e-6, 0.5)
    assert rest(0.05, 1.4, 4e-6, 3.0, 0.2) == same
    others = [
        rest(0.035, 1.4, 4e-6, 0.5),
        rest(0.05, 2.0, 4e-6, 0.5),
        rest(0.05, 1.4, 8e-6, 0.5),
        rest(0.05, 1.4, 4e-6, 0.5, 0.0, 'front'),
        rest(0.05, 1.4, 4e-6, 0.5, size=(240, 320)),
        rest(0.05, 1.4, 4e-6, 0.5, weights_digest='other'),
    ]
    assert same not in others and all(others[i] != others[j] for i in range(6) for j in range(i))


def test_the_text_of_another_writer_gives_what_it_tells():
    text = json.dumps(
        {
            'static': {
                'camera': {
                    'activeSensorPhysicalDimensions': {'height': 24.0, 'width': 36.0},
                    'activeSensorResolution': {'height': 4000, 'width': 6000},
                    'label': 'A',
                },
                'lens': {'nominalFocalLength': 24.0},
            },
            'lens': {'fStop': 4.0, 'focusDistance': 10.0, 'entrancePupilOffset': 0.123},
            'custom': {'somebody': {'f_number': 9.0}},
        }
    )
    assert read_lens_model(text) == {
        'focal_length_m': pytest.approx(0.024),
        'f_number': 4.0,
        'focus_distance_m': 10.0,
        'pixel_pitch_m': pytest.approx(6e-6),
    }
    assert Lens.from_dict(read_lens_model(text)).focus_dioptre == pytest.approx(0.1)


@pytest.mark.parametrize(
    'model',
    [
        {},
        {'static': {}},
        {'static': {'camera': {'activeSensorResolution': {'height': 4000, 'width': 6000}}}},
        {'lens': {'pinholeFocalLength': 24.3}},
    ],
)
def test_what_is_not_told_is_not_made_up(model):
    assert read_lens_model(json.dumps(model)) == {}


@pytest.mark.parametrize(
    ('text', 'reason'),
    [
        ('focus: 2', 'JSONDecodeError: Expecting value: line 1 column 1 (char 0)'),
        ('[]', "AttributeError: 'list' object has no attribute 'get'"),
        (
            '{"static": {"lens": {"nominalFocalLength": "50 mm"}}}',
            "TypeError: unsupported operand type(s) for /: 'str' and 'int'",
        ),
        (
            '{"static": {"camera": {"activeSensorPhysicalDimensions": {}, "activeSensorResolution": {}}}}',
            "KeyError: 'width'",
        ),
        (
            '{"static": {"camera": {"activeSensorPhysicalDimensions": {"width": 36}, '
            '"activeSensorResolution": {"width": 0}}}}',
            'ZeroDivisionError: division by zero',
        ),
    ],
)
def test_a_text_that_is_no_model_is_one_sentence(text, reason):
    with pytest.raises(LensError) as error:
        read_lens_model(text)
    assert str(error.value) == f'lens_model cannot be read: {reason}'


def test_pinhole_focal_length_is_the_distance_of_the_image():
    for distance in (0.3, 1.0, 20.0):
        lens = Lens(0.05, 2.0, 4e-6, 1 / distance)
        image_m = lens_model(lens, 6, 8)['lens']['pinholeFocalLength'] / 1000
        assert math.isclose(1 / image_m + 1 / distance, 1 / 0.05)
