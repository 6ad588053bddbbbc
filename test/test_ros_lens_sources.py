"""Which lens state belongs to an image: by hand-made stamps, and every way in which a state can be wrong."""

import math
import threading
import time
from types import SimpleNamespace

import pytest

from dfd_depth_ros.optics.lens import Lens, LensError
from dfd_depth_ros.ros.lens_buffer import LensBuffer, LensMatch, NoLensError
from dfd_depth_ros.ros.lens_sources import LensSource
from dfd_depth_ros.scenes.frame import Intrinsics
from dfd_depth_ros.scenes.lens_metadata import LIBCAMERA

SECOND = 1_000_000_000
CAMERA = Intrinsics(1000.0, 1000.0, 320.0, 240.0)
SETTINGS = {
    'lens.source': 'joint_state',
    'lens.file': '',
    'lens.focal_length_m': 0.05,
    'lens.f_number': 2.0,
    'lens.focus_distance_m': 2.0,
    'lens.pixel_pitch_m': 4e-5,
    'lens.sensor_pitch_m': 0.0,
    'lens.focus_dioptre_sigma': 0.0,
    'lens.side': '',
    'lens.max_age_s': 0.5,
    'lens.wait_s': 0.0,
    'lens.policy': 'drop',
    'lens.moving': 'widen',
    'lens.metadata.keys': LIBCAMERA,
    'lens.metadata.hardware_id': '',
    'lens.metadata.scale': 1.0,
    'lens.metadata.offset': 0.0,
}


def lens(focus_dioptre, f_number=2.0, sigma=0.0):
    return Lens(0.05, f_number, 4e-5, focus_dioptre, focus_dioptre_sigma=sigma)


def filled(*states):
    buffer = LensBuffer()
    for stamp, state in states:
        buffer.add(round(stamp * SECOND), state)
    return buffer


def match(buffer, stamp, max_age_s=0.5, policy='drop', static=None, wait_s=0.0):
    return buffer.match(round(stamp * SECOND), max_age_s, policy, static, wait_s)


def source(**changes):
    made = LensSource()
    made.configure(SETTINGS | {f'lens.{name}': value for name, value in changes.items()})
    return made


def test_the_exact_stamp_wins():
    buffer = filled((1.0, lens(0.5)), (1.1, lens(0.7)), (1.2, lens(0.9)))
    assert match(buffer, 1.1) == LensMatch(lens(0.7), 0.0, 'exact')
    assert match(buffer, 1.0).quality == match(buffer, 1.2).quality == 'exact'


def test_between_two_states_focus_is_linear_in_dioptres():
    buffer = filled((1.0, lens(0.4, 2.0, 0.01)), (1.4, lens(0.8, 4.0, 0.03)))
    found = match(buffer, 1.1)
    assert found.quality == 'interpolated' and found.age_s == pytest.approx(0.1)
    assert found.lens.focus_dioptre == pytest.approx(0.5)
    assert found.lens.f_number == pytest.approx(2.5)
    # The sigma between the two, and the 0.4 dioptre that the lens moved meanwhile.
    assert found.lens.focus_dioptre_sigma == pytest.approx(math.hypot(0.015, 0.4)) and found.is_moving


@pytest.mark.parametrize('stamp', [0.9, 1.9, 2.5])
def test_without_a_neighbour_near_enough_on_each_side_the_image_is_dropped(stamp):
    with pytest.raises(NoLensError):
        match(filled((1.0, lens(0.4)), (2.0, lens(0.8))), stamp)


def test_the_complaint_names_the_distance_in_time():
    with pytest.raises(NoLensError) as error:
        match(LensBuffer(), 1.0)
    assert str(error.value) == 'no lens state has arrived'
    with pytest.raises(NoLensError) as error:
        match(filled((1.0, lens(0.4))), 2.25)
    assert str(error.value) == (
        'no lens state belongs to the image: the nearest is -1.250 s away, lens.max_age_s is 0.5'
    )


def test_policies():
    buffer = filled((1.0, lens(0.4)), (9.0, lens(0.8)))
    assert match(buffer, 3.0, policy='hold') == LensMatch(lens(0.4), 2.0, 'held')
    assert match(buffer, 3.0, policy='static', static=lens(0.6)) == LensMatch(lens(0.6), math.inf, 'static')
    with pytest.raises(NoLensError):
        match(buffer, 0.5, policy='hold')


def test_a_stamp_that_jumps_back_forgets_what_came_before():
    buffer = filled((100.0, lens(0.4)), (101.0, lens(0.5)), (1.0, lens(0.6)))
    with pytest.raises(NoLensError):
        match(buffer, 100.0)
    assert match(buffer, 1.0).lens.focus_dioptre == 0.6


def test_a_late_state_is_waited_for():
    buffer = filled((0.5, lens(0.4)))
    timer = threading.Timer(0.05, lambda: buffer.add(SECOND, lens(0.7)))
    timer.start()
    assert match(buffer, 1.0, wait_s=30.0) == LensMatch(lens(0.7), 0.0, 'exact')
    timer.join()


def test_after_a_jump_back_the_state_of_the_new_time_is_waited_for():
    buffer = filled((100.0, lens(0.4)))
    timer = threading.Timer(0.05, lambda: buffer.add(SECOND, lens(0.7)))
    timer.start()
    assert match(buffer, 1.0, wait_s=30.0) == LensMatch(lens(0.7), 0.0, 'exact')
    timer.join()


def test_waiting_ends():
    started = time.monotonic()
    with pytest.raises(NoLensError):
        match(LensBuffer(), 1.0, wait_s=0.02)
    assert time.monotonic() - started < 10


def test_the_buffer_forgets_the_oldest_states():
    buffer = filled(*((stamp / 10, lens(0.4)) for stamp in range(1500)))
    with pytest.raises(NoLensError):
        match(buffer, 1.0)
    assert match(buffer, 149.0).quality == 'exact'


def test_a_fixed_lens_comes_from_the_parameters():
    found = source(source='parameters').match(5, None)
    assert found == LensMatch(lens(0.5), 0.0, 'fixed')
    assert source(source='parameters', focus_distance_m=math.inf).match(5, None).lens.focus_dioptre == 0


def test_parameters_override_the_lens_file(tmp_path):
    file = tmp_path / 'lens.yaml'
    file.write_text('focal_length_m: 0.1\nf_number: 8\nfocus_dioptre: 0.25\nside: behind\npixel_pitch_m: 1.0e-5\n')
    none = dict(focal_length_m=0.0, f_number=0.0, focus_distance_m=0.0, pixel_pitch_m=0.0)
    from_file = source(source='parameters', file=str(file), **none).match(5, None).lens
    assert from_file == Lens(0.1, 8, 1e-5, 0.25, side='behind')
    both = source(source='parameters', file=str(file), **none | {'focus_distance_m': 5.0}).match(5, None).lens
    assert both == Lens(0.1, 8, 1e-5, 0.2, side='behind')


def test_pixel_pitch_comes_from_a_calibrated_camera_where_nobody_gives_it():
    lenses = source(source='parameters', pixel_pitch_m=0.0)
    assert lenses.match(5, CAMERA).lens.pixel_pitch_m == pytest.approx(5e-5)
    with pytest.raises(LensError) as error:
        lenses.match(5, None)
    assert str(error.value) == ('pixel pitch is unknown; set lens.pixel_pitch_m or publish a calibrated camera_info')


def test_messages_fill_in_what_changes_and_parameters_the_rest():
    lenses = source()
    assert lenses.add(SECOND, {'focus_dioptre': 0.8}) == ([], '')
    assert lenses.match(SECOND, None) == LensMatch(lens(0.8), 0.0, 'exact')
    lenses.add(
        2 * SECOND, {'focus_distance_m': 4.0, 'f_number': 4.0, 'focal_length_m': 0.04, 'focus_dioptre_sigma': 0.1}
    )
    assert lenses.match(2 * SECOND, None).lens == Lens(0.04, 4.0, 4e-5, 0.25, 0.1)


def test_unknown_names_are_ignored_and_named():
    lenses = source()
    assert lenses.add(SECOND, {'wheel': 1.0, 'focus_dioptre': 0.8, 'arm': 2.0}) == (['arm', 'wheel'], '')
    assert lenses.match(SECOND, None).lens == lens(0.8)
    assert lenses.add(2 * SECOND, {'wheel': 1.0}) == (['wheel'], '')
    with pytest.raises(NoLensError):
        lenses.match(2 * SECOND, None)


@pytest.mark.parametrize(
    'values, message',
    [
        ({'focus_dioptre': math.nan}, 'lens focus_dioptre is nan; it must be a finite number'),
        ({'focus_distance_m': math.nan}, 'focus distance is nan m; it must be above zero'),
        ({'focus_dioptre': 25.0}, 'focus distance 0.04 m lies inside the focal length 0.05 m'),
        ({'f_number': 0.0}, 'lens f_number is 0; it must be above zero'),
    ],
)
def test_states_that_no_lens_can_have_are_refused(values, message):
    lenses = source()
    with pytest.raises(LensError) as error:
        lenses.add(SECOND, values)
    assert str(error.value) == message
    with pytest.raises(NoLensError):
        lenses.match(SECOND, None)


def test_a_lens_that_is_needed_must_be_whole():
    for settings in ({'source': 'parameters'}, {'policy': 'static'}):
        with pytest.raises(LensError) as error:
            source(f_number=0.0, **settings)
        assert str(error.value) == 'lens has no f_number'
    source(f_number=0.0)


def test_a_refused_change_changes_nothing():
    lenses = source(source='parameters')
    with pytest.raises(LensError):
        lenses.configure(SETTINGS | {'lens.source': 'parameters', 'lens.focus_distance_m': 0.01})
    assert lenses.match(5, None).lens == lens(0.5)


def test_a_pitch_as_a_parameter_takes_the_place_of_that_of_the_file(tmp_path):
    file = tmp_path / 'lens.yaml'
    file.write_text('focal_length_m: 0.05\nf_number: 2\nfocus_distance_m: 2\npixel_pitch_m: 4.0e-5\n')
    none = dict(focal_length_m=0.0, f_number=0.0, focus_distance_m=0.0, pixel_pitch_m=0.0)
    lenses = source(source='parameters', file=str(file), **none | {'sensor_pitch_m': 3e-6})
    assert lenses.match(5, None, sensor_pixels=4.0).lens.pixel_pitch_m == pytest.approx(1.2e-5)
    with pytest.raises(LensError) as error:
        lenses.match(5, CAMERA)
    assert str(error.value) == 'lens.sensor_pitch_m needs a camera_info that tells the size of the full image'
    lenses = source(source='parameters', file=str(file), **none | {'pixel_pitch_m': 5e-5, 'sensor_pitch_m': 3e-6})
    assert lenses.match(5, CAMERA, sensor_pixels=4.0).lens.pixel_pitch_m == 5e-5


def breathing(tmp_path, text):
    file = tmp_path / 'lens.yaml'
    file.write_text(text)
    return source(source='parameters', file=str(file), focus_distance_m=0.5)


def test_a_lens_breathes_as_its_file_says(tmp_path):
    lenses = breathing(tmp_path, 'breathing: thin_lens\n')
    camera = lenses.breathed(CAMERA, lenses.match(5, CAMERA).lens)
    # f = 50 mm at half a metre: v = 50 * 500 / 450 = 55.6 mm, and the calibration is said to be one at infinity.
    assert camera == Intrinsics(1111.0, 1111.0, 320.0, 240.0)  # to a tenth of a percent
    lenses = breathing(tmp_path, 'breathing: thin_lens\ncalibration_dioptre: 2.0\n')
    assert lenses.breathed(CAMERA, lens(2.0)) == CAMERA
    assert lenses.breathed(CAMERA, lens(0.0)).fx == pytest.approx(900.0)
    lenses = breathing(tmp_path, 'breathing: {0.0: 1.0, 4.0: 0.9}\n')
    assert lenses.breathed(CAMERA, lens(2.0)).fy == pytest.approx(950.0)
    assert source().breathed(CAMERA, lens(2.0)) == CAMERA


@pytest.mark.parametrize(
    'text, message',
    [
        (
            'breathing: a lot\n',
            "lens breathing is 'a lot'; it must be none, thin_lens or a table of at least two dioptres with the fx "
            'there relative to infinity',
        ),
        ('calibration_dioptre: near\n', "lens calibration_dioptre is 'near'; it must be a number, not negative"),
        ('calibration_dioptre: -1\n', 'lens calibration_dioptre is -1; it must be a number, not negative'),
        ('f_number: wide\n', "lens f_number is 'wide'; it must be a number"),
        (
            'focal_length_m: 50\n',
            'lens focal_length_m is 50; it must lie between 0.0005 and 1.2 m; did you mean 0.05?',
        ),
    ],
)
def test_a_lens_file_that_cannot_be(tmp_path, text, message):
    file = tmp_path / 'lens.yaml'
    file.write_text(text)
    with pytest.raises(LensError) as error:
        source(file=str(file), focal_length_m=0.0, f_number=0.0)
    assert str(error.value) == message


def test_metadata_is_read_as_the_parameters_say():
    pairs = [SimpleNamespace(key='Focus', value='4.0'), SimpleNamespace(key='AfState', value='1')]
    statuses = [SimpleNamespace(hardware_id='a', values=pairs)]
    lenses = source(**{'metadata.keys': 'focus_distance_m=Focus moving=AfState', 'metadata.offset': 0.1})
    assert lenses.add_metadata(SECOND, statuses) == ([], '')
    found = lenses.match(SECOND, None)
    assert found.is_moving and found.lens.focus_dioptre == pytest.approx(0.35)
    with pytest.raises(LensError, match=r'^lens\.metadata\.keys names no focus'):
        lenses.configure(SETTINGS | {'lens.metadata.keys': 'moving=AfState'})
    lenses.add_metadata(2 * SECOND, statuses)
    assert lenses.match(2 * SECOND, None).lens.focus_dioptre == pytest.approx(0.35)


def test_a_focus_told_twice_in_one_message_must_agree():
    lenses = source()
    with pytest.raises(LensError) as error:
        lenses.add(SECOND, {'focus_dioptre': 0.5, 'focus_distance_m': 1.5})
    assert str(error.value) == (
        'lens focus_dioptre is 0.5 and focus_distance_m is 1.5, which is 0.666667 dioptre: they disagree'
    )


@pytest.mark.parametrize(
    'focus_distance_m, sentence',
    [
        (2.0, ''),
        (99.0, ''),
        (math.inf, ''),
        (1650.0, 'lens focus_distance_m is 1650, all but infinity; did you mean 1.65?'),
    ],
)
def test_a_focus_in_millimetres_is_doubted_where_it_was_typed(focus_distance_m, sentence):
    lenses = source(source='parameters', focus_distance_m=focus_distance_m)
    assert lenses.doubts(lenses.match(5, None).lens, None) == sentence
    assert source().doubts(lenses.match(5, None).lens, None) == ''


def test_lens_and_calibration_must_fit_together():
    lenses = source()
    assert lenses.doubts(lens(0.5), Intrinsics(1250.0, 1250.0, 0, 0)) == ''
    assert lenses.doubts(lens(0.5), Intrinsics(1100.0, 1100.0, 0, 0)) == ''
    assert lenses.doubts(lens(0.5), Intrinsics(625.0, 625.0, 0, 0)) == (
        'lens.focal_length_m / lens.pixel_pitch_m is 1250 pixel but fx of camera_info is 625; is the pitch that of '
        'this image? 8e-05 m would fit'
    )
