"""What a lens can see: error over distance, reach, twins, and the best focus, each against a slow twin or by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest

from dfd_depth_ros.optics import planning
from dfd_depth_ros.optics.lens import Lens, LensError

LENS = Lens.focused_at(2.0, focal_length_m=0.025, f_number=1.4, pixel_pitch_m=6.9e-6)


def one_pixel(coc):
    return np.ones_like(coc)


def sigma_by_hand(lens, error_px, depth):
    """Relative sigma of one distance, from the formula, one term after the other."""
    terms = [
        error_px / lens.gain,
        lens.focus_dioptre_sigma,
        abs(1 / lens.focus_distance_m - 1 / depth) * lens.gain_sigma,
    ]
    return depth * math.sqrt(sum(term**2 for term in terms))


@pytest.mark.parametrize('changes', [{}, {'focus_dioptre_sigma': 0.05}, {'gain_sigma': 0.1}])
@pytest.mark.parametrize('depth', [0.5, 2.0, 7.0])
def test_relative_sigma(changes, depth):
    lens = replace(LENS, **changes)
    assert planning.relative_sigma(lens, one_pixel, depth) == pytest.approx(sigma_by_hand(lens, 1.0, depth))


def test_reach_of_a_constant_error():
    near, far = planning.reach(LENS, one_pixel, 0.1)
    assert far == pytest.approx(0.1 * LENS.gain, rel=0.02)  # d / K = share
    assert near == pytest.approx(0.02 if 0.02 > 1.01 * 0.025 else 1.01 * 0.025)


def test_a_pi_camera_reaches_less_than_a_machine_vision_lens():
    pi = Lens(0.00474, 1.8, 2.8e-6, 2.0, focus_dioptre_sigma=0.2)
    assert planning.reach(pi, one_pixel, 0.2)[1] < 1.0 < 10 < planning.reach(LENS, one_pixel, 0.2)[1]


def test_no_reach_and_endless_reach():
    assert all(math.isnan(end) for end in planning.reach(LENS, lambda coc: coc + 1e6, 0.1))
    assert planning.reach(LENS, lambda coc: 0 * coc, 0.1)[1] == math.inf


@pytest.mark.parametrize('depth', [0.7, 1.3, 2.0, 5.0])
def test_a_twin_is_blurred_as_much_on_the_other_side(depth):
    twin = planning.twin(LENS, depth)
    if not math.isfinite(twin):
        assert depth < 1.0
        return
    assert LENS.coc(1 / twin) == pytest.approx(-LENS.coc(1 / depth))


def test_ambiguous_zone_ends_where_infinity_is_blurred_as_much():
    start = planning.ambiguous_from(LENS)
    assert start == pytest.approx(1.0) and LENS.coc(1 / start) == pytest.approx(-LENS.coc(0.0))
    assert math.isnan(planning.ambiguous_from(replace(LENS, side='behind')))
    assert math.isnan(planning.ambiguous_from(replace(LENS, focus_dioptre=0.0)))


@pytest.mark.parametrize('near, far', [(0.5, 3.0), (1.0, 1.5), (2.0, math.inf)])
def test_focus_leaves_the_range_on_one_side(near, far):
    found = planning.focus_for(LENS, lambda coc: 0.5 + 0.1 * coc, near, far)
    ends = found.coc(np.array([1 / near, 0 if math.isinf(far) else 1 / far]))
    assert (ends >= -1e-9).all() if found.side == 'behind' else (ends <= 1e-9).all()


def test_focus_is_the_best_of_a_slow_search():
    def error(coc):
        return 0.5 + 0.05 * coc**1.5

    found = planning.focus_for(LENS, error, 1.0, 2.0)
    depth = np.linspace(1, 2, 50)
    worst = planning.relative_sigma(found, error, depth).max()
    for focus in (*np.linspace(1.0, 1.6, 13), *np.linspace(0, 0.5, 13)):
        assert worst <= planning.relative_sigma(replace(LENS, focus_dioptre=focus), error, depth).max() * 1.01


@pytest.mark.parametrize(
    'near, far, message',
    [
        (3.0, 0.5, 'the range 3 to 0.5 m is none; give the near end first, both above zero'),
        (0.0, 1.0, 'the range 0 to 1 m is none; give the near end first, both above zero'),
        (0.04, 1.0, 'the range begins at 0.04 m, within two focal lengths of 0.025 m'),
    ],
)
def test_a_range_that_is_none(near, far, message):
    with pytest.raises(LensError) as error:
        planning.focus_for(LENS, one_pixel, near, far)
    assert str(error.value) == message
