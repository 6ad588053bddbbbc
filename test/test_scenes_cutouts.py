"""Cutouts: order in depth, outlines that tell nothing, lenses on what is there, and their share of the data."""

import numpy as np
import pytest

from dfd_depth_ros.scenes import cutouts as module
from dfd_depth_ros.scenes.cutouts import Cutouts, cutouts, outline
from dfd_depth_ros.scenes.procedural import random_lens
from dfd_depth_ros.scenes.windows import Sprinkled
from dfd_depth_ros.training.data import Pairs, Source

SIZE = (64, 80)
TEXTURES = list(np.random.default_rng(1).uniform(0.1, 0.9, (4, 384, 384, 3)).astype(np.float32))


def scenes(count, seed=0):
    rng = np.random.default_rng(seed)
    return [cutouts(rng, SIZE, TEXTURES) for _ in range(count)]


def test_things_lie_from_back_to_front():
    for scene in scenes(30):
        depths = [surface.inverse_depth for surface in scene.surfaces]
        assert all((later > earlier).all() for earlier, later in zip(depths, depths[1:], strict=False))
        assert bool((scene.surfaces[0].alpha == 1).all())
        nearest = np.max([np.where(s.alpha > 0.5, s.inverse_depth, 0) for s in scene.surfaces], 0)
        assert (np.abs(nearest - scene.inverse_depth.numpy()) < 1e-6).mean() > 0.9  # outlines are softened by a pixel


def test_what_is_easy_is_two_planes(monkeypatch):
    monkeypatch.setattr(module, 'EASY', 1.0)
    for scene in scenes(20):
        levels = [surface.inverse_depth for surface in scene.surfaces]
        assert 1 <= len(levels) <= 2 and all(float(level.max() - level.min()) < 1e-6 for level in levels)
        assert len(levels) == 1 or float(levels[1].min() / levels[0].max()) >= 0.999 * module.APART


def test_outlines_cover_half_of_the_picture_wherever_one_looks():
    rng = np.random.default_rng(3)
    mean = np.mean([outline(rng, SIZE) for _ in range(800)], 0)
    assert mean.min() > 0.4 and mean.max() < 0.6
    assert abs(mean[:, :40].mean() - mean[:, 40:].mean()) < 0.05


@pytest.mark.parametrize('kind', range(4))
def test_every_kind_of_outline_has_edges_about_a_pixel_wide(monkeypatch, kind):
    monkeypatch.setattr(module, '_OUTLINES', (module._OUTLINES[kind],) * 4)
    rng = np.random.default_rng(4)
    found = np.stack([outline(rng, SIZE) for _ in range(60)])
    assert found.min() >= 0 and found.max() <= 1
    soft = (found > 0.05) & (found < 0.95)
    assert 0 < soft.mean() < 0.12


def test_lenses_focus_on_things_and_both_sides_are_seen():
    rng, on, far = np.random.default_rng(5), [], []
    for scene in scenes(150, 6):
        lens = random_lens(rng, scene)
        on.append(min(abs(lens.focus_dioptre - subject) for subject in scene.subjects) < 1e-6)
        coc = lens.coc(scene.inverse_depth)
        far.append(float((coc[coc.abs() > 1] > 0).float().mean()) if bool((coc.abs() > 1).any()) else np.nan)
    assert 0.75 < np.mean(on) < 0.95
    assert 0.3 < np.nanmean(far) < 0.7


def test_a_number_names_a_scene():
    one, other = Cutouts(SIZE, 3), Cutouts(SIZE, 3)
    other[5]
    assert bool((one[2].surfaces[0].colour == other[2].surfaces[0].colour).all())
    assert not bool((one[2].inverse_depth == one[3].inverse_depth).all())


def test_they_are_sprinkled_evenly_and_nothing_is_left_out():
    mixed = Sprinkled([f'room {i}' for i in range(70)], [f'cut {i}' for i in range(30)], 0.3)
    found = [mixed[i] for i in range(100)]
    assert sorted(found) == sorted(mixed.scenes + mixed.others)
    assert all(2 <= sum(name.startswith('cut') for name in found[i : i + 10]) <= 4 for i in range(90))
    assert [Sprinkled([], ['a', 'b', 'c'], 1.0)[i] for i in range(3)] == ['a', 'b', 'c']


def test_a_source_of_cutouts_makes_pairs():
    pairs = Pairs(64, 1, 3, source=Source(cutouts=1.0))
    light, coc, lens = pairs[2]
    assert light.shape == (2, 3, 64, 64) and coc.shape == (2, 1, 64, 64) and lens.shape == (2, 5)
    assert bool((light.float() >= 0).all())
    rooms = Pairs(64, 1, 3)[0]
    assert bool((rooms[1] == Pairs(64, 1, 3, source=Source(cutouts=0.0))[0][1]).all())
