"""Made-up rooms: exact, varied, and named by their seed."""

import numpy as np
import pytest
import torch

from dfd_depth_ros.scenes.motorcycle import load_motorcycle
from dfd_depth_ros.scenes.procedural import FARTHEST, NEAREST, Scenes, random_lens
from dfd_depth_ros.scenes.solids import Painter
from dfd_depth_ros.scenes.textures import SIZE, dead_leaves, noise, pattern, photograph, random_texture, wall, writing

pytestmark = pytest.mark.usefixtures('few_textures')


@pytest.fixture(scope='module')
def scenes():
    supply = Scenes((96, 128), seed=3)
    return [supply[i] for i in range(24)]


def test_a_seed_names_a_scene_in_any_order(scenes):
    again = Scenes((96, 128), seed=3)
    for index in (17, 2):
        assert torch.equal(again[index].inverse_depth, scenes[index].inverse_depth)
        for ours, theirs in zip(again[index].surfaces, scenes[index].surfaces, strict=True):
            assert torch.equal(ours.colour, theirs.colour)
    assert not torch.equal(Scenes((96, 128), seed=4)[2].inverse_depth, scenes[2].inverse_depth)


def test_surfaces_are_whole_and_depth_is_that_of_the_frontmost(scenes):
    for scene in scenes:
        seen = scene.surfaces[0].inverse_depth
        assert bool((scene.surfaces[0].alpha == 1).all())
        for surface in scene.surfaces:
            assert surface.colour.shape == (3, 96, 128) and surface.alpha.shape == (96, 128)
            assert bool(surface.colour.isfinite().all()) and float(surface.colour.min()) >= 0
            assert float(surface.alpha.min()) >= 0 and float(surface.alpha.max()) <= 1
            solid = surface.alpha > 0.95
            seen = torch.where(solid, surface.inverse_depth, seen)
        interior = torch.stack([((s.alpha < 0.01) | (s.alpha > 0.99)) for s in scene.surfaces]).all(0)
        assert torch.equal(seen[interior], scene.inverse_depth[interior])
        assert float(scene.inverse_depth.min()) >= FARTHEST and float(scene.inverse_depth.max()) <= NEAREST


def test_flat_walls_are_affine_in_inverse_depth(scenes):
    """The second difference of inverse depth vanishes on planes, so on most of a room."""
    bends = [scene.surfaces[0].inverse_depth.double().diff(n=2, dim=1).abs() for scene in scenes]
    assert np.median([float((bend < 1e-5).double().mean()) for bend in bends]) > 0.9


def test_scenes_differ_in_depth_and_in_number_of_surfaces(scenes):
    assert len({len(scene.surfaces) for scene in scenes}) > 4
    medians = [float(scene.inverse_depth.median()) for scene in scenes]
    assert max(medians) > 4 * min(medians)


def test_lenses_suit_the_scene(scenes):
    rng, behind = np.random.default_rng(0), []
    for scene in scenes * 4:
        lens = random_lens(rng, scene)
        assert lens.focal_length_m / lens.pixel_pitch_m == pytest.approx(scene.fx)
        coc = lens.coc(scene.inverse_depth)
        assert float(coc.abs().quantile(0.9)) < 24
        behind.append(float((coc > 0).float().mean()))
        other = random_lens(rng, scene, lens.focal_length_m)
        assert other.focal_length_m == lens.focal_length_m and other.pixel_pitch_m == lens.pixel_pitch_m
    assert 0.55 < np.mean(behind) < 0.95
    nearest = max(scenes, key=lambda scene: float(scene.inverse_depth.max()))
    for _ in range(50):
        assert random_lens(rng, nearest, 0.4).focus_distance_m >= 0.8  # a long lens cannot focus on its own front


def test_a_fixed_focus_knows_nothing_of_the_scene(scenes):
    one, other = (
        [random_lens(np.random.default_rng(seed), scene, fixed=1.0) for seed in range(60)] for scene in scenes[:2]
    )
    assert [lens.focus_dioptre for lens in one] == [lens.focus_dioptre for lens in other]
    assert min(lens.focus_distance_m for lens in one) < 1 and max(lens.focus_distance_m for lens in one) > 4
    for lens, scene in zip(one, [scenes[0]] * 60, strict=True):
        assert 1.5 < float(lens.coc(scene.inverse_depth).abs().max()) < 32
    never = [random_lens(np.random.default_rng(seed), scenes[0], fixed=0.0) for seed in range(5)]
    assert never == [random_lens(np.random.default_rng(seed), scenes[0]) for seed in range(5)]


@pytest.mark.parametrize('kind', [random_texture, photograph, dead_leaves, pattern, writing, noise, wall])
def test_textures(kind):
    first, second = (kind(np.random.default_rng(seed)) for seed in (0, 0))
    assert first.shape == (SIZE, SIZE, 3) and np.isfinite(first).all()
    assert np.array_equal(first, second)
    assert first.std() > 0


def test_motorcycle_is_where_it_was_measured():
    frame = load_motorcycle()
    assert frame.aif.shape == (500, 741, 3) and frame.depth.shape == (500, 741)
    assert np.isfinite(frame.depth).all()
    low, high = np.percentile(frame.depth, (1, 99))
    assert 2.1 < low < 2.4 and 4.4 < high < 5.0


def test_paint_has_no_seams():
    y, x = np.mgrid[:300, :300].astype(np.float32)
    grey = np.full((SIZE, SIZE, 3), 0.4, np.float32)
    for seed in range(4):  # wider than a texture, so that it is seen in mirror image
        colour = Painter(np.random.default_rng(seed), [grey], 400.0).paint(x / 100, y / 100, 1.0)
        assert np.ptp(colour) < 1e-3
