"""A lens in motion: the span of focus around an image, by a fast search and by a slow look at every state."""

import numpy as np
import pytest

from dfd_depth_ros.scenes.lens_motion import STILL_DIOPTRE, motion_span

STAMPS = (0, 100, 200, 300)


def span(focus, stamp, moving=(False,) * 4, reach=100, stamps=STAMPS):
    return motion_span(stamps, lambda index: focus[index], moving[: len(stamps)], stamp, reach)


@pytest.mark.parametrize(
    ('focus', 'stamp', 'expected'),
    [
        ((1.0, 1.0, 1.0, 1.0), 150, None),
        ((1.0, 1.0, 1.3, 1.3), 150, 0.3),  # it moved while the image was exposed
        ((1.0, 1.0, 1.3, 1.3), 50, None),  # and stood still before
        ((1.0, 1.0, 1.3, 1.3), 250, None),
        ((1.0, 1.0, 1.0 + STILL_DIOPTRE / 2, 1.0), 150, None),  # noise
        ((1.0, 1.0, 1.0 + STILL_DIOPTRE * 2, 1.0), 150, 0.02),
        ((1.0, 1.0, 1.3, 1.3), 200, None),  # a state of its own: the lens steps between images
        ((1.0, 1.3, 1.0, 1.0), -50, None),  # nothing lies before
        ((1.0, 1.0, 1.0, 1.3), 350, None),  # nothing lies after
    ],
)
def test_a_lens_that_says_nothing_of_its_motion(focus, stamp, expected):
    assert span(focus, stamp) == (expected if expected is None else pytest.approx(expected))


def test_neighbours_out_of_reach_do_not_count():
    focus = (1.0, 1.0, 1.3, 1.3)
    assert span(focus, 150, reach=50) == pytest.approx(0.3)
    assert span(focus, 150, reach=49) is None
    assert span(focus, 140, reach=50) is None, 'one neighbour alone is no motion'


def test_what_the_driver_says_of_the_state_itself_counts_alone():
    focus = (1.0, 1.2, 1.5, 1.5)
    assert span(focus, 100, (True, False, True, False)) is None
    assert span(focus, 100, (False, True, False, False)) == pytest.approx(0.5)
    assert span(focus, 300, (False, False, False, True)) == 0.0, 'it says so, and has not come far'


def test_between_states_either_neighbour_may_say_it():
    focus = (1.0, 1.0, 1.0, 1.0)
    for index, expected in enumerate((None, 0.0, 0.0, None)):
        moving = tuple(other == index for other in range(4))
        assert span(focus, 150, moving) == expected
    assert span(focus, 350, (False, False, False, True)) == 0.0, 'and so may the last one'


def test_without_states_nothing_moves():
    assert motion_span((), None, (), 100, 100) is None


def slow(stamps, focus, moving, stamp, reach):
    """The rule read aloud, over every state."""
    before, after = [s for s in stamps if s < stamp][-1:], [s for s in stamps if s > stamp][:1]
    exact = [s for s in stamps if s == stamp]
    near = [s for s in (*before, *exact, *after) if abs(s - stamp) <= reach]
    values = [focus[stamps.index(s)] for s in near]
    said = any(moving[stamps.index(s)] for s in (exact or near))
    if said:
        return max(values) - min(values)
    wide = before and after and not exact and max(values, default=0) - min(values, default=0) > STILL_DIOPTRE
    return max(values) - min(values) if wide else None


@pytest.mark.parametrize('seed', range(20))
def test_the_search_is_the_rule(seed):
    random = np.random.default_rng(seed)
    stamps = np.sort(random.choice(60, random.integers(1, 12), replace=False)).tolist()
    focus = random.choice([1.0, 1.005, 1.2, 1.6], len(stamps)).tolist()
    moving = (random.random(len(stamps)) < 0.2).tolist()
    for stamp in range(-5, 66):
        for reach in (0, 5, 100):
            found = motion_span(stamps, lambda index: focus[index], moving, stamp, reach)
            assert found == slow(stamps, focus, moving, stamp, reach), (stamp, reach)
