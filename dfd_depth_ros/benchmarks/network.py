"""Suite `network`: how fast the estimator turns one frame into depth on this machine, without ROS."""

import time

import numpy as np
import torch
from tqdm import tqdm

from dfd_depth_ros.benchmarks.peers import depth_anything
from dfd_depth_ros.evaluation.scoring import latency_ms

WARM_UP = 3


def run(estimator, lens, size: tuple[int, int] = (640, 480), frames: int = 30) -> dict:
    """Time `frames` calls of `estimator.estimate` on textured noise of (width, height) pixels, after a warm-up.

    Returns size, device, precision, graphs, frames, threads, parameters, `latency_ms` percentiles, `fps` (frames over
    the whole time), and `depth_anything_v2_small` with `ratio_to_depth_anything_v2_small`, network against network in
    the same run (None where `benchmarks.peers.depth_anything` is).
    """
    image = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    times = []
    for _ in tqdm(range(WARM_UP + frames), desc=f'network {size[0]}x{size[1]}', unit='frame'):
        start = time.perf_counter()
        estimator.estimate(image, lens)
        times.append(time.perf_counter() - start)
    seconds = np.array(times[WARM_UP:])
    fps, peer = frames / float(seconds.sum()), depth_anything(estimator.device)
    return {
        'size': list(size),
        'device': estimator.device,
        'precision': estimator.precision,
        'graphs': estimator.graphs,
        'frames': frames,
        'threads': torch.get_num_threads(),
        'parameters': sum(weights.numel() for weights in estimator.model.parameters()),
        'latency_ms': latency_ms(seconds),
        'fps': fps,
        'ratio_to_depth_anything_v2_small': fps / peer['fps'] if peer else None,
        'depth_anything_v2_small': peer,
    }
