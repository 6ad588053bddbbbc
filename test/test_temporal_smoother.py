"""A filter over video: it follows the picture, and bad input ends its past or is held, never poisons what follows."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from dfd_depth_ros.optics.lens import Lens
from dfd_depth_ros.scenes.frame import Intrinsics
from dfd_depth_ros.temporal.filters import FILTERS
from dfd_depth_ros.temporal.geometry import LAMBDA, WINDOW, geometry
from dfd_depth_ros.temporal.reading import Reading, mirrored, on_grid
from dfd_depth_ros.temporal.smoother import CELLS, Smoother

LENS = Lens.focused_at(2.0, focal_length_m=0.05, f_number=1.8, pixel_pitch_m=5e-5)
SIZE = (48, 64)
STEADIERS = [name for name, filter_ in FILTERS.items() if filter_.step]
GAIN, FOCUS = LENS.gain, LENS.focus_dioptre


def texture(seed=0, size=SIZE):
    rng = np.random.default_rng(seed)
    noise = cv2.GaussianBlur(rng.random((*size, 3), np.float32), (0, 0), 1.5)
    return torch.from_numpy((255 * (noise - noise.min()) / np.ptp(noise)).astype(np.uint8))


PICTURE = texture()


def reading(inverse_depth, size=SIZE, focus=FOCUS, sigma=0.05):
    q = torch.as_tensor(inverse_depth, dtype=torch.float32).expand(size).clone()
    spread, far = torch.full(size, sigma), (q < focus).float()
    return Reading(q, spread, far, GAIN, focus, mirrored(q, spread, far, focus))


def feed(smoother, *values, start=0.0, picture=PICTURE, lens=LENS):
    """The last answer to readings a tenth of a second apart."""
    for index, value in enumerate(values):
        found = smoother(picture, lens, reading(value, tuple(picture.shape[:2])), start + index / 10)
    return found


def middle(found):
    return float(found[0][SIZE[0] // 2, SIZE[1] // 2])


@pytest.mark.parametrize('name', STEADIERS)
def test_flicker_becomes_less(name):
    values = 0.3 + 0.02 * (-1) ** np.arange(20)
    smoother, found = Smoother(name), []
    for index, value in enumerate(values):
        found.append(middle(smoother(PICTURE, LENS, reading(value), index / 10)))
    assert np.abs(np.diff(found[10:])).mean() < 0.5 * np.abs(np.diff(values[10:])).mean()
    assert np.mean(found[10:]) == pytest.approx(0.3, abs=0.01)


def test_none_returns_what_it_is_given():
    given = reading(0.3)
    found = Smoother('none')(PICTURE, LENS, given, 0.0)
    assert found[0] is given.inverse_depth and found[1] is given.sigma and found[2] is given.far


@pytest.mark.parametrize('name', STEADIERS)
def test_state_follows_the_picture(name):
    """Everything moves two pixels to the right in each frame; so does the step in depth."""
    smoother, wide = Smoother(name), texture(size=(48, 128))
    q = torch.where(torch.arange(128) < 60, 0.32, 0.28).expand(48, 128)
    for index in range(8):
        view = slice(40 - 2 * index, 104 - 2 * index)
        noise = 0.005 * (-1) ** index
        picture = wide[:, view].contiguous()
        found = smoother(picture, LENS, reading(q[:, view] + noise), index / 10)[0]
    error = (found - q[:, view]).abs()[8:-8, 20:-8]
    assert float(error.median()) < 0.004 and float(error.max()) < 0.03


@pytest.mark.parametrize('name', STEADIERS)
@pytest.mark.parametrize(
    ('start', 'picture', 'lens'),
    [
        pytest.param(5.0, PICTURE, LENS, id='a pause'),
        pytest.param(-1.0, PICTURE, LENS, id='time runs backwards'),
        pytest.param(0.6, texture(size=(32, 64)), LENS, id='another size'),
        pytest.param(0.6, texture(5), LENS, id='a cut'),
        pytest.param(0.6, torch.zeros_like(PICTURE), LENS, id='a black frame'),
        pytest.param(0.6, PICTURE, replace(LENS, f_number=4.0), id='another aperture'),
        pytest.param(0.6, PICTURE, replace(LENS, side='front'), id='another side'),
    ],
)
def test_the_past_is_over_after(name, start, picture, lens):
    smoother = Smoother(name)
    feed(smoother, *[0.3] * 6)
    found = feed(smoother, 0.33, start=start, picture=picture, lens=lens)
    torch.testing.assert_close(found[0], torch.full_like(found[0], 0.33), atol=2e-3, rtol=0)
    again = feed(smoother, 0.33, start=start + 0.1, picture=picture, lens=lens)
    torch.testing.assert_close(again[0], torch.full_like(again[0], 0.33), atol=2e-3, rtol=0)


@pytest.mark.parametrize('name', STEADIERS)
@pytest.mark.parametrize('start', [0.5, 0.6, 1.2])
def test_repeated_and_dropped_frames_do_not_end_it(name, start):
    smoother = Smoother(name)
    feed(smoother, *[0.3] * 6)
    assert 0.3 < middle(feed(smoother, 0.33, start=start)) < 0.33


@pytest.mark.parametrize(('name', 'goes_on'), [('ema', False), ('geometry', True), ('kalman', True)])
def test_a_jump_of_focus(name, goes_on):
    smoother, moved = Smoother(name), replace(LENS, focus_dioptre=0.8)
    feed(smoother, *[0.3] * 6)
    found = smoother(PICTURE, moved, reading(0.33, focus=0.8), 0.6)
    assert (middle(found) < 0.325) == goes_on


@pytest.mark.parametrize('name', STEADIERS)
def test_nan_is_held_where_the_past_is_known_and_never_stays(name):
    smoother = Smoother(name)
    feed(smoother, *[0.3] * 6)
    holes = torch.full(SIZE, 0.3)
    holes[10:20, 10:20] = torch.nan
    found = feed(smoother, holes, start=0.6)
    outside = found[0][24:]
    assert bool(outside.isfinite().all())
    if name != 'ema':
        torch.testing.assert_close(found[0][13:17, 13:17], torch.full((4, 4), 0.3), atol=5e-3, rtol=0)
    for part in feed(smoother, *[0.31] * WINDOW, start=0.7):
        assert bool(part.isfinite().all())


@pytest.mark.parametrize('name', STEADIERS)
def test_a_stream_that_begins_with_nothing(name):
    smoother = Smoother(name)
    feed(smoother, torch.nan, torch.nan)
    assert middle(feed(smoother, *[0.3] * 3, start=0.2)) == pytest.approx(0.3, abs=1e-3)


@pytest.mark.parametrize('name', STEADIERS)
def test_a_camera_that_stands_for_a_minute_does_not_become_sure(name):
    smoother = Smoother(name)
    found = feed(smoother, *[0.3] * 600)
    assert 0.75 * 0.05 < float(found[1].median()) <= 0.0501
    assert 0.29 < middle(feed(smoother, *[0.3, 0.3], start=60.0)) < 0.31


def test_poses_carry_depth_ahead():
    camera, wall = Intrinsics(1000.0, 1000.0, 31.5, 23.5), 0.3
    smoother, without = Smoother('kalman'), Smoother('kalman')
    for index in range(12):
        pose = np.eye(4)
        pose[2, 3] = 0.05 * index
        true = 1 / (1 / wall - pose[2, 3])
        found = smoother(PICTURE, LENS, reading(true), index / 10, pose, camera)
        lagging = without(PICTURE, LENS, reading(true), index / 10)
    assert middle(found) == pytest.approx(true, rel=0.005)
    assert true - middle(lagging) > 5 * abs(true - middle(found))


def test_reset_forgets():
    smoother = Smoother('kalman')
    feed(smoother, *[0.3] * 6)
    smoother.reset()
    assert middle(feed(smoother, 0.33, start=0.6)) == pytest.approx(0.33, abs=1e-4)


def test_what_it_costs_does_not_grow_with_the_picture():
    smoother = Smoother('kalman')
    size = (4 * CELLS // 4 * 3, 4 * CELLS)
    feed(smoother, 0.3, picture=texture(size=size))
    assert max(smoother._past.grey.shape) == CELLS


@pytest.mark.parametrize('name', STEADIERS)
def test_no_pixel_goes_farther_than_its_own_reading_and_the_past(name):
    """Cells of two by two pixels, all far so far; then three pixels of each are read as near. What the filter takes off
    the mean of the cell would put the fourth behind infinity."""
    far, size = 0.25, (CELLS // 2, 2 * CELLS)
    smoother, q = Smoother(name), torch.full(size, far)
    for index in range(12):
        smoother(texture(size=size), LENS, reading(q, size, sigma=0.2), index / 10)
    q[::2], q[1::2, ::2] = 0.6, 0.6
    given = reading(q, size, sigma=0.2)
    found = smoother(texture(size=size), LENS, given, 1.2)[0]
    assert float(found.min()) > 0.8 * far


def test_on_grid_means_over_cells():
    q = torch.arange(20.0).reshape(4, 5)
    small = on_grid(reading(q, (4, 5)), 2)
    wanted = torch.tensor([[3.0, 5.0, 6.5], [13.0, 15.0, 16.5]])
    torch.testing.assert_close(small.inverse_depth, wanted)
    assert small.sides.share.shape == (2, 2, 3)


def test_geometry_by_hand():
    """The weighted mean of the formula; a depth that disagrees counts little."""
    state, values = None, [0.3, 0.31, 0.6, 0.3]
    for value in values:
        steady = geometry(reading(value), state, None)
        state = steady.state
    newest = values[-1]
    weights = np.array([np.exp(-LAMBDA * max(value / newest, newest / value)) for value in values])
    assert middle((steady.inverse_depth,)) == pytest.approx(weights @ values / weights.sum(), rel=1e-5)
    for _ in range(WINDOW):
        steady = geometry(reading(0.25), steady.state, None)
    assert middle((steady.inverse_depth,)) == pytest.approx(0.25)
