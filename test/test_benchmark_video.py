"""Suite `video`: floors are what they say, settling is counted right, and a system is one line."""

import json

import cv2
import numpy as np
import pytest

from dfd_depth_ros.benchmarks import settling, video
from dfd_depth_ros.benchmarks.video import SYSTEMS, Job, Known, Unplaced, as_table, constant, truth
from dfd_depth_ros.estimation.estimate import Estimate
from dfd_depth_ros.evaluation.runs import strict
from dfd_depth_ros.evaluation.scoring import evaluate
from dfd_depth_ros.optics.lens import Lens
from dfd_depth_ros.scenes.frame import Frame, Intrinsics

LENS = Lens.focused_at(2.0, focal_length_m=0.05, f_number=1.8, pixel_pitch_m=5e-5)
SIZE = (24, 32)


def film(count=6):
    """A picture that stands still before a camera that does, its depth ever a little larger."""
    rng = np.random.default_rng(0)
    picture = cv2.GaussianBlur(rng.integers(0, 256, (*SIZE, 3), np.uint8), (0, 0), 1.5)
    camera = Intrinsics(50.0, 50.0, 15.5, 11.5)
    return [
        Frame(
            f'{index}',
            image=picture,
            lens=LENS,
            depth=np.full(SIZE, 2 + 0.01 * index, np.float32),
            intrinsics=camera,
            pose=np.eye(4),
            stamp=index / 15,
            sequence='film',
        )
        for index in range(count)
    ]


class Fake:
    """Reads the truth with a relative error for each call; remembers what it was told."""

    digest, model_name, device, precision = '', 'fake', 'cpu', 'float32'

    def __init__(self, errors):
        self.errors, self.index, self.told = errors, 0, []

    def reset(self):
        """Begin with the first error again."""
        self.index = 0

    def estimate(self, image, lens, stamp=None, *place):
        """Two metres, wrong by the next error."""
        self.told.append((stamp, *place))
        depth = np.full(image.shape[:2], 2 * (1 + self.errors[self.index % len(self.errors)]), np.float32)
        self.index += 1
        return Estimate(depth, depth / 10, depth, depth)


def scored(make):
    frames = film()
    return evaluate(frames, make(Job('', 'cpu', frames))).numbers


def test_the_truth_is_perfect():
    numbers = scored(truth)
    assert numbers['abs_rel'] == 0 and numbers['delta1'] == 1 and numbers['tcc'] == pytest.approx(1)
    assert numbers['tgm'] == pytest.approx(0, abs=1e-6) and numbers['flicker'] == pytest.approx(0, abs=1e-6)
    assert numbers['tae'] == pytest.approx(0.005, rel=0.05)  # the truth itself changes here, with a camera at rest


def test_a_constant_is_steady_and_wrong():
    numbers = scored(constant)
    assert numbers['tae'] == numbers['opw'] == 0
    assert numbers['abs_rel'] == pytest.approx(np.mean([0.01 * i / (2 + 0.01 * i) for i in range(6)]), rel=1e-3)


def test_known_depth_has_its_blur():
    found = Known([np.full(SIZE, 4.0)]).estimate(None, LENS)
    np.testing.assert_allclose(found.coc, LENS.coc(0.25), rtol=1e-6)
    np.testing.assert_allclose(found.sigma, 0.04)
    assert (found.far_probability == 1).all()


def test_every_filter_stands_beside_the_floors():
    assert {'none', 'ema', 'geometry', 'kalman', 'kalman+pose', 'constant', 'truth'} <= set(SYSTEMS)


def test_poses_are_told_only_where_the_name_says_so(monkeypatch):
    asked = []
    monkeypatch.setattr(video, 'load_estimator', lambda *arguments: asked.append(arguments) or Fake([0.0]))
    for name, told in (('kalman', (1.0,)), ('kalman+pose', (1.0, 'pose', 'camera'))):
        system = SYSTEMS[name](Job('weights', 'cpu', []))
        system.estimate(np.zeros((*SIZE, 3), np.uint8), LENS, 1.0, 'pose', 'camera')
        assert asked.pop() == ('weights', 'cpu', 'kalman')
        assert (system._estimator if isinstance(system, Unplaced) else system).told == [told]


@pytest.mark.parametrize(
    ('errors', 'frames'),
    [([0.1] * 10, 0), ([0.3, 0.2] + [0.1] * 8, 2), ([0.1, 0.1, 0.3] + [0.1] * 7, 3), ([0.1] * 9 + [0.4], 0)],
)
def test_frames_until_it_has_settled(errors, frames):
    assert settling.settle(np.array(errors)) == frames


def test_settling_counts_each_segment_and_finds_a_ghost(monkeypatch):
    monkeypatch.setattr(settling, 'SEGMENT', 4)
    errors = [0.1] * 4 + [0.3, 0.1, 0.1, 0.1] + [0.4, 0.3, 0.1, 0.1]
    frames = [Frame('', image=frame.image, lens=LENS, depth=np.full(SIZE, 2.0)) for frame in film(12)]
    numbers = settling.settling(Fake(errors), frames)
    assert numbers == {'settle_focus': 1, 'settle_cut': 2, 'ghost': pytest.approx(4.0, rel=1e-3)}


def test_cost_is_what_comes_on_top(monkeypatch):
    clock = iter(np.cumsum([0, 0.1, 0, 0.15] * 20))
    monkeypatch.setattr(settling.time, 'perf_counter', lambda: next(clock))
    numbers = settling.cost(Fake([0.0]), Fake([0.0]), film(2))
    assert numbers == pytest.approx({'network_ms': 100, 'filter_ms': 50, 'filter_share': 0.5})


def test_the_suite_from_end_to_end(monkeypatch, tmp_path):
    frames = film()
    monkeypatch.setattr(video, 'simulated', lambda *_: frames)
    monkeypatch.setattr(video, 'interrupted', lambda *_: frames * 5)
    monkeypatch.setattr(video, 'load_estimator', lambda *_: Fake([0.1, -0.1]))
    numbers = video.run('weights', 'cpu', LENS, systems=('none', 'truth'), figure=tmp_path / 'out' / 'a.png')
    assert list(numbers['sequences']) == ['simulated'] and list(numbers['settling']) == list(numbers['cost']) == [
        'none'
    ]
    assert numbers['sequences']['simulated']['none']['flicker'] > 0.15
    assert numbers['sequences']['simulated']['truth']['abs_rel'] == 0
    assert cv2.imread(str(tmp_path / 'out' / 'a.png')) is not None
    table = as_table(numbers)
    assert '| none |' in table and '| settling |' in table and '| truth |' in table
    json.dumps(strict(numbers), allow_nan=False)


def test_shots_follow_without_a_pause(monkeypatch):
    monkeypatch.setattr(settling, 'SEGMENT', 1)
    shots = settling.interrupted(LENS, (64, 48))
    assert [shot.stamp for shot in shots] == [0.0, 1 / 15, 2 / 15]
    assert [round(shot.lens.focus_distance_m, 3) for shot in shots[:2]] == list(settling.FOCUS_M)
    assert not np.array_equal(shots[1].depth, shots[2].depth)
