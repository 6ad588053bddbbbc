"""How soon depth is right again after the focus jumps and after a scene is cut, and what a frame costs."""

import time
from dataclasses import replace

import numpy as np

from dfd_depth_ros.evaluation.metrics import abs_rel, is_depth
from dfd_depth_ros.evaluation.scoring import latency_ms
from dfd_depth_ros.optics.lens import Lens
from dfd_depth_ros.scenes.frame import Frame
from dfd_depth_ros.scenes.simulated import Motion, camera_loop, film_set

SEGMENT = 10  # frames at one focus, at another focus, and of another scene
FOCUS_M = (2.0, 2.8)
NEARLY = 0.1  # of AbsRel above that of the end of the segment, and
AT_MOST = 0.01  # AbsRel above it, which count as settled
FPS = 15.0


def interrupted(lens: Lens, size: tuple[int, int]) -> list[Frame]:
    """The motorcycle at two focus distances, then a procedural room: three segments of SEGMENT frames, without a pause
    between them."""
    shots = [(*film_set('motorcycle', lens, size)[:2], Motion(focus_m=(focus, focus))) for focus in FOCUS_M]
    shots.append(film_set('procedural', lens, size, seed=3))
    film = [frame for scene, lens, motion in shots for frame in camera_loop(scene, lens, SEGMENT, size, motion)]
    return [replace(frame, stamp=index / FPS) for index, frame in enumerate(film)]


def settle(errors: np.ndarray) -> int:
    """Frames until the AbsRel (N,) of a segment stays near the median of its second half."""
    level = float(np.median(errors[len(errors) // 2 :]))
    late = np.flatnonzero(np.abs(errors - level) > NEARLY * level + AT_MOST)
    early = late[late < len(errors) // 2]
    return int(early[-1]) + 1 if len(early) else 0


def settling(estimator, frames: list[Frame]) -> dict:
    """settle_focus, settle_cut: frames until AbsRel has settled in the second and the third segment of `interrupted`.
    ghost: AbsRel of the first frame after the cut over that of an estimator that saw nothing before."""
    errors = np.array([_error(estimator, frame) for frame in frames])
    fresh = frames[2 * SEGMENT]
    estimator.reset()
    alone = _error(estimator, fresh)
    return {
        'settle_focus': settle(errors[SEGMENT : 2 * SEGMENT]),
        'settle_cut': settle(errors[2 * SEGMENT :]),
        'ghost': float(errors[2 * SEGMENT] / alone),
    }


def cost(plain, estimator, frames: list[Frame], rounds: int = 20) -> dict:
    """network_ms, filter_ms: medians of what a frame costs without a filter, and of what it costs more with it, asked
    in turns so that a busy machine disturbs both alike."""
    seconds: dict[str, list[float]] = {'plain': [], 'filtered': []}
    for index in range(rounds):
        frame = frames[index % len(frames)]
        for name, one in (('plain', plain), ('filtered', estimator)):
            start = time.perf_counter()
            one.estimate(frame.image, frame.lens, index / FPS)
            seconds[name].append(time.perf_counter() - start)
    network, both = (latency_ms(values[2:])['p50'] for values in seconds.values())
    return {'network_ms': network, 'filter_ms': both - network, 'filter_share': (both - network) / network}


def _error(estimator, frame: Frame) -> float:
    found = estimator.estimate(frame.image, frame.lens, frame.stamp, frame.pose, frame.intrinsics).depth
    both = is_depth(found) & is_depth(frame.depth)
    return abs_rel(found[both], frame.depth[both])
