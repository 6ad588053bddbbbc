"""Suite `video-systems`: five systems of depth over video, each with and without defocus, beside floors.

The systems are those that Wei, "Depth from Defocus Approaches for Video Depth Estimation", 2022, sets side by side; the
trained ones come from `train --config config/train/video_NAME.yaml --out RUNS/video_NAME`. A system is a function
(Job, frames of one clip) -> its depth maps, and another one is one line in ROWS.
"""

import collections
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from dfd_depth_ros.estimation.estimate import Estimate
from dfd_depth_ros.estimation.estimator import load_estimator
from dfd_depth_ros.estimation.video import lens_and_camera, load_video_estimator
from dfd_depth_ros.evaluation.scoring import evaluate
from dfd_depth_ros.optics.lens import Lens
from dfd_depth_ros.scenes.clips import Clips
from dfd_depth_ros.scenes.folders import read_frames
from dfd_depth_ros.scenes.frame import Frame
from dfd_depth_ros.temporal.reading import Reading, mirrored
from dfd_depth_ros.temporal.robust_cvd import optimise
from dfd_depth_ros.temporal.smoother import Smoother
from dfd_depth_ros.training.video import SYSTEMS

SHOWN = ('abs_rel', 'delta1', 'tae', 'opw', 'tcc')
HELD_OUT: dict[str, Any] = {'seed': 77, 'size': (192, 256), 'frames': 6, 'clips': 8}
BETWEEN = '<!-- benchmark video-systems -->'


@dataclass(frozen=True)
class Job:
    """Weights file of the shipped networks, device, and the folder of the training runs."""

    weights: str
    device: str
    runs: Path


class Recorded:
    """An estimator that answers from depth maps (H, W) in metres, one for each call; it knows no sigma."""

    digest, model_name, device, precision = '', 'recorded', 'cpu', 'float32'

    def __init__(self, depths):
        self._depths = iter(depths)

    def reset(self):
        """Nothing to forget."""

    def estimate(self, image, lens: Lens, *_) -> Estimate:
        """The next depth of the list."""
        depth = next(self._depths).astype(np.float32)
        coc = lens.coc(1 / depth)
        return Estimate(depth, np.full_like(depth, np.nan), coc, (coc > 0).astype(np.float32))


def shipped(job: Job, frames: Sequence[Frame]) -> list[np.ndarray]:
    """The shipped networks, frame by frame: what every variant with defocus is given."""
    estimator = load_estimator(job.weights, job.device)
    return [estimator.estimate(frame.image, frame.lens, frame.stamp).depth for frame in frames]


def constant(job: Job, frames: Sequence[Frame]) -> list[np.ndarray]:
    """The median true depth of the first frame, everywhere and always: perfectly steady, useless."""
    return [np.full_like(frame.depth, np.nanmedian(frames[0].depth)) for frame in frames]


def trained(name: str, job: Job, frames: Sequence[Frame]) -> list[np.ndarray]:
    """A trained variant over the frames in their order, with the poses that they carry."""
    estimator = load_video_estimator(str(_weights(job.runs, name)), job.weights, job.device)
    return [
        estimator.estimate(frame.image, frame.lens, frame.stamp, frame.pose, frame.intrinsics).depth for frame in frames
    ]


def robust_cvd(depths: Sequence[np.ndarray], frames: Sequence[Frame]) -> list[np.ndarray]:
    """The depth (H, W) of a clip as another system says it, made consistent afterwards (`temporal.robust_cvd`)."""
    inverse = torch.stack([1 / torch.from_numpy(depth)[None] for depth in depths])
    lens = torch.stack([lens_and_camera(frame.lens, frame.intrinsics, frame.depth.shape) for frame in frames])
    pose = torch.stack([torch.from_numpy(frame.pose).float() for frame in frames])
    better, _ = optimise(np.stack([frame.image for frame in frames]), inverse, lens, pose)
    return list((1 / better[:, 0]).numpy())


def filtered(depths: Sequence[np.ndarray], frames: Sequence[Frame]) -> list[np.ndarray]:
    """Depth (H, W) of a clip through the geometry-aware filter (`temporal.geometry`). Its sigma is even: unknown."""
    smoother, steady = Smoother('geometry'), []
    for depth, frame in zip(depths, frames, strict=True):
        inverse, lens = torch.from_numpy(1 / depth), frame.lens
        sigma, far = torch.full_like(inverse, 0.1), (inverse < lens.focus_dioptre).float()
        sides = mirrored(inverse, sigma, far, lens.focus_dioptre)
        reading = Reading(inverse, sigma, far, lens.gain, lens.focus_dioptre, sides)
        found = smoother(torch.from_numpy(frame.image), lens, reading, frame.stamp, frame.pose, frame.intrinsics)
        steady.append((1 / found[0]).numpy())
    return steady


VARIANTS = tuple(f'{name}{ending}' for name in SYSTEMS for ending in ('', '_defocus'))
ROWS: dict[str, Callable[[Job, Sequence[Frame]], list[np.ndarray]]] = {
    'constant': constant,
    'shipped': shipped,
    **{name: partial(trained, name) for name in VARIANTS},
}
MADE_CONSISTENT = (
    'monodepth2',
    'monodepth2_defocus',
    'shipped',
)  # rows that Robust CVD, which trains nothing, works on


def answers(job: Job, frames: Sequence[Frame]) -> Iterator[tuple[str, list[np.ndarray]]]:
    """Name and depth maps of every row of the table for one sequence, frames of several clips in their order."""
    clips, found = [list(clip) for _, clip in groupby(frames, key=lambda frame: frame.sequence)], {}
    for name, row in ROWS.items():
        found[name] = [row(job, clip) for clip in clips]
        yield name, sum(found[name], [])
    for name in MADE_CONSISTENT:
        better = list(map(robust_cvd, found[name], clips))
        yield f'robust_cvd_{name}', sum(better, [])
        yield f'robust_cvd_{name}_filter', sum(map(filtered, better, clips), [])


def run(weights: str, device: str, runs: Path, data: Sequence[str] = ()) -> dict:
    """Score every system on the held-out clips and on frames folders that carry depth, lens, intrinsics and poses.

    Returns `sequences`: the SHOWN numbers by sequence and system. Raises ValueError where a run or a pose is missing.
    """
    for name in VARIANTS:
        if not _weights(runs, name).is_file():
            raise ValueError(f'{_weights(runs, name)} is not there; train it with config/train/video_{name}.yaml')
    sequences = {'held_out': held_out(), **{Path(path).name: _frames(path) for path in data}}
    job = Job(weights, device, runs)
    table: dict[str, dict] = collections.defaultdict(dict)
    for sequence, frames in sequences.items():
        total = len(ROWS) + 2 * len(MADE_CONSISTENT)
        for name, depths in tqdm(answers(job, frames), desc=sequence, unit='system', total=total):
            numbers = evaluate(frames, Recorded(depths)).numbers
            table[sequence][name] = {key: numbers.get(key, float('nan')) for key in SHOWN}
    return {'sequences': dict(table)}


def held_out() -> list[Frame]:
    """Made-up clips of a seed that no training uses."""
    clips = Clips(HELD_OUT['size'], HELD_OUT['frames'], HELD_OUT['seed'])
    return [frame for index in range(HELD_OUT['clips']) for frame in clips[index]]


def markdown(numbers: dict) -> str:
    """The tables of a page, one for each sequence."""
    parts = []
    for sequence, rows in numbers['sequences'].items():
        lines = [f'`{sequence}`', '', '| system | AbsRel | delta1 | TAE | OPW | TCC |', '|---|---|---|---|---|---|']
        for name, row in rows.items():
            lines.append(f'| {name} | ' + ' | '.join(f'{row[key]:.3f}' for key in SHOWN) + ' |')
        parts.append('\n'.join(lines))
    return '\n\n'.join(parts)


def write_table(page: Path, numbers: dict) -> None:
    """Put the tables between the two marks of a page. Raises ValueError where it has not got them."""
    text = page.read_text()
    if text.count(BETWEEN) != 2:
        raise ValueError(f'{page} does not have two lines {BETWEEN} to put the tables between')
    inside = f'{BETWEEN}\n\n{markdown(numbers)}\n\n{BETWEEN}'
    page.write_text(re.sub(f'{BETWEEN}.*{BETWEEN}', lambda _: inside, text, flags=re.DOTALL))


def _weights(runs: Path, name: str) -> Path:
    return runs / f'video_{name}' / 'best.safetensors'


def _frames(path: str) -> list[Frame]:
    frames = list(read_frames(path))
    for frame in frames:
        lacks = [key for key in ('image', 'depth', 'lens', 'intrinsics', 'pose') if getattr(frame, key) is None]
        if lacks:
            raise ValueError(f'{path}: {frame.name} has no {", ".join(lacks)}; these systems need all of them')
    return frames
