"""Two thousand hostile messages: no node dies of them, and afterwards a good frame gives what it gave before.

Most go straight to the callbacks, in one process; some over DDS. The seeds are fixed.
"""

import time

import numpy as np
import pytest

pytest.importorskip('rclpy')

import hostile
from geometry_msgs.msg import PoseStamped
from hypothesis import HealthCheck, given, settings
from node_bench import CAMERA, FRAME_ID, LENS, Bench, wait
from rclpy.parameter import Parameter
from sensor_msgs.msg import JointState
from std_msgs.msg import UInt8MultiArray
from trainer_bench import FakeLearner, TrainerBench

from dfd_depth_ros.estimation.estimator import make_estimator
from dfd_depth_ros.networks.weights import from_bytes
from dfd_depth_ros.ros import messages, qos, trainer_node
from dfd_depth_ros.ros.depth_node import DepthNode

MANY, FEW = 270, 40  # messages for each input: straight to the callback, over DDS
BY_MESSAGE = {'lens.source': 'joint_state', 'lens.wait_s': 0.0, 'weights': '', 'queue_size': 1000}
PICTURE = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
GOOD_S = 2**31 - 1  # a stamp that none comes after


def fuzz(strategy, send, count):
    """Send `count` messages of the strategy, the same ones in every run."""

    @settings(
        max_examples=count, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(strategy)
    def run(message):
        sent.append(1)
        send(message)

    sent = []
    run()
    assert len(sent) >= count


def untrained(settings=None):
    """The estimator of the weights that the strategies damage: damage to the training record alone changes nothing."""
    model, _, digest = from_bytes(hostile.WHOLE, 'whole')
    return make_estimator(model, digest, 'cpu', 'none')


def good_header():
    return messages.to_header(GOOD_S * 10**9, FRAME_ID)


def good_inputs():
    """Topic and message of a frame whose depth is known."""
    return {
        'camera_info': messages.to_camera_info(CAMERA, 48, 64, good_header()),
        'lens': JointState(header=good_header(), name=['focus_dioptre'], position=[0.4]),
        'image_raw': messages.to_image(PICTURE, good_header()),
    }


class Straight:
    """A depth node whose callbacks are called from here. depths: what it has published, newest last."""

    def __init__(self, transport):
        values = LENS | BY_MESSAGE | {'image_transport': transport}
        self.node = DepthNode(
            load=untrained,
            parameter_overrides=[Parameter(name, value=value) for name, value in values.items()],
        )
        self.depths = []
        publish = self.node._outputs.publish_depth
        self.node._outputs.publish_depth = lambda result: (publish(result), self.depths.append(result.estimate.depth))
        self.worker = self.node._worker

    def settle(self):
        wait(lambda: not (self.node._hot_swap and self.node._hot_swap.is_testing()), 'the end of the test of weights')
        wait(lambda: not self.node.monitor.counts()['pending'] and not self.worker._errand, 'the end of the work')
        assert all(thread.is_alive() for thread in self.worker._threads) and self.node._worker is self.worker

    def send(self, callback):
        def send(message):
            callback(message)
            self.settle()

        return send

    def good_depth(self):
        """Depth of the good frame, after its calibration and its lens."""
        inputs = good_inputs()
        self.node._inputs.on_camera_info(inputs['camera_info'])
        self.node._inputs.on_lens(inputs['lens'])
        count = len(self.depths)
        self.node._on_image(inputs['image_raw'])
        self.settle()
        assert len(self.depths) == count + 1, self.node.monitor.report(True)[1]
        return self.depths[-1]


@pytest.fixture(params=['raw', 'compressed'])
def straight(ros, request):
    bench = Straight(request.param)
    yield bench
    bench.node.destroy_node()


def test_the_depth_node_survives_its_callbacks(straight):
    node, before = straight.node, straight.good_depth()
    is_raw = node.settings['image_transport'] == 'raw'
    fuzz(hostile.images() if is_raw else hostile.compressed_images(), straight.send(node._on_image), MANY)
    fuzz(hostile.CAMERA_INFOS, straight.send(node._inputs.on_camera_info), MANY // 2)
    fuzz(hostile.JOINT_STATES, straight.send(node._inputs.on_lens), MANY // 2)
    if is_raw:
        fuzz(hostile.WEIGHTS, straight.send(node._hot_swap._store), MANY)
    counts = node.monitor.counts()
    np.testing.assert_array_equal(straight.good_depth(), before)
    assert np.isfinite(before).all()
    assert counts['inputs'] == counts['outputs'] + counts['drops'] and counts['drops'] > MANY // 4
    assert node.monitor.report(True)[2]['errors'] != '0'


def test_every_hostile_lens_and_camera_meets_an_image(straight):
    """The garbage is not only stored: an image is served with it, or dropped."""
    node = straight.node
    image = good_inputs()['image_raw']
    before = straight.good_depth()

    def send(pair):
        info, lens = pair
        lens.header.stamp = image.header.stamp
        node._inputs.on_camera_info(info)
        node._inputs.on_lens(lens)
        node._on_image(image)
        straight.settle()

    fuzz(hostile.st.tuples(hostile.CAMERA_INFOS, hostile.JOINT_STATES), send, MANY // 2)
    assert len(straight.depths) > 10
    assert not any((depth == 0).any() for depth in straight.depths), 'zero is never depth'
    np.testing.assert_array_equal(straight.good_depth(), before)


def test_the_trainer_survives_its_callbacks(ros, tmp_path):
    values = LENS | BY_MESSAGE | {'background': False, 'state_dir': str(tmp_path), 'budget': 1.0, 'pose.wait_s': 0.0}
    values = {name: value for name, value in values.items() if name in trainer_node.TRAINER_PARAMETERS}
    learner = FakeLearner()
    node = trainer_node.TrainerNode(
        make=lambda settings: learner,
        parameter_overrides=[Parameter(name, value=value) for name, value in values.items()],
    )

    def send(callback):
        def send(message):
            callback(message)
            wait(lambda: not node.monitor.counts()['pending'], 'the end of the look')
            assert node._loop._thread.is_alive()

        return send

    def good():
        """What the learner is told about the good frame."""
        node._inputs.on_camera_info(good_inputs()['camera_info'])
        node._inputs.on_lens(good_inputs()['lens'])
        node._poses.on_pose(good_pose())
        send(node._on_image)(good_inputs()['image_raw'])
        return learner.seen[-1]

    before = good()
    fuzz(hostile.images(), send(node._on_image), MANY)
    fuzz(hostile.CAMERA_INFOS, send(node._inputs.on_camera_info), MANY // 2)
    fuzz(hostile.JOINT_STATES, send(node._inputs.on_lens), MANY // 2)
    fuzz(hostile.POSES, send(node._poses.on_pose), MANY)
    for old, new in zip(before, good(), strict=True):
        np.testing.assert_equal(new, old)
    steps = learner.steps
    wait(lambda: learner.steps > steps)
    node.destroy_node()


def good_pose():
    pose = PoseStamped(header=good_header())
    pose.pose.orientation.w = 1.0
    return pose


def test_the_depth_node_survives_them_over_dds(ros):
    estimator = untrained()
    estimator.lenses = []
    with Bench(estimator, parameters=LENS | {'lens.source': 'joint_state', 'lens.wait_s': 0.05}) as bench:
        lens = JointState(name=['focus_dioptre'], position=[0.4])
        bench.publishers['weights'] = bench.tester.create_publisher(UInt8MultiArray, 'weights', qos.latched())
        bench.connect(('camera_info', good_inputs()['camera_info']), ('lens', lens), image=PICTURE)

        def good(stamp):
            def sent():
                bench.send(stamp, lens, 'lens')
                bench.send(stamp, PICTURE)
                time.sleep(0.05)
                return bench.received['depth/image_rect']

            bench.received['depth/image_rect'].clear()
            wait(sent, 'depth')
            return bench.depth(stamp)

        before = good(0)
        inputs = {
            'image_raw': hostile.images(),
            'camera_info': hostile.CAMERA_INFOS,
            'lens': hostile.JOINT_STATES,
            'weights': hostile.WEIGHTS,
        }
        for topic, strategy in inputs.items():
            fuzz(strategy, bench.publishers[topic].publish, FEW)
        wait(lambda: bench.since()['inputs'] > 2)
        np.testing.assert_array_equal(good(1), before)


def test_the_trainer_survives_them_over_dds(ros, tmp_path):
    with TrainerBench(tmp_path, parameters=LENS | {'pose.wait_s': 0.0}).connect() as bench:
        inputs = {
            'image_raw': hostile.images(),
            'camera_info': hostile.CAMERA_INFOS,
            'pose': hostile.POSES,
        }
        for topic, strategy in inputs.items():
            fuzz(strategy, bench.publishers[topic].publish, FEW)

        def good():
            bench.send(GOOD_S // 2, PICTURE)
            time.sleep(0.02)
            return any(np.array_equal(seen[0], PICTURE) for seen in bench.learner.seen)

        wait(good, 'a look at a good picture')
        steps = bench.learner.steps
        wait(lambda: bench.learner.steps > steps)


def test_the_messages_are_hostile():
    """The strategies reach what they are for: unreadable images, cut pictures, lenses that are none."""
    seen = {'good': 0, 'bad': 0}

    def read(message):
        try:
            messages.to_rgb(message, 10_000)
            seen['good'] += 1
        except ValueError:
            seen['bad'] += 1

    fuzz(hostile.compressed_images(), read, 200)
    assert min(seen.values()) > 10
