"""Clips of made-up rooms: motion that is where the pose says it is, and surfaces seen again from elsewhere."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from dfd_depth_ros.optics.formation import Surface
from dfd_depth_ros.scenes.clips import MARGIN, Clips, Course, film, moved_surface, random_course, visible
from dfd_depth_ros.scenes.procedural import Scene, Scenes, random_lens

pytestmark = pytest.mark.usefixtures('few_textures')
SIZE = (48, 64)
REST = Course(np.zeros(3), np.zeros(3), 0, np.zeros(3), 0.0)


@pytest.fixture(scope='module')
def clip():
    return Clips(SIZE, 4, seed=3)[1]


def wall(inverse: float, size=(40, 60), alpha=1.0) -> Surface:
    """A flat wall whose red is the column and whose green is the row."""
    rows, columns = torch.meshgrid(*(torch.arange(side, dtype=torch.float32) for side in size), indexing='ij')
    colour = torch.stack([columns, rows, torch.zeros(size)]) / 100
    return Surface(colour, torch.full(size, alpha), torch.full(size, inverse))


def motion(shift=(0.0, 0.0, 0.0)) -> np.ndarray:
    moved = np.eye(4)
    moved[:3, 3] = shift
    return moved


def test_frames_carry_all_that_is_known(clip):
    assert [frame.stamp for frame in clip] == pytest.approx([0, 1 / 15, 2 / 15, 3 / 15])
    assert len({frame.sequence for frame in clip}) == 1
    for frame in clip:
        assert frame.image.shape == (*SIZE, 3) and frame.image.dtype == np.uint8
        assert frame.depth.shape == frame.coc.shape == SIZE and np.isfinite(frame.depth).all()
        assert frame.coc == pytest.approx(frame.lens.coc(1 / frame.depth), abs=1e-4)


def test_a_seed_names_a_clip(clip):
    again = Clips(SIZE, 4, seed=3)[1]
    for one, other in zip(clip, again, strict=True):
        assert (one.image == other.image).all() and (one.depth == other.depth).all()
    assert (Clips(SIZE, 4, seed=5)[1][0].image != clip[0].image).any()


def test_the_scene_as_it_is_stands_in_the_middle():
    scene = Scenes(tuple(side + 2 * MARGIN for side in SIZE), 3)[2]
    rng = np.random.default_rng(0)
    course = replace(random_course(rng, scene), thing=0)
    middle = film(scene, random_lens(rng, scene), course, 3, rng, 'clip')[1]
    assert middle.pose == pytest.approx(np.eye(4))
    inside = scene.inverse_depth[MARGIN:-MARGIN, MARGIN:-MARGIN].numpy()
    assert np.median(np.abs(1 / middle.depth - inside)) < 1e-4


def test_nothing_moves_without_motion():
    surface = wall(0.5)
    same = moved_surface(surface, 100.0, (30.0, 20.0), motion())
    assert torch.allclose(same.colour, surface.colour, atol=1e-4)
    assert torch.allclose(same.inverse_depth, surface.inverse_depth)


@pytest.mark.parametrize('inverse', [0.25, 1.0])
def test_parallax_is_focal_length_times_shift_over_depth(inverse):
    """A camera that goes right by 0.04 m sees a point at depth d move left by fx * 0.04 / d pixels."""
    moved = moved_surface(wall(inverse), 100.0, (30.0, 20.0), motion((-0.04, 0, 0)))
    parallax = 100 * 0.04 * inverse
    assert float(moved.colour[0, 20, 30]) * 100 == pytest.approx(30 + parallax, abs=0.02)
    assert float(moved.colour[1, 20, 30]) * 100 == pytest.approx(20, abs=0.02)
    assert float(moved.inverse_depth[20, 30]) == pytest.approx(inverse)


def test_going_ahead_brings_a_wall_nearer_and_enlarges_it():
    moved = moved_surface(wall(0.5), 100.0, (30.0, 20.0), motion((0, 0, -0.4)))
    assert float(moved.inverse_depth[20, 30]) == pytest.approx(1 / 1.6)
    assert float(moved.colour[0, 20, 40]) * 100 == pytest.approx(38, abs=0.05)  # 10 px aside were 8


def test_a_slanted_surface_is_found_where_it_lands():
    """Readable twin: where the source pixel that was found is carried forward, it lands on the pixel that asked."""
    surface = wall(0.5)
    slanted = replace(surface, inverse_depth=0.4 + surface.colour[0] / 2)
    turn = motion((-0.05, 0.02, -0.1))
    moved = moved_surface(slanted, 100.0, (30.0, 20.0), turn)
    for row, column in ((15, 25), (20, 33), (25, 40)):
        x, y = (float(moved.colour[channel, row, column]) * 100 for channel in (0, 1))
        depth = 1 / (0.4 + x / 200)
        point = turn @ [(x - 30) / 100 * depth, (y - 20) / 100 * depth, depth, 1]
        assert 100 * point[0] / point[2] + 30 == pytest.approx(column, abs=0.1)
        assert 100 * point[1] / point[2] + 20 == pytest.approx(row, abs=0.1)
        assert float(moved.inverse_depth[row, column]) == pytest.approx(1 / point[2], rel=2e-3)


def test_the_foremost_surface_is_seen():
    near = replace(wall(2.0), alpha=(wall(2.0).colour[0] > 0.3).float())
    seen = visible([wall(0.5), near])
    assert float(seen[10, 10]) == 0.5 and float(seen[10, 50]) == 2.0


def test_a_drifting_thing_moves_and_the_room_does_not():
    size = (48 + 2 * MARGIN, 64 + 2 * MARGIN)
    back = wall(0.5, size)
    card = wall(2.0, size, 0.0)
    card.alpha[60:70, 60:80] = 1.0
    scene = Scene([back, card], visible([back, card]), 100.0, (63.5, 55.5))
    rng = np.random.default_rng(0)
    lens = random_lens(rng, scene)
    course = replace(REST, thing=1, drift=np.array([0.02, 0, 0]))  # 4 pixels at half a metre
    first, second, third = film(scene, lens, course, 3, rng, 'clip')
    nearer = [np.flatnonzero((1 / frame.depth)[32] > 1.5).mean() for frame in (first, second, third)]
    assert np.diff(nearer) == pytest.approx([4, 4], abs=0.6)
    assert (first.pose == third.pose).all()


def test_focus_is_pulled_evenly_and_stays_a_lens():
    scene = Scenes(tuple(side + 2 * MARGIN for side in SIZE), 3)[1]
    rng = np.random.default_rng(0)
    lens = replace(random_lens(rng, scene), focus_dioptre=0.05)
    frames = film(scene, lens, replace(REST, focus=0.1), 3, rng, 'clip')
    assert [frame.lens.focus_dioptre for frame in frames] == pytest.approx([0.0, 0.05, 0.15])


def test_courses_differ_and_some_cameras_rest():
    scene = Scenes(tuple(side + 2 * MARGIN for side in SIZE), 3)[1]
    courses = [random_course(np.random.default_rng(seed), scene) for seed in range(60)]
    assert any((course.shift == 0).all() for course in courses)
    assert any(course.thing for course in courses) and any(course.focus for course in courses)
    metres = 1 / (scene.fx * np.quantile(scene.inverse_depth[::4, ::4], 0.9))
    moving = [np.linalg.norm(course.shift) / metres for course in courses if (course.shift != 0).any()]
    assert min(moving) >= 1 and max(moving) <= 2**2.3 + 1e-6
