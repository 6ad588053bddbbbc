"""Recorder, player and graph: bytes in are bytes out, and whatever was started is stopped."""

import struct
import threading
import time

import numpy as np
import pytest

pytest.importorskip('rclpy')

from functools import partial

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.serialization import deserialize_message
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image, JointState

from dfd_depth_ros.optics.lens import Lens
from dfd_depth_ros.ros import graph, player
from dfd_depth_ros.ros.messages import to_camera_info, to_header, to_image, to_lens_message
from dfd_depth_ros.ros.player import Player, moved
from dfd_depth_ros.ros.processes import graph_environment
from dfd_depth_ros.ros.qos import reliable
from dfd_depth_ros.ros.recorder import Recorder
from dfd_depth_ros.scenes.bags import BagWriter, Recording, read_bag, stamp_ns
from dfd_depth_ros.scenes.frame import Intrinsics

LENS = Lens.focused_at(2.0, focal_length_m=0.05, f_number=2.0, pixel_pitch_m=4e-5)
KINDS = {'image_raw': Image, 'camera_info': CameraInfo, 'lens': JointState}
PATIENCE_S = 30.0


def camera_messages(stamp):
    """One frame of a small camera, by topic."""
    header = to_header(stamp, 'camera')
    pixels = np.random.default_rng(stamp).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    return {
        'image_raw': to_image(pixels, header),
        'camera_info': to_camera_info(Intrinsics(20.0, 20.0, 8.0, 6.0), 12, 16, header),
        'lens': to_lens_message(LENS, header),
    }


def wait(condition):
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, 'what was awaited did not come'
        time.sleep(0.01)


def publishers(node):
    return {topic: node.create_publisher(kind, topic, reliable(100)) for topic, kind in KINDS.items()}


def connect(outputs, recorder):
    """Wait until both ends know of each other: what one end sends earlier may come seconds later."""
    ends = [output.get_subscription_count for output in outputs.values()]
    heard = [entry for entry in recorder.node.subscriptions if entry.topic_name.lstrip('/') in KINDS]
    assert len(heard) == len(KINDS)
    wait(lambda: all(count() for count in [*ends, *(entry.get_publisher_count for entry in heard)]))


@pytest.fixture
def old_bag(ros, tmp_path):
    """Four frames, 20 ms apart, taken five seconds after 1970."""
    node = ros.create_node('old_camera')
    outputs = publishers(node)
    recorder = Recorder(BagWriter(tmp_path / 'old'), KINDS)
    connect(outputs, recorder)
    for index in range(4):
        for topic, message in camera_messages(5_000_000_000 + index * 20_000_000).items():
            outputs[topic].publish(message)
        time.sleep(0.02)
    recorder.stop()
    node.destroy_node()
    return tmp_path / 'old'


def test_what_is_sent_until_the_stop_is_in_the_bag(ros, tmp_path):
    node = ros.create_node('camera')
    outputs = publishers(node)
    recorder = Recorder(BagWriter(tmp_path / 'bag'), KINDS)
    connect(outputs, recorder)
    sent = {topic: [] for topic in KINDS}
    before = time.time_ns()
    for index in range(50):
        for topic, message in camera_messages(index).items():
            outputs[topic].publish(message)
            sent[topic].append(message)
    recorder.stop()
    assert recorder.counts == dict.fromkeys(KINDS, 50)
    read = {topic: [] for topic in KINDS}
    for message in Recording(tmp_path / 'bag').messages():
        topic = message.topic.lstrip('/')
        read[topic].append(deserialize_message(message.data, KINDS[topic]))
        assert before <= message.receive_ns <= time.time_ns()
    assert read == sent
    frames = read_bag(tmp_path / 'bag', LENS)
    assert (len(frames), frames.truncated, frames.notes) == (50, [], [])


def test_recorder_leaves_a_graph_that_never_falls_silent(ros, tmp_path, monkeypatch):
    monkeypatch.setattr('dfd_depth_ros.ros.recorder.PATIENCE_S', 0.5)
    node = ros.create_node('camera')
    outputs = publishers(node)
    recorder = Recorder(BagWriter(tmp_path / 'bag'), KINDS)
    connect(outputs, recorder)
    stopping = threading.Thread(target=recorder.stop)
    stopping.start()
    sent = 0
    while stopping.is_alive():
        outputs['lens'].publish(camera_messages(sent)['lens'])
        sent += 1
        time.sleep(0.01)
    assert 0 < recorder.counts['lens'] <= sent
    assert sum(1 for _ in Recording(tmp_path / 'bag').messages()) == recorder.counts['lens']


@pytest.mark.parametrize('order', ['<', '>'])
def test_moving_a_stamp_changes_the_stamp_alone(order):
    data = bytes([0, order == '<', 0, 0]) + struct.pack(f'{order}iI', 7, 999_999_999) + b'the rest'
    later = moved(data, 2)
    assert stamp_ns(data) == 7_999_999_999 and stamp_ns(later) == 8_000_000_001
    assert later[:4] + later[12:] == data[:4] + data[12:]
    assert moved(later, -2) == data


def test_a_bag_is_played_as_if_it_happened_now(old_bag, tmp_path):
    old = read_bag(old_bag, LENS)
    recorder = Recorder(BagWriter(tmp_path / 'new'), KINDS)
    source = Player(old_bag, old, 'raw')
    source.wait_for_listeners(1)
    wait(lambda: all(output.get_subscription_count() for output in source._outputs.values()))
    start = time.time_ns()
    seconds = list(source.play())
    duration_ns = time.time_ns() - start
    recorder.stop()
    source.close()
    receipts = [message.receive_ns for message in Recording(old_bag).messages()]
    assert duration_ns >= receipts[-1] - old.times['image'].receive_ns[0]
    np.testing.assert_allclose(seconds, (np.array(receipts) - old.times['image'].receive_ns[0]) / 1e9, atol=1e-6)
    new = read_bag(tmp_path / 'new', LENS)
    assert new.topics == {'image': '/image_raw', 'camera_info': '/camera_info', 'lens': '/lens'}
    shift = new.times['image'].stamp_ns - old.times['image'].stamp_ns
    assert len(shift) == 4 and len(set(shift.tolist())) == 1 and new.times['image'].stamp_ns[0] >= start
    for before, after in zip(old, new, strict=True):
        np.testing.assert_array_equal(before.image, after.image)
        assert before.lens == after.lens and before.intrinsics == after.intrinsics


def test_a_bag_is_played_slower_with_a_clock_of_its_own(ros, old_bag):
    ticks, node = [], ros.create_node('clock_reader')
    node.create_subscription(Clock, '/clock', lambda message: ticks.append(message.clock), reliable(1000))
    source = Player(old_bag, read_bag(old_bag, LENS), 'raw', clock=True)
    source.wait_for_listeners(0)
    start = time.monotonic()
    played = list(source.play(rate=0.02))
    assert time.monotonic() - start >= played[-1] / 0.02
    assert sorted(source.sent) == list(source.sent) and len(source.sent) == 4
    wait(lambda: rclpy.spin_once(node, timeout_sec=0.02) or len(ticks) > 5)
    source.close()
    seconds = [tick.sec + tick.nanosec / 1e9 for tick in ticks]
    assert seconds == sorted(seconds) and seconds[-1] - seconds[0] < played[-1] + 0.1


@pytest.mark.parametrize(
    ('listeners', 'sentence'), [(2, 'only 0 of 2 listen to the image'), (0, 'nobody listens to /clock')]
)
def test_player_says_when_nobody_listens(old_bag, monkeypatch, listeners, sentence):
    monkeypatch.setattr(player, 'DISCOVERY_S', 0.1)
    source = Player(old_bag, read_bag(old_bag, LENS), 'raw', clock=True)
    with pytest.raises(RuntimeError) as error:
        source.wait_for_listeners(listeners)
    assert str(error.value) == sentence
    source.close()


def test_graph_shows_why_a_node_ended_and_leaves_nothing_behind(ros_domain, tmp_path, monkeypatch):
    monkeypatch.setattr(graph, 'graph_environment', partial(graph_environment, ros_domain))
    before = dict(graph.os.environ)
    with (
        pytest.raises(graph.GraphError) as error,
        graph.Graph(BagWriter(tmp_path / 'bag'), tmp_path) as running,
    ):
        running.start('camera_simulator', {'width': 64, 'height': 48, 'loop_frames': 1})
        running.start('depth_node', {'lens.policy': 'guess'})
        processes = list(running._processes.values())
        running.wait_for('depth/image_rect')
    assert 'depth_node ended with exit code 1\n  depth_node: ' in str(error.value)
    assert (
        str(error.value)
        .splitlines()[-1]
        .endswith("parameter lens.policy is 'guess'; it must be one of 'drop', 'hold', 'static'")
    )
    assert all(process.poll() is not None for process in processes)
    assert dict(graph.os.environ) == before


def test_graph_says_what_did_not_come(ros_domain, tmp_path, monkeypatch):
    monkeypatch.setattr(graph, 'graph_environment', partial(graph_environment, ros_domain))
    monkeypatch.setattr(graph, 'START_S', 0.2)
    with pytest.raises(graph.GraphError) as error, graph.Graph(BagWriter(tmp_path / 'bag'), tmp_path) as running:
        running.wait_for('depth/image_rect')
    assert str(error.value) == 'no depth/image_rect came within 0 s'


def test_metadata_of_the_lens_are_played_as_such(ros, tmp_path):
    from test_scenes_bag_lenses import images, metadata
    from test_scenes_bags import write

    bag = write(tmp_path / 'bag', [*images(1), ('/cam/lens_metadata', metadata(10**9, LensPosition='0.5'), 10**9)])
    node, heard = ros.create_node('reader'), []
    node.create_subscription(DiagnosticArray, 'lens_metadata', heard.append, reliable())
    source = Player(bag, read_bag(bag, LENS), 'raw')
    wait(source._outputs['/cam/lens_metadata'].get_subscription_count)
    list(source.play())

    def arrived():
        rclpy.spin_once(node, timeout_sec=0.01)
        return heard

    wait(arrived)
    source.close()
    (pair,) = heard[0].status[0].values
    assert (pair.key, pair.value) == ('LensPosition', '0.5')
