"""`demo --train`: a camera that is wrong about its lens, and a trainer that heals it while the depth node runs."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from dfd_depth_ros.benchmarks.machine import machine
from dfd_depth_ros.estimation.estimate import Estimate
from dfd_depth_ros.estimation.estimator import load_estimator
from dfd_depth_ros.evaluation.metrics import abs_rel, is_depth
from dfd_depth_ros.evaluation.strip import write_comparison
from dfd_depth_ros.evaluation.timeline import write_timeline
from dfd_depth_ros.scenes.bags import BagWriter, read_bag
from dfd_depth_ros.scenes.lens_files import read_lens
from dfd_depth_ros.scenes.simulated import true_lens

DEPTH, STATE = 'depth/image_rect', 'training/state'
F_NUMBER_ERROR, FOCUS_ERROR, BASE_BLUR_PX = -0.2, -0.1, 0.5  # the truth, relative to what the camera says
ENDS_S = 10.0  # at both ends of the recording, over which depth is averaged
RECORDING = '{desc}: {percentage:3.0f}%|{bar}| {elapsed}'


def show(options, lens_file: str) -> dict:
    """Record camera, depth node and trainer for `options.seconds`, score the depth that was published, and draw both
    ends. Returns the numbers. Raises RuntimeError where no depth was published or nothing was learned."""
    for name in ('bag', 'trainer', 'training'):
        shutil.rmtree(options.out / name, ignore_errors=True)
    options.out.mkdir(parents=True, exist_ok=True)
    _record(options, lens_file)
    seconds, errors, known, last = _scored(options.out / 'bag', lens_file, options.weights)
    before, after = (float(errors[part].mean()) for part in (seconds < ENDS_S, seconds > seconds[-1] - ENDS_S))
    write_timeline(options.out / 'healing.png', seconds, errors, known)
    write_comparison(options.out / 'before_after.png', *last)
    if not after < before:
        raise RuntimeError(f'nothing was learned; {options.out / "trainer_node.log"} may say why')
    return {
        'frames': len(errors),
        'abs_rel_before': before,
        'abs_rel_after': after,
        'abs_rel_known_lens': known,
        'gap_closed': (before - after) / (before - known),
        'machine': machine(),
    }


def camera(options, lens_file: str, listeners: int) -> dict:
    """Parameters of `camera_simulator` that the options of `demo` ask for."""
    return {
        'scene': options.scene,
        'rate_hz': options.rate,
        'listeners': listeners,
        'loop_frames': options.loop_frames,
        'width': options.size[0],
        'height': options.size[1],
        'lens_file': lens_file,
    }


def _record(options, lens_file: str) -> None:
    from dfd_depth_ros.ros.graph import Graph

    errors = {'f_number': F_NUMBER_ERROR, 'focus': FOCUS_ERROR, 'base_blur_px': BASE_BLUR_PX}
    simulator = camera(options, lens_file, listeners=3) | {f'lens_error.{name}': e for name, e in errors.items()}
    told = {'weights': options.weights, 'lens.source': 'joint_state', 'lens.file': lens_file}
    folders = {'state_dir': str(options.out / 'trainer'), 'report_dir': str(options.out / 'training')}
    with Graph(BagWriter(options.out / 'bag'), options.out) as graph:
        graph.start('camera_simulator', simulator, shown=True)
        graph.start('depth_node', told | {'temporal.filter': 'none'})  # what is shown is learning alone
        graph.start('trainer_node', told | {name: str(Path(path).absolute()) for name, path in folders.items()})
        graph.wait_for(DEPTH)
        for _ in tqdm(range(round(options.seconds * 10)), desc='learning', bar_format=RECORDING, mininterval=0.5):
            graph.rest(0.1)
        graph.stop('camera_simulator')
        graph.settle(DEPTH)
        graph.stop('trainer_node')
        graph.stop('depth_node')


def _scored(bag: Path, lens_file: str, weights: str) -> tuple:
    """Seconds and AbsRel of each published depth; AbsRel that the shipped weights reach with the true lens on every
    tenth frame; and the last frame with its estimates before and after."""
    lens, estimator = read_lens(lens_file), load_estimator(weights)
    frames = read_bag(bag, lens)
    if 'depth' not in frames.times:
        raise RuntimeError('no depth image was published')
    published = {frame.stamp: frame.depth for frame in read_bag(bag, lens, {'truth': frames.topics['depth']})}
    rows, known, last = [], [], None
    for frame in tqdm(frames, total=len(frames), desc='scoring the bag', unit='frame'):
        depth = published.get(frame.stamp)
        if depth is None or frame.depth is None:  # the camera may end between an image and its truth
            continue
        rows.append((frame.stamp, _error(depth, frame.depth)))
        last = frame, depth
        if len(rows) % 10 == 1:
            true = replace(true_lens(frame.lens, F_NUMBER_ERROR, FOCUS_ERROR), side=lens.side)
            known.append(_error(estimator.estimate(frame.image, true).depth, frame.depth))
    if not last:
        raise RuntimeError('no published depth has its ground truth')
    (stamps, errors), (frame, depth) = np.array(rows).T, last
    nothing = np.full_like(depth, np.nan)
    both = estimator.estimate(frame.image, frame.lens), Estimate(depth, nothing, nothing, nothing)
    return stamps - stamps[0], errors, float(np.mean(known)), (frame, *both)


def _error(depth, truth) -> float:
    known = is_depth(depth) & is_depth(truth)
    return abs_rel(depth[known], truth[known])
