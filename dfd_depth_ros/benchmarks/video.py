"""Suite `video`: depth over video, accuracy and steadiness side by side, for every system in one table.

A system is a function (Job) -> an estimator as `evaluation.scoring.evaluate` wants it; another one is one line in
SYSTEMS. Beside the temporal filters stand floors, without which steadiness means nothing: the network frame by frame,
one constant depth (perfectly steady, useless), and the truth itself (what the metrics read where nothing is wrong).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from dfd_depth_ros.estimation.estimate import Estimate
from dfd_depth_ros.estimation.estimator import load_estimator
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
FPS, SIMULATED = 15.0, (320, 240)


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

    def estimate(self, image, lens: Lens, *_) -> Estimate:
        """The next depth of the list; sigma is 1 % of it."""
        depth = next(self._depths).astype(np.float32)
        coc = lens.coc(1 / depth)
        return Estimate(depth, 0.01 * depth, coc, (coc > 0).astype(np.float32))


def filtered(name: str, job: Job):
    """The network with a temporal filter of that name."""
    return load_estimator(job.weights, job.device, name)


def constant(job: Job) -> Known:
    """The median true depth of the first frame, everywhere and always."""
    depth = job.frames[0].depth
    return Known(np.full_like(frame.depth, np.nanmedian(depth)) for frame in job.frames)


def truth(job: Job) -> Known:
    """The true depth."""
    return Known(frame.depth for frame in job.frames)


SYSTEMS: dict[str, Callable[[Job], object]] = {
    'none': partial(filtered, 'none'),
    'ema': partial(filtered, 'ema'),
    'constant': constant,
    'truth': truth,
}


def run(weights: str, device: str, lens: Lens, data: Sequence[str] = (), systems: Sequence[str] = ()) -> dict:
    """Score every system on every sequence. lens: of the simulator, and of frames that are RGB-D without defocus. data:
    frames folders beside the simulator's own sequence. systems: names of SYSTEMS, all by default."""
    sequences = {'simulated': partial(simulated, lens)}
    sequences |= {Path(path).name: partial(folder, path, lens) for path in data}
    table = {}
    for sequence, frames in sequences.items():
        frames = frames()
        for name in tqdm(systems or SYSTEMS, desc=sequence, unit='system'):
            numbers = evaluate(frames, SYSTEMS[name](Job(weights, device, frames))).numbers
            table.setdefault(sequence, {})[name] = {key: numbers.get(key, float('nan')) for key in SHOWN}
    return {'sequences': table}


def folder(path: str, lens: Lens) -> list[Frame]:
    """Frames of a folder, with defocus rendered where they have none."""
    return [frame if frame.image is not None else defocused(frame, lens) for frame in read_frames(path)]


def simulated(lens: Lens, frames: int = 30) -> list[Frame]:
    """The motorcycle, filmed by a swaying camera whose focus moves from 1.6 to 3.2 m and back."""
    scene, lens, _ = film_set('motorcycle', lens, SIMULATED)
    film = camera_loop(scene, lens, frames, SIMULATED, Motion(focus_m=(1.6, 3.2)))
    return [replace(frame, stamp=index / FPS) for index, frame in enumerate(film)]
