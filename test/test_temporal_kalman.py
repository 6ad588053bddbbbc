"""The filter of each pixel: honest about lasting errors, and able to tell near from far once focus moves."""

import numpy as np
import pytest
import torch

from dfd_depth_ros.temporal import kalman as module
from dfd_depth_ros.temporal.kalman import CHANNELS, LEAK, MEMORY, correlation, kalman
from dfd_depth_ros.temporal.reading import Change, Reading, Sides, mirrored

SHAPE = (3, 4)


def still(shape=SHAPE, blur=0.0, focus=0.5):
    return Change(blur, focus, torch.zeros(shape))


def reading(inverse_depth, sigma=0.1, far=0.99, focus=0.5, gain=20.0, shape=SHAPE):
    q = torch.as_tensor(inverse_depth, dtype=torch.float32).expand(shape).clone()
    sigma, far = torch.full(shape, sigma), torch.full(shape, far)
    return Reading(q, sigma, far, gain, focus, mirrored(q, sigma, far, focus))


def run(values, **options):
    state, out = None, []
    for value in values:
        steady = kalman(reading(value, **options), state, still())
        state = steady.state
        out.append((float(steady.inverse_depth[0, 0]), float(steady.sigma[0, 0])))
    return np.array(out)


def test_the_first_frame_is_taken_as_it_is():
    steady = kalman(reading(0.3), None, None)
    torch.testing.assert_close(steady.inverse_depth, torch.full(SHAPE, 0.3), rtol=1e-3, atol=0)
    torch.testing.assert_close(steady.sigma, torch.full(SHAPE, 0.1), rtol=1e-3, atol=0)
    assert steady.state.shape == (CHANNELS, *SHAPE)


@pytest.mark.parametrize(('far', 'shown'), [(0.5, 'near'), (0.58, 'near'), (0.66, 'far')])
def test_the_far_side_is_shown_where_it_is_clearly_the_likelier_one(far, shown):
    steady = kalman(reading(0.3, far=far, focus=0.5), None, None)
    assert ('near' if steady.inverse_depth[0, 0] > 0.5 else 'far') == shown
    assert float(steady.far[0, 0]) == pytest.approx((1 - LEAK) * far + LEAK * (1 - far), abs=1e-3)


def twin(values, sigma, phi):
    """One hypothesis of one pixel, number by number, with its error as weights of all readings so far."""
    x, p, weights = values[0], sigma**2, np.array([1.0])
    spread = []
    for count, z in enumerate(values[1:], 2):
        gain = MEMORY * p / (MEMORY * p + sigma**2)
        x, p = x + gain * (z - x), (1 - gain) * MEMORY * p
        weights = np.append((1 - gain) * weights, gain)
        lags = np.abs(np.subtract.outer(np.arange(count), np.arange(count)))
        spread.append(sigma * np.sqrt(weights @ phi**lags @ weights))
    return x, spread


def test_mean_and_sigma_are_those_of_correlated_readings():
    values = 0.3 + 0.02 * np.sin(np.arange(30))
    out = run(values)
    mean, spread = twin(values, 0.1, correlation(0.0))
    assert out[-1, 0] == pytest.approx(mean, abs=1e-4)
    np.testing.assert_allclose(out[1:, 1], spread, rtol=1e-3)


def test_sigma_is_covered_where_errors_last(monkeypatch):
    """Errors drawn from the model: the share within one and two sigmas after thirty frames is that of a Gaussian."""
    rng, phi, sigma, shape = np.random.default_rng(0), correlation(0.0), 0.05, (60, 60)
    error, state = rng.normal(size=shape) * sigma, None
    for _ in range(30):
        q = torch.from_numpy((0.3 + error).astype(np.float32))
        steady = kalman(reading(q, sigma, far=1.0, focus=2.0, shape=shape), state, still(shape, focus=2.0))
        state = steady.state
        error = phi * error + np.sqrt(1 - phi**2) * sigma * rng.normal(size=shape)
    ratio = ((steady.inverse_depth - 0.3) / steady.sigma).abs()
    assert float((ratio < 1).float().mean()) == pytest.approx(0.683, abs=0.04)
    assert float((ratio < 2).float().mean()) == pytest.approx(0.954, abs=0.02)


def test_a_thousand_equal_frames_do_not_make_it_sure():
    out = run([0.3] * 1000)
    assert 0.8 * 0.1 < out[-1, 1] < 0.1


def test_frames_count_more_while_focus_moves():
    assert correlation(0.0) > correlation(2.0) == correlation(-2.0) > 0


def test_flicker_is_averaged_and_a_jump_is_followed_at_once():
    rng = np.random.default_rng(0)
    noisy = 0.3 + 0.02 * rng.normal(size=60)
    out = run(noisy)
    assert np.abs(np.diff(out[20:, 0])).mean() < 0.2 * np.abs(np.diff(noisy[20:])).mean()
    assert run([0.3] * 10 + [0.45, 0.45], sigma=0.02)[-2, 0] == pytest.approx(0.45, abs=1e-3)


def test_nan_is_held_and_does_not_spread():
    state = kalman(reading(0.3), None, None).state
    broken = kalman(reading(torch.nan), state, still())
    assert float(broken.inverse_depth[0, 0]) == pytest.approx(0.3, abs=1e-4)
    after = kalman(reading(0.31), broken.state, still())
    assert 0.3 <= float(after.inverse_depth[0, 0]) <= 0.31 and bool(after.state.isfinite().all())


def test_nothing_known_begins_anew():
    state = kalman(reading(0.3), None, None).state
    state[:, 0, 0] = torch.nan
    steady = kalman(reading(0.35), state, still())
    assert float(steady.inverse_depth[0, 0]) == pytest.approx(0.35, abs=1e-4)
    assert float(steady.inverse_depth[1, 1]) < 0.35 and bool(steady.state.isfinite().all())


def sweep(true, focuses, far, gain=20.0, sigma=0.05):
    """A perfect reader of blur that always believes in one side, while focus moves."""
    state, last, out = None, focuses[0], []
    for focus in focuses:
        blur = abs(focus - true)
        told = reading(focus - blur if far > 0.5 else focus + blur, sigma, far, focus, gain)
        steady = kalman(told, state, Change(gain * (focus - last), last, torch.zeros(SHAPE)))
        state, last = steady.state, focus
        out.append(float(steady.inverse_depth[0, 0]))
    return np.array(out)


@pytest.mark.parametrize(('true', 'far'), [(0.3, 0.3), (1.3, 0.7)])
def test_moving_focus_decides_the_side_against_the_network(true, far):
    wrong = sweep(true, [0.8] * 10, far)
    assert abs(wrong[-1] - true) > 0.5
    moved = sweep(true, list(np.linspace(0.8, 1.0, 6)), far)
    assert moved[-1] == pytest.approx(true, abs=0.12)


def test_after_a_jump_of_focus_it_has_settled_within_five_frames():
    found = sweep(0.3, [0.8] * 5 + [1.1] * 6, 0.3)
    np.testing.assert_allclose(found[-6 + 5 :], 0.3, atol=0.05)


def test_a_lens_that_knows_its_side_has_one_hypothesis():
    q, sigma = torch.full(SHAPE, 0.3), torch.full(SHAPE, 0.05)
    sides = Sides(torch.stack([0 * q, 0 * q + 1]), torch.stack([0 * q + 1.3, q]), torch.stack([sigma, sigma]))
    state, last = None, 0.8
    for focus in (0.8, 0.7, 0.6, 0.5):  # readings that do not follow the focus would speak for the near side
        told = Reading(q, sigma, torch.ones(SHAPE), 20.0, focus, sides)
        steady = kalman(told, state, Change(20 * (focus - last), last, torch.zeros(SHAPE)))
        state, last = steady.state, focus
    torch.testing.assert_close(steady.inverse_depth, q, atol=1e-3, rtol=0)
    assert float(steady.far.min()) > 0.99


def test_motion_makes_it_follow():
    def settled(speed):
        state = None
        for value in [0.3] * 30 + [0.34] * 3:
            change = Change(0.0, 0.5, torch.full(SHAPE, speed))
            steady = kalman(reading(value), state, change)
            state = steady.state
        return float(steady.inverse_depth[0, 0])

    assert settled(0.0) < settled(0.3) <= 0.34 + 1e-5
    assert module.DEPTH_NOISE > 0


def test_focus_that_passes_a_point_does_not_disturb_it():
    """The point lies behind the focal plane at first and in front of it afterwards; the reader knows the side."""
    state, last, out = None, 0.3, []
    for focus in np.linspace(0.8, 0.2, 13):
        true, far = 0.5, 0.95 if focus > 0.5 else 0.05
        told = reading(true, 0.05, far, focus, 20.0)
        moved = 0.0 if state is None else 20.0 * (focus - last)
        steady = kalman(told, state, Change(moved, last, torch.zeros(SHAPE)))
        state, last = steady.state, float(focus)
        out.append(float(steady.inverse_depth[0, 0]))
    np.testing.assert_allclose(out, 0.5, atol=0.01)


@pytest.mark.parametrize(('before', 'after'), [(0.8, 0.2), (0.2, 0.8)])
def test_a_jump_of_focus_past_a_point_keeps_what_is_known(before, after):
    """The network is unsure after the jump; the hypothesis that was believed goes on under its new name."""
    state = None
    for _ in range(8):
        state = kalman(reading(0.5, 0.05, 0.95 if before > 0.5 else 0.05, before), state, still(focus=before)).state
    blur = abs(after - 0.5)
    unsure = reading(after + blur if after > 0.5 else after - blur, 0.05, 0.5, after)  # the wrong side, by a hair
    steady = kalman(unsure, state, Change(20 * (after - before), before, torch.zeros(SHAPE)))
    assert float(steady.inverse_depth[0, 0]) == pytest.approx(0.5, abs=0.02)
