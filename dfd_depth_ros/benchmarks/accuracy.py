"""Suite `accuracy`: ours beside other people's ideas and beside ours without one part, on the same pictures.

Every scene is seen through two settings of its lens, because some methods need two. The first picture alone is what the
others look at, and its depth is what all are asked for. Where a data set has no second picture it is rendered from the
sharp one with the lens focused STEP_PX of CoC nearer.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter
from tqdm import tqdm

from dfd_depth_ros.benchmarks.peer_runs import RUNS, train_runs
from dfd_depth_ros.estimation.estimator import DepthEstimator
from dfd_depth_ros.estimation.two_pictures import RelativeBlur, StackEstimator
from dfd_depth_ros.evaluation.scoring import score
from dfd_depth_ros.networks.weights import load_weights
from dfd_depth_ros.optics.lens import Lens
from dfd_depth_ros.optics.tone import from_srgb
from dfd_depth_ros.scenes.folders import read_frames
from dfd_depth_ros.scenes.frame import Frame
from dfd_depth_ros.scenes.lens_files import read_lens
from dfd_depth_ros.scenes.motorcycle import load_motorcycle
from dfd_depth_ros.scenes.rgbd import defocused
from dfd_depth_ros.scenes.simulated import MILD_NOISE, film_set
from dfd_depth_ros.temporal.motion import registered, registration

LENS = 'config/lenses/simulated_50mm_f1.4.yaml'
HELD_OUT_SEED, HELD_OUT, SIZE = 7_000_001, 8, (224, 160)
MOTORCYCLE_FOCUS_M = (1.8, 2.5, 3.5)
STEP_PX = 4.0
SHIPPED = 'as shipped'
COLUMNS = {  # name in the JSON, heading and format
    'abs_rel': ('AbsRel', '{:.3f}'),
    'abs_rel_median': ('median', '{:.3f}'),
    'delta1': ('delta1', '{:.3f}'),
    'rmse_m': ('RMSE [m]', '{:.2f}'),
    'sign_accuracy': ('side', '{:.2f}'),
    'coc_mae_px': ('CoC [px]', '{:.2f}'),
    'coverage_1sigma': ('within 1 sigma', '{:.2f}'),
    'parameters': ('parameters', '{:,}'),
    'ms': ('ms', '{:.0f}'),
}
DRAWN = (('abs_rel_median', 'o', 'median over pixels'), ('abs_rel', 'x', 'mean over frames'))
WITHOUT_SIGMA = ('relative blur', 'peer_d3', 'peer_stack')


def run(shipped: DepthEstimator, runs: Path, data: Sequence[str] = (), every: int = 1, names=tuple(RUNS)) -> dict:
    """Train what `runs` lacks (`benchmarks.peer_runs`) and score all methods.

    shipped: estimator of the weights that ship. data: frames folders to score on, beside made-up ones. every: of their
    frames, each so many-th. Returns `data`: by data set and method the COLUMNS, None where a method has no such number.
    """
    methods = {SHIPPED: shipped, 'relative blur': RelativeBlur()}
    for name, path in train_runs(runs, shipped.device, names).items():
        model, _, digest = load_weights(path)
        kind = StackEstimator if name == 'peer_stack' else DepthEstimator
        methods[name] = kind(model, shipped.device, digest=digest)
    sets: dict[str, Callable] = {'held out': held_out, 'motorcycle': motorcycle}
    sets |= {Path(path).name: partial(folder, path, every) for path in data}
    return {'data': {place: _rows(list(pairs()), methods, place) for place, pairs in sets.items()}}


def held_out() -> Iterator[tuple[Frame, Frame]]:
    """Made-up rooms of a seed that no training uses, 320 x 256 pixels, a lens of their own each."""
    for index in range(HELD_OUT):
        room, lens, _ = film_set('procedural', read_lens(LENS), SIZE, HELD_OUT_SEED + index)
        yield both(replace(room, name=f'held out {index}'), lens, index)


def motorcycle() -> Iterator[tuple[Frame, Frame]]:
    """The motorcycle through the lens of the demo at a few focus distances."""
    for index, distance in enumerate(MOTORCYCLE_FOCUS_M):
        yield both(load_motorcycle(), replace(read_lens(LENS), focus_dioptre=1 / distance), index)


def folder(path: str, every: int = 1) -> Iterator[tuple[Frame, Frame]]:
    """A frames folder with depth. The second picture is that of `frames_f8.jsonl` beside it, moved onto the first one;
    else it is rendered. Raises ValueError where it can be neither."""
    slow = Path(path) / 'frames_f8.jsonl'
    frames = read_frames(path)[::every]
    others = read_frames(slow)[::every] if slow.is_file() else [None] * len(frames)
    for index, (frame, other) in enumerate(zip(frames, others, strict=True)):
        if other is None:
            yield frame, both(frame, nearer(frame.lens), index)[0]
        else:
            yield frame, replace(other, image=onto(other.image, frame.image))


def both(scene: Frame, lens: Lens, seed: int) -> tuple[Frame, Frame]:
    """An RGB-D scene through a lens and through the same one focused nearer, with a little noise."""
    rng, frames = np.random.default_rng(seed), []
    for setting in (lens, nearer(lens)):
        frame = defocused(scene, setting)
        light = from_srgb(torch.from_numpy(frame.image) / 255).numpy()
        frames.append(replace(frame, image=MILD_NOISE.expose(light, rng)))
    return frames[0], frames[1]


def nearer(lens: Lens) -> Lens:
    """The lens focused STEP_PX of CoC nearer, or as near as it goes."""
    step = STEP_PX / lens.gain
    return replace(lens, focus_dioptre=min(lens.focus_dioptre + step, 0.5 / lens.focal_length_m))


def onto(moving: np.ndarray, fixed: np.ndarray) -> np.ndarray:
    """A picture (H, W, 3) uint8 moved onto another one of its size by the affine map that fits best; as it is where
    none is found."""
    found = registration(*(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in (moving, fixed)))
    return registered(moving, found[0]) if found else moving


def markdown(numbers: dict) -> str:
    """One table for each data set."""
    head = '| method | ' + ' | '.join(heading for heading, _ in COLUMNS.values()) + ' |'
    parts = []
    for place, rows in numbers['data'].items():
        lines = [f'`{place}`', '', head, '|---' * (len(COLUMNS) + 1) + '|']
        for name, row in rows.items():
            cells = ('-' if row[key] is None else form.format(row[key]) for key, (_, form) in COLUMNS.items())
            lines.append(f'| {name} | ' + ' | '.join(cells) + ' |')
        parts.append('\n'.join(lines))
    return '\n\n'.join(parts) + '\n'


def draw(numbers: dict, path: Path) -> None:
    """Write a PNG with AbsRel of every method, one panel for each data set: mean over frames and median over pixels."""
    places = numbers['data']
    figure = Figure(figsize=(2.2 + 2.6 * len(places), 3.4), layout='constrained', facecolor='white', dpi=110)
    panels = figure.subplots(1, len(places), sharex=True, sharey=True, squeeze=False)[0]
    for axes, (place, rows) in zip(panels, places.items(), strict=True):
        for key, style, label in DRAWN:
            axes.plot([row[key] for row in rows.values()], list(rows), style, color='#1f6f8b', label=label)
        axes.set(title=place, xscale='log', xlabel='AbsRel')
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f'{value:g}'))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.grid(color='0.9')
        axes.spines[['top', 'right']].set_visible(False)
    panels[0].invert_yaxis()  # the first row on top, as in the tables
    figure.legend(*panels[0].get_legend_handles_labels(), loc='outside upper right', ncols=len(DRAWN), frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def _rows(pairs: list, methods: dict, place: str) -> dict:
    return {name: _row(name, pairs, method) for name, method in tqdm(methods.items(), desc=place, unit='method')}


def _row(name, pairs, method) -> dict:
    numbers = score(_fed(pairs, method), method)
    model = getattr(method, 'model', None)
    numbers['parameters'] = sum(weights.numel() for weights in model.parameters()) if model else 0
    numbers['ms'] = numbers['latency_ms']['p50']
    if name in WITHOUT_SIGMA:
        numbers['coverage_1sigma'] = None
    return {key: numbers[key] for key in COLUMNS}


def _fed(pairs, method):
    """The first pictures; the second one is put where a method for two looks for it."""
    for frame, other in pairs:
        method.other = other
        yield frame
