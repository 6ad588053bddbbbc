"""Lens metadata in text: as camera_ros publishes it, corrected, filtered, and each way in which it can be wrong."""

import math
from types import SimpleNamespace

import pytest

from dfd_depth_ros.optics.lens import LensError
from dfd_depth_ros.scenes.lens_metadata import LIBCAMERA, Dialect, LensReading, parse_keys, read_metadata

MODULE = '/base/axi/pcie@120000/rp1/i2c@88000/imx708@1a'
# The keys, and the shapes of their values, that camera_ros reports for a Raspberry Pi Camera Module 3.
FRAME = {
    'AeState': '2', 'ExposureTime': '29984', 'AnalogueGain': '1.896296', 'ColourGains': '[ 1.639470, 2.348040 ]',
    'SensorBlackLevels': '[ 4096, 4096, 4096, 4096 ]', 'FocusFoM': '604', 'ScalerCrop': '(768, 432)/2304x1728',
    'SensorTimestamp': '2492886965000', 'LensPosition': '1.500000', 'AfState': '0', 'AfPauseState': '0',
}  # fmt: skip


def status(values, hardware_id=MODULE, level=b'\x00'):
    pairs = [SimpleNamespace(key=key, value=value) for key, value in values.items()]
    return SimpleNamespace(level=level, name='', message='', hardware_id=hardware_id, values=pairs)


def read(*statuses, **dialect):
    return read_metadata(statuses, Dialect(**dialect))


def refused(*statuses, **dialect):
    with pytest.raises(LensError) as error:
        read(*statuses, **dialect)
    return str(error.value)


def test_a_frame_of_camera_ros():
    assert read(status(FRAME)) == LensReading({'focus_dioptre': 1.5}, False)


@pytest.mark.parametrize(('state', 'moving'), [('0', False), ('1', True), ('2', False), ('3', False)])
def test_a_lens_that_scans_moves(state, moving):
    assert read(status(FRAME | {'AfState': state})).is_moving is moving


@pytest.mark.parametrize(('word', 'moving'), [('true', True), ('Scanning', True), ('false', False), ('idle', False)])
def test_other_drivers_say_it_in_words(word, moving):
    keys = parse_keys('focus_dioptre=LensPosition moving=is_moving')
    assert read(status({'LensPosition': '1', 'is_moving': word}), keys=keys).is_moving is moving


def test_without_a_state_the_lens_stands_still():
    assert read(status({'LensPosition': '2.0'})) == LensReading({'focus_dioptre': 2.0}, False)


@pytest.mark.parametrize('level', [b'\x00', b'\x01', b'\x02', b'\x03', 0, 1])
def test_the_level_is_not_looked_at(level):
    assert read(status(FRAME, level=level)).values == {'focus_dioptre': 1.5}


@pytest.mark.parametrize(
    'text, number',
    [
        ('2', 2.0), (' 2.5 ', 2.5), ('.5', 0.5), ('2.', 2.0), ('1e-1', 0.1), ('+0.25', 0.25), ('[ 1.750000 ]', 1.75),
        ('0.000000', 0.0), ('inf', math.inf), ('-INF', -math.inf),
    ],
)  # fmt: skip
def test_numbers_as_c_prints_them(text, number):
    assert read(status(FRAME | {'LensPosition': text})).values == {'focus_dioptre': number}


@pytest.mark.parametrize('text', ['', 'near', '1,5', '1_0', '[ 1.0, 2.0 ]', '(1, 2)/3x4', '١', '0x10', '1.5 dpt'])
def test_what_is_no_number(text):
    sentence = refused(status(FRAME | {'LensPosition': text}))
    assert sentence == f'lens metadata LensPosition is {text!r}; it must be one number, with a point'


def test_a_state_that_is_unknown():
    sentence = refused(status(FRAME | {'AfState': '7'}))
    assert sentence == "lens metadata AfState is '7'; it must be 0, 1, 2, 3, true or false"


def test_a_missing_key_is_named_with_those_that_are_there():
    sentence = refused(status({'ExposureTime': '5', 'FocusFoM': '604'}))
    assert sentence == 'lens metadata has no key LensPosition; it has ExposureTime, FocusFoM'
    assert refused(status({})) == 'lens metadata has no key LensPosition; it has no keys'
    keys = {'focus_dioptre': 'D', 'focus_distance_m': 'Distance'}
    assert refused(status({'x': ''}), keys=keys) == 'lens metadata has no key D or Distance; it has x'


def test_the_status_of_one_camera_is_chosen():
    others = status(FRAME | {'LensPosition': '9.0', 'AfState': '1'}, 'imx477')
    assert read(others, status(FRAME), hardware_id=MODULE) == LensReading({'focus_dioptre': 1.5}, False)
    assert refused(others, hardware_id='imx708') == (
        "lens metadata has no status of hardware_id 'imx708'; it has 'imx477'"
    )
    assert refused(hardware_id='imx708') == (
        "lens metadata has no status of hardware_id 'imx708'; it has no status at all"
    )


def test_an_array_without_a_status():
    assert refused() == "lens metadata has no status of hardware_id ''; it has no status at all"


def test_two_cameras_that_differ_must_be_told_apart():
    sentence = refused(status(FRAME), status(FRAME | {'LensPosition': '9.0'}, 'imx477'))
    assert sentence == (
        f"lens metadata tells LensPosition more than once: 1.500000 ('{MODULE}') and 9.0 ('imx477'); "
        'set lens.metadata.hardware_id'
    )
    assert read(status(FRAME), status(FRAME, 'imx477')).values == {'focus_dioptre': 1.5}


def test_values_may_be_spread_over_statuses():
    assert read(status({'AfState': '1'}), status({'LensPosition': '2'})) == LensReading({'focus_dioptre': 2.0}, True)


def test_the_focus_is_corrected():
    assert read(status(FRAME), scale=1.1, offset=-0.2).values == {'focus_dioptre': pytest.approx(1.45)}


@pytest.mark.parametrize(('offset', 'focus'), [(-1.55, 0.0), (-1.5, 0.0), (-1.7, -0.2)])
def test_a_little_beyond_infinity_is_infinity(offset, focus):
    assert read(status(FRAME), offset=offset).values['focus_dioptre'] == pytest.approx(focus)


def test_a_distance_is_corrected_in_dioptres():
    keys = parse_keys('focus_distance_m=Distance')
    assert read(status({'Distance': '4.0'}), keys=keys).values == {'focus_distance_m': 4.0}
    assert read(status({'Distance': '4.0'}), keys=keys, offset=0.25).values == {'focus_dioptre': 0.5}
    assert read(status({'Distance': 'inf'}), keys=keys, offset=0.25).values == {'focus_dioptre': 0.25}
    assert math.isnan(read(status({'Distance': '0'}), keys=keys, offset=0.25).values['focus_dioptre'])


def test_a_zoom_lens_tells_more():
    keys = parse_keys('focus_distance_m=Focus, focal_length_m=Zoom, f_number=Iris')
    values = {'Focus': '2', 'Zoom': '0.035', 'Iris': '2.8', 'Gain': '[ 1, 2 ]'}
    assert read(status(values), keys=keys).values == {'focus_distance_m': 2, 'focal_length_m': 0.035, 'f_number': 2.8}
    del values['Iris']
    assert 'f_number' not in read(status(values), keys=keys).values


def test_keys():
    assert parse_keys(LIBCAMERA) == {'focus_dioptre': 'LensPosition', 'moving': 'AfState'} == Dialect().keys


@pytest.mark.parametrize(
    'text, message',
    [
        (
            'focus=LensPosition',
            "lens.metadata.keys has 'focus=LensPosition'; it must be NAME=KEY with a NAME of focus_dioptre, "
            'focus_distance_m, focal_length_m, f_number, focus_dioptre_sigma, moving',
        ),
        (
            'LensPosition',
            "lens.metadata.keys has 'LensPosition'; it must be NAME=KEY with a NAME of focus_dioptre, "
            'focus_distance_m, focal_length_m, f_number, focus_dioptre_sigma, moving',
        ),
        (
            'moving=AfState',
            'lens.metadata.keys names no focus; it needs focus_dioptre=KEY or focus_distance_m=KEY',
        ),
        ('', 'lens.metadata.keys names no focus; it needs focus_dioptre=KEY or focus_distance_m=KEY'),
    ],
)
def test_keys_that_cannot_be(text, message):
    with pytest.raises(LensError) as error:
        parse_keys(text)
    assert str(error.value) == message
