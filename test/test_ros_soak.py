"""Endurance: thousands of frames and of training steps in memory that stays flat.

The suite runs a short version with frames; `make soak` sets SOAK_FRAMES and SOAK_STEPS and shows the lines.
"""

import os
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('rclpy')

from node_bench import CAMERA, FRAME_ID, LENS, Bench, wait
from sensor_msgs.msg import Image, JointState, PointCloud2

from dfd_depth_ros.estimation.estimator import make_estimator
from dfd_depth_ros.networks.model import DfdModel
from dfd_depth_ros.optics.lens import Lens
from dfd_depth_ros.ros import messages
from dfd_depth_ros.scenes.frame import Intrinsics
from dfd_depth_ros.training.online import OnlineConfig, OnlineLearner

FRAMES, STEPS = int(os.environ.get('SOAK_FRAMES', 300)), int(os.environ.get('SOAK_STEPS', 0))
SAMPLES, WARM = 60, 1 / 2  # of the memory, and the share of them before it has to be flat
TOLERANCE = 8_000_000  # bytes that the straight line through the samples may rise from there to the end

pytestmark = [
    pytest.mark.skipif(not Path('/proc/self/statm').exists(), reason='reads /proc'),
    pytest.mark.timeout(3600),
]


def resident() -> int:
    """Bytes of memory that this process holds."""
    return int(Path('/proc/self/statm').read_text().split()[1]) * os.sysconf('SC_PAGE_SIZE')


def rise(samples: list[tuple[int, int]]) -> float:
    """Bytes by which the straight line through (count, bytes) rises after the warm-up."""
    counts, sizes = np.array(samples[int(WARM * len(samples)) :], np.float64).T
    return float(np.polyfit(counts - counts[0], sizes, 1)[0] * (counts[-1] - counts[0]))


def soak(what: str, work, count: int):
    """Do work(index) so often, and see that memory stays flat."""
    samples, started = [], time.monotonic()
    for index in range(count):
        work(index)
        if index % max(count // SAMPLES, 1) == 0:
            samples.append((index, resident()))
    took_s = time.monotonic() - started
    line = f'{count} {what} in {took_s:.0f} s: {samples[-1][1] / 1e6:.0f} MB, rise {rise(samples) / 1e6:+.2f} MB'
    print(f'\n{line}, at most {TOLERANCE / 1e6:g} MB')
    assert rise(samples) < TOLERANCE, line


def test_a_rise_is_seen_and_noise_is_none():
    leak = [(index, 1000 * index) for index in range(60)]
    assert rise(leak) == pytest.approx(29_000, rel=0.01)
    noise = np.random.default_rng(0).integers(0, 1000, 60)
    assert abs(rise([(index, 10**8 + int(value)) for index, value in enumerate(noise)])) < 1000


def test_frames_through_the_node_over_dds(ros):
    """Every output has a listener, every frame its own lens state and calibration; none is lost without a count."""
    estimator = make_estimator(DfdModel(), 'untrained', 'cpu', 'ema')
    estimator.lenses = []
    pictures = np.random.default_rng(0).integers(0, 256, (8, 48, 64, 3), np.uint8)
    info = messages.to_camera_info(CAMERA, 48, 64, messages.to_header(0, FRAME_ID))
    lens = JointState(name=['focus_dioptre'], position=[0.4])
    with Bench(estimator, parameters=LENS | {'lens.source': 'joint_state', 'lens.wait_s': 1.0}) as bench:
        for topic, kind in (('depth/points', PointCloud2), ('depth/view', Image), ('depth/sigma', Image)):
            bench.listen(topic, kind)
        bench.connect(('camera_info', info), ('lens', lens), image=pictures[0])

        def work(index):
            for topic, message in (('camera_info', info), ('lens', lens)):
                bench.send(index / 10, message, topic)
            before = bench.since()
            bench.send(index / 10, pictures[index % 8])
            wait(lambda: bench.since()['inputs'] > before['inputs'] and not bench.since()['pending'], 'an answer')
            for received in bench.received.values():
                received.clear()

        soak('frames', work, FRAMES)
        counts = bench.settled()
    assert counts['inputs'] == FRAMES and counts['outputs'] > 0.99 * FRAMES, counts


@pytest.mark.skipif(not STEPS, reason='memory needs some hundred steps to become flat: make soak')
def test_steps_of_the_learner(tmp_path):
    """The learner of this package, fed with new pictures all the time, asked for weights and saved now and then. Its
    rounds and its memory of pictures are short, so that the warm-up sees every stage and a full memory."""
    learner = OnlineLearner(DfdModel(), OnlineConfig(steps=5, capacity=6, window=(48, 64)))
    rng = np.random.default_rng(0)
    camera = Intrinsics(100.0, 100.0, 63.5, 47.5)

    def work(index):
        if index % 2 == 0:
            lens = Lens(0.05, 2.0, 4e-5, 0.4 + 0.2 * (index // 2 % 2))
            picture = np.kron(rng.integers(0, 256, (12, 16, 3)), np.ones((8, 8, 1))).astype(np.uint8)
            learner.add(picture, lens, index / 10, np.eye(4), camera)
        if index % 20 == 19:
            learner.weights()
            learner.save(tmp_path)
        states.add(learner.step().state)

    states = set()
    soak('training steps', work, STEPS)
    assert 'training' in states
