"""Suite `node`: what `depth_node` sustains over real DDS, how old its depth is, and what it takes of the machine.

As ros2_benchmark does it: frames are in memory before the clock starts, the highest rate with little loss is searched,
then repeated, and fixed rates follow. The same for a node that answers at once tells the share of the transport, and
Depth Anything V2 Small is timed in the same run.
"""

import hashlib
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
from tqdm import tqdm

from dfd_depth_ros.benchmarks import usage
from dfd_depth_ros.benchmarks.peers import depth_anything
from dfd_depth_ros.evaluation.scoring import latency_ms
from dfd_depth_ros.evaluation.timing import recorded_timing
from dfd_depth_ros.scenes.bags import Times, stamp_ns

IMAGE, DEPTH, STATE = 'image_raw', 'depth/image_rect', 'training/state'
SLOWEST_HZ, FASTEST_HZ, HALVINGS = 0.5, 60.0, 6
FIXED_HZ = (10.0, 30.0, 60.0)
MAX_LOSS = 0.05
A_LITTLE_LESS = (0.9, 0.8, 0.7)  # of a rate that was kept up once and not again
SETTLE_S, DRAIN_S = 1.0, 2.0
LOOP = 16  # frames of the simulated camera, enough to learn from
EASY, LEARNING_S = 0.5, 15.0  # share of the sustained rate at which a trainer runs beside, and its time to begin
STAMP_END = 12  # bytes of a serialised message up to the end of its stamp
QUICK_REPETITIONS, QUICK_S = 1, 2.0


class Arrivals:
    """A writer for `Recorder` that keeps when messages were sent and came, not what they said: of the images only the
    first ones, for their `digest`."""

    def __init__(self):
        self._pairs = defaultdict(list)
        self._images = []

    def write(self, topic: str, msgtype: str, data: bytes, receive_ns: int) -> None:
        """Keep stamp and receive time."""
        self._pairs[topic].append((stamp_ns(data), receive_ns))
        if topic == f'/{IMAGE}' and len(self._images) < 2 * LOOP:
            self._images.append(hashlib.sha256(data[STAMP_END:]).hexdigest())

    def close(self) -> None:
        """Nothing is open."""

    def digest(self) -> str:
        """SHA-256 over the different images among the first ones, whatever their order."""
        return hashlib.sha256(''.join(sorted(set(self._images))).encode()).hexdigest()

    def between(self, topic: str, start_ns: int, end_ns: int) -> Times:
        """Messages of a topic with a stamp in this interval."""
        pairs = [pair for pair in self._pairs[f'/{topic}'] if start_ns <= pair[0] < end_ns]
        return Times(*np.array(pairs, np.int64).reshape(-1, 2).T)


def run(
    weights: str,
    size: tuple[int, int] = (640, 480),
    seconds: float = 5.0,
    repetitions: int = 5,
    device: str = 'cpu',
    graphs: bool = False,
    quick: bool = False,
) -> dict:
    """Feed a depth_node process from a camera_simulator process, `seconds` at each rate. quick: once instead of
    `repetitions` times, two seconds each, and without a trainer.

    Returns `sustained_hz`, the highest rate, found by bisection or fixed, of which less than 5 % was dropped in the
    median of the repetitions (None where every rate was too much), at that rate the medians `p50_ms`, `p95_ms`,
    `p99_ms`, `max_ms` from stamp to receipt of depth and `cpu_percent` of one core, `fixed` rates, `transport_only`
    (the same of `echo_node`), `depth_anything_v2_small` with `ratio_to_depth_anything_v2_small` (sustained_hz over the
    frames that its network alone does in a second), `peak_memory_mb`, `gpu_memory_mb`, `data_digest`, `load` before
    and after, and all `trials`. `with_trainer` compares p99 at half that rate without and with a `trainer_node`
    beside.
    """
    from dfd_depth_ros.ros.graph import Graph
    from dfd_depth_ros.ros.recorder import TOPICS

    if quick:
        repetitions, seconds = QUICK_REPETITIONS, min(seconds, QUICK_S)
    load = [usage.load()]
    peer = depth_anything(device)
    arrivals, topics = Arrivals(), {topic: TOPICS[topic] for topic in (IMAGE, DEPTH, STATE)}
    simulator = {'loop_frames': LOOP, 'rate_hz': SLOWEST_HZ, 'width': size[0], 'height': size[1]}
    node = {'weights': weights, 'lens.source': 'joint_state', 'device': device, 'cuda_graphs': graphs}
    with tempfile.TemporaryDirectory() as logs, Graph(arrivals, Path(logs), topics) as graph:
        graph.start('camera_simulator', simulator)
        transport = _measured(graph, arrivals, 'echo_node', {}, seconds, repetitions)
        graph.stop('echo_node')
        graph.settle(DEPTH)
        numbers = _measured(graph, arrivals, 'depth_node', node, seconds, repetitions)
        beside = None if quick else _with_trainer(graph, arrivals, weights, numbers, seconds, Path(logs))
        graph.stop('camera_simulator')
        graph.stop('depth_node')
    rate = numbers['sustained_hz']
    return {
        'size': list(size),
        **{name: value for name, value in numbers.items() if name != 'trials'},
        'ratio_to_depth_anything_v2_small': rate / peer['fps'] if rate and peer else None,
        'depth_anything_v2_small': peer,
        'transport_only': transport,
        'with_trainer': beside,
        'data_digest': arrivals.digest(),
        'load': [*load, usage.load()],
        'trials': numbers['trials'],
    }


def _measured(graph, arrivals: Arrivals, name: str, parameters: dict, seconds: float, repetitions: int) -> dict:
    """Start a node and measure it: the search, the repetitions, the fixed rates and what it took."""
    graph.start(name, parameters)
    graph.wait_for(DEPTH, after=graph.recorder.counts[DEPTH])
    pid = graph.pid(name)
    trials, low, high = [], SLOWEST_HZ, FASTEST_HZ
    for _ in tqdm(range(HALVINGS), desc=f'{name}: search', unit='rate'):
        rate = (low * high) ** 0.5
        trials.append(_trial(graph, arrivals, rate, seconds, pid))
        low, high = (rate, high) if trials[-1]['loss'] < MAX_LOSS else (low, rate)
    found = _confirmed(graph, arrivals, trials, seconds, repetitions, pid)
    fixed = {
        f'{rate:g}': _median([_trial(graph, arrivals, rate, seconds, pid) for _ in range(repetitions)])
        for rate in tqdm(FIXED_HZ, desc=f'{name}: fixed rates', unit='rate')
    }
    held = [trial for trial in (found, *fixed.values()) if trial and trial['loss'] < MAX_LOSS]
    best = max(held, key=lambda trial: trial['offered_hz'], default=None)
    return {
        'sustained_hz': best and best['offered_hz'],
        **{f'{key}_ms': best and best['latency_ms'][key] for key in ('p50', 'p95', 'p99', 'max')},
        'transport_ms': best and best['transport_ms'],
        'cpu_percent': best and best['cpu_percent'],
        'repetitions': repetitions,
        'seconds': seconds,
        'fixed': fixed,
        'peak_memory_mb': usage.peak_memory_mb(pid),
        'gpu_memory_mb': usage.gpu_memory_mb(pid),
        'trials': trials,
    }


def _confirmed(graph, arrivals, trials, seconds, repetitions, pid) -> dict | None:
    """The median of repeated trials at the highest rate that is still kept up then, of those found and some a little
    below the highest."""
    kept_up = [trial['asked_hz'] for trial in trials if trial['loss'] < MAX_LOSS]
    below = [rate * share for rate in kept_up if rate == max(kept_up) for share in A_LITTLE_LESS]
    for rate in sorted({*kept_up, *below}, reverse=True):
        repeated = _median([_trial(graph, arrivals, rate, seconds, pid) for _ in range(repetitions)])
        if repeated['loss'] < MAX_LOSS:
            return repeated
    return None


def _median(trials: list[dict]) -> dict:
    """Each number as its median over trials, dictionary by dictionary."""
    return {
        name: _median([trial[name] for trial in trials])
        if isinstance(value, dict)
        else float(np.median([trial[name] for trial in trials]))
        for name, value in trials[0].items()
    }


def _with_trainer(graph, arrivals, weights, numbers, seconds, folder) -> dict:
    """p99 without and with a trainer that learns from the same camera, and their ratio."""
    rate_hz, pid = EASY * (numbers['sustained_hz'] or SLOWEST_HZ), graph.pid('depth_node')
    alone = _trial(graph, arrivals, rate_hz, 2 * seconds, pid)
    graph.start('trainer_node', {'weights': weights, 'lens.source': 'joint_state', 'state_dir': str(folder / 'state')})
    graph.wait_for(STATE)
    graph.rest(LEARNING_S)
    beside = _trial(graph, arrivals, rate_hz, 2 * seconds, pid)
    graph.stop('trainer_node')
    p99 = [trial['latency_ms']['p99'] for trial in (alone, beside)]
    return {'rate_hz': rate_hz, 'alone_p99_ms': p99[0], 'p99_ms': p99[1], 'ratio': p99[1] / p99[0]}


def _trial(graph, arrivals: Arrivals, rate_hz: float, seconds: float, pid: int) -> dict:
    graph.set_parameter('camera_simulator', 'rate_hz', rate_hz)
    graph.rest(SETTLE_S)
    start, used = time.time_ns(), usage.cpu_seconds(pid)
    graph.rest(seconds)
    end, used = time.time_ns(), usage.cpu_seconds(pid) - used
    graph.rest(DRAIN_S)
    images, depths = (arrivals.between(topic, start, end) for topic in (IMAGE, DEPTH))
    timing = recorded_timing(images, depths)
    ages_ms = (depths.receive_ns - depths.stamp_ns) / 1e6
    return {
        'asked_hz': rate_hz,
        'offered_hz': timing['images'] / (end - start) * 1e9,
        'loss': timing['drops'] / timing['images'] if timing['images'] else 1.0,
        'latency_ms': {**timing['latency_ms'], 'max': float(ages_ms.max()) if len(ages_ms) else float('nan')},
        'transport_ms': latency_ms((images.receive_ns - images.stamp_ns) / 1e9),
        'cpu_percent': 100 * used / ((end - start) / 1e9),
    }
