"""depth_node with the lens in diagnostics: what camera_ros publishes becomes depth, and what is wrong is named."""

import time

import pytest

pytest.importorskip('rclpy')

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from node_bench import CAMERA, FRAME_ID, LENS, Bench, wait
from sensor_msgs.msg import CameraInfo, JointState, PointCloud2

from dfd_depth_ros.optics.lens import Lens
from dfd_depth_ros.ros import depth_node, messages, silence

BY_METADATA = LENS | {'lens.source': 'diagnostics', 'lens.wait_s': 1.0}


@pytest.fixture(autouse=True)
def quick_reports(ros, monkeypatch):
    monkeypatch.setattr(depth_node, 'REPORT_PERIOD_S', 0.05)


def metadata(hardware_id='imx708', level=DiagnosticStatus.OK, **values):
    pairs = [KeyValue(key=key, value=value) for key, value in values.items()]
    return DiagnosticArray(status=[DiagnosticStatus(hardware_id=hardware_id, level=level, values=pairs)])


def bench(values=None, **parameters):
    changed = {f'lens.{name.replace("__", ".")}': value for name, value in parameters.items()}
    made = Bench(parameters=BY_METADATA | changed)
    made.listen('lens_used', JointState)
    return made.connect(('lens_metadata', metadata(**values or {'LensPosition': '0.400000'})))


def served(made, seconds, **values):
    """The lens that an image with this metadata was read with."""
    made.send(seconds, metadata(**values), 'lens_metadata')
    made.send(seconds)
    made.depth(seconds)
    return made.estimator.lenses[-1]


def test_the_focus_of_the_frame_is_used():
    with bench() as made:
        assert served(made, 0, LensPosition='0.8', AfState='2', ScalerCrop='(0, 0)/2x2') == Lens(0.05, 2.0, 4e-5, 0.8)
        used = wait(lambda: made.received['lens_used'])[0]
        assert messages.to_lens_values(used)['focus_dioptre'] == 0.8
        level, text, values = made.status(lambda level, text, values: values['lens_moving'] == 'False')
        assert values['lens_quality'] == 'exact'


def test_warnings_of_the_driver_are_no_reason_not_to_listen():
    with bench() as made:
        assert served(made, 0, level=DiagnosticStatus.WARN, LensPosition='0.7').focus_dioptre == 0.7


def test_hardware_id_and_correction_are_parameters():
    with bench(metadata__hardware_id='imx708', metadata__scale=2.0, metadata__offset=-0.1) as made:
        made.send(0, metadata('imx477', LensPosition='3.0'), 'lens_metadata')
        assert served(made, 0, LensPosition='0.4').focus_dioptre == pytest.approx(0.7)


def test_a_scanning_lens_widens_sigma_and_says_so():
    with bench() as made:
        made.send(0, metadata(LensPosition='0.4'), 'lens_metadata')
        found = served(made, 0.05, LensPosition='0.7', AfState='1')
        assert found.focus_dioptre == 0.7 and found.focus_dioptre_sigma == pytest.approx(0.3)
        made.status(lambda level, text, values: values['lens_moving'] == 'True')


def test_a_scanning_lens_may_drop_the_image():
    with bench(moving='drop') as made:
        made.send(0, metadata(LensPosition='0.4'), 'lens_metadata')
        made.send(0.05, metadata(LensPosition='0.7', AfState='1'), 'lens_metadata')
        made.send(0.05)
        sentence = 'the lens moves: its focus spans 0.30 dioptre around the image; lens.moving is drop'
        made.status(lambda level, text, values: text == sentence and values['drops.lens'] == '1')
        assert served(made, 0.2, LensPosition='0.7', AfState='2').focus_dioptre_sigma == 0


def test_metadata_without_a_lens_is_named_until_a_lens_speaks():
    with Bench(parameters=BY_METADATA | {'lens.wait_s': 0.0}) as made:
        sentence = 'lens message refused: lens metadata has no key LensPosition; it has FocusFoM'

        def named(level, text, values):
            made.send(0, metadata(FocusFoM='604'), 'lens_metadata')
            return values.get('condition.lens') == sentence

        assert made.status(named)[0] == DiagnosticStatus.WARN

        def quiet(level, text, values):
            made.send(1, metadata(LensPosition='1.0'), 'lens_metadata')
            made.send(1, metadata(FocusFoM='604'), 'lens_metadata')
            return 'condition.lens' not in values

        made.status(quiet)


BAD = {
    'unit': ({'LensPosition': '1,5'}, "lens metadata LensPosition is '1,5'; it must be one number, with a point"),
    'physics': ({'LensPosition': '25'}, 'focus distance 0.04 m lies inside the focal length 0.05 m'),
    'beyond': ({'LensPosition': '-1'}, 'lens focus_dioptre is -1; it must not be negative'),
    'nan': ({'LensPosition': 'nan'}, 'lens focus_dioptre is nan; it must be a finite number'),
    'state': (
        {'LensPosition': '1', 'AfState': '9'},
        "lens metadata AfState is '9'; it must be 0, 1, 2, 3, true or false",
    ),
}


def test_bad_metadata_is_named_and_the_next_good_one_is_served():
    with bench() as made:
        for index, (values, sentence) in enumerate(BAD.values()):
            made.send(index, metadata(**values), 'lens_metadata')
            made.status(lambda level, text, values, want=f'lens message refused: {sentence}': text == want)
            assert served(made, index + 0.5, LensPosition='0.6').focus_dioptre == 0.6


def test_strange_stamps_are_named():
    with bench() as made:
        made.send(5, metadata(LensPosition='0.6'), 'lens_metadata')
        made.send(5, metadata(LensPosition='0.7'), 'lens_metadata')
        made.status(
            lambda level, text, values: (
                'two lens states have the stamp 1005.000 s and differ; the later one counts' in text
            )
        )
        made.send(3, metadata(LensPosition='0.6'), 'lens_metadata')
        made.status(lambda level, text, values: 'lens stamp jumped back by 2.000 s; earlier ones are forgotten' in text)


@pytest.mark.parametrize(('policy', 'silent'), [('static', ['lens_metadata']), ('hold', [])])
def test_metadata_that_stops_is_named_unless_the_last_state_holds(monkeypatch, policy, silent):
    with bench(policy=policy) as made:
        later = time.monotonic() + silence.SILENCE_S
        monkeypatch.setattr(made.node._inputs._silence, '_now', lambda: later)
        made.send(0)
        made.send(0, CameraInfo(), 'camera_info')
        made.depth(0)

        def told(level, text, values):
            return [name.removeprefix('condition.silent.') for name in values if 'silent.lens' in name] == silent

        made.status(told)
        monkeypatch.undo()
        made.send(1, metadata(LensPosition='0.5'), 'lens_metadata')
        made.status(lambda level, text, values: 'condition.silent.lens_metadata' not in values)


@pytest.mark.parametrize(
    'parameters, message',
    [
        (
            {'lens.metadata.keys': 'LensPosition'},
            "lens.metadata.keys has 'LensPosition'; it must be NAME=KEY with a NAME of focus_dioptre, "
            'focus_distance_m, focal_length_m, f_number, focus_dioptre_sigma, moving',
        ),
        (
            {'lens.focal_length_m': 35.0},
            'lens focal_length_m is 35; it must lie between 0.0005 and 1.2 m; did you mean 0.035?',
        ),
        (
            {'lens.pixel_pitch_m': 3.45},
            'lens pixel_pitch_m is 3.45; it must lie between 2e-07 and 0.0005 m; did you mean 3.45e-06?',
        ),
    ],
)
def test_parameters_that_cannot_be_leave_the_node_unconfigured(parameters, message):
    with Bench(parameters=BY_METADATA | parameters) as made:
        assert made.node._inputs is None
        made.status(lambda level, text, values: text == f'cannot configure: {message}')


def test_a_focus_in_millimetres_is_doubted():
    with Bench(parameters=LENS | {'lens.focus_distance_m': 1650.0}).connect() as made:
        sentence = 'lens focus_distance_m is 1650, all but infinity; did you mean 1.65?'
        made.status(lambda level, text, values: values.get('condition.lens_doubt') == sentence)


def test_a_pitch_of_another_image_is_doubted():
    info = messages.to_camera_info(CAMERA, 6, 8, messages.to_header(0, FRAME_ID))
    with Bench(parameters=LENS | {'lens.pixel_pitch_m': 4e-4}).connect(('camera_info', info)) as made:
        sentence = (
            'lens.focal_length_m / lens.pixel_pitch_m is 125 pixel but fx of camera_info is 60; is the pitch that of '
            'this image? 0.000833 m would fit'
        )
        made.status(lambda level, text, values: values.get('condition.lens_doubt') == sentence)


def test_the_pitch_of_the_sensor_grows_with_binning_and_resizing():
    info = messages.to_camera_info(CAMERA, 24, 32, messages.to_header(0, FRAME_ID))
    info.binning_x = info.binning_y = 2  # 16x12 pixels left the driver; the image has 8x6
    parameters = LENS | {'lens.pixel_pitch_m': 0.0, 'lens.sensor_pitch_m': 3e-6}
    with Bench(parameters=parameters) as made:
        made.listen('depth/camera_info', CameraInfo)
        made.connect(('camera_info', info))
        made.send(0)
        made.depth(0)
        assert made.estimator.lenses[-1].pixel_pitch_m == pytest.approx(1.2e-5)
        told = wait(lambda: made.received['depth/camera_info'])[0]
        assert (told.width, told.height, told.binning_x) == (8, 6, 0) and told.k[0] == CAMERA.fx / 4


def test_an_unknown_distortion_withholds_the_cloud_and_nothing_else():
    info = messages.to_camera_info(CAMERA, 6, 8, messages.to_header(0, FRAME_ID))
    info.distortion_model, info.d = 'ftheta', [0.1]
    with Bench(parameters=LENS | {'lens.pixel_pitch_m': 0.0}) as made:
        made.listen('depth/points', PointCloud2)
        made.connect(('camera_info', info))
        sentence = (
            "distortion model 'ftheta' is unknown; the known ones are plumb_bob, rational_polynomial, equidistant, "
            'fisheye; depth/points is withheld'
        )
        made.status(lambda level, text, values: values.get('condition.camera') == sentence)
        made.send(0)
        made.depth(0)
        assert made.estimator.lenses[-1].pixel_pitch_m == pytest.approx(0.05 / CAMERA.fx)
        assert not made.received['depth/points']
