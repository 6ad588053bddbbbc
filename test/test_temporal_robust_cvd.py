"""Test-time optimisation over a clip: known errors of scale and pose are found again."""

import cv2
import numpy as np
import pytest
import torch

from dfd_depth_ros.optics.pinhole import rigid
from dfd_depth_ros.temporal.robust_cvd import STRIDE, Tracks, _at, follow, misfit, optimise, stretched

SIZE, INVERSE = (96, 128), 0.8
LENS = torch.tensor([12.0, 0.6, 100.0, 63.5, 47.5])


@pytest.fixture(scope='module')
def clip():
    """A textured wall at 1.25 m and a camera that goes right by 0.05 m a frame: 4 pixels. (images, lens, pose)"""
    rng = np.random.default_rng(0)
    wide = cv2.GaussianBlur(rng.integers(0, 256, (SIZE[0], SIZE[1] + 32, 3)).astype(np.uint8), (0, 0), 2)
    wide = cv2.normalize(wide, None, 0, 255, cv2.NORM_MINMAX)
    images = np.stack([wide[:, 4 * t : 4 * t + SIZE[1]] for t in range(6)])
    pose = torch.cat([rigid(torch.tensor([[0, 0, 0, 0.05 * t, 0, 0]])) for t in range(6)])
    return images, LENS.expand(6, -1), pose


def flat(factor=1.0):
    return torch.full((6, 1, *SIZE), INVERSE) * factor


def test_flow_follows_the_points(clip):
    tracks = follow(clip[0], flat())
    assert tracks.first.tolist()[:5] == [0, 1, 2, 3, 4] and len(tracks.first) == 5 + 4 + 2
    columns = torch.arange(STRIDE // 2, SIZE[1], STRIDE, dtype=torch.float32)
    good = tracks.weight[0, 0] > 0
    moved = (columns - tracks.place[0, 0])[good]
    assert good.float().mean() > 0.6 and float(moved.median()) == pytest.approx(4, abs=0.1)


def test_a_clip_that_agrees_has_next_to_no_misfit(clip):
    terms = misfit(follow(clip[0], flat()), torch.zeros(6, 1, 3, 4), *clip[1:])
    assert float(terms['ratio']) < 1e-6 and float(terms['spatial']) < 0.2
    wrong = misfit(follow(clip[0], flat(1.5)), torch.zeros(6, 1, 3, 4), *clip[1:])
    assert float(wrong['spatial']) > 4 * float(terms['spatial'])


def test_misfit_is_its_twin():
    """One point in float64: a pair whose flow is off by (3, -1) pixels and whose second reads 1.2 times nearer."""
    pose = torch.cat([rigid(torch.tensor([[0, 0, 0, x, 0, 0]])) for x in (0.0, 0.05)])
    lens = torch.tensor([[12.0, 0.6, 100.0, 5.0, 6.0]]).expand(2, -1)
    here, there = torch.full((1, 1, 1, 1), 0.8), torch.full((1, 1, 1, 1), 0.96)
    start = STRIDE // 2
    landed = np.array([start - 100 * 0.05 * 0.8, start])
    place = torch.tensor(landed + [3.0, -1.0], dtype=torch.float32)[None, :, None, None]
    tracks = Tracks(torch.tensor([0]), torch.tensor([1]), (STRIDE, STRIDE), place, torch.ones(1, 1, 1, 1), here, there)
    terms = misfit(tracks, torch.zeros(2, 1, 3, 4), lens, pose)
    assert float(terms['spatial']) == pytest.approx(np.log1p(3.0**2 + 1.0**2), rel=1e-4)
    assert float(terms['ratio']) == pytest.approx(np.log1p((np.log(1.2) / 0.1) ** 2), rel=1e-4)


@pytest.mark.parametrize('factor', [0.75, 1.3])
def test_a_scale_error_is_found_again(clip, factor):
    better, pose = optimise(clip[0], flat(factor), *clip[1:], steps=150)
    assert float((better / INVERSE).median()) == pytest.approx(1, abs=0.04)
    assert torch.allclose(pose, clip[2], atol=0.02)


def test_frames_that_disagree_are_brought_together(clip):
    factors = torch.tensor([1.2, 0.85, 1.0, 1.15, 0.8, 1.1])[:, None, None, None]
    better, _ = optimise(clip[0], flat() * factors, *clip[1:], steps=150)
    levels = better.flatten(1).median(1).values
    assert float(levels.max() / levels.min()) < 1.06 < 1.2 / 0.8


def test_a_tilt_is_taken_out(clip):
    tilt = torch.linspace(0.8, 1.25, SIZE[1]).expand(6, 1, *SIZE)
    better, _ = optimise(clip[0], flat() * tilt, *clip[1:], steps=150)
    left, right = better[..., :20].median(), better[..., -40:-20].median()
    assert abs(float(left / right) - 1) < 0.1 < 1 - 0.8 / 1.17


def test_points_are_stretched_as_pixels_are():
    """The grid read at points is the grid of `stretched` at those pixels."""
    grid = torch.rand(1, 1, 3, 4, generator=torch.Generator().manual_seed(0)) - 0.5
    whole = stretched(torch.ones(1, 1, 20, 30), grid)
    place = torch.tensor([[3.0, 17.0], [29.0, 0.0], [11.0, 19.0]]).T[None, :, None]
    expected = [whole[0, 0, 17, 3], whole[0, 0, 0, 29], whole[0, 0, 19, 11]]
    assert _at(grid, place, (20, 30)).exp().flatten().tolist() == pytest.approx([float(x) for x in expected], rel=1e-5)


def test_stretching_by_nothing_changes_nothing_and_has_gradients():
    grid = torch.zeros(6, 1, 3, 4, requires_grad=True)
    out = stretched(flat(), grid)
    assert torch.equal(out, flat())
    out.sum().backward()
    assert (grid.grad > 0).all()


def test_what_cannot_be_made_consistent_is_refused(clip):
    images, lens, pose = clip
    with pytest.raises(ValueError) as error:
        optimise(images[:1], flat()[:1], lens[:1], pose[:1])
    assert str(error.value) == 'a clip of 1 frames cannot be made consistent; it needs at least two'
    with pytest.raises(ValueError) as error:
        optimise(images, flat()[..., 1:], lens, pose)
    assert str(error.value) == 'pictures (6, 96, 128) and inverse depth (6, 1, 96, 127) do not fit'
