"""How far the lens in use reaches, as the node tells it and limits depth by it."""

import math
from dataclasses import replace

import pytest

from dfd_depth_ros.optics.lens import Lens
from dfd_depth_ros.optics.planning import reach

pytest.importorskip('rclpy')

from dfd_depth_ros.estimation.blur import read_table  # noqa: E402
from dfd_depth_ros.ros.parameters import ParameterError  # noqa: E402
from dfd_depth_ros.ros.reach import SHOWN_SHARE, Reach  # noqa: E402

WEIGHTS = 'models/dfd_small.safetensors'
LENS = Lens.focused_at(2.0, focal_length_m=0.025, f_number=1.4, pixel_pitch_m=6.9e-6)


@pytest.mark.parametrize('share', [0.1, 0.3])
def test_the_limit_is_the_reach_of_the_lens(share):
    assert Reach(WEIGHTS, share).farthest(LENS, share) == reach(LENS, read_table(WEIGHTS).error, share)[1]


def test_no_limit_unless_asked_for():
    found = Reach(WEIGHTS, 0.0)
    assert found.farthest(LENS, 0.0) == math.inf
    assert found.of(LENS, 0.0) == found.of(LENS, SHOWN_SHARE)


def test_a_lens_that_reaches_nowhere_shows_nothing():
    lens = replace(LENS, focus_dioptre_sigma=100.0)
    assert Reach(WEIGHTS, 0.2).farthest(lens, 0.2) == 0
    sentence = 'expected sigma within 20% of depth nowhere; from 1.00 m on blur alone leaves two answers'
    assert Reach(WEIGHTS, 0.2).sentence(lens, 0.2) == f'lens UNCALIBRATED: {sentence}'


def test_the_sentence_names_quality_and_distances():
    lens = replace(LENS, quality='CALIBRATED', side='behind')
    near, far = reach(lens, read_table(WEIGHTS).error, 0.2)
    sentence = f'lens CALIBRATED: expected sigma within 20% of depth from {near:.2f} to {far:.2f} m'
    assert Reach(WEIGHTS, 0.0).sentence(lens, 0.0) == sentence


def test_a_changed_lens_is_worked_out_anew():
    found = Reach(WEIGHTS, 0.2)
    first = found.of(LENS, 0.2)
    assert found.of(replace(LENS, f_number=2.8), 0.2) != first == found.of(LENS, 0.2)


def test_each_lens_is_worked_out_once(monkeypatch):
    asked = []

    def worked_out(lens, error, share):
        asked.append((lens, share))
        return 1, 2

    monkeypatch.setattr('dfd_depth_ros.ros.reach.reach', worked_out)
    found = Reach(WEIGHTS, 0.2)
    lenses = [replace(LENS, focus_dioptre=focus) for focus in (0.2, 0.5, 1.0)]
    for lens in lenses * 2:
        assert found.of(lens, 0.2) == (1, 2) and found.farthest(lens, 0.2) == 2
    assert asked == [(lens, 0.2) for lens in lenses]
    found.of(LENS, 0.1)
    assert asked[3:] == [(LENS, 0.1)]


def test_weights_without_a_table(tmp_path):
    weights = tmp_path / 'w.safetensors'
    found = Reach(weights, 0.0)
    missing = (
        f'{tmp_path}/w.blur.json does not exist; make it with: benchmark blur --weights {weights} '
        f'--json {tmp_path}/w.blur.json'
    )
    assert found.farthest(LENS, 0.0) == math.inf and math.isnan(found.of(LENS, 0.0)[1])
    assert found.sentence(LENS, 0.0) == f'reach of the lens is unknown: {missing}'
    for ask in (found.check, lambda share: Reach(weights, share)):
        with pytest.raises(ParameterError) as error:
            ask(0.2)
        assert str(error.value) == f'range.max_sigma_share is 0.2, but {missing}'
