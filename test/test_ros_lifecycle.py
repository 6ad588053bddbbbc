"""Twenty lives of depth_node: every transition works as the first time, and what a life took is given back."""

import gc
import os
import weakref
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('rclpy')

from node_bench import LENS, Bench, FakeEstimator, picture, wait
from rclpy.parameter import Parameter

from dfd_depth_ros.networks.model import DfdModel
from dfd_depth_ros.networks.weights import save_weights
from dfd_depth_ros.ros import depth_node, outputs
from dfd_depth_ros.ros.depth_node import FAILURE, SUCCESS, load_estimator
from dfd_depth_ros.ros.outputs import RCLError
from dfd_depth_ros.ros.parameters import DEPTH_PARAMETERS

LIVES = 20
LARGE = 64_000_000  # bytes of the networks of a test; so much must not be kept
TOLERANCE = 24_000_000  # bytes that the process may grow by in twenty lives


def resident() -> int:
    """Bytes of memory that this process holds."""
    return int(Path('/proc/self/statm').read_text().split()[1]) * os.sysconf('SC_PAGE_SIZE')


class LargeEstimator(FakeEstimator):
    """Weights that show in the memory of the process."""

    def __init__(self):
        super().__init__()
        self.weights = np.ones(LARGE, np.uint8)


def live(node, image=None):
    """One life from configure to cleanup, with an image in it."""
    assert node.trigger_configure() == SUCCESS
    assert node.trigger_activate() == SUCCESS
    if image is not None:
        before = node.monitor.counts()['outputs']
        node._on_image(depth_node.messages.to_image(image, depth_node.messages.to_header(0, 'camera')))
        wait(lambda: node.monitor.counts()['outputs'] > before, 'depth')
    assert node.trigger_deactivate() == SUCCESS
    assert node.trigger_cleanup() == SUCCESS


def is_refused(trigger) -> bool:
    """Whether a transition is not possible now; Jazzy raises where Kilted returns an error."""
    try:
        return trigger() != SUCCESS
    except RCLError:
        return True


@pytest.fixture
def unconfigured(ros):
    """make(load, **options) -> a node that nobody has configured."""
    made = []

    def make(load, parameters=LENS, **options):
        overrides = [Parameter(name, value=value) for name, value in (parameters | {'autostart': False}).items()]
        made.append(depth_node.DepthNode(load=load, parameter_overrides=overrides, **options))
        return made[-1]

    yield make
    for node in made:
        node.destroy_node()


def test_twenty_lives_and_then_depth_over_dds(ros):
    with Bench() as bench:
        bench.connect()
        bench.node.trigger_deactivate()
        bench.node.trigger_cleanup()
        for _ in range(LIVES):
            live(bench.node)
            wait(lambda: not bench.node.count_publishers('depth/image_rect'))
        assert bench.node.trigger_configure() == SUCCESS and bench.node.trigger_activate() == SUCCESS
        bench.received['depth/image_rect'].clear()
        bench.connect()
        bench.send(0, picture(red=30))
        np.testing.assert_allclose(bench.depth(0), 3.0)
        names = [publisher.topic_name for publisher in bench.node.publishers]
        assert all(names.count(f'/{topic}') == 1 for topic in outputs.TOPICS)


@pytest.mark.skipif(not Path('/proc/self/statm').exists(), reason='reads /proc')
def test_the_memory_of_the_networks_is_given_back(unconfigured):
    node = unconfigured(lambda settings: LargeEstimator())
    for _ in range(3):
        live(node, picture())
    before = resident()
    for _ in range(LIVES):
        live(node, picture())
    grown = resident() - before
    assert grown < TOLERANCE < LARGE, f'{grown / 1e6:.1f} MB after {LIVES} lives'


def test_the_networks_themselves_are_gone_after_cleanup_and_after_shutdown(unconfigured, tmp_path):
    save_weights(tmp_path / 'untrained.safetensors', DfdModel(), {})
    seen = []

    def load(settings):
        estimator = load_estimator(settings)
        seen.append(weakref.ref(estimator.model))
        return estimator

    node = unconfigured(load, LENS | {'weights': str(tmp_path / 'untrained.safetensors'), 'device': 'cpu'})
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    for _ in range(2):
        live(node, image)
    assert node.trigger_configure() == SUCCESS and node.trigger_activate() == SUCCESS
    assert node.trigger_shutdown() == SUCCESS
    gc.collect()
    assert [ref() for ref in seen] == [None] * 3


@pytest.mark.parametrize('step', ['load', 'subscribe'])
def test_a_life_that_fails_to_begin_leaves_nothing_behind(step, unconfigured, monkeypatch):
    def fail(*_):
        raise ValueError('not today')

    node = unconfigured(fail if step == 'load' else lambda settings: FakeEstimator())
    if step == 'subscribe':
        monkeypatch.setattr(node, '_subscribe', fail)
    count = len(list(node.publishers))
    for _ in range(LIVES):
        assert node.trigger_configure() == FAILURE
    assert len(list(node.publishers)) == count
    monkeypatch.undo()
    node._load = lambda settings: FakeEstimator()
    live(node, picture())


def test_transitions_that_are_not_possible_change_nothing(unconfigured):
    node = unconfigured(lambda settings: FakeEstimator())
    for trigger in (node.trigger_activate, node.trigger_deactivate, node.trigger_cleanup):
        assert is_refused(trigger)
    live(node, picture())


def test_an_image_that_does_not_end_delays_neither_deactivation_nor_the_next_life(unconfigured, monkeypatch):
    monkeypatch.setattr(depth_node, 'STOP_TIMEOUT_S', 0.01)
    opened = []
    estimator = FakeEstimator(lambda: wait(lambda: opened))
    node = unconfigured(lambda settings: estimator)
    node.trigger_configure()
    node.trigger_activate()
    node._on_image(depth_node.messages.to_image(picture(), depth_node.messages.to_header(0, 'camera')))
    wait(lambda: estimator.lenses)
    assert node.trigger_deactivate() == SUCCESS
    assert node.trigger_activate() == FAILURE
    assert node.monitor.report(False)[1] == 'cannot activate: the last image is still in work'
    assert node.trigger_cleanup() == SUCCESS and node.trigger_configure() == SUCCESS
    opened.append(True)
    node._ended.stop(30)
    assert node.trigger_activate() == SUCCESS
    assert node.monitor.counts()['pending'] == 0


def test_shutdown_from_every_state(unconfigured):
    for triggers in ((), ('configure',), ('configure', 'activate'), ('configure', 'activate', 'deactivate')):
        node = unconfigured(lambda settings: FakeEstimator())
        for name in triggers:
            assert getattr(node, f'trigger_{name}')() == SUCCESS
        assert node.trigger_shutdown() == SUCCESS
        assert node._estimator is node._worker is None
        assert is_refused(node.trigger_configure)


def test_every_parameter_changes_when_it_may_and_says_why_it_may_not(unconfigured):
    node = unconfigured(lambda settings: FakeEstimator())

    def answers():
        """Reason of refusal by name, empty where it is accepted: each parameter is set to what it is."""
        given = {name: Parameter(name, value=node.settings[name]) for name in DEPTH_PARAMETERS}
        return {name: node.set_parameters([parameter])[0].reason for name, parameter in given.items()}

    assert not any(answers().values())
    node.trigger_configure()
    node.trigger_activate()
    for name, reason in answers().items():
        refusal = f'parameter {name} can only change while the node is unconfigured'
        assert reason == ('' if DEPTH_PARAMETERS[name].live else refusal)
    node.trigger_deactivate()
    node.trigger_cleanup()
    assert not any(answers().values())
