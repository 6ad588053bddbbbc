"""The simulated camera: seamless, physically defocused, and true to its own depth."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from dfd_depth_ros.optics.lens import Lens
from dfd_depth_ros.optics.sensor import Sensor
from dfd_depth_ros.scenes.frame import Frame, Intrinsics
from dfd_depth_ros.scenes.simulated import Motion, camera_loop, moved_view

LENS = Lens.focused_at(2.0, focal_length_m=0.05, f_number=1.4, pixel_pitch_m=2e-4)
INTRINSICS = Intrinsics(250.0, 250.0, 59.5, 44.5)


def smooth_picture(width=120, height=90, seed=0):
    noise = np.random.default_rng(seed).uniform(0, 255, (height, width, 3)).astype(np.float32)
    blurred = cv2.GaussianBlur(noise, (0, 0), 2.5)
    return np.clip((blurred - 127) * 6 + 127, 0, 255).astype(np.uint8)


def plane(slope_x=0.0008, slope_y=-0.0005, centre=0.4):
    """A slanted plane: inverse depth is affine in pixels."""
    y, x = np.mgrid[:90, :120].astype(np.float64)
    return centre + slope_x * (x - INTRINSICS.cx) + slope_y * (y - INTRINSICS.cy)


def scene(inverse_depth):
    return Frame('scene', aif=smooth_picture(), depth=(1 / inverse_depth).astype(np.float32), intrinsics=INTRINSICS)


def test_depth_of_a_plane_seen_from_aside_is_the_planes():
    position = np.array([0.04, -0.02, 0.0])
    view = moved_view(scene(plane()), position, (80, 60))
    y, x = np.mgrid[:60, :80] + np.array([15.0, 20.0])[:, None, None]
    a, b = 0.0008, -0.0005
    at_pixel = 0.4 + a * (x - INTRINSICS.cx) + b * (y - INTRINSICS.cy)
    expected = at_pixel / (1 - a * INTRINSICS.fx * position[0] - b * INTRINSICS.fy * position[1])
    np.testing.assert_allclose(1 / view.depth, expected, atol=3e-5)
    assert view.intrinsics == Intrinsics(250.0, 250.0, 39.5, 29.5)


def test_two_views_agree_through_depth_and_pose():
    """A point of one view, put into the world by its depth and pose, has the same colour and depth in the other."""
    y, x = np.mgrid[:90, :120].astype(np.float64)
    world = scene(0.4 + 0.04 * np.sin(x / 15) * np.cos(y / 12))
    here, there = (moved_view(world, np.array([side, 0.01 * side, 0.0]), (80, 60)) for side in (-0.03, 0.03))
    y, x = np.mgrid[10:50, 15:65].astype(np.float64)
    depth = here.depth[10:50, 15:65]
    camera = here.intrinsics
    rays = np.stack([(x - camera.cx) / camera.fx, (y - camera.cy) / camera.fy, np.ones_like(x), 1 / depth])
    points = rays * depth
    seen = np.einsum('ij,jhw->ihw', np.linalg.inv(there.pose) @ here.pose, points)
    u = (seen[0] / seen[2] * camera.fx + camera.cx).astype(np.float32)
    v = (seen[1] / seen[2] * camera.fy + camera.cy).astype(np.float32)
    assert abs(u - x).max() > 4, 'the views must differ by parallax for this test to mean something'
    np.testing.assert_allclose(cv2.remap(there.depth, u, v, cv2.INTER_LINEAR), seen[2], rtol=2e-3)
    difference = cv2.remap(there.aif, u, v, cv2.INTER_CUBIC).astype(float) - here.aif[10:50, 15:65]
    assert abs(difference).mean() < 2


def test_a_near_surface_hides_a_far_one():
    inverse_depth = np.full((90, 120), 0.2)
    inverse_depth[:, 50:70] = 0.5
    view = moved_view(scene(inverse_depth), np.array([0.1, 0.0, 0.0]), (120, 90))
    row = 1 / view.depth[45]
    # the bar moves left by 250 * 0.1 * 0.5 = 12.5 px, the wall by 5 px
    np.testing.assert_allclose(row[39:57], 0.5, atol=1e-4)
    np.testing.assert_allclose(row[:36], 0.2, atol=1e-4)
    np.testing.assert_allclose(row[67:], 0.2, atol=1e-4)


def test_standing_still_changes_nothing():
    world = scene(plane())
    view = moved_view(world, np.zeros(3), (120, 90))
    np.testing.assert_array_equal(view.aif, world.aif)
    np.testing.assert_allclose(view.depth, world.depth, rtol=1e-6)


def test_loop_is_seamless_and_carries_its_truth():
    frames = list(camera_loop(scene(plane()), LENS, frames=12, size=(80, 60), sensor=Sensor()))
    assert len(frames) == 12
    steps = [
        abs(after.depth.astype(float) - before.depth).max()
        for before, after in zip(frames, frames[1:] + frames[:1], strict=True)
    ]
    assert steps[-1] <= max(steps[:-1]) * 1.01, 'from the last frame back to the first is a step like any other'
    for frame in frames:
        assert frame.image.shape == frame.aif.shape == (60, 80, 3)
        assert frame.image.dtype == np.uint8 and frame.depth.dtype == frame.coc.dtype == np.float32
        np.testing.assert_allclose(frame.coc, frame.lens.coc(1 / frame.depth), atol=1e-5)
        assert frame.intrinsics == Intrinsics(250.0, 250.0, 39.5, 29.5)
        np.testing.assert_array_equal(frame.pose[:3, :3], np.eye(3))
    focus = [frame.lens.focus_distance_m for frame in frames]
    assert min(focus) == pytest.approx(1.8) and max(focus) == pytest.approx(2.2)


def test_defocus_blurs_what_is_out_of_focus():
    wall = scene(np.full((90, 120), 0.25))
    sharp = next(camera_loop(wall, LENS, 1, (80, 60), Motion((0, 0), (4.0, 4.0)), sensor=Sensor()))
    soft = next(camera_loop(wall, LENS, 1, (80, 60), Motion((0, 0), (0.8, 0.8)), sensor=Sensor()))
    detail = [np.abs(np.diff(frame.image[..., 1].astype(float), axis=1)).mean() for frame in (sharp, soft)]
    assert abs(sharp.coc).max() < 0.01 and detail[0] > 1.5 * detail[1]


def test_noise_is_repeatable_and_the_loop_forgets_nothing():
    runs = [
        list(camera_loop(scene(plane()), LENS, 3, (80, 60), sensor=Sensor(read_noise=0.02), seed=5)) for _ in range(2)
    ]
    for first, second in zip(*runs, strict=True):
        np.testing.assert_array_equal(first.image, second.image)
    clean = list(camera_loop(scene(plane()), LENS, 3, (80, 60), sensor=Sensor()))
    assert 0.5 < np.std(runs[0][0].image.astype(float) - clean[0].image) < 10


@pytest.mark.parametrize(
    ('change', 'frames', 'message'),
    [
        ({'depth': None}, 3, 'scene scene has no depth; a moving camera needs all of them'),
        ({'aif': None, 'intrinsics': None}, 3, 'scene scene has no aif, intrinsics; a moving camera needs all of them'),
        (
            {'depth': np.full((90, 120), np.nan, np.float32)},
            3,
            'scene scene has pixels without depth; a moving camera needs depth everywhere',
        ),
        ({}, 0, 'a camera loop of 0 frames was asked for; it needs at least one'),
    ],
)
def test_scenes_that_cannot_be_filmed(change, frames, message):
    with pytest.raises(ValueError) as error:
        next(camera_loop(replace(scene(plane()), **change), LENS, frames))
    assert str(error.value) == message
