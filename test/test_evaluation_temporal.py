"""Steadiness metrics on cases whose value is known."""

import numpy as np
import pytest

from dfd_depth_ros.evaluation.temporal_metrics import flicker, opw, pair_metrics, tae, tcc, tgm
from dfd_depth_ros.scenes.frame import Frame, Intrinsics

SIZE = (48, 64)
CAMERA = (Intrinsics(50.0, 50.0, 31.5, 23.5),) * 2
STILL = (np.eye(4), np.eye(4))


def plane(metres):
    return np.full(SIZE, metres, np.float32)


def noise(seed=0):
    import cv2

    picture = np.random.default_rng(seed).integers(0, 256, (*SIZE, 3), np.uint8)
    return cv2.GaussianBlur(picture, (0, 0), 1.5)


def moved(z):
    pose = np.eye(4)
    pose[2, 3] = z
    return pose


def test_tae_of_a_still_camera_is_the_mean_of_both_relative_changes():
    assert tae((plane(2), plane(2)), STILL, CAMERA) == 0
    assert tae((plane(2), plane(2.5)), STILL, CAMERA) == pytest.approx((0.5 / 2.5 + 0.5 / 2) / 2)


def test_tae_forgives_true_motion_and_blames_depth_that_does_not_follow():
    poses = (moved(0.0), moved(0.5))  # half a metre towards a wall at 2 m
    assert tae((plane(2), plane(1.5)), poses, CAMERA) == pytest.approx(0, abs=1e-6)
    assert tae((plane(2), plane(2)), poses, CAMERA) == pytest.approx((0.5 / 2 + 0.5 / 2) / 2)


def test_tae_takes_the_nearest_surface_where_two_fall_on_one_pixel():
    first = plane(4)
    first[:, 30:34] = 1.0
    poses = (np.eye(4), moved(0.0))
    poses[1][0, 3] = 0.04  # sideways: the post moves two pixels over the wall
    second = plane(4)
    second[:, 28:32] = 1.0
    assert tae((first, second), poses, CAMERA) < 0.03


def test_tae_without_overlap_is_nan():
    away = np.diag([-1.0, 1, -1, 1])
    assert np.isnan(tae((plane(2), plane(2)), (np.eye(4), away), CAMERA))


def test_opw_of_a_still_scene_is_the_change_of_depth():
    picture = noise()
    assert opw((plane(2), plane(2)), (picture, picture)) == 0
    assert opw((plane(2), plane(2.25)), (picture, picture)) == pytest.approx(0.25, abs=1e-3)


def test_opw_follows_the_flow():
    picture, ramp = noise(), np.tile(np.linspace(1, 3, SIZE[1], dtype=np.float32), (SIZE[0], 1))
    shifted = (np.roll(picture, 3, axis=1), np.roll(ramp, 3, axis=1))
    followed = opw((ramp, shifted[1]), (picture, shifted[0]))
    ignored = opw((ramp, ramp), (picture, shifted[0]))
    assert followed < 0.3 * ignored


def test_opw_ignores_pixels_without_depth():
    picture, holes = noise(), plane(2)
    holes[:10] = np.nan
    assert opw((plane(2), holes), (picture, picture)) == 0
    assert np.isnan(opw((plane(np.nan), holes), (picture, picture)))


def test_opw_of_tiny_pictures_is_nan():
    for size in ((1, 1), (8, 200), (15, 15)):
        assert np.isnan(opw((np.ones(size, np.float32),) * 2, (np.zeros((*size, 3), np.uint8),) * 2))
    size = (16, 16)
    assert opw((np.ones(size, np.float32),) * 2, (np.zeros((*size, 3), np.uint8),) * 2) == 0


def test_tcc_is_one_for_true_change_and_less_for_flicker():
    rng = np.random.default_rng(0)
    truths = (plane(2), plane(2) + rng.uniform(0, 0.5, SIZE).astype(np.float32))
    assert tcc(truths, truths) == pytest.approx(1)
    flicker = (plane(2), plane(2) + rng.uniform(0, 0.5, SIZE).astype(np.float32))
    assert tcc(flicker, truths) < 0.6
    assert tcc((truths[0] + 1, truths[1] + 1), truths) == pytest.approx(1)  # a constant bias does not flicker


def test_tcc_needs_common_pixels():
    assert np.isnan(tcc((plane(np.nan), plane(1)), (plane(1), plane(1))))
    assert np.isnan(tcc((np.ones((3, 3)),) * 2, (np.ones((3, 3)),) * 2))


def test_a_pair_gets_the_metrics_that_it_allows():
    bare = Frame('a', image=noise())
    full = Frame('b', image=noise(), depth=plane(2), pose=np.eye(4), intrinsics=CAMERA[0])
    assert set(pair_metrics((bare, plane(2)), (full, plane(2)))) == {'opw'}
    assert pair_metrics((full, plane(2)), (full, plane(2))) == pytest.approx(
        {'opw': 0, 'tae': 0, 'tcc': 1, 'tgm': 0, 'flicker': 0}, abs=1e-6
    )


def test_tgm_compares_changes_and_leaves_passing_edges_out():
    truths = (plane(2), plane(2.05))
    assert tgm(truths, truths) == 0
    assert tgm((plane(3), plane(3)), truths) == pytest.approx(0.05 / 2, rel=1e-4)
    assert tgm((plane(3), plane(3.2)), truths) == pytest.approx(0.15 / 2, rel=1e-4)
    edge = plane(2.05)
    edge[:, 30:] = 1.0
    assert tgm((plane(3), np.where(edge == 1.0, 9.0, 3.05)), (plane(2), edge)) == pytest.approx(0, abs=1e-6)
    assert np.isnan(tgm(truths, (plane(2), plane(4))))


def test_flicker_is_the_change_of_relative_error_along_true_tracks():
    truths, poses = (plane(2), plane(1.5)), (moved(0.0), moved(0.5))
    assert flicker(truths, truths, poses, CAMERA) == pytest.approx(0, abs=1e-6)
    assert flicker((plane(3), plane(2.25)), truths, poses, CAMERA) == pytest.approx(0, abs=1e-6)  # 1.5 times the truth
    assert flicker((plane(2), plane(1.65)), truths, poses, CAMERA) == pytest.approx(np.log(1.1), rel=1e-4)
    assert flicker((plane(2), plane(2)), truths, poses, CAMERA) == pytest.approx(np.log(2 / 1.5), rel=1e-4)


def test_flicker_counts_nothing_that_moves_or_is_unknown():
    holes = plane(2)
    holes[:, :20] = np.nan
    assert flicker((plane(2), holes), (plane(2), plane(2)), STILL, CAMERA) == 0
    assert np.isnan(flicker((plane(2), plane(2)), (plane(2), plane(2.2)), STILL, CAMERA))
