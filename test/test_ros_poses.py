"""Where the camera was: poses from messages, by stamp, and from tf."""

import math
import sys
import types

import numpy as np
import pytest

pytest.importorskip('rclpy')

from geometry_msgs.msg import Point, Pose, PoseStamped, Quaternion
from node_bench import CAMERA, FRAME_ID, Bench, wait
from node_bench import LENS as BLURRED
from trainer_bench import TrainerBench

from dfd_depth_ros.ros import depth_node, messages, poses, trainer_node


@pytest.fixture(autouse=True)
def quick_reports(ros, monkeypatch):
    for module in (trainer_node, depth_node):
        monkeypatch.setattr(module, 'REPORT_PERIOD_S', 0.05)


def pose_message(x=0.0, w=1.0):
    return PoseStamped(pose=Pose(position=Point(x=x, y=0.0, z=0.0), orientation=Quaternion(w=w)))


def turned(angle):
    matrix = np.eye(4)
    matrix[:2, :2] = [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    matrix[:3, 3] = (1, 2, 3)
    return matrix


@pytest.mark.parametrize('angle', [0.0, 0.3, 3.1, -2.0])
def test_poses_survive_the_message(angle):
    message = poses.to_pose_message(turned(angle), messages.to_header(5, 'map'))
    np.testing.assert_allclose(poses.to_matrix(message.pose.position, message.pose.orientation), turned(angle))
    assert message.header.frame_id == 'map'


def test_the_pose_of_an_image():
    buffer = poses.PoseBuffer()
    assert buffer.match(0, 1.0, 10.0) is None
    for stamp in (10, 20, 30):
        buffer.add(stamp * 10**6, stamp)
    assert buffer.match(20 * 10**6, 0.0, 0.0) == 20
    assert buffer.match(22 * 10**6, 0.005, 0.0) == 20
    assert buffer.match(22 * 10**6, 0.001, 0.0) is None
    assert buffer.match(33 * 10**6, 0.005, 0.0) == 30
    buffer.add(5 * 10**6, 5)
    assert buffer.match(20 * 10**6, 1.0, 0.0) == 5


def test_poses_from_tf(tmp_path, monkeypatch):
    asked = []

    class Buffer:
        def lookup_transform(self, target, source, time, timeout):
            asked.append((target, source, time.nanoseconds))
            if len(asked) == 1:
                raise LookupError('"map" passed to lookupTransform does not exist')
            message = poses.to_pose_message(turned(0.3), messages.to_header(0, 'map')).pose
            return types.SimpleNamespace(
                transform=types.SimpleNamespace(translation=message.position, rotation=message.orientation)
            )

    module = types.SimpleNamespace(Buffer=Buffer, TransformListener=lambda buffer, node: None)
    monkeypatch.setitem(sys.modules, 'tf2_ros', module)
    with TrainerBench(tmp_path, parameters={'pose.fixed_frame': 'map'}).connect() as bench:
        target, source, stamp = asked[-1]
        assert (target, source) == ('map', FRAME_ID) and stamp / 1e9 == pytest.approx(bench.learner.seen[-1][2])
        assert bench.learner.seen[0][3] is None
        np.testing.assert_allclose(bench.learner.seen[-1][3], turned(0.3))


def test_a_missing_tf_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'tf2_ros', None)
    with TrainerBench(tmp_path, parameters={'pose.fixed_frame': 'map'}).connect() as bench:
        bench.state(lambda level, text, values: values.get('condition.tf') == poses.NO_TF)
        assert bench.learner.seen[0][3] is None


def test_the_filter_of_the_depth_node_is_told_where_the_camera_was():
    info = messages.to_camera_info(CAMERA, 6, 8, messages.to_header(0, FRAME_ID))
    with Bench(parameters=BLURRED | {'pose.wait_s': 1.0}) as bench:
        bench.publishers['pose'] = bench.tester.create_publisher(PoseStamped, 'pose', 10)

        def told():
            stamps.append(len(stamps))
            for topic, message in (('camera_info', info), ('pose', pose_message(0.25)), ('image_raw', None)):
                bench.send(stamps[-1], message, topic)
            return [place for place in bench.estimator.places if place[0] is not None and place[1]]

        stamps = []
        pose, camera = wait(told)[0]
        assert camera == CAMERA
        np.testing.assert_allclose(pose, np.eye(4) + 0.25 * np.eye(4, k=3)[0] * np.eye(4)[:, :1])
        assert bench.status(lambda level, text, values: 'pose' in values)[2]['pose'] == 'known'


def test_a_depth_node_without_poses_serves_and_listens_to_tf_only_as_long_as_it_is_configured(monkeypatch):
    asked, ended = [], []

    class Buffer:
        def lookup_transform(self, *question):
            asked.append(question[:2])
            raise LookupError('"map" passed to lookupTransform does not exist')

    class Listener:
        def __init__(self, buffer, node):
            pass

        def unregister(self):
            ended.append(True)

    monkeypatch.setitem(sys.modules, 'tf2_ros', types.SimpleNamespace(Buffer=Buffer, TransformListener=Listener))
    with Bench(parameters=BLURRED | {'pose.fixed_frame': 'map'}).connect() as bench:
        assert asked[-1] == ('map', FRAME_ID) and bench.estimator.places[-1][0] is None
        named = bench.status(lambda level, text, values: 'condition.tf' in values)
        assert named[2]['condition.tf'] == 'no pose from tf: "map" passed to lookupTransform does not exist'
        assert named[2]['pose'] == 'none' and not ended
        bench.node.trigger_deactivate()
        bench.node.trigger_cleanup()
        assert ended == [True]
