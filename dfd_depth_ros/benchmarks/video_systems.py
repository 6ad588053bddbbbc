"""Suite `video-systems`: five systems of depth over video, each with and without defocus, beside floors.

The systems are those that Wei, "Depth from Defocus Approaches for Video Depth Estimation", 2022, sets side by side; the
trained ones come from `train --config config/train/video_NAME.yaml --out RUNS/video_NAME`. A system is a function
(Job, frames of one sequence) -> its depth maps, and another one is one line in `systems`.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path

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
from dfd_depth_ros.temporal.robust_cvd import optimise
from dfd_depth_ros.training.video import SYSTEMS

SHOWN = ('abs_rel', 'delta1', 'tae', 'opw', 'tcc')
HELD_OUT = {'seed': 77, 'size': (192, 256), 'frames': 6, 'clips': 8}
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
    estimator = load_video_estimator(str(job.runs / f'video_{name}' / 'best.safetensors'), job.weights, job.device)
    return [
        estimator.estimate(frame.image, frame.lens, frame.stamp, frame.pose, frame.intrinsics).depth for frame in frames
    ]


def robust_cvd(source: Callable, job: Job, frames: Sequence[Frame]) -> list[np.ndarray]:
    """What another system says of a whole clip, made consistent afterwards (`temporal.robust_cvd`)."""
    inverse = torch.stack([1 / torch.from_numpy(depth)[None] for depth in source(job, frames)])
    lens = torch.stack([lens_and_camera(frame.lens, frame.intrinsics, frame.depth.shape) for frame in frames])
    pose = torch.stack([torch.from_numpy(frame.pose).float() for frame in frames])
    better, _ = optimise(np.stack([frame.image for frame in frames]), inverse, lens, pose)
    return list((1 / better[:, 0]).numpy())


def systems() -> dict[str, Callable[[Job, Sequence[Frame]], list[np.ndarray]]]:
    """All rows of the table by name. Robust CVD trains nothing: it works on Monodepth2's depth, and with defocus also
    on that of the shipped networks."""
    variants = [f'{name}{ending}' for name in SYSTEMS for ending in ('', '_defocus')]
    rows = {'constant': constant, 'shipped': shipped} | {name: partial(trained, name) for name in variants}
    for name in ('monodepth2', 'monodepth2_defocus', 'shipped'):
        rows[f'robust_cvd_{name}'] = partial(robust_cvd, rows[name])
    return rows


def run(weights: str, device: str, runs: Path, data: Sequence[str] = ()) -> dict:
    """Score every system on the held-out clips and on frames folders that carry depth, lens, intrinsics and poses.

    Returns `sequences`: the SHOWN numbers by sequence and system. Raises ValueError where a run or a pose is missing.
    """
    missing = [name for name in SYSTEMS for end in ('', '_defocus') if not _weights(runs, name + end).is_file()]
    if missing:
        raise ValueError(
            f'{_weights(runs, missing[0])} is not there; train it with config/train/video_{missing[0]}.yaml'
        )
    job, table = Job(weights, device, runs), {}
    for sequence, frames in {'held_out': held_out(), **{Path(path).name: _frames(path) for path in data}}.items():
        for name, system in tqdm(systems().items(), desc=sequence, unit='system'):
            depths = [depth for clip in _clips(frames) for depth in system(job, clip)]
            numbers = evaluate(frames, Recorded(depths)).numbers
            table.setdefault(sequence, {})[name] = {key: numbers.get(key, float('nan')) for key in SHOWN}
    return {'sequences': table}


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


def _clips(frames: Sequence[Frame]) -> list[list[Frame]]:
    return [list(clip) for _, clip in groupby(frames, key=lambda frame: frame.sequence)]
