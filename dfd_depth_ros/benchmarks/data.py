"""Suite `data`: how many made-up scenes this machine renders, and what share of a training step they take."""

import itertools
import time
from pathlib import Path

import torch
from tqdm import tqdm

from dfd_depth_ros.training.data import Batches
from dfd_depth_ros.training.offline import Run, TrainConfig, train_on


def run(config: TrainConfig, device: str = 'cpu', batches: int = 6) -> dict:
    """Make `batches` batches in this process and train on each, after one of each to warm up. Scenes are made on the
    CPU, one core for each worker of the loader; steps run on `device`.

    Returns `pairs_per_second` of new scenes on one core (two pictures each), seconds of a batch and of a step, and
    `data_share`, the part of one core's time that data takes where both run on it.
    """
    training = Run(config, Path(), torch.device(device))  # writes nothing unless it is saved
    supply = iter(Batches(config.size, config.seed, config.pairs, config.fresh, config.replay))
    seconds: dict[str, list[float]] = {'data': [], 'step': []}
    for batch in itertools.islice(tqdm(_timed(supply, seconds['data']), desc='data', total=batches + 1), batches + 1):
        start = time.perf_counter()
        train_on(training, batch.to(training.device))
        seconds['step'].append(time.perf_counter() - start)
    data, step = (sum(seconds[name][1:]) / batches for name in ('data', 'step'))
    return {
        'size': config.size,
        'pairs': config.pairs,
        'fresh': config.fresh,
        'device': device,
        'pairs_per_second': config.fresh / data,
        'batch_s': data,
        'step_s': step,
        'data_share': data / (data + step),
    }


def _timed(items, seconds):
    while True:
        start = time.perf_counter()
        item = next(items)
        seconds.append(time.perf_counter() - start)
        yield item
