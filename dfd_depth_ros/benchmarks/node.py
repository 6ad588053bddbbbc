"""Suite `node`: what `depth_node` sustains over real DDS, and how old its depth is when somebody gets it."""

import tempfile
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
from tqdm import tqdm

from dfd_depth_ros.evaluation.scoring import latency_ms
from dfd_depth_ros.evaluation.timing import recorded_timing
from dfd_depth_ros.scenes.bags import Times, stamp_ns

IMAGE, DEPTH, STATE = 'image_raw', 'depth/image_rect', 'training/state'
SLOWEST_HZ, FASTEST_HZ, HALVINGS = 0.5, 60.0, 6
MAX_LOSS = 0.05
SETTLE_S, DRAIN_S = 1.0, 2.0
LOOP = 16  # frames of the simulated camera, enough to learn from
EASY, LEARNING_S = 0.5, 15.0  # share of the sustained rate at which a trainer runs beside, and its time to begin


class Arrivals:
    """A writer for `Recorder` that keeps when messages were sent and came, not what they said."""

    def __init__(self):
        self._pairs = defaultdict(list)

    def write(self, topic: str, msgtype: str, data: bytes, receive_ns: int) -> None:
        """Keep stamp and receive time."""
        self._pairs[topic].append((stamp_ns(data), receive_ns))

    def close(self) -> None:
        """Nothing is open."""

    def between(self, topic: str, start_ns: int, end_ns: int) -> Times:
        """Messages of a topic with a stamp in this interval."""
        pairs = [pair for pair in self._pairs[f'/{topic}'] if start_ns <= pair[0] < end_ns]
        return Times(*np.array(pairs, np.int64).reshape(-1, 2).T)


def run(weights: str, size: tuple[int, int] = (640, 480), seconds: float = 5.0) -> dict:
    """Feed a depth_node process from a camera_simulator process at rates found by bisection, `seconds` at each.

    Returns `sustained_hz`, the highest rate offered of which less than 5 % was dropped (None where every rate was too
    much), at that rate `p50_ms`, `p95_ms`, `p99_ms` from stamp to receipt of depth and `transport_ms` from stamp to
    receipt of the bare image in a third process, and all `trials`. `with_trainer` compares p99 at half that rate
    without and with a `trainer_node` beside.
    """
    from dfd_depth_ros.ros.graph import Graph
    from dfd_depth_ros.ros.recorder import TOPICS

    arrivals, topics = Arrivals(), {topic: TOPICS[topic] for topic in (IMAGE, DEPTH, STATE)}
    simulator = {'loop_frames': LOOP, 'rate_hz': SLOWEST_HZ, 'width': size[0], 'height': size[1]}
    with tempfile.TemporaryDirectory() as logs, Graph(arrivals, Path(logs), topics) as graph:
        graph.start('camera_simulator', simulator)
        graph.start('depth_node', {'weights': weights, 'lens.source': 'joint_state'})
        graph.wait_for(DEPTH)
        trials, low, high = [], SLOWEST_HZ, FASTEST_HZ
        for _ in tqdm(range(HALVINGS), desc='node', unit='rate'):
            rate = (low * high) ** 0.5
            trials.append(_trial(graph, arrivals, rate, seconds))
            low, high = (rate, high) if trials[-1]['loss'] < MAX_LOSS else (low, rate)
        beside = _with_trainer(graph, arrivals, weights, EASY * low, seconds, Path(logs))
        graph.stop('camera_simulator')
        graph.stop('depth_node')
    kept_up = [trial for trial in trials if trial['loss'] < MAX_LOSS]
    best = max(kept_up, key=lambda trial: trial['offered_hz'], default=None)
    return {
        'size': list(size),
        'sustained_hz': best and best['offered_hz'],
        **{f'{name}_ms': best and best['latency_ms'][name] for name in ('p50', 'p95', 'p99')},
        'transport_ms': best and best['transport_ms'],
        'with_trainer': beside,
        'trials': trials,
    }


def _with_trainer(graph, arrivals, weights, rate_hz, seconds, folder) -> dict:
    """p99 without and with a trainer that learns from the same camera, and their ratio."""
    alone = _trial(graph, arrivals, rate_hz, 2 * seconds)
    graph.start('trainer_node', {'weights': weights, 'lens.source': 'joint_state', 'state_dir': str(folder / 'state')})
    graph.wait_for(STATE)
    graph.rest(LEARNING_S)
    beside = _trial(graph, arrivals, rate_hz, 2 * seconds)
    graph.stop('trainer_node')
    p99 = [trial['latency_ms']['p99'] for trial in (alone, beside)]
    return {'rate_hz': rate_hz, 'alone_p99_ms': p99[0], 'p99_ms': p99[1], 'ratio': p99[1] / p99[0]}


def _trial(graph, arrivals: Arrivals, rate_hz: float, seconds: float) -> dict:
    graph.set_parameter('camera_simulator', 'rate_hz', rate_hz)
    graph.rest(SETTLE_S)
    start = time.time_ns()
    graph.rest(seconds)
    end = time.time_ns()
    graph.rest(DRAIN_S)
    images, depths = (arrivals.between(topic, start, end) for topic in (IMAGE, DEPTH))
    timing = recorded_timing(images, depths)
    return {
        'asked_hz': rate_hz,
        'offered_hz': timing['images'] / (end - start) * 1e9,
        'loss': timing['drops'] / max(timing['images'], 1),
        'latency_ms': timing['latency_ms'],
        'transport_ms': latency_ms((images.receive_ns - images.stamp_ns) / 1e9),
    }
