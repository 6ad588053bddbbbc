"""Suite `data`: how many made-up scenes this machine renders, what share of a training step they take, and a picture of
them."""

import itertools
import time
from pathlib import Path

import matplotlib as mpl
import numpy as np
import torch
from matplotlib.image import imsave
from tqdm import tqdm

from dfd_depth_ros.training.data import Batches, Pairs, expose
from dfd_depth_ros.training.offline import Run, TrainConfig, train_on

SHOWN, SHOWN_PX = 8, 8.0  # pairs of the figure, CoC at the ends of its colours


def run(config: TrainConfig, device: str = 'cpu', batches: int = 6, figure: Path | None = None) -> dict:
    """Make `batches` batches in this process and train on each, after one of each to warm up. Scenes are made on the
    CPU, one core for each worker of the loader; steps run on `device`.

    Returns `pairs_per_second` of new scenes on one core (two pictures each), seconds of a batch and of a step, and
    `data_share`, the part of one core's time that data takes where both run on it. figure: PNG file for some pairs.
    """
    if figure:
        draw(figure, config)
    training = Run(config, Path(), torch.device(device))  # writes nothing unless it is saved
    supply = iter(Batches(config.size, config.seed, config.pairs, config.fresh, config.replay, source=config.source()))
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


def draw(path: Path, config: TrainConfig):
    """Pairs that a training sees, one a column: both pictures and the signed CoC of the first, blue in front of focus
    and red behind it. Raises OSError or ValueError where the file cannot be written."""
    pairs = Pairs(config.size, config.seed, SHOWN, source=config.source())
    batch = expose([pairs[number] for number in range(SHOWN)], np.random.default_rng(config.seed), config.motion)
    pictures = batch.image.permute(0, 2, 3, 1).numpy()
    side = mpl.colormaps['RdBu_r'](batch.coc[::2, 0].numpy() / SHOWN_PX / 2 + 0.5)[..., :3]
    columns = [np.concatenate(column) for column in zip(pictures[::2], pictures[1::2], side, strict=True)]
    path.parent.mkdir(parents=True, exist_ok=True)
    imsave(path, (np.concatenate(columns, 1) * 255).round().astype(np.uint8))


def _timed(items, seconds):
    while True:
        start = time.perf_counter()
        item = next(items)
        seconds.append(time.perf_counter() - start)
        yield item
