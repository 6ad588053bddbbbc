"""Rooms furnished with models: depth of what is seen, and that a seed names a room."""

import numpy as np
import pytest
import torch

pytest.importorskip('trimesh')
pytest.importorskip('embreex')

from test_scenes_models import first_hit, write_box

from dfd_depth_ros.scenes import furnished, textures
from dfd_depth_ros.scenes.furnished import Furnished, Placed, look
from dfd_depth_ros.scenes.models import Model, ModelsError
from dfd_depth_ros.scenes.solids import Painter, View
from dfd_depth_ros.training.data import Pairs, Source

TEXTURE = np.random.default_rng(5).uniform(0, 1, (64, 48, 3))


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp('furniture')
    write_box(path / 'table.obj', (120, 70, 60), (TEXTURE * 255).astype(np.uint8))
    write_box(path / 'cupboard.obj', (60, 150, 50), colour=(0.7, 0.6, 0.5))
    write_box(path / 'cup.obj', (8, 10, 8), colour=(0.9, 0.1, 0.1))
    return str(path)


@pytest.fixture
def few_textures(monkeypatch):
    monkeypatch.setattr(textures, 'COUNT', 3)


def plain_view(size=(40, 56), fx=50.0):
    y, x = np.mgrid[: size[0], : size[1]].astype(np.float32)
    centre = ((size[1] - 1) / 2, (size[0] - 1) / 2)
    return View(np.stack([(x - centre[0]) / fx, (y - centre[1]) / fx, np.ones_like(x)]), fx, centre)


def painter(seed=0):
    noise = np.random.default_rng(seed).uniform(0.3, 0.7, (384, 384, 3)).astype(np.float32)
    return Painter(np.random.default_rng(seed), [noise], 50.0)


def test_depth_of_a_turned_model_is_that_of_its_triangles(folder):
    model, view = Model(f'{folder}/table.obj'), plain_view()
    piece = Placed(model, 0.6, np.array([0.2, 0.9, 3.0]))
    colour, alpha, inverse = look(view, painter(), piece)
    rays = view.rays.reshape(3, -1).T.astype(float)
    depth = first_hit(model, -piece.foot @ piece.axes, rays @ piece.axes).reshape(alpha.shape)
    inside = alpha == 1
    assert inside.sum() > 200 and np.isfinite(depth[inside]).all() and not np.isfinite(depth[alpha == 0]).any()
    wrong = np.abs(inverse[inside] * depth[inside] - 1)
    assert np.median(wrong) < 1e-5 and wrong.max() < 0.06  # the edge between two sides lies within some pixels
    assert 0 < ((alpha > 0) & (alpha < 1)).sum() < inside.sum()  # edges are shared between pixels
    assert colour.shape == (*alpha.shape, 3) and colour[inside].min() > 0 and not colour[alpha == 0].any()


def test_only_the_window_that_sees_it_is_followed(folder):
    view, model = plain_view(), Model(f'{folder}/cup.obj')
    rows, columns = furnished._window(view, Placed(model, 0.0, np.array([0.3, 0.2, 2.0])))
    alpha = look(view, painter(), Placed(model, 0.0, np.array([0.3, 0.2, 1.0])))[1]
    assert rows.stop - rows.start < 9 and columns.stop - columns.start < 9
    assert 0 < alpha.sum() < 60
    for foot in ((0, 0, -2.0), (9.0, 0, 2.0)):
        assert look(view, painter(), Placed(model, 0.0, np.array(foot))) is None


def test_rays_of_a_pixel_surround_it():
    view = plain_view()
    fine = furnished._finer(view, slice(3, 9), slice(10, 30))
    side = furnished.FINE
    mean = fine.reshape(6, side, 20, side, 3).mean((1, 3))
    assert np.allclose(mean.transpose(2, 0, 1), view.rays[:, 3:9, 10:30], atol=1e-5)
    assert fine[0, 0, 0] < mean[0, 0, 0] < fine[0, side - 1, 0]


def test_far_textures_come_from_a_halving():
    pyramid = (
        np.indices((64, 64)).sum(0)[..., None] % 2 * np.ones(3, np.float32),
        np.full((32, 32, 3), 0.5, np.float32),
    )
    places = np.random.default_rng(0).uniform(0, 1, (50, 2))
    assert np.ptp(furnished._sampled(pyramid, places, np.full(50, 0.5))) > 0.5
    assert np.allclose(furnished._sampled(pyramid, places, np.full(50, 2.5)), 0.5)
    whole = furnished._sampled(pyramid, np.array([[0.5 / 64, 0.5 / 64], [1.5 / 64, 0.5 / 64]]), np.ones(2))
    assert np.allclose(whole[:, 0], (0, 1), atol=1e-5)


def test_nearer_surfaces_are_never_painted_over():
    far, near = np.full((2, 2), 0.2, np.float32), np.full((2, 2), 1.0, np.float32)
    mixed = np.array([[0.5, 2.0], [0.5, 2.0]], np.float32)
    colour, solid = np.zeros((2, 2, 3)), np.ones((2, 2), np.float32)
    kept = furnished._uncovered([(colour, solid, far), (colour, solid, near), (colour, solid, mixed)])
    assert kept[2][1].tolist() == [[0, 1], [0, 1]]
    assert len(furnished._uncovered([(colour, solid, near), (colour, solid, far)])) == 1


def test_rooms_are_furnished(folder, few_textures):
    rooms = Furnished((48, 64), folder, 3)
    scenes = [rooms[i] for i in range(12)]
    assert sum(len(scene.surfaces) > 1 for scene in scenes) >= 6
    for scene in scenes:
        assert scene.inverse_depth.shape == (48, 64) and torch.isfinite(scene.inverse_depth).all()
        seen = torch.zeros(48, 64)
        for surface in scene.surfaces:
            seen = torch.where(surface.alpha > 0.5, surface.inverse_depth, seen)
            assert torch.isfinite(surface.colour).all() and float(surface.colour.min()) >= 0
        close = (seen / scene.inverse_depth - 1).abs() < 1e-4
        assert float(close.float().mean()) > 0.97  # soft outlines apart, the last surface that covers a pixel is seen


def test_pieces_stand_apart_on_the_floor_and_small_ones_on_others(folder):
    names = tuple(f'{folder}/{name}.obj' for name in ('table', 'cupboard', 'cup'))
    low, high = np.array([-2.5, -1.5, -0.5]), np.array([2.5, 1.2, 6.0])
    heights = []
    for seed in range(20):
        pieces = furnished._placed(np.random.default_rng(seed), plain_view(), low, high, names, 6)
        standing = [piece for piece in pieces if piece.model.size.max() >= furnished.LOW_M]
        assert all(piece.foot[1] == high[1] for piece in standing)
        assert not any(furnished._meet(one, two) for i, one in enumerate(standing) for two in standing[:i])
        heights += [high[1] - piece.foot[1] for piece in pieces if piece.model.size.max() < furnished.LOW_M]
    assert len(heights) > 5 and {round(float(height), 3) for height in heights} <= {0.7, 1.5}


def test_furniture_darkens_the_floor_around_it(folder):
    view = plain_view()
    inverse = np.maximum(view.rays[1] / 1.2, 1 / 8).astype(np.float32)
    piece = Placed(Model(f'{folder}/table.obj'), 0.0, np.array([0.0, 1.2, 4.0]))
    light = furnished._shadows(view, inverse, 1.2, [piece])
    row = int(np.argmin(np.abs(1 / inverse[:, 28] - 4.0)))
    assert light[row, 28] == pytest.approx(1 - furnished.SHADOW, abs=0.05) and light[0].min() == 1


def test_a_seed_names_a_room(folder, few_textures):
    one, two, other = (Furnished((32, 40), folder, seed) for seed in (1, 1, 2))
    two[4]
    assert torch.equal(one[2].inverse_depth, two[2].inverse_depth)
    assert torch.equal(one[2].surfaces[0].colour, two[2].surfaces[0].colour)
    assert not torch.equal(one[2].inverse_depth, other[2].inverse_depth)


def test_every_second_training_pair_is_of_a_room(folder, few_textures):
    plain, mixed = (Pairs(32, 4, 4, source=Source(models=models)) for models in ('', folder))
    assert torch.equal(plain[0][1], mixed[0][1]) and not torch.equal(plain[1][1], mixed[1][1])
    with pytest.raises(ModelsError, match='has no models'):
        Source(models='/nowhere').scenes((32, 32), 0)
