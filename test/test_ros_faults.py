"""Faults of depth_node: each is named, costs the image that it struck, and the next image is served as before."""

import numpy as np
import pytest

pytest.importorskip('rclpy')

import torch
from diagnostic_msgs.msg import DiagnosticStatus
from node_bench import LENS, START, Bench, FakeEstimator, picture, wait
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image

from dfd_depth_ros.estimation import memory
from dfd_depth_ros.estimation.estimator import DepthEstimator
from dfd_depth_ros.networks.model import DfdModel
from dfd_depth_ros.ros import depth_node, qos

ON_GPU = LENS | {'out_of_memory': 'cpu'}


@pytest.fixture(autouse=True)
def quick_reports(ros, monkeypatch):
    monkeypatch.setattr(depth_node, 'REPORT_PERIOD_S', 0.05)


@pytest.fixture
def returned(monkeypatch):
    """One entry for each time that memory is given back to the GPU, which is pretended to be there."""
    calls = []
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(torch.cuda, 'is_initialized', lambda: True)
    monkeypatch.setattr(torch.cuda, 'empty_cache', lambda: calls.append(1))
    return calls


class GpuEstimator(FakeEstimator):
    """Runs out of memory on frames above 100 pixels, as long as it is on the GPU."""

    device = 'cuda'

    def estimate(self, image, lens, stamp, *place, turn=lambda: None):
        if self.device == 'cuda' and image.shape[0] * image.shape[1] > 100:
            raise torch.cuda.OutOfMemoryError('CUDA out of memory. Tried to allocate 2.00 GiB.')
        return super().estimate(image, lens, stamp, turn=turn)

    def on(self, device):
        other = GpuEstimator(self.hurdle)
        other.device, other.lenses = device, self.lenses
        return other


def test_too_little_gpu_memory_costs_one_image(returned):
    with Bench(GpuEstimator()).connect() as bench:
        bench.send(0, picture(height=20, width=20))
        level, text, values = bench.status(lambda level, text, values: level == DiagnosticStatus.ERROR)
        assert text == depth_node.NO_MEMORY and values['drops.memory'] == '1' and values['device'] == 'cuda'
        assert returned == [1]
        bench.send(1, picture(red=30))
        np.testing.assert_allclose(bench.depth(1), 3.0)
        bench.status(lambda level, text, values: level != DiagnosticStatus.ERROR)


def test_too_little_gpu_memory_moves_the_networks_to_the_cpu(returned):
    with Bench(GpuEstimator(), parameters=ON_GPU).connect() as bench:
        bench.send(0, picture(red=30, height=20, width=20))
        np.testing.assert_allclose(bench.depth(0), 3.0)
        level, text, values = bench.status(lambda level, text, values: values['device'] == 'cpu')
        assert level == DiagnosticStatus.WARN and values['condition.device'] == depth_node.ON_CPU
        assert bench.settled()['drops'] == 0 and returned == [1]
        for transition in ('deactivate', 'cleanup', 'configure', 'activate'):
            getattr(bench.node, f'trigger_{transition}')()
        values = bench.status(lambda level, text, values: 'condition.device' not in values)[2]
        assert values['device'] == 'cuda'


@pytest.mark.parametrize('choice', ['fail', 'cpu'])
def test_too_little_gpu_memory_for_the_weights(choice, returned):
    asked = []

    def load(settings):
        asked.append(settings['device'])
        if settings['device'] != 'cpu':
            raise torch.cuda.OutOfMemoryError('CUDA out of memory.')
        return FakeEstimator()

    with Bench(load=load, parameters=LENS | {'out_of_memory': choice}) as bench:
        if choice == 'fail':
            bench.status(lambda level, text, values: text == f'cannot configure: {depth_node.NO_MEMORY}')
            assert bench.node.set_parameters([Parameter('out_of_memory', value='cpu')])[0].successful
            assert bench.node.trigger_configure() == depth_node.SUCCESS
            assert bench.node.trigger_activate() == depth_node.SUCCESS
        bench.connect()
        assert asked[-2:] == ['auto', 'cpu']
        bench.status(lambda level, text, values: values.get('condition.device') == depth_node.ON_CPU)


def test_an_estimator_that_moves_gives_the_same_depth():
    image = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    lens = depth_node.LensSource()
    lens.configure({name: spec.default for name, spec in depth_node.DEPTH_PARAMETERS.items()} | LENS)
    lens = lens.match(0, None).lens
    torch.manual_seed(0)
    estimator = DepthEstimator(DfdModel(), 'cpu')
    before = estimator.estimate(image, lens).depth
    np.testing.assert_allclose(estimator.on('cpu').estimate(image, lens).depth, before, rtol=0.05)


def test_only_a_gpu_without_memory_is_out_of_memory(returned):
    assert memory.is_out_of_memory(torch.cuda.OutOfMemoryError('CUDA out of memory.'))
    assert not any(map(memory.is_out_of_memory, (RuntimeError('out of memory'), MemoryError(), ValueError())))
    memory.give_back()
    assert returned == [1]


def test_without_a_gpu_nothing_is_given_back(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_initialized', lambda: False)
    monkeypatch.setattr(torch.cuda, 'empty_cache', None)
    memory.give_back()


def test_cleanup_gives_gpu_memory_back(returned):
    with Bench().connect() as bench:
        bench.node.trigger_deactivate()
        assert not returned
        bench.node.trigger_cleanup()
        assert returned == [1]


@pytest.mark.parametrize('error', [RuntimeError('CUDA error'), MemoryError(), KeyError('x'), AssertionError('no')])
def test_whatever_the_estimator_raises_costs_one_image(error):
    def hurdle():
        if len(estimator.lenses) == 1:
            raise error

    estimator = FakeEstimator()
    with Bench(estimator).connect() as bench:
        estimator.hurdle = hurdle
        bench.send(0)
        text = f'{type(error).__name__}: {error}'
        level = bench.status(lambda level, what, values: what == text and values['drops.estimator'] == '1')[0]
        assert level == DiagnosticStatus.ERROR
        bench.send(1, picture(red=30))
        np.testing.assert_allclose(bench.depth(1), 3.0)
        assert bench.settled() == {'inputs': 2, 'outputs': 1, 'drops': 1, 'pending': 0}


def test_at_overload_the_latest_image_is_served_and_the_others_are_counted():
    estimator, opened = FakeEstimator(), []
    with Bench(estimator, parameters=LENS | {'queue_size': 1}).connect() as bench:
        estimator.hurdle = lambda: wait(lambda: opened)
        for index in range(10):
            bench.send(index, picture(red=index + 1))
            wait(lambda count=index + 1: bench.since()['inputs'] == count)
            wait(lambda: estimator.lenses)
        opened.append(True)
        np.testing.assert_allclose(bench.depth(9), 1.0)
        assert bench.settled() == {'inputs': 10, 'outputs': 2, 'drops': 8, 'pending': 0}
        bench.status(lambda level, text, values: values['drops'] == str(bench.before['drops'] + 8))


@pytest.mark.parametrize('offset', [-3600.0, 3600.0])
def test_a_camera_whose_clock_is_wrong(offset):
    side = 'ahead of' if offset > 0 else 'behind'
    with Bench().connect() as bench:
        bench.node.monitor.condition('stamps', '')
        now = bench.node.get_clock().now().nanoseconds / 1e9 - START

        def is_named(level, text, values):
            bench.send(now + offset)
            return f' s {side} the clock of this node; ' in values.get('condition.stamps', '')

        text = bench.status(is_named)[2]['condition.stamps']
        assert abs(float(text.split()[3]) - 3600) < 60


@pytest.mark.parametrize(
    ('offered', 'wanted', 'is_named'),
    [
        (qos.sensor_data, 'best_effort', False),
        (qos.reliable, 'best_effort', False),
        (qos.reliable, 'reliable', False),
        (qos.sensor_data, 'reliable', True),
    ],
)
def test_a_camera_of_any_quality_is_heard_or_named(offered, wanted, is_named):
    override = {'qos_overrides./image_raw.subscription.reliability': wanted}
    with Bench(parameters=LENS | override) as bench:
        bench.tester.destroy_publisher(bench.publishers['image_raw'])
        bench.publishers['image_raw'] = bench.tester.create_publisher(Image, 'image_raw', offered())
        if is_named:
            sentence = 'a publisher of image_raw offers an incompatible RELIABILITY'
            bench.status(lambda level, text, values: values.get('condition.qos.image_raw') == sentence)
        else:
            bench.connect()
            bench.send(0)
            assert bench.depth(0).shape == (6, 8)
            bench.status(lambda level, text, values: 'condition.qos.image_raw' not in values)
