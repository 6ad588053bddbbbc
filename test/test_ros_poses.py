"""Where the camera was: poses from messages, by stamp, and from tf."""

import math
import sys
import types

import numpy as np
import pytest

pytest.importorskip('rclpy')

from geometry_msgs.msg import Point, Pose, PoseStamped, Quaternion
from node_bench import FRAME_ID
from trainer_bench import TrainerBench

from dfd_depth_ros.ros import messages, poses, trainer_node


@pytest.fixture(autouse=True)
def quick_reports(ros, monkeypatch):
    monkeypatch.setattr(trainer_node, 'REPORT_PERIOD_S', 0.05)


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
