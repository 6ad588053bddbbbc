"""Optical flow, blur that is made equal before it, and depth carried along by poses."""

import cv2
import numpy as np
import pytest
import torch

from dfd_depth_ros.scenes.frame import Intrinsics
from dfd_depth_ros.temporal.motion import (
    backward_flow,
    blurred,
    both_ways,
    enlarged,
    lucas_kanade,
    matched,
    registered,
    registration,
    sample,
)
from dfd_depth_ros.temporal.pose import carried

INSIDE = np.s_[..., 12:-12, 12:-12]


def texture(height=96, width=128, seed=0, smooth=1.5):
    rng = np.random.default_rng(seed)
    noise = sum(cv2.resize(rng.random((height >> n, width >> n), np.float32), (width, height)) for n in range(4))
    picture = cv2.GaussianBlur(noise, (0, 0), smooth)
    return torch.from_numpy(255 * (picture - picture.min()) / np.ptp(picture))


def shifted(picture, x, y):
    """The picture moved by x to the right and y down."""
    move = np.float32([[1, 0, x], [0, 1, y]])
    return torch.from_numpy(
        cv2.warpAffine(picture.numpy(), move, picture.shape[::-1], flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
    )


@pytest.mark.parametrize(('x', 'y'), [(0.0, 0.0), (2.0, -1.0), (-3.5, 2.5), (6.0, 0.0)])
def test_both_kinds_of_flow_find_an_easy_motion(x, y):
    first = texture()
    second = shifted(first, x, y)
    dis, _ = both_ways(first, second)
    own = lucas_kanade(torch.stack([first, second]), torch.stack([second, first]))
    wanted = torch.tensor([x, y])[:, None, None].expand_as(dis)
    for flow, sign in ((dis, 1), (own[0], 1), (own[1], -1)):
        assert float((flow - sign * wanted)[INSIDE].norm(dim=0).median()) < 0.25
    assert float((dis - own[0])[INSIDE].norm(dim=0).median()) < 0.3


def test_registration_finds_an_affine_map_through_a_change_of_blur():
    fixed, warp = texture().numpy().astype(np.uint8), np.float32([[1.02, 0.003, -2.0], [-0.003, 1.015, 1.5]])
    moving = cv2.GaussianBlur(cv2.warpAffine(fixed, warp, fixed.shape[::-1], borderMode=cv2.BORDER_REFLECT), (0, 0), 2)
    found = registration(moving, fixed)[0]
    corners = np.array([[0, 0, 1], [127, 0, 1], [0, 95, 1], [127, 95, 1]])
    assert np.abs(corners @ (found - warp).T).max() < 0.5
    back = registered(moving, found)[INSIDE].astype(float)
    assert np.abs(back - cv2.GaussianBlur(fixed, (0, 0), 2)[INSIDE]).mean() < 2
    assert registration(np.zeros_like(fixed), fixed) is None


def test_lucas_kanade_of_a_plain_picture_is_still():
    plain = torch.full((1, 40, 48), 100.0)
    assert float(lucas_kanade(plain, plain).abs().max()) == 0


def test_sample_follows_the_flow_and_knows_its_end():
    field = torch.arange(20.0).expand(3, 10, 20).contiguous()
    moved = sample(field, torch.stack([torch.full((10, 20), 2.5), torch.zeros(10, 20)]))
    torch.testing.assert_close(moved[:, :, :17], field[:, :, :17] + 2.5, atol=0.05, rtol=0)
    assert bool(moved[:, :, 18:].isnan().all())


def test_sample_spreads_what_is_unknown():
    field = torch.zeros(5, 8, 8)
    field[0, 4, 4] = torch.nan
    moved = sample(field, torch.full((2, 8, 8), 0.5))
    assert bool(moved[0, 3:5, 3:5].isnan().all()) and bool(moved[1:, :7, :7].isfinite().all())


def test_what_was_hidden_is_not_seen():
    background, post = texture(seed=1), texture(seed=2)
    past, present = background.clone(), background.clone()
    past[:, 40:64], present[:, 48:72] = post[:, 40:64], post[:, 40:64]  # the post moves to the right by 8
    flow, seen = backward_flow(present, past)
    assert float(flow[0, 20:-20, 54:66].median()) == pytest.approx(-8, abs=2.5)
    assert float(seen[20:-20, 40:47].float().mean()) < 0.6  # what it uncovered
    assert float(seen[20:-20, 90:110].float().mean()) > 0.95


def test_another_scene_is_not_seen():
    _, seen = backward_flow(texture(seed=3), texture(seed=4))
    assert float(seen.float().mean()) < 0.4
    _, seen = backward_flow(texture(seed=3), torch.zeros(96, 128))
    assert float(seen.float().mean()) < 0.4


def test_tiny_pictures_do_not_move():
    flow, seen = backward_flow(torch.zeros(4, 5), torch.ones(4, 5))
    assert flow.shape == (2, 4, 5) and float(flow.abs().max()) == 0 and bool(seen.all())


@pytest.mark.parametrize('coc', [0.0, 1.0, 2.0, 4.0, 8.0])
def test_blur_has_the_variance_of_a_disc(coc):
    point = torch.zeros(65, 65)
    point[32, 32] = 1.0
    spread = blurred(point, torch.full((65, 65), coc))
    across = (torch.arange(65.0) - 32) ** 2
    assert float(spread.sum()) == pytest.approx(1, abs=1e-3)
    assert float((spread.sum(0) * across).sum()) == pytest.approx((coc / 4) ** 2, rel=0.12, abs=1e-3)


def test_pictures_at_two_focus_settings_become_alike():
    sharp = texture(smooth=0.5)
    one, other = torch.full(sharp.shape, 1.0), torch.full(sharp.shape, 5.0)
    first, second = blurred(sharp, one), blurred(sharp, other)
    before = float((first - second)[INSIDE].abs().mean())
    alike = matched(first, second, one, other)
    assert float((alike[0] - alike[1])[INSIDE].abs().mean()) < 0.25 * before
    torch.testing.assert_close(alike[1], second)  # the softer one stays


def test_enlarged_is_bilinear():
    field = torch.rand(5, 6)
    slow = torch.nn.functional.interpolate(field[None, None], scale_factor=3, mode='bilinear')[0, 0]
    torch.testing.assert_close(enlarged(field, 3), slow, atol=1e-5, rtol=0)


CAMERA = Intrinsics(50.0, 50.0, 31.5, 23.5)


def place(z=0.0, turn=0.0):
    pose = np.eye(4)
    pose[:3, :3] = cv2.Rodrigues(np.array([0.0, turn, 0.0]))[0]
    pose[2, 3] = z
    return pose, CAMERA


def test_a_wall_comes_nearer_as_the_camera_moves_ahead():
    wall = torch.full((2, 24, 32), 0.5)
    moved = carried(wall, torch.zeros(2, 24, 32), place(0.5), place(), step=2)
    torch.testing.assert_close(moved, torch.full_like(wall, 1 / 1.5))
    assert bool(carried(wall, torch.zeros(2, 24, 32), place(2.5), place(), step=2).isnan().all())


def test_depth_turns_with_the_camera_as_points_do():
    depth, angle = torch.full((1, 48, 64), 0.5), 0.1
    moved = carried(depth, torch.zeros(2, 48, 64), place(0.0, angle), place())
    ray = np.array([(40 - CAMERA.cx) / CAMERA.fx, (10 - CAMERA.cy) / CAMERA.fy, 1.0])
    z = (np.linalg.inv(place(0.0, angle)[0][:3, :3]) @ ray * 2)[2]
    assert float(moved[0, 10, 40]) == pytest.approx(1 / z, rel=1e-5)
