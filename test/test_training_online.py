"""The online learner on a small simulated camera: it heals a wrong lens, and nothing that it does can harm."""

import copy
import json
import math
import resource
from dataclasses import replace

import numpy as np
import pytest
import torch

from dfd_depth_ros.benchmarks.adapt import registered
from dfd_depth_ros.estimation.estimator import DepthEstimator
from dfd_depth_ros.networks.weights import from_bytes, load_weights
from dfd_depth_ros.paths import resolve_path
from dfd_depth_ros.scenes.lens_files import read_lens
from dfd_depth_ros.scenes.simulated import camera_loop, film_set, true_lens
from dfd_depth_ros.splatting.layered import LayeredRenderer
from dfd_depth_ros.training.gate import Gate
from dfd_depth_ros.training.online import OnlineConfig, OnlineLearner

SIZE = (320, 240)
TOLD = read_lens('config/lenses/simulated_50mm_f1.4.yaml').resized(1.0)
SMALL = OnlineConfig(window=(48, 64), steps=30, capacity=12)


@pytest.fixture(scope='module')
def shipped():
    return load_weights(resolve_path('models/dfd_small.safetensors'))[0]


@pytest.fixture(scope='module')
def frames():
    """(frame, what the camera says of its lens): its true f-number is lower and its true focus nearer than told."""
    scene, true, motion = film_set('motorcycle', true_lens(TOLD, -1 / 6, -0.1), SIZE)
    return [
        (frame, replace(TOLD, focus_dioptre=frame.lens.focus_dioptre * 0.9))
        for frame in camera_loop(scene, true, 14, SIZE, motion)
    ]


def taught(model, frames, config=SMALL, pose=True):
    learner = OnlineLearner(model, config)
    for number, (frame, told) in enumerate(frames):
        learner.add(frame.image, told, number / 5, frame.pose if pose else None, frame.intrinsics)
    return learner


def until_decision(learner, limit=500):
    for _ in range(limit):
        progress = learner.step()
        if progress.decision or progress.state != 'training':
            return progress
    raise AssertionError('no decision')


def until_accepted(learner, decisions=5):
    for _ in range(decisions):
        if until_decision(learner).decision.accepted:
            return learner
    raise AssertionError('nothing was accepted')


def abs_rel(data, frames):
    estimator = DepthEstimator(from_bytes(data, 'test')[0], 'cpu')
    depths = [(estimator.estimate(frame.image, told).depth, frame.depth) for frame, told in frames]
    return float(np.mean([np.mean(abs(depth - truth) / truth) for depth, truth in depths]))


def test_a_wrong_lens_heals_itself(shipped, frames):
    learner = taught(shipped, frames[::2])
    before = learner.weights(), abs_rel(learner.weights(), frames[1::2])
    decisions = [until_decision(learner).decision for _ in range(4)]
    accepted = [decision for decision in decisions if decision.accepted]
    assert accepted and all(decision.after < decision.before for decision in accepted), decisions
    after = abs_rel(learner.weights(), frames[1::2])
    known = abs_rel(before[0], [(frame, frame.lens) for frame, _ in frames[1::2]])
    assert after < before[1] - 0.6 * (before[1] - known)
    assert learner.model.residual.log_gain > 0
    present = learner.digest
    assert learner.rollback() == learner.digest != present


def test_nothing_is_learned_without_pairs(shipped, frames):
    learner = OnlineLearner(shipped, SMALL)
    assert learner.step().state == 'waiting'
    frame, told = frames[0]
    assert [learner.add(frame.image, told, stamp, frame.pose) for stamp in (0.0, 1.0, 0.5)] == [True, False, False]
    assert learner.step().state == 'waiting' and learner.steps == 0


def test_a_stream_that_teaches_nothing_is_rested_on(shipped, frames):
    """Stages of one step with nothing gained are left one after the other; new keyframes end the rest."""
    learner = taught(shipped, frames[:8], replace(SMALL, steps=1, capacity=6))
    for name in ('lens', 'norm', 'all'):
        learner._gate.judge = lambda *_: _refusal()
        assert until_decision(learner).decision.reason.startswith(name)
    assert learner.step().state == 'resting'
    for number, (frame, told) in enumerate(frames[8:]):
        learner.add(frame.image, told, 2 + number, frame.pose, frame.intrinsics)
    assert learner.step().state == 'training'


def _refusal():
    from dfd_depth_ros.training.gate import Decision

    return Decision(False, 'not better', 1.0, 1.0)


@pytest.mark.parametrize('stage', ['norm', 'all'])
def test_the_networks_learn_and_the_shipped_weights_stay(stage, shipped, frames):
    before = copy.deepcopy(shipped.state_dict())
    learner = taught(shipped, frames[:8], replace(SMALL, stages=(stage,), steps=2, capacity=6))
    losses = learner.step().losses
    learner.step()
    assert all(math.isfinite(value) for value in losses.values())
    moved = [
        name
        for name, value in learner._candidate.state_dict().items()
        if not torch.equal(value, before[name]) and not name.startswith('residual')
    ]
    assert moved and (stage == 'all' or all('.1.' in name for name in moved))
    assert all(torch.equal(value, before[name]) for name, value in shipped.state_dict().items())


def test_state_survives_a_restart(shipped, frames, tmp_path):
    learner = until_accepted(taught(shipped, frames))
    learner.save(tmp_path)
    assert json.loads((tmp_path / 'state.json').read_text())['weights'][-1] == f'{learner.digest}.safetensors'
    assert (tmp_path / 'weights.safetensors').read_bytes() == learner.weights()
    again = OnlineLearner(shipped, SMALL)
    assert again.resume(tmp_path)
    digest = learner.digest
    assert (again.digest, again.steps) == (digest, learner.steps)
    assert again.rollback() == learner.rollback() != digest
    with pytest.raises(ValueError, match='no earlier weights'):
        again.rollback()
    learner.save(tmp_path)
    assert len(list(tmp_path.glob('*.safetensors'))) == 2  # what was rolled back is not kept
    assert learner.reset() == OnlineLearner(shipped, SMALL).digest and not learner.keyframes.training


def test_nothing_to_resume_and_the_state_of_others(shipped, tmp_path):
    learner = OnlineLearner(shipped, SMALL)
    assert not learner.resume(tmp_path)
    learner.save(tmp_path)
    other = copy.deepcopy(shipped)
    other.sigma_scale.fill_(2.0)
    stranger = OnlineLearner(other, SMALL)
    with pytest.raises(ValueError, match='learned from other weights'):
        stranger.resume(tmp_path)
    (tmp_path / f'{learner.digest}.safetensors').write_bytes(b'cut')
    with pytest.raises(ValueError, match='truncated or not a safetensors file'):
        learner.resume(tmp_path)


@pytest.mark.parametrize(
    ('harm', 'reason'),
    [
        (lambda model: model.depth_net.head.weight.data.fill_(torch.nan), 'weights are not finite'),
        (lambda model: model.residual.log_gain.data.fill_(0.8), 'the lens drifted: log_gain is 0.80'),
        (lambda model: model.depth_net.head.bias.data.add_(1e3 * torch.eye(64)[40]), 'depth has gone flat'),
        (lambda model: model.residual.log_gain.data.fill_(-0.6), 'not better'),
        (lambda model: None, 'not better'),
    ],
)
def test_the_gate_refuses(harm, reason, shipped, frames):
    learner = taught(shipped, frames)
    candidate = copy.deepcopy(shipped)
    with torch.no_grad():
        harm(candidate)
    decision = learner._gate.judge(shipped, candidate, learner.keyframes.held_out_pairs, only_lens=False)
    assert not decision.accepted and decision.reason.startswith(reason)


def test_the_gate_refuses_what_forgot_made_up_scenes(shipped, frames):
    learner, candidate = taught(shipped, frames), copy.deepcopy(shipped)
    gate = Gate(shipped, LayeredRenderer(), SMALL.window, pairs=1)
    candidate.residual.log_gain.data.fill_(0.2)
    assert gate.judge(shipped, candidate, learner.keyframes.held_out_pairs, only_lens=False).accepted
    gate._allowed = 0.0
    decision = gate.judge(shipped, candidate, learner.keyframes.held_out_pairs, only_lens=False)
    assert (decision.accepted, decision.reason) == (False, 'worse on made-up scenes with known depth')


def test_a_gradient_that_is_not_finite_changes_nothing(shipped, frames):
    learner = taught(shipped, frames, replace(SMALL, stages=('lens',)))
    learner.step()
    before = copy.deepcopy(learner._candidate.state_dict())
    real = learner._renderer
    learner._renderer = lambda *scene: replace(real(*scene), colour=real(*scene).colour * torch.nan)
    assert not math.isfinite(learner.step().losses['total'])
    assert all(torch.equal(value, before[name]) for name, value in learner._candidate.state_dict().items())


def test_the_report_shows_before_and_after(shipped, frames, tmp_path):
    learner = OnlineLearner(shipped, replace(SMALL, steps=2))
    learner.report(tmp_path / 'empty')
    assert not (tmp_path / 'empty' / 'before_after.png').exists()
    learner = taught(shipped, frames, replace(SMALL, steps=2))
    until_decision(learner)
    learner.report(tmp_path)
    assert (tmp_path / 'before_after.png').stat().st_size > 10_000
    assert len((tmp_path / 'decisions.txt').read_text().splitlines()) == 1
    assert list((tmp_path / 'tensorboard').iterdir())


def test_memory_is_flat(shipped, frames):
    learner = taught(shipped, frames, replace(SMALL, window=(32, 32), steps=300, stages=('lens',), capacity=6))
    peak = []
    for step in range(300):
        assert learner.step().state == 'training'
        if step in (60, 299):
            peak.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    assert peak[1] - peak[0] < 10


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'image': np.zeros((40, 320, 3), np.uint8)}, 'picture of 320 x 40 is smaller than the training window'),
        ({'pose': np.full((4, 4), np.nan)}, 'pose is not a finite 4 x 4 matrix'),
    ],
)
def test_frames_that_cannot_be_used_are_refused(change, message, shipped, frames):
    frame, told = frames[0]
    values = {'image': frame.image, 'lens': told, 'stamp': 0.0, 'pose': frame.pose} | change
    with pytest.raises(ValueError, match=message):
        OnlineLearner(shipped, SMALL).add(**values)


@pytest.mark.parametrize('values', [{'steps': 0}, {'window': (30, 64)}, {'window': (64, 16)}, {'stages': ('magic',)}])
def test_settings_that_cannot_work_are_refused(values):
    with pytest.raises(ValueError, match='cannot work|stages are'):
        OnlineConfig(**values)


def test_photographs_are_registered(frames):
    import cv2

    image = frames[0][0].image
    moved = cv2.warpAffine(image, np.float32([[1.01, 0, 3], [0, 1.01, -2]]), SIZE, borderMode=cv2.BORDER_REPLICATE)
    inside = np.s_[20:-20, 20:-20]
    error = [np.abs(x[inside].astype(float) - image[inside]).mean() for x in (moved, registered(moved, image))]
    assert error[1] < 0.3 * error[0]
    with pytest.raises(ValueError, match='cannot be registered'):
        registered(np.zeros_like(image), image)
