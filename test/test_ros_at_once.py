"""Several images at once: the networks look at them side by side, and everything after that goes in order."""

import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch

pytest.importorskip('rclpy')

from node_bench import Bench, FakeEstimator, picture, wait

from dfd_depth_ros.estimation import estimator
from dfd_depth_ros.estimation.estimator import DepthEstimator
from dfd_depth_ros.networks.model import DfdModel
from dfd_depth_ros.optics.lens import Lens
from dfd_depth_ros.ros import depth_node
from dfd_depth_ros.ros.worker import Worker

LENS = Lens.focused_at(2.0, focal_length_m=0.05, f_number=1.4, pixel_pitch_m=5e-5)


class Pair(FakeEstimator):
    """Looks at two images at once. `gates`: by red value, events that hold the networks back; what happened is told in
    `story`."""

    at_once = 2

    def __init__(self):
        super().__init__()
        self.gates, self.story = {}, []

    def reset(self):
        super().reset()
        self.story.append('reset')

    def estimate(self, image, lens, stamp, *place, turn):
        red = int(image[0, 0, 0])
        self.story.append(('looks', red))
        assert red not in self.gates or self.gates[red].wait(10)
        turn()
        self.story.append(('filters', red))
        return super().estimate(image, lens, stamp, *place)

    def has_looked(self, *reds):
        return all(('looks', red) in self.story for red in reds)


@pytest.fixture(autouse=True)
def quick_reports(ros, monkeypatch):
    monkeypatch.setattr(depth_node, 'REPORT_PERIOD_S', 0.05)


def test_two_images_are_in_work_and_depth_comes_in_order():
    pair = Pair()
    with Bench(pair).connect() as bench:
        pair.story.clear()
        pair.gates = {30: threading.Event(), 40: threading.Event()}
        for index, red in enumerate((30, 40)):
            bench.send(index, picture(red))
            wait(lambda red=red: pair.has_looked(red))
        bench.send(2, picture(50))
        pair.gates[40].set()  # the second one is ready first
        time.sleep(0.05)
        assert ('filters', 40) not in pair.story and not pair.has_looked(50)
        pair.gates[30].set()
        assert bench.depth(2).max() == pytest.approx(5.0)
        assert [what for what in pair.story if what[0] == 'filters'] == [('filters', red) for red in (30, 40, 50)]
        stamps = [message.header.stamp.sec for message in bench.received['depth/image_rect']]
        assert stamps == sorted(stamps) and bench.settled()['drops'] == 0


def test_an_image_that_fails_does_not_hold_up_the_next():
    pair = Pair()
    with Bench(pair).connect() as bench:
        pair.gates = {30: threading.Event(), 40: threading.Event()}
        pair.gates[40].set()
        bench.send(0, picture(30))
        wait(lambda: pair.has_looked(30))
        pair.gates[30].wait = lambda _: 1 / 0
        bench.send(1, picture(20, 9, 9))
        pair.gates[30].set()
        bench.depth(1)
        bench.send(2, picture(30))  # fails before its turn
        bench.send(3, picture(40))
        assert bench.depth(3).max() == pytest.approx(4.0)
        assert bench.settled()['drops'] == 1


def test_time_that_jumps_back_is_noticed_in_order():
    pair = Pair()
    with Bench(pair).connect() as bench:
        bench.send(5, picture(20))
        bench.depth(5)
        pair.story.clear()
        pair.gates = {30: threading.Event()}
        for stamp, red in ((6, 30), (1, 40)):
            bench.send(stamp, picture(red))
            wait(lambda red=red: pair.has_looked(red))
        pair.gates[30].set()
        bench.depth(1)
        order = [what for what in pair.story if what == 'reset' or what[0] == 'filters']
        assert order == [('filters', 30), 'reset', ('filters', 40)]


def test_at_overload_every_image_is_accounted_for():
    pair = Pair()
    with Bench(pair).connect() as bench:
        pair.hurdle = lambda: time.sleep(0.004)
        for index in range(150):
            bench.send(index, picture(60 + index % 50))
        bench.depth(149)
        counts = bench.settled()
        wait(lambda: len(bench.received['depth/image_rect']) == counts['outputs'])
        assert counts['outputs'] + counts['drops'] == counts['inputs'] and counts['drops'] > 0


def test_what_two_threads_read_in_turn_is_what_one_reads():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        torch.manual_seed(0)
        made = DepthEstimator(DfdModel(), 'cpu', 'kalman')
        rng = np.random.default_rng(0)
        frames = [rng.integers(0, 256, (64, 96, 3), dtype=np.uint8) for _ in range(3)] * 4
        alone = [made.estimate(frame, LENS, index / 10).depth for index, frame in enumerate(frames)]
        made.reset()
        found = {}

        def look(index, turn):
            found[index] = made.estimate(frames[index], LENS, index / 10, turn=turn).depth

        worker = Worker(look, pytest.fail, len(frames), 2)
        for index in range(len(frames)):
            worker.offer(index)
        wait(lambda: len(found) == len(frames))
        assert worker.stop(10) and list(found) == list(range(len(frames)))
        for index, depth in enumerate(alone):
            np.testing.assert_array_equal(found[index], depth)
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize('threads, images, at_once, each', [(4, 0, 2, 2), (4, 1, 1, 4), (1, 0, 1, 1), (3, 8, 3, 1)])
def test_parameters_share_out_the_threads(monkeypatch, threads, images, at_once, each):
    told = []
    monkeypatch.setattr(torch, 'set_num_threads', told.append)
    monkeypatch.setattr(estimator, 'load_estimator', lambda *_: SimpleNamespace())
    settings = {'threads': threads, 'images_at_once': images, 'device': 'cpu', 'weights': 'w'}
    found = depth_node.load_estimator(settings | {'temporal.filter': 'none', 'cuda_graphs': False})
    assert found.at_once == at_once and told == [each]
