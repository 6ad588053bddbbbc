"""Suite `network`: how fast the estimator turns frames into depth on this machine, without ROS."""

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from tqdm import tqdm

from dfd_depth_ros.benchmarks.peers import depth_anything
from dfd_depth_ros.estimation.estimator import divided
from dfd_depth_ros.evaluation.scoring import latency_ms

WARM_UP = 3


def run(estimator, lens, size: tuple[int, int] = (640, 480), frames: int = 30, at_once: int = 0) -> dict:
    """Time `frames` calls of `estimator.estimate` on textured noise of (width, height) pixels, after a warm-up, as many
    at once as `depth_node` does of itself, or `at_once`. estimator: without a temporal filter.

    Returns size, device, precision, graphs, frames, threads (of PyTorch, for all frames together), at_once, parameters,
    `latency_ms` percentiles of a frame, `fps` (frames over the whole time), and `depth_anything_v2_small` with
    `ratio_to_depth_anything_v2_small`, network against network in the same run (None where
    `benchmarks.peers.depth_anything` is).
    """
    image = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    threads = torch.get_num_threads()
    at_once, each = divided(threads, at_once, estimator.device)

    def look(_):
        start = time.perf_counter()
        estimator.estimate(image, lens)
        return time.perf_counter() - start

    torch.set_num_threads(each)
    try:
        with ThreadPoolExecutor(at_once) as hands:
            list(hands.map(look, range(WARM_UP * at_once)))
            start, bar = time.perf_counter(), {'desc': f'network {size[0]}x{size[1]}', 'unit': 'frame'}
            seconds = np.array(list(tqdm(hands.map(look, range(frames)), total=frames, **bar)))
            fps = frames / (time.perf_counter() - start)
    finally:
        torch.set_num_threads(threads)
    peer = depth_anything(estimator.device)
    return {
        'size': list(size),
        'device': estimator.device,
        'precision': estimator.precision,
        'graphs': estimator.graphs,
        'frames': frames,
        'threads': threads,
        'at_once': at_once,
        'parameters': sum(weights.numel() for weights in estimator.model.parameters()),
        'latency_ms': latency_ms(seconds),
        'fps': fps,
        'ratio_to_depth_anything_v2_small': fps / peer['fps'] if peer else None,
        'depth_anything_v2_small': peer,
    }
