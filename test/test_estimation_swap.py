"""Weights that come while an estimator is in service: what is refused, what takes over, and the way back."""

import hashlib

import numpy as np
import pytest
import torch

from dfd_depth_ros.estimation.estimate import Estimate
from dfd_depth_ros.estimation.estimator import load_estimator
from dfd_depth_ros.estimation.swap import PATIENCE, ReplaceableEstimator, candidate_estimator
from dfd_depth_ros.networks.model import DfdModel
from dfd_depth_ros.networks.weights import WeightsError, load_weights, to_bytes
from dfd_depth_ros.optics.lens import Lens
from dfd_depth_ros.paths import resolve_path

WEIGHTS = 'models/dfd_small.safetensors'
LENS = Lens(0.05, 2.0, 5e-5, 0.5)
PICTURE = np.zeros((16, 20, 3), np.uint8)


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class Fake:
    """Flat depth of two metres; its picture-wide sigma and share of unknown pixels come from the data."""

    temporal_filter, device, model_name, precision = 'none', 'cpu', 'fake', 'float32'

    def __init__(self, data=b'first', sigma=0.04, unknown=0.0):
        self.data, self.digest, self.sigma, self.unknown, self.resets = data, sha(data), sigma, unknown, 0

    def reset(self):
        self.resets += 1

    def estimate(self, image, lens, stamp=None, *place, turn=lambda: None):
        turn()
        depth = np.full(image.shape[:2], 2.0, np.float32)
        depth[: round(len(depth) * self.unknown)] = np.nan
        return Estimate(depth, np.full_like(depth, self.sigma), np.zeros_like(depth), np.ones_like(depth))


def offer(live, data, pin=''):
    """Whether the weights were new, and are in service now."""
    candidate = live.candidate(data, pin)
    if candidate:
        live.take(candidate)
    return candidate is not None


class Stage:
    """A replaceable fake; `offer` gives it another one."""

    def __init__(self, first=None):
        self.said, self.next = [], None
        self.live = ReplaceableEstimator(first or Fake(), lambda data, present: self.next, self.said.append)

    def offer(self, data=b'second', pin='', **values):
        self.next = Fake(data, **values)
        return offer(self.live, data, pin)

    def look(self, frames=1):
        return [self.live.estimate(PICTURE, LENS, 0.0) for _ in range(frames)]


def test_accepted_weights_take_over_and_name_their_source():
    stage = Stage()
    assert (stage.live.digest, stage.live.source) == (sha(b'first'), 'file')
    assert stage.offer()
    assert (stage.live.digest, stage.live.source, stage.live.model_name) == (sha(b'second'), 'topic', 'fake')
    present = stage.live.present
    assert not stage.offer() and stage.live.present is present


def test_a_pin_allows_only_its_own():
    stage = Stage()
    with pytest.raises(ValueError) as error:
        stage.offer(pin='ab' * 32)
    sentence = f'weights from the topic have the digest {sha(b"second")}; weights_pin allows only {"ab" * 32}'
    assert str(error.value) == sentence and stage.live.source == 'file'
    assert stage.offer(pin=sha(b'second').upper())


@pytest.mark.parametrize(
    ('fault', 'reason'),
    [
        ({'unknown': 0.75}, 'they leave 75 % of the pixels unknown'),
        ({'sigma': np.nan}, 'they leave 100 % of the pixels unknown'),
        ({'sigma': 1.0}, 'their sigma is 25 times that of the weights before'),
    ],
)
def test_weights_that_fail_on_live_frames_are_taken_back_and_refused(fault, reason):
    stage = Stage()
    stage.look(5)
    stage.offer(**fault)
    stage.look(PATIENCE - 1)
    assert stage.live.digest == sha(b'second') and not stage.said
    found = stage.look()[0]
    assert np.isfinite(found.depth).all() and found.sigma.max() == np.float32(0.04)
    assert (stage.live.digest, stage.live.source) == (sha(b'first'), 'file')
    assert stage.said == [
        f'weights from the topic with the digest {sha(b"second")} failed in 3 frames, {reason}; those before are back'
    ]
    with pytest.raises(ValueError) as error:
        stage.offer()
    assert str(error.value) == f'weights from the topic with the digest {sha(b"second")} are refused: {reason}'
    assert stage.offer(b'third')
    assert not stage.look()[0].notes and stage.live.digest == sha(b'third')


def test_a_frame_that_failed_weights_have_begun_is_read_by_those_before():
    stage = Stage()
    stage.look(5)
    stage.offer(sigma=1.0)
    stage.look(PATIENCE - 1)
    found = stage.live.estimate(PICTURE, LENS, 0.0, turn=lambda: stage.look())  # the third one fails before its turn
    assert stage.live.digest == sha(b'first') and found.sigma.max() == np.float32(0.04)


def test_a_good_frame_between_bad_ones_is_forgiving():
    stage = Stage()
    stage.look()
    stage.offer()
    for _ in range(5):
        stage.live.present.unknown = 1.0
        stage.look(PATIENCE - 1)
        stage.live.present.unknown = 0.0
        stage.look()
    assert stage.live.digest == sha(b'second') and not stage.said


def test_a_picture_that_nobody_can_read_is_not_held_against_the_weights():
    stage = Stage()
    stage.look(3)
    stage.offer()
    stage.live.present.sigma = stage.live._before.sigma = 10.0
    stage.look(3 * PATIENCE)
    assert stage.live.digest == sha(b'second') and not stage.said


def test_nearer_and_farther_scenes_are_no_fault():
    stage = Stage()
    stage.look(3)
    stage.offer()
    estimate = stage.live.present.estimate

    def farther(*arguments, turn):
        found = estimate(*arguments, turn=turn)
        return Estimate(10 * found.depth, 100 * found.sigma, found.coc, found.far_probability)

    stage.live.present.estimate = farther
    stage.look(2 * PATIENCE)
    assert not stage.said


def test_without_weights_before_there_is_no_way_back():
    stage = Stage(Fake(unknown=1.0))
    stage.look(2 * PATIENCE)
    assert stage.live.source == 'file' and not stage.said


def test_a_failing_candidate_changes_nothing():
    def make(data, present):
        raise ValueError('no')

    live = ReplaceableEstimator(Fake(), make)
    before = live.present
    with pytest.raises(ValueError):
        offer(live, b'x')
    assert live.present is before and live.source == 'file'


shipped = pytest.mark.skipif(not resolve_path(WEIGHTS).exists(), reason='the weights are not there')


@pytest.fixture(scope='module')
def present():
    if not resolve_path(WEIGHTS).exists():
        pytest.skip('the weights are not there')
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield load_estimator(WEIGHTS, 'cpu')
    torch.set_num_threads(threads)


def altered(change=lambda model: None) -> bytes:
    model = load_weights(resolve_path(WEIGHTS))[0]
    with torch.no_grad():
        change(model)
    return to_bytes(model, {})


def test_good_weights_pass_and_keep_device_and_filter(present):
    data = altered()
    candidate = candidate_estimator(data, present)
    assert candidate.digest == sha(data) and candidate.temporal_filter == present.temporal_filter
    assert (candidate.device, candidate.precision) == (present.device, present.precision)
    np.testing.assert_array_equal(candidate.estimate(PICTURE, LENS).depth, present.estimate(PICTURE, LENS).depth)


def test_the_test_leaves_the_filter_of_the_present_one_alone(present):
    present.estimate(PICTURE, LENS, 1.0)
    smoother, past = present._smoother, present._smoother._past
    candidate_estimator(altered(), present)
    assert present._smoother is smoother and smoother._past is past


TESTS = {
    'sigma is zero': (lambda model: model.sigma_scale.zero_(), 'sigma of the test picture is not positive'),
    'sigma is endless': (
        lambda model: model.sigma_scale.fill_(3e38),
        'depth or sigma of the test picture is not finite',
    ),
    'untrained': (lambda model: model.load_state_dict(untrained()), 'depth of the test picture is flat'),
}


def untrained():
    torch.manual_seed(0)
    return DfdModel().state_dict()


@pytest.mark.parametrize('case', TESTS)
def test_weights_that_fail_the_self_test(present, case):
    change, reason = TESTS[case]
    with pytest.raises(ValueError) as error:
        candidate_estimator(altered(change), present)
    assert str(error.value) == f'weights from the topic fail the self-test: {reason}'


def test_what_is_no_weights_file_is_refused_like_a_file(present):
    for data in (b'', b'hello', altered()[:-100]):
        with pytest.raises(WeightsError) as error:
            candidate_estimator(data, present)
        assert str(error.value) == 'weights from the topic are truncated or not a safetensors file'
