"""depth_node over real DDS: what comes out for what goes in, and what the user reads when the input is bad."""

import math
import time

import cv2
import numpy as np
import pytest

pytest.importorskip('rclpy')

from diagnostic_msgs.msg import DiagnosticStatus
from node_bench import CAMERA, FRAME_ID, LENS, START, Bench, FakeEstimator, picture, wait
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, JointState, PointCloud2

from dfd_depth_ros.optics.lens import Lens
from dfd_depth_ros.ros import depth_node, messages, outputs, qos
from dfd_depth_ros.ros.outputs import RCLError

FIXED = Lens(0.05, 2.0, 4e-5, 0.5)
BY_MESSAGE = LENS | {'lens.source': 'joint_state', 'lens.wait_s': 1.0}
INFO = messages.to_camera_info(CAMERA, 6, 8, messages.to_header(0, FRAME_ID))


@pytest.fixture(autouse=True)
def quick_reports(ros, monkeypatch):
    monkeypatch.setattr(depth_node, 'REPORT_PERIOD_S', 0.05)


def raw(**changes):
    """A good image message with some fields changed."""
    message = messages.to_image(picture(), messages.to_header(0, FRAME_ID))
    for name, value in changes.items():
        setattr(message, name, value)
    return message


def lens_state(**values):
    return JointState(name=list(values), position=[float(value) for value in values.values()])


def test_every_image_becomes_depth_with_its_stamp():
    with Bench(topics=('depth/image_rect', 'depth/sigma', 'coc/image')).connect() as bench:
        for index in range(100):
            bench.send(index, picture(red=index + 1))
            depth = bench.depth(index)
            np.testing.assert_allclose(depth, (index + 1) / 10, rtol=1e-6)
        assert bench.settled() == {'inputs': 100, 'outputs': 100, 'drops': 0, 'pending': 0}
        wait(lambda: len(bench.received['coc/image']) == 100)
        stamps = [messages.to_nanoseconds(m.header.stamp) for m in bench.received['depth/image_rect']]
        assert stamps == [(START + index) * 10**9 for index in range(100)]
        for topic in ('depth/image_rect', 'depth/sigma', 'coc/image'):
            message = bench.received[topic][0]
            assert (message.header.frame_id, message.encoding, message.height, message.width) == (
                FRAME_ID,
                '32FC1',
                6,
                8,
            )
        np.testing.assert_allclose(messages.to_depth(bench.received['depth/sigma'][9]), 0.01, rtol=1e-6)
        np.testing.assert_allclose(messages.to_depth(bench.received['coc/image'][9]), FIXED.coc(1.0), rtol=1e-6)


def test_at_overload_outputs_and_drops_are_the_inputs():
    estimator, opened = FakeEstimator(), []
    with Bench(estimator).connect() as bench:
        estimator.hurdle = lambda: wait(lambda: opened)
        for index in range(200):
            bench.send(index)
            wait(lambda count=index + 1: bench.since()['inputs'] == count)
            if index % 10 == 0:
                opened.append(True)
                time.sleep(0.005)
                opened.clear()
        opened.append(True)
        bench.depth(199)
        counts = bench.settled()
        assert counts['outputs'] + counts['drops'] == counts['inputs'] == 200
        assert counts['drops'] > 0
        wait(lambda: len(bench.received['depth/image_rect']) == counts['outputs'])
        values = bench.status(lambda level, text, values: int(values['inputs']) - bench.before['inputs'] == 200)[2]
        assert int(values['inputs']) == int(values['outputs']) + int(values['drops'])
        assert values['drops'] == values['drops.overload']


def test_images_that_wait_at_deactivation_are_counted():
    opened = []
    estimator = FakeEstimator()
    with Bench(estimator).connect() as bench:
        estimator.hurdle = lambda: wait(lambda: opened)
        for index in range(3):
            bench.send(index)
        wait(lambda: bench.since()['inputs'] == 3)
        opened.append(True)
        bench.node.trigger_deactivate()
        counts = bench.since()
        assert counts['pending'] == 0 and counts['outputs'] + counts['drops'] == 3


BAD_IMAGES = {
    'step': (raw(step=5), 'image step is 5 bytes; 8 pixels of rgb8 need 24'),
    'data': (raw(data=bytes(100)), 'image data has 100 bytes; 6 rows of 24 bytes are 144'),
    'encoding': (
        raw(encoding='rgb9'),
        "image encoding is 'rgb9'; it must be one of mono8, mono16, rgb8, bgr8, rgba8, bgra8, bayer_rggb8, "
        'bayer_bggr8, bayer_gbrg8, bayer_grbg8, yuv422, uyvy, yuv422_yuy2, yuyv',
    ),
    'empty': (raw(width=0), 'image is 0x6 pixels; it is empty'),
    'huge': (
        raw(width=8000, height=6000, step=24000),
        'image is 8000x6000 = 48000000 pixels; the limit is 16000000',
    ),
}


def test_bad_images_are_named_and_the_next_good_one_is_served():
    with Bench().connect() as bench:
        for index, (message, sentence) in enumerate(BAD_IMAGES.values()):
            bench.send(2 * index, message)
            level, text, values = bench.status(lambda level, text, values, want=sentence: text == want)
            assert level == DiagnosticStatus.ERROR and values['last_error'] == sentence
            bench.send(2 * index + 1)
            bench.depth(2 * index + 1)
        assert bench.settled() == {'inputs': 10, 'outputs': 5, 'drops': 5, 'pending': 0}
        bench.status(lambda level, text, values: values.get('drops.image') == '5' and level != DiagnosticStatus.ERROR)


def test_one_pixel_is_served():
    with Bench().connect() as bench:
        bench.send(0, picture(red=30, height=1, width=1))
        np.testing.assert_allclose(bench.depth(0), [[3.0]])


def test_an_estimator_that_fails_on_one_image_serves_the_next():
    def hurdle():
        if len(estimator.lenses) == 1:
            raise RuntimeError('out of memory')

    estimator = FakeEstimator()
    with Bench(estimator).connect() as bench:
        estimator.hurdle = hurdle
        bench.send(0)
        level, text, values = bench.status(lambda level, text, values: level == DiagnosticStatus.ERROR)
        assert text == 'RuntimeError: out of memory' and values['drops.estimator'] == '1'
        bench.send(1)
        bench.depth(1)


def test_what_dds_refuses_is_counted_and_the_next_image_is_served(monkeypatch):
    def refuse(self, result):
        monkeypatch.undo()
        raise RCLError('cannot publish data')

    with Bench().connect() as bench:
        monkeypatch.setattr(outputs.Outputs, 'publish_depth', refuse)
        bench.send(0)
        values = bench.status(lambda level, text, values: values.get('drops.publish') == '1')[2]
        assert values['last_error'] == 'RCLError: cannot publish data'
        bench.send(1)
        bench.depth(1)


def test_without_calibration_depth_is_published_and_the_cloud_withheld():
    with Bench(topics=('depth/image_rect',)) as bench:
        bench.listen('depth/points', PointCloud2)
        bench.listen('depth/camera_info', CameraInfo)
        bench.connect(('camera_info', CameraInfo()))
        sentence = 'camera_info is uncalibrated: K[0] is 0; depth/points is withheld'
        bench.status(lambda level, text, values: values.get('condition.camera') == sentence)
        bench.send(0)
        bench.depth(0)
        bench.send(1, INFO, 'camera_info')
        wait(lambda: bench.node._inputs._info.k[0])
        bench.send(2)
        cloud = wait(lambda: bench.received['depth/points'])[0]
        assert messages.to_nanoseconds(cloud.header.stamp) == (START + 2) * 10**9
        info = wait(lambda: [m for m in bench.received['depth/camera_info'] if m.header == cloud.header])[0]
        assert info.k[0] == CAMERA.fx
        bench.status(lambda level, text, values: 'condition.camera' not in values)


def test_the_first_camera_info_may_come_after_the_first_image():
    with Bench(parameters=LENS | {'lens.pixel_pitch_m': 0.0, 'lens.wait_s': 1.0}) as bench:
        bench.node._on_image(raw(header=messages.to_header(5, FRAME_ID)))
        wait(lambda: not bench.node._worker._waiting)
        bench.node._inputs.on_camera_info(INFO)
        wait(lambda: not bench.node.monitor.counts()['pending'])
        assert [lens.pixel_pitch_m for lens in bench.estimator.lenses] == [0.05 / CAMERA.fx]


def test_without_pitch_and_camera_the_image_is_dropped_with_advice():
    with Bench(parameters=LENS | {'lens.pixel_pitch_m': 0.0, 'lens.wait_s': 0.0}) as bench:
        bench.node._on_image(raw())
        sentence = 'pixel pitch is unknown; set lens.pixel_pitch_m or publish a calibrated camera_info'
        bench.status(lambda level, text, values: values['last_error'] == sentence and values['drops.lens'] == '1')


def test_camera_info_of_another_size_is_named():
    with Bench().connect(('camera_info', INFO)) as bench:
        bench.send(0, picture(height=3, width=8))
        bench.depth(0)
        sentence = (
            'camera_info is for 8x6 pixels; the image has 8x3, which is no resizing of it; depth/points is withheld'
        )
        bench.status(lambda level, text, values: values.get('condition.camera') == sentence)


@pytest.mark.parametrize('topic, kind', [('depth/points', PointCloud2), ('depth/view', Image)])
def test_optional_outputs_are_made_only_for_a_listener(topic, kind, monkeypatch):
    made = []
    make = outputs._MAKERS[topic]
    monkeypatch.setitem(outputs._MAKERS, topic, lambda *arguments: made.append(1) or make(*arguments))
    with Bench().connect(('camera_info', INFO)) as bench:
        bench.send(0)
        bench.depth(0)
        assert not made
        bench.listen(topic, kind)
        wait(lambda: bench.node._outputs._publishers[topic].get_subscription_count())
        bench.send(1, picture(red=20))
        message = wait(lambda: bench.received[topic])[0]
        assert messages.to_nanoseconds(message.header.stamp) == (START + 1) * 10**9 and len(made) == 1
        assert message.height * message.width == 48


def test_points_are_gated_by_sigma_and_strided():
    parameters = LENS | {'points.max_sigma_m': 0.03, 'points.stride': 2}
    image = picture(red=20)
    image[0, 0] = 50
    with Bench(parameters=parameters) as bench:
        bench.listen('depth/points', PointCloud2)
        bench.connect(('camera_info', INFO))
        bench.send(0, image)
        cloud = wait(lambda: bench.received['depth/points'])[0]
        points = np.frombuffer(cloud.data, np.float32).reshape(-1, 4)
        assert len(points) == 3 * 4 - 1
        np.testing.assert_allclose(points[0, :3], [(2 - 4) / 60 * 2, (0 - 3) / 60 * 2, 2], rtol=1e-6)


def test_depth_outside_the_range_is_infinite():
    image = picture()
    image[0, :3, 0] = (5, 50, 0)
    with Bench(parameters=LENS | {'range.min_m': 1.0, 'range.max_m': 4.0}).connect() as bench:
        bench.send(0, image)
        np.testing.assert_array_equal(bench.depth(0)[0, :4], np.float32([-math.inf, math.inf, -math.inf, 2]))


def test_the_lens_comes_from_the_message_of_the_same_stamp():
    with Bench(parameters=BY_MESSAGE) as bench:
        bench.listen('lens_used', JointState)
        bench.connect(('lens', lens_state(focus_dioptre=0.4)))
        bench.send(0)
        bench.send(0, lens_state(focus_dioptre=0.8, f_number=4.0), 'lens')
        bench.depth(0)
        assert bench.estimator.lenses == [Lens(0.05, 4.0, 4e-5, 0.8)]
        used = wait(lambda: bench.received['lens_used'])[0]
        assert messages.to_nanoseconds(used.header.stamp) == START * 10**9
        assert messages.to_lens_values(used)['focus_dioptre'] == 0.8
        values = bench.status(lambda level, text, values: 'lens_quality' in values)[2]
        assert (values['lens_quality'], values['lens_age_s']) == ('exact', '0.000')


BAD_LENSES = {
    'nan': (lens_state(focus_dioptre=math.nan), 'lens focus_dioptre is nan; it must be a finite number'),
    'inside': (lens_state(focus_distance_m=0.04), 'focus distance 0.04 m lies inside the focal length 0.05 m'),
    'lengths': (JointState(name=['f_number'], position=[]), 'lens message has 1 names and 0 positions'),
}


@pytest.mark.parametrize('case', BAD_LENSES)
def test_bad_lens_states_are_refused_and_the_next_good_one_is_used(case):
    message, reason = BAD_LENSES[case]
    with Bench(parameters=BY_MESSAGE | {'lens.wait_s': 0.05}).connect(('lens', lens_state(focus_dioptre=0.4))) as bench:
        bench.send(0, message, 'lens')
        bench.status(lambda level, text, values: text == f'lens message refused: {reason}')
        bench.send(0)
        bench.status(lambda level, text, values: values.get('drops.lens') == '1')
        bench.send(1, lens_state(focus_dioptre=0.8), 'lens')
        bench.send(1)
        bench.depth(1)
        assert [lens.focus_dioptre for lens in bench.estimator.lenses] == [0.8]


def test_unknown_lens_names_are_named_once():
    with Bench(parameters=BY_MESSAGE).connect(('lens', lens_state(wheel=1, focus_dioptre=0.4, arm=2))) as bench:
        sentence = 'lens message has unknown names: arm, wheel'
        level = bench.status(lambda level, text, values: values.get('condition.lens') == sentence)[0]
        assert level == DiagnosticStatus.WARN


def test_a_stamp_that_jumps_back_starts_anew():
    with Bench().connect() as bench:
        bench.send(10)
        bench.depth(10)
        resets = bench.estimator.resets
        bench.send(8.5)
        bench.status(lambda level, text, values: 'image stamp jumped back by 1.500 s' in text)
        bench.depth(8.5)
        assert bench.estimator.resets == resets + 1


def test_compressed_images():
    image = picture(red=30, height=16, width=16)
    encoded = CompressedImage(format='png', data=cv2.imencode('.png', image[..., ::-1])[1].tobytes())
    topic = 'image_raw/compressed'
    with Bench(parameters=LENS | {'image_transport': 'compressed'}).connect(topic=topic, image=encoded) as bench:
        bench.send(0, CompressedImage(format='jpeg', data=b'no'), topic)
        sentence = "compressed image of format 'jpeg' with 2 bytes cannot be decoded"
        bench.status(lambda level, text, values: text == sentence)
        bench.send(1, encoded, topic)
        np.testing.assert_allclose(bench.depth(1), 3.0)


def test_the_compressed_topic_follows_a_remapped_image():
    with Bench(
        parameters=LENS | {'image_transport': 'compressed'}, cli_args=['--ros-args', '-r', 'image_raw:=/front/image']
    ) as bench:
        assert '/front/image/compressed' in [subscription.topic_name for subscription in bench.node.subscriptions]


def test_names_are_relative():
    with Bench(namespace='/robot').connect() as bench:
        status = bench.received['/diagnostics']
        assert wait(lambda: status)[0].status[0].name == 'robot/depth_node: depth'
        assert bench.node._outputs._publishers['lens_used'].topic_name == '/robot/lens_used'


def test_reliable_and_best_effort_listeners_both_receive():
    with Bench() as bench:
        bench.listen('depth/sigma', qos=qos.sensor_data())
        bench.listen('depth/sigma', qos=qos.reliable())
        bench.connect()
        bench.send(0)
        wait(lambda: len(bench.received['depth/sigma']) == 2)


def test_an_incompatible_listener_is_named():
    durable = qos.reliable()
    durable.durability = type(durable.durability).TRANSIENT_LOCAL
    with Bench() as bench:
        bench.listen('depth/sigma', qos=durable)
        sentence = 'a subscriber of depth/sigma wants an incompatible DURABILITY'
        bench.status(lambda level, text, values: values.get('condition.qos.depth/sigma') == sentence)


def test_an_incompatible_camera_is_named():
    override = {'qos_overrides./image_raw.subscription.reliability': 'reliable'}
    with Bench(parameters=LENS | override) as bench:
        bench.tester.create_publisher(Image, 'image_raw', qos.sensor_data())
        sentence = 'a publisher of image_raw offers an incompatible RELIABILITY'
        bench.status(lambda level, text, values: values.get('condition.qos.image_raw') == sentence)


def test_qos_can_be_overridden():
    name = 'qos_overrides./depth/image_rect.publisher.depth'
    with Bench(parameters=LENS | {name: 7}) as bench:
        assert bench.node.get_parameter(name).value == 7
        assert bench.node.get_parameter('qos_overrides./image_raw.subscription.reliability').value == 'best_effort'


def test_the_diagnostics_name_model_device_and_latency():
    with Bench().connect() as bench:
        now = time.time() - START
        for index in range(3):
            bench.send(now + index / 100)
            bench.depth(now + index / 100)
        values = bench.status(lambda level, text, values: 'latency_p99_ms' in values)[2]
        assert (values['model'], values['weights_digest'], values['device']) == ('fake', 'd1935', 'cpu')
        assert values['notes'] == 'little blur to read' and float(values['processing_p50_ms']) < 1000
        assert abs(float(values['latency_p50_ms'])) < 5000 and float(values['rate_hz']) > 0
