"""Places indoors: where walls are, what hangs on them and stands on shelves, and that depth is left as it was."""

import numpy as np
import pytest

from dfd_depth_ros.scenes import interiors
from dfd_depth_ros.scenes.interiors import ABOVE, AHEAD, LEFT, PLACES, RIGHT, decorated, random_place, shelving
from dfd_depth_ros.scenes.solids import Painter, View, box

CORRIDOR = np.array([-0.9, -1.2, -0.5]), np.array([0.7, 1.4, 9.0])
TEXTURES = list(np.random.default_rng(2).uniform(0.2, 0.8, (3, 384, 384, 3)).astype(np.float32))
BLACK = [np.zeros((384, 384, 3), np.float32)]


def plain_view(size=(72, 96), fx=80.0):
    y, x = np.mgrid[: size[0], : size[1]].astype(np.float32)
    rays = np.stack([(x - size[1] / 2) / fx, (y - size[0] / 2) / fx, np.ones_like(x)])
    return View(rays, fx, (size[1] / 2, size[0] / 2))


def empty(view, corners=CORRIDOR):
    return box(view, Painter(np.random.default_rng(0), BLACK, view.fx), *corners, inside=True)


def test_every_kind_of_place_is_around_the_camera():
    rng = np.random.default_rng(0)
    places = [random_place(rng) for _ in range(300)]
    assert {kind for kind, _ in places} == set(PLACES)
    for kind, (low, high) in places:
        assert (low < 0).all() and (high > 0).all(), kind
        width, height = (high - low)[:2]
        assert 2.0 < height < 3.5
        if kind == 'corridor':
            assert 1.1 <= width <= 2.6 and high[2] >= 4
        if kind == 'wall':
            assert high[2] < 2.5


def test_walls_are_told_apart():
    view = plain_view()
    wall = interiors._wall(view.rays / empty(view)[2], CORRIDOR)
    assert wall[36, 48] == AHEAD and wall[36, 1] == LEFT and wall[36, -1] == RIGHT
    assert wall[1, 48] == ABOVE and wall[-1, 48] == -1


def test_decoration_paints_walls_and_leaves_depth_and_floor():
    view = plain_view()
    room = empty(view)
    wall = interiors._wall(view.rays / room[2], CORRIDOR)
    painted = 0
    for seed in range(20):
        colour, alpha, inverse = decorated(np.random.default_rng(seed), view, TEXTURES, room, CORRIDOR)
        assert alpha is room[1] and inverse is room[2] and np.isfinite(colour).all()
        assert not colour[wall == -1].any()  # the floor was black and still is
        painted += (colour[wall != -1].sum(-1) > 0).mean() / 20
    assert 0.04 < painted < 0.9
    assert not room[0].any()


def test_a_picture_lies_where_it_is_put(monkeypatch):
    view = plain_view()
    places = [(LEFT, (3.0, 4.0), (0.0, 0.5), 'bright'), (AHEAD, (-0.5, 0.2), (-0.4, 0.3), 'bright')]
    monkeypatch.setattr(interiors, '_pictures', lambda *_: iter(places))
    room = empty(view)
    colour = decorated(np.random.default_rng(0), view, TEXTURES, room, CORRIDOR)[0]
    x, y, z = view.rays / room[2]
    left = (np.abs(x + 0.9) < 1e-3) & (z > 3.05) & (z < 3.95) & (y > 0.04) & (y < 0.46)
    end = (np.abs(z - 9) < 1e-3) & (x > -0.35) & (x < 0.05) & (y > -0.25) & (y < 0.15)
    away = (z < 2.7) | (z > 4.4) & (z < 8.9)
    assert left.sum() > 10 and (colour[left] > 0.2).all()
    assert end.sum() > 4 and (colour[end] > 0.2).all()
    assert not colour[away].any()


def test_light_only_dims():
    ahead = np.linspace(0, 9, 50)
    levels = np.array([interiors._light(np.random.default_rng(seed), ahead, 9.0) for seed in range(60)])
    assert levels.max() <= 1 and levels.min() >= 0.15 * 0.3
    assert 10 < (np.ptp(levels, axis=1) < 1e-9).sum() < 40  # even light as well


def test_doors_stand_on_the_floor_and_people_fit_through_them():
    door = list(interiors._door(np.random.default_rng(4), AHEAD, 1.0, 1.4))
    leaf = max(door, key=lambda part: part[1][1] - part[1][0])
    assert leaf[2][1] >= 1.4 and 1.9 < leaf[2][1] - leaf[2][0] < 2.5 and 0.7 < leaf[1][1] - leaf[1][0] < 1.3


def test_a_box_on_each_wall_is_as_far_from_it():
    part = (1.0, 1.5, 0.2, 0.6, 0.1, 0.4)
    for side, axis, wall in ((AHEAD, 2, 9.0), (LEFT, 0, -0.9), (RIGHT, 0, 0.7)):
        low, high = interiors._on_wall(side, CORRIDOR, part)
        along = 0 if axis == 2 else 2
        assert sorted(abs(corner[axis] - wall) for corner in (low, high)) == pytest.approx([0.1, 0.4])
        assert (low[along], high[along], low[1], high[1]) == pytest.approx((1.0, 1.5, 0.2, 0.6))
        assert (low < high).all()


def test_things_stand_on_boards_and_do_not_meet():
    for seed in range(30):
        row = list(interiors._row(np.random.default_rng(seed), 0.5, 1.2, 1.0, 0.4, 0.35))
        assert all(part[3] == 1.0 and part[2] > 0.65 and 0 < part[4] < part[5] < 0.4 for part in row)
        assert all(one[1] <= two[0] for one, two in zip(row, row[1:], strict=False))
        assert all(part[0] >= 0.5 and part[1] <= 1.7 for part in row)


def test_shelves_are_nearer_than_their_wall_and_things_are_on_them():
    corners = np.array([-1.5, -1.2, -0.5]), np.array([1.5, 1.4, 1.6])
    view = plain_view()
    wall, several = empty(view, corners)[2], 0
    for seed in range(20):
        found = shelving(np.random.default_rng(seed), view, Painter(np.random.default_rng(1), TEXTURES, 80.0), corners)
        several += len(found) > 2
        for colour, alpha, inverse in found:
            assert (inverse[alpha > 0.5] >= wall[alpha > 0.5] - 1e-5).all() and (inverse > 0).all()
            assert np.isfinite(colour).all()
    assert several > 10


def test_whatever_the_place_everything_in_it_can_be_drawn():
    rng, view = np.random.default_rng(3), plain_view((32, 32), 20.0)
    for _ in range(400):
        kind, corners = random_place(rng)
        room = decorated(rng, view, TEXTURES, empty(view, corners), corners)
        shelves = shelving(rng, view, Painter(rng, TEXTURES, 20.0), corners)
        assert all(np.isfinite(array).all() for found in (room, *shelves) for array in found), kind


def test_solids_are_merged_by_what_is_nearest():
    far, near, gone = (np.full((1, 3), depth, np.float32) for depth in (0.5, 1.0, 9.0))
    red, blue = np.zeros((1, 3, 3)) + (1, 0, 0), np.zeros((1, 3, 3)) + (0, 0, 1)
    left, middle = np.array([[1.0, 1, 0]]), np.array([[0.0, 1, 0]])
    colour, alpha, inverse = interiors._merged([(red, left, far), (blue, middle, near), (blue, middle * 0, gone)])
    assert alpha.tolist() == [[1, 1, 0]] and colour[0, 0, 0] == 1 and colour[0, 1, 2] == 1
    assert inverse[0, 0] == 0.5 and inverse[0, 1] == 1 and 0.5 <= inverse[0, 2] <= 1
