"""Suite `adapt`: what online learning is worth, measured on frames that it never saw and with truth that it never had.

Lens surprise: the simulated camera's f-number and focus are not what it says, and its pictures carry extra blur. The
learner gets a stream of frames with poses; other frames of the same camera are scored with the weights before and
after, and with the true lens. Correct lens: the same with a camera that tells the truth, where nothing may get worse.
Real pairs: photographs of many still scenes at a fast and a slow aperture; the learner gets some of the scenes, and the
fast pictures of the others are scored.
"""

import itertools
import resource
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from dfd_depth_ros.estimation.estimator import DepthEstimator, load_estimator, make_estimator
from dfd_depth_ros.evaluation.metrics import abs_rel, is_depth
from dfd_depth_ros.evaluation.strip import write_comparison
from dfd_depth_ros.networks.weights import from_bytes, load_weights
from dfd_depth_ros.optics.lens import Lens
from dfd_depth_ros.paths import resolve_path
from dfd_depth_ros.scenes.folders import read_frames
from dfd_depth_ros.scenes.frame import Frame
from dfd_depth_ros.scenes.simulated import MILD_NOISE, camera_loop, film_set, true_lens
from dfd_depth_ros.training.online import OnlineConfig, OnlineLearner

F_NUMBER_ERROR, FOCUS_ERROR, BASE_BLUR_PX = 0.2, 0.1, 0.5
LOOP = 30  # frames; every third is scored and never shown to the learner
CROP = (72, 96)  # (h, w) of the timed step
ELSEWHERE_M = 1e4  # scenes of photographs lie so far apart that no two of them are ever compared


def run(
    weights: str,
    lens: Lens,
    size: tuple[int, int],
    steps: int,
    pairs: tuple[str, str] | tuple[()] = (),
    figure: Path | None = None,
) -> dict:
    """All three parts. lens: what the simulated camera says. steps: of learning in each case. pairs: frames folders of
    the fast and the slow pictures of the same scenes, in the same order; none: that part is left out. figure: PNG file
    for one frame before and after."""
    signs = list(itertools.product((-1, 1), repeat=2))
    rows = [
        _surprise(weights, lens, size, steps, n * F_NUMBER_ERROR, s * FOCUS_ERROR, BASE_BLUR_PX, figure)
        for n, s in tqdm(signs, desc='adapt', unit='lens')
    ]
    names = ('abs_rel_before', 'abs_rel_after', 'abs_rel_known_lens')
    before, after, known = (float(np.mean([row[name] for row in rows])) for name in names)
    right = _surprise(weights, lens, size, steps, 0.0, 0.0, 0.0)
    numbers = {
        'steps': steps,
        'gap_closed': (before - after) / (before - known),
        **dict(zip(names, (before, after, known), strict=True)),
        'cases': rows,
        'correct_lens': right | {'ratio': right['abs_rel_after'] / right['abs_rel_before']},
        'step_ms': _step_ms(weights, lens, size),
        'peak_memory_mb': resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    return numbers | ({'real_pairs': _real(weights, *pairs, steps)} if pairs else {})


def _surprise(weights, told, size, steps, f_number_error, focus_error, base_blur_px, figure=None) -> dict:
    """One camera: what it says about its lens, frame by frame, is off by these errors."""
    frames = list(_filmed(told, size, f_number_error, focus_error, base_blur_px))
    scored, shown = frames[1::3], [frame for index, frame in enumerate(frames) if index % 3 != 1]
    learner = OnlineLearner(load_weights(resolve_path(weights))[0])
    for frame, lens in shown:
        learner.add(frame.image, lens, frame.stamp, frame.pose, frame.intrinsics)
    before, known = (
        _score(load_estimator(weights, 'cpu'), [(frame, lens if blind else frame.lens) for frame, lens in scored])
        for blind in (True, False)
    )
    decisions = _learn(learner, steps)
    if figure:
        frame, lens = scored[0]
        estimators = (load_estimator(weights, 'cpu'), _estimator(learner))
        write_comparison(figure, frame, *(estimator.estimate(frame.image, lens) for estimator in estimators))
    return {
        'f_number_error': f_number_error,
        'focus_error': focus_error,
        'base_blur_px': base_blur_px,
        'abs_rel_before': before,
        'abs_rel_after': _score(_estimator(learner), scored),
        'abs_rel_known_lens': known,
        **_account(learner, decisions),
    }


def _filmed(told: Lens, size, f_number_error, focus_error, base_blur_px):
    """(frame with its true lens, what the camera says of it) for one loop of the motorcycle."""
    true = true_lens(told, f_number_error, focus_error)
    scene, true, motion = film_set('motorcycle', true, size)
    sensor = replace(MILD_NOISE, base_blur_px=base_blur_px)
    for index, frame in enumerate(camera_loop(scene, true, LOOP, size, motion, sensor)):
        said = frame.lens.focus_dioptre * (1 + focus_error)
        yield replace(frame, stamp=index / 5), replace(told, focus_dioptre=said)


def _real(weights, fast_path, slow_path, steps, taught: int = 60, seed: int = 0) -> dict:
    """Photographs: registered fast and slow pictures of some scenes teach, the fast ones of the others are scored."""
    fast, slow = read_frames(fast_path), read_frames(slow_path)
    order = np.random.default_rng(seed).permutation(len(fast))
    model = load_weights(resolve_path(weights))[0]
    learner = OnlineLearner(model, OnlineConfig(capacity=2 * taught, window=(144, 192)))
    for number in tqdm(order[:taught], desc='registering', unit='scene'):
        one, other = fast[int(number)], slow[int(number)]
        place = np.eye(4)
        place[0, 3] = ELSEWHERE_M * number
        for frame, image in ((one, one.image), (other, registered(other.image, one.image))):
            learner.add(image, frame.lens, float(number), place, frame.intrinsics)
    scored = [(fast[int(number)], fast[int(number)].lens) for number in order[taught:]]
    before = _score(load_estimator(weights, 'cpu'), scored)
    decisions = _learn(learner, steps)
    after = _score(_estimator(learner), scored)
    return {
        'scenes_taught': taught,
        'scenes_scored': len(scored),
        'abs_rel_before': before,
        'abs_rel_after': after,
        'ratio': after / before,
        **_account(learner, decisions),
    }


def registered(image: np.ndarray, target: np.ndarray) -> np.ndarray:
    """An (H, W, 3) uint8 picture laid over another one of the same scene by a homography that maximises their
    correlation (Evangelidis and Psarakis, PAMI 2008). Raises ValueError where none is found."""
    grey = [
        cv2.GaussianBlur(cv2.cvtColor(x, cv2.COLOR_RGB2GRAY), (0, 0), 3).astype(np.float32) for x in (target, image)
    ]
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 100, 1e-5)
    try:
        _, warp = cv2.findTransformECC(*grey, np.eye(3, dtype=np.float32), cv2.MOTION_HOMOGRAPHY, criteria, None, 5)
    except cv2.error as error:
        raise ValueError(f'two pictures of one scene cannot be registered: {error.err}') from None
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    return cv2.warpPerspective(image, warp, target.shape[1::-1], flags=flags, borderMode=cv2.BORDER_REPLICATE)


def _learn(learner: OnlineLearner, steps: int) -> list:
    """Let it learn until it rests or has made so many steps. Returns the gate's decisions."""
    decisions = []
    with tqdm(total=steps, desc='learning', unit='step', leave=False) as progress:
        while learner.steps < steps:
            done = learner.step()
            if done.state != 'training':
                break
            decisions += [done.decision] if done.decision else []
            progress.n = learner.steps
            progress.update(0)
    return decisions


def _score(estimator: DepthEstimator, frames: Sequence[tuple[Frame, Lens]]) -> float:
    """Mean AbsRel over frames, each with the lens that the estimator is told."""
    errors = []
    for frame, lens in frames:
        depth = estimator.estimate(frame.image, lens).depth
        known = is_depth(frame.depth) & is_depth(depth)
        errors.append(abs_rel(depth[known], frame.depth[known]))
    return float(np.mean(errors))


def _estimator(learner):
    return make_estimator(from_bytes(learner.weights(), 'learned')[0], learner.digest, 'cpu', 'none')


def _account(learner, decisions) -> dict:
    residual = {name: value.item() for name, value in learner.model.residual.named_parameters()}
    return {
        'steps': learner.steps,
        'accepted': sum(decision.accepted for decision in decisions),
        'decisions': [decision.reason for decision in decisions],
        'residual': residual,
    }


def _step_ms(weights, lens, size, count: int = 40) -> dict:
    """Milliseconds of a training step of all weights on crops, networks and renderer, forward and backward."""
    learner = OnlineLearner(load_weights(resolve_path(weights))[0], OnlineConfig(window=CROP, stages=('all',)))
    for frame, said in itertools.islice(_filmed(lens, size, 0.0, 0.0, 0.0), 0, None, 3):
        learner.add(frame.image, said, frame.stamp, frame.pose, frame.intrinsics)
    seconds = []
    for _ in range(count):
        started = time.perf_counter()
        learner.step()
        seconds.append(time.perf_counter() - started)
    return {'window': list(CROP), **{f'p{share}': 1000 * float(np.percentile(seconds, share)) for share in (50, 95)}}
