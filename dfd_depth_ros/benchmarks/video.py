"""Suite `video`: depth over video, accuracy and steadiness side by side, for every system in one table.

A system is a function (Job) -> an estimator as `evaluation.scoring.evaluate` wants it; another one is one line in
SYSTEMS. Beside the temporal filters stand floors, without which steadiness means nothing: the network frame by frame,
one constant depth (perfectly steady, useless), and the truth itself (what the metrics read where nothing is wrong).
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from tqdm import tqdm

from dfd_depth_ros.benchmarks.settling import FPS, cost, interrupted, settling
from dfd_depth_ros.estimation.estimate import Estimate
from dfd_depth_ros.estimation.estimator import load_estimator
from dfd_depth_ros.evaluation.metrics import abs_rel
from dfd_depth_ros.evaluation.scoring import evaluate
from dfd_depth_ros.optics.lens import Lens
from dfd_depth_ros.scenes.folders import read_frames
from dfd_depth_ros.scenes.frame import Frame
from dfd_depth_ros.scenes.rgbd import defocused
from dfd_depth_ros.scenes.simulated import Motion, camera_loop, film_set

SHOWN = (
    *('abs_rel', 'delta1', 'tae', 'opw', 'tcc', 'tgm', 'flicker'),
    *('coverage_1sigma', 'coverage_2sigma', 'sign_accuracy'),
)
SIMULATED, TIMED = (320, 240), (640, 480)
POSED = '+pose'  # after the name of a filter: it is told the poses too


@dataclass(frozen=True)
class Job:
    """What a system is made for: weights file, device, and the frames that it will be asked about, in their order."""

    weights: str
    device: str
    frames: Sequence[Frame]


class Known:
    """An estimator that answers from a list of depth maps (H, W) in metres, one for each call."""

    digest, model_name, device, precision = '', 'known', 'cpu', 'float32'

    def __init__(self, depths):
        self._depths = iter(depths)

    def reset(self) -> None:
        """There is nothing to forget."""

    def estimate(self, image, lens: Lens, *_) -> Estimate:
        """The next depth of the list; sigma is 1 % of it."""
        depth = next(self._depths).astype(np.float32)
        coc = lens.coc(1 / depth)
        return Estimate(depth, 0.01 * depth, coc, (coc > 0).astype(np.float32))


class Unplaced:
    """An estimator that is not told poses, as the depth node is not."""

    def __init__(self, estimator):
        self._estimator = estimator

    def __getattr__(self, name):
        return getattr(self._estimator, name)

    def estimate(self, image, lens: Lens, stamp=None, *_) -> Estimate:
        """As `DepthEstimator.estimate`, without pose and camera."""
        return self._estimator.estimate(image, lens, stamp)


def filtered(name: str, job: Job):
    """The network with a temporal filter of that name, told the poses where the name ends in POSED."""
    estimator = load_estimator(job.weights, job.device, name.removesuffix(POSED))
    return estimator if name.endswith(POSED) else Unplaced(estimator)


def constant(job: Job) -> Known:
    """The median true depth of the first frame, everywhere and always."""
    depth = job.frames[0].depth
    return Known(np.full_like(frame.depth, np.nanmedian(depth)) for frame in job.frames)


def truth(job: Job) -> Known:
    """The true depth."""
    return Known(frame.depth for frame in job.frames)


NETWORKS = ('none', 'ema', 'geometry', 'kalman', 'kalman' + POSED)
SYSTEMS: dict[str, Callable[[Job], object]] = {
    **{name: partial(filtered, name) for name in NETWORKS},
    'constant': constant,
    'truth': truth,
}


def run(
    weights: str,
    device: str,
    lens: Lens,
    data: Sequence[str] = (),
    systems: Sequence[str] = (),
    figure: Path | None = None,
) -> dict:
    """Score every system on every sequence. lens: of the simulator, and of frames that are RGB-D without defocus. data:
    frames folders beside the simulator's own sequence. systems: names of SYSTEMS, all by default. figure: PNG file for
    AbsRel and depth of one point over the simulator's sequence.

    Returns `sequences`: metrics by sequence and system; `settling` and `cost` by system, of those that look at the
    picture.
    """
    systems = systems or tuple(SYSTEMS)
    sequences = {'simulated': partial(simulated, lens)}
    sequences |= {Path(path).name: partial(folder, path, lens) for path in data}
    table: dict[str, dict[str, dict]] = {}
    for sequence, read in sequences.items():
        frames = read()
        for name in tqdm(systems, desc=sequence, unit='system'):
            numbers = evaluate(frames, SYSTEMS[name](Job(weights, device, frames))).numbers
            row = {key: numbers.get(key, float('nan')) for key in SHOWN}
            table.setdefault(sequence, {})[name] = row
            tqdm.write(
                f'{sequence}, {name}: ' + ', '.join(f'{key} {value:.4f}' for key, value in row.items()), sys.stderr
            )
        if figure and sequence == 'simulated':
            write_figure(figure, frames, {name: SYSTEMS[name](Job(weights, device, frames)) for name in systems})
    shots, timed = interrupted(lens, SIMULATED), simulated(lens, 4, TIMED)
    looking = [name for name in systems if SYSTEMS[name] not in (constant, truth)]
    made = {name: SYSTEMS[name](Job(weights, device, shots)) for name in looking}
    plain = load_estimator(weights, device)
    numbers = {
        'sequences': table,
        'settling': {name: settling(system, shots) for name, system in made.items()},
        'cost': {name: cost(plain, system, timed) for name, system in tqdm(made.items(), desc='cost', unit='system')},
    }
    print(as_table(numbers), file=sys.stderr)
    return numbers


def as_table(numbers: dict) -> str:
    """The numbers of `run` as Markdown."""
    lines = []
    for sequence, rows in numbers['sequences'].items():
        lines += ['', f'| {sequence} | ' + ' | '.join(SHOWN) + ' |', '|---' * (len(SHOWN) + 1) + '|']
        lines += [f'| {name} | ' + ' | '.join(f'{row[key]:.3f}' for key in SHOWN) + ' |' for name, row in rows.items()]
    for part, form in (('settling', '{:.2g}'), ('cost', '{:.2f}')):
        rows = numbers[part]
        keys = list(next(iter(rows.values()), {}))
        lines += ['', f'| {part} | ' + ' | '.join(keys) + ' |', '|---' * (len(keys) + 1) + '|']
        lines += [
            f'| {name} | ' + ' | '.join(form.format(row[key]) for key in keys) + ' |' for name, row in rows.items()
        ]
    return '\n'.join(lines)


def write_figure(path: Path, frames: Sequence[Frame], systems: dict) -> None:
    """AbsRel of the frame, and depth in the middle of it, over time, for each system."""
    path.parent.mkdir(parents=True, exist_ok=True)
    drawing = Figure(figsize=(9, 5), layout='constrained')
    errors, middle = drawing.subplots(2, 1, sharex=True)
    seconds = [frame.stamp for frame in frames]
    for name, system in systems.items():
        depths = [system.estimate(f.image, f.lens, f.stamp, f.pose, f.intrinsics).depth for f in frames]
        style = {'color': 'black', 'linestyle': '--'} if name == 'truth' else {}
        errors.plot(seconds, [abs_rel(depth, f.depth) for depth, f in zip(depths, frames, strict=True)], **style)
        middle.plot(seconds, [depth[depth.shape[0] // 2, depth.shape[1] // 2] for depth in depths], label=name, **style)
    errors.set_ylabel('AbsRel')
    middle.set_ylabel('depth in the middle [m]')
    middle.set_xlabel('time [s]')
    drawing.legend(loc='outside upper center', ncols=len(systems), frameon=False)
    drawing.savefig(path, dpi=100)


def folder(path: str, lens: Lens) -> list[Frame]:
    """Frames of a folder, with defocus rendered where they have none."""
    return [frame if frame.image is not None else defocused(frame, lens) for frame in read_frames(path)]


def simulated(lens: Lens, frames: int = 30, size: tuple[int, int] = SIMULATED) -> list[Frame]:
    """The motorcycle, filmed by a swaying camera whose focus moves from 1.6 to 3.2 m and back."""
    scene, lens, _ = film_set('motorcycle', lens, size)
    film = camera_loop(scene, lens, frames, size, Motion(focus_m=(1.6, 3.2)))
    return [replace(frame, stamp=index / FPS) for index, frame in enumerate(film)]
