"""A lens that moves, and lens stamps that are strange: what becomes of sigma, and what the user reads."""

import math

import pytest

from dfd_depth_ros.optics.lens import Lens
from dfd_depth_ros.ros.lens_buffer import LensBuffer, NoLensError

SECOND = 1_000_000_000


def lens(focus_dioptre, sigma=0.0):
    return Lens(0.05, 2.0, 4e-5, focus_dioptre, focus_dioptre_sigma=sigma)


def filled(*states):
    """states: (seconds, lens) or (seconds, lens, is_moving)."""
    buffer = LensBuffer()
    for stamp, *state in states:
        buffer.add(round(stamp * SECOND), *state)
    return buffer


def match(buffer, stamp, policy='drop', moving='widen', max_age_s=0.5):
    return buffer.match(round(stamp * SECOND), max_age_s, policy, lens(9.0), 0.0, moving)


def test_between_states_that_differ_the_span_widens_sigma():
    found = match(filled((1.0, lens(0.5, 0.03)), (1.2, lens(0.9, 0.03))), 1.05)
    assert found.is_moving and found.quality == 'interpolated'
    assert found.lens.focus_dioptre == pytest.approx(0.6)
    assert found.lens.focus_dioptre_sigma == pytest.approx(math.hypot(0.03, 0.4))


@pytest.mark.parametrize(('other', 'moves'), [(0.5, False), (0.509, False), (0.511, True), (0.489, True)])
def test_noise_of_the_reading_is_no_motion(other, moves):
    found = match(filled((1.0, lens(0.5)), (1.2, lens(other))), 1.1)
    assert found.is_moving is moves
    assert found.lens.focus_dioptre_sigma == pytest.approx(abs(other - 0.5) if moves else 0.0)


def test_between_states_that_move_alike_sigma_is_that_of_the_states():
    # A scan that is told, but stands still between these two: nothing spans, nothing widens.
    found = match(filled((1.0, lens(0.5, 0.1), True), (1.2, lens(0.5, 0.1), True)), 1.1)
    assert found.is_moving and found.lens.focus_dioptre_sigma == pytest.approx(0.1)


def test_a_state_of_the_very_stamp_is_exact_though_its_neighbours_differ():
    # The simulator refocuses with every frame and says where it was: there is nothing to widen.
    found = match(filled((1.0, lens(0.4)), (1.1, lens(0.6)), (1.2, lens(0.9))), 1.1)
    assert found.quality == 'exact' and not found.is_moving and found.lens == lens(0.6)


def test_a_state_of_the_very_stamp_that_moves_spans_its_neighbours():
    found = match(filled((1.0, lens(0.4)), (1.1, lens(0.6, 0.05), True), (1.2, lens(0.9))), 1.1)
    assert found.quality == 'exact' and found.is_moving and found.lens.focus_dioptre == 0.6
    assert found.lens.focus_dioptre_sigma == pytest.approx(math.hypot(0.05, 0.5))


@pytest.mark.parametrize(('place', 'span'), [(1.0, 0.2), (1.2, 0.3)])
def test_at_either_end_there_is_one_neighbour(place, span):
    buffer = filled((1.0, lens(0.4), True), (1.1, lens(0.6), True), (1.2, lens(0.9), True))
    assert match(buffer, place).lens.focus_dioptre_sigma == pytest.approx(span)


def test_a_neighbour_that_moves_says_nothing_about_a_state_of_the_very_stamp():
    found = match(filled((1.0, lens(0.4), True), (1.1, lens(0.6)), (1.2, lens(0.9), True)), 1.1)
    assert not found.is_moving and found.lens.focus_dioptre_sigma == 0


def test_neighbours_too_far_away_do_not_count():
    buffer = filled((1.0, lens(0.1)), (5.0, lens(0.6), True), (9.0, lens(0.9)))
    assert match(buffer, 5.0).lens.focus_dioptre_sigma == 0 and match(buffer, 5.0).is_moving


def test_a_state_that_is_held_and_moved_is_as_uncertain_as_its_last_step():
    buffer = filled((1.0, lens(0.4)), (1.1, lens(0.6), True))
    assert match(buffer, 1.3, 'hold').is_moving
    assert not match(filled((1.0, lens(0.4)), (1.1, lens(0.6))), 1.3, 'hold').is_moving


def test_a_static_lens_never_moves():
    found = match(filled((1.0, lens(0.4), True)), 9.0, 'static')
    assert (found.lens, found.quality, found.is_moving) == (lens(9.0), 'static', False)


@pytest.mark.parametrize('stamp', [1.05, 1.1])
def test_images_of_a_moving_lens_are_dropped_on_request(stamp):
    buffer = filled((1.0, lens(0.4)), (1.1, lens(0.65), True), (1.2, lens(0.65)))
    with pytest.raises(NoLensError) as error:
        match(buffer, stamp, moving='drop')
    assert str(error.value) == ('the lens moves: its focus spans 0.25 dioptre around the image; lens.moving is drop')
    assert match(buffer, 1.2, moving='drop').lens == lens(0.65)


def test_two_states_of_one_stamp():
    buffer = LensBuffer()
    assert buffer.add(12_345_000_000, lens(0.4)) == ''
    assert buffer.add(12_345_000_000, lens(0.4)) == ''
    assert buffer.add(12_345_000_000, lens(0.6)) == (
        'two lens states have the stamp 12.345 s and differ; the later one counts'
    )
    assert match(buffer, 12.345).lens == lens(0.6)
    with pytest.raises(NoLensError):  # one stamp has no two sides
        match(buffer, 12.4)


def test_time_going_back():
    buffer = filled((100.0, lens(0.4)), (101.0, lens(0.5)))
    assert buffer.add(SECOND, lens(0.6)) == 'lens stamp jumped back by 100.000 s; earlier ones are forgotten'
    assert buffer.add(2 * SECOND, lens(0.6)) == ''


@pytest.mark.parametrize('policy', ['drop', 'hold'])
def test_stamps_of_another_clock(policy):
    # The lens counts from the start of the machine, the images from 1970.
    with pytest.raises(NoLensError) as error:
        match(filled((2491.5, lens(0.4)), (2492.5, lens(0.4))), 1_775_986_969.2, policy)
    assert str(error.value) == (
        'lens stamps are in another clock: the image is at 1775986969.200 s, the nearest lens state at 2492.500 s'
    )


def test_a_state_of_yesterday_is_held():
    found = match(filled((1000.0, lens(0.4))), 1000.0 + 86_400, 'hold')
    assert found.quality == 'held' and found.age_s == 86_400
