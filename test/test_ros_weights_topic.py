"""The topic `weights` of depth_node over real DDS: refusals, the pin, the swap between two images, the way back."""

import hashlib
import json

import numpy as np
import pytest

pytest.importorskip('rclpy')

import torch
from diagnostic_msgs.msg import DiagnosticStatus
from node_bench import LENS, Bench, FakeEstimator, picture, wait
from rclpy.parameter import Parameter
from safetensors.torch import save
from std_msgs.msg import UInt8MultiArray

from dfd_depth_ros.estimation.estimate import Estimate
from dfd_depth_ros.estimation.swap import candidate_estimator
from dfd_depth_ros.networks.model import DfdModel
from dfd_depth_ros.networks.weights import FORMAT, to_bytes
from dfd_depth_ros.ros import depth_node, qos

WHOLE = to_bytes(DfdModel(), {})


@pytest.fixture(autouse=True)
def quick_reports(ros, monkeypatch):
    monkeypatch.setattr(depth_node, 'REPORT_PERIOD_S', 0.05)


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class Learned(FakeEstimator):
    """Ten metres everywhere, or what else the weights {"depth": ...} say."""

    def __init__(self, data):
        super().__init__()
        self.digest, self.values = sha(data), json.loads(data)

    def estimate(self, image, lens, stamp, *place, turn=lambda: None):
        turn()
        depth = np.full(image.shape[:2], self.values.get('depth', 10.0), np.float32)
        return Estimate(depth, depth / 100, depth, np.ones_like(depth))


def learned(data, present):
    if not data.startswith(b'{'):
        return candidate_estimator(data, present)
    return Learned(data)


def as_data(**values) -> bytes:
    return json.dumps(values).encode()


class WeightsBench(Bench):
    """A depth node with a trainer beside it."""

    def __init__(self, parameters=LENS, **options):
        super().__init__(parameters=parameters, renew=learned, **options)
        self.trainer = self.tester.create_publisher(UInt8MultiArray, 'weights', qos.latched())

    def publish(self, data: bytes):
        message = UInt8MultiArray()
        message.data.frombytes(data)
        self.trainer.publish(message)

    def facts(self, **wanted):
        return self.status(lambda level, text, values: values | wanted == values)


def foreign() -> bytes:
    return save({'weight': torch.zeros(3)})


def of_wrong_shape() -> bytes:
    state = DfdModel().state_dict()
    name = next(name for name, value in state.items() if value.ndim == 4)
    state[name] = state[name][:1].clone()
    return save(state, {'format': FORMAT, 'architecture': 'dfd_small'})


def not_finite() -> bytes:
    model = DfdModel()
    with torch.no_grad():
        model.sigma_scale.fill_(float('nan'))
    return to_bytes(model, {})


REFUSED = {
    'empty': (lambda: b'', 'weights from the topic are truncated or not a safetensors file'),
    'truncated': (lambda: WHOLE[: len(WHOLE) // 2], 'weights from the topic are truncated or not a safetensors file'),
    'foreign': (foreign, f"weights from the topic are not of this package: format is None, not '{FORMAT}'"),
    'shape': (
        of_wrong_shape,
        'weights from the topic do not fit dfd_small: Error(s) in loading state_dict for DfdModel',
    ),
    'nan': (not_finite, 'weights from the topic hold values that are not finite, first in sigma_scale'),
}


@pytest.mark.parametrize('case', REFUSED)
def test_bad_weights_are_named_and_change_nothing(case):
    make, sentence = REFUSED[case]
    with WeightsBench().connect() as bench:
        bench.publish(make())
        level, text, _ = bench.status(lambda level, text, values: text.startswith(sentence))
        assert level == DiagnosticStatus.ERROR and '\n' not in text
        assert case == 'shape' or text == sentence
        bench.send(0, picture(red=30))
        np.testing.assert_allclose(bench.depth(0), 3.0)
        level = bench.facts(weights_digest='d1935', weights_source='file')[0]
        assert bench.settled()['drops'] == 0


def test_good_weights_take_over_between_two_images():
    with WeightsBench().connect() as bench:
        bench.facts(weights_source='file')
        data = as_data(depth=7.0)
        bench.publish(data)
        bench.facts(weights_digest=sha(data), weights_source='topic')
        bench.send(0)
        np.testing.assert_allclose(bench.depth(0), 7.0)
        bench.publish(as_data(depth=8.0))
        bench.facts(weights_digest=sha(as_data(depth=8.0)))
        bench.send(1)
        np.testing.assert_allclose(bench.depth(1), 8.0)
        assert bench.settled() == {'inputs': 2, 'outputs': 2, 'drops': 0, 'pending': 0}


def test_an_image_in_work_is_finished_with_the_weights_it_began_with():
    estimator, opened = FakeEstimator(), []
    with WeightsBench(estimator=estimator).connect() as bench:
        estimator.hurdle = lambda: wait(lambda: opened)
        bench.send(0, picture(red=30))
        wait(lambda: bench.since()['inputs'] == 1 and not bench.node._worker._waiting)
        bench.publish(as_data(depth=5.0))
        wait(lambda: bench.node._hot_swap._ready)
        bench.send(1)
        wait(lambda: bench.since()['inputs'] == 2)
        opened.append(True)
        np.testing.assert_allclose(bench.depth(0), 3.0)
        np.testing.assert_allclose(bench.depth(1), 5.0)


def test_a_late_node_gets_the_last_weights():
    node = Bench(topics=())
    publisher = node.tester.create_publisher(UInt8MultiArray, 'weights', qos.latched())
    message = UInt8MultiArray()
    message.data.frombytes(as_data(depth=6.0))
    publisher.publish(message)
    with node, WeightsBench() as bench:
        bench.facts(weights_digest=sha(as_data(depth=6.0)), weights_source='topic')


def test_the_pin():
    good, other = as_data(depth=4.0), as_data(depth=5.0)
    with WeightsBench(LENS | {'weights_pin': sha(good)}).connect() as bench:
        bench.publish(other)
        sentence = f'weights from the topic have the digest {sha(other)}; weights_pin allows only {sha(good)}'
        bench.status(lambda level, text, values: text == sentence)
        bench.publish(good)
        bench.facts(weights_digest=sha(good))
        assert bench.node.set_parameters([Parameter('weights_pin', value='')])[0].successful
        bench.publish(other)
        bench.facts(weights_digest=sha(other))


def test_a_node_that_does_not_listen():
    with WeightsBench(LENS | {'weights_topic': False}).connect() as bench:
        assert not bench.node.count_subscribers('weights')


def test_the_way_back():
    data = as_data(depth=float('nan'))
    with WeightsBench().connect() as bench:
        bench.publish(data)
        bench.facts(weights_digest=sha(data))
        for index in range(3):
            bench.send(index, picture(red=30))
            depth = bench.depth(index)
        np.testing.assert_allclose(depth, 3.0)
        sentence = (
            f'weights from the topic with the digest {sha(data)} failed in 3 frames, they leave 100 % of the pixels '
            'unknown; those before are back'
        )
        level, _, values = bench.status(lambda level, text, values: values.get('condition.weights') == sentence)
        assert level == DiagnosticStatus.WARN
        assert (values['weights_digest'], values['weights_source']) == ('d1935', 'file')
        bench.publish(data)
        refusal = (
            f'weights from the topic with the digest {sha(data)} are refused: they leave 100 % of the pixels unknown'
        )
        assert bench.status(lambda level, text, values: text == refusal)[0] == DiagnosticStatus.ERROR
        bench.publish(as_data(depth=5.0))
        bench.status(lambda level, text, values: 'condition.weights' not in values)


def test_weights_that_come_while_the_node_is_inactive_wait_for_it():
    with WeightsBench(LENS | {'autostart': False}) as bench:
        bench.node.trigger_configure()
        bench.publish(as_data(depth=6.0))
        wait(lambda: bench.node._hot_swap._ready)
        bench.facts(weights_source='file')
        bench.node.trigger_activate()
        bench.facts(weights_source='topic')
        bench.connect()
        bench.send(0)
        np.testing.assert_allclose(bench.depth(0), 6.0)
        for transition in ('deactivate', 'cleanup', 'configure'):
            getattr(bench.node, f'trigger_{transition}')()
        assert bench.node._estimator.source == 'file'
        bench.node.trigger_activate()
        bench.facts(weights_source='topic')


def test_a_volatile_trainer_is_named():
    with WeightsBench() as bench:
        bench.tester.create_publisher(UInt8MultiArray, 'weights', qos.reliable())
        sentence = 'a publisher of weights offers an incompatible DURABILITY'
        bench.status(lambda level, text, values: values.get('condition.qos.weights') == sentence)


def test_the_loss_of_the_trainer_harms_nothing():
    with WeightsBench().connect() as bench:
        bench.publish(as_data(depth=6.0))
        bench.facts(weights_source='topic')
        bench.tester.destroy_publisher(bench.trainer)
        wait(lambda: not bench.node.count_publishers('weights'))
        bench.send(0)
        np.testing.assert_allclose(bench.depth(0), 6.0)
        assert bench.settled()['drops'] == 0
