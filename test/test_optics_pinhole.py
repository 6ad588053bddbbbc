"""Points of one camera in another: batches, gradients, and a readable twin in float64."""

import math

import numpy as np
import pytest
import torch

from dfd_depth_ros.optics.pinhole import inverse_motion, motion_between, rays, rigid, sampled, transfer
from dfd_depth_ros.splatting.renderer import Picture, View, reproject

LENS = torch.tensor([[10.0, 0.5, 50.0, 7.5, 5.5], [10.0, 0.5, 80.0, 6.0, 5.0]])
OTHER = torch.tensor([[10.0, 0.5, 60.0, 7.0, 5.0], [10.0, 0.5, 80.0, 6.0, 5.0]])
VECTOR = torch.tensor([[0.05, -0.02, 0.1, 0.1, -0.05, 0.2], [0.0, 0.1, 0.0, 0.0, 0.3, -0.1]])


def field(seed=0, batch=2, size=(12, 16)):
    return torch.rand(batch, 1, *size, generator=torch.Generator().manual_seed(seed)) + 0.2


def twin(inverse_depth, lens, motion, other, row, column):
    """One pixel, in metres and float64."""
    _, _, fx, cx, cy = lens
    depth = 1 / inverse_depth
    x, y, z, _ = motion @ np.array([(column - cx) / fx * depth, (row - cy) / fx * depth, depth, 1.0])
    return other[2] * x / z + other[3], other[2] * y / z + other[4], 1 / z


@pytest.mark.parametrize('number', [0, 1])
@pytest.mark.parametrize('pixel', [(0, 0), (5, 9), (11, 15)])
def test_transfer_is_its_twin(number, pixel):
    inverse = field()
    place, there = transfer(inverse, LENS, rigid(VECTOR), OTHER)
    arrays = [part[number].double().numpy() for part in (LENS, rigid(VECTOR), OTHER)]
    x, y, q = twin(float(inverse[number, 0][pixel]), *arrays, *pixel)
    assert place[number, :, pixel[0], pixel[1]].tolist() == pytest.approx([x, y], abs=1e-3)
    assert float(there[number, 0][pixel]) == pytest.approx(q, rel=1e-4)


def test_points_at_infinity_turn_and_do_not_shift():
    shifted = rigid(torch.tensor([[0, 0, 0, 1.0, 2.0, 0.5]]))
    place, there = transfer(torch.zeros(1, 1, 12, 16), LENS[:1], shifted, LENS[:1])
    assert torch.allclose(place[0, 0], torch.arange(16.0).expand(12, 16), atol=1e-4)
    assert (there == 0).all()


def test_points_behind_the_camera_have_negative_inverse_depth():
    back = rigid(torch.tensor([[0, 0, 0, 0, 0, -3.0]]))
    assert (transfer(torch.ones(1, 1, 12, 16), LENS[:1], back, LENS[:1])[1] < 0).all()


def test_the_renderer_says_the_same():
    pose = rigid(VECTOR)
    picture = Picture(torch.zeros(3, 12, 16), field()[0], LENS[0], pose[0])
    place, inverse = reproject(picture, View(OTHER[0], pose[1], (12, 16)))
    place2, inverse2 = transfer(field()[:1], LENS[:1], motion_between(pose[:1], pose[1:]), OTHER[:1])
    assert torch.equal(place, place2[0]) and torch.equal(inverse, inverse2[0])


def test_gradients_are_right():
    inverse, vector = field(size=(3, 4)).double().requires_grad_(), VECTOR.double().requires_grad_()
    lens, other = LENS.double(), OTHER.double()
    assert torch.autograd.gradcheck(lambda q, v: transfer(q, lens, rigid(v), other), (inverse, vector))


def test_rays_have_unit_depth():
    looks = rays(LENS, 12, 16)
    assert (looks[:, 2] == 1).all()
    assert looks[0, :2, 5, 9].tolist() == pytest.approx([(9 - 7.5) / 50, (5 - 5.5) / 50])


def test_zero_is_the_identity_with_gradients():
    vector = torch.zeros(2, 6, requires_grad=True)
    motion = rigid(vector)
    assert torch.equal(motion, torch.eye(4).expand(2, 4, 4))
    motion[:, 0, 1].sum().backward()
    assert vector.grad[0].tolist() == [0, 0, -1, 0, 0, 0]


def test_a_quarter_turn_about_z_takes_x_to_y():
    motion = rigid(torch.tensor([[0, 0, math.pi / 2, 1.0, 2.0, 3.0]]))
    assert (motion[0] @ torch.tensor([1.0, 0, 0, 1])).tolist() == pytest.approx([1, 3, 3, 1], abs=1e-6)


def test_a_motion_and_its_inverse_cancel():
    motion = rigid(VECTOR)
    assert torch.allclose(motion @ inverse_motion(motion), torch.eye(4).expand(2, 4, 4), atol=1e-6)
    assert torch.allclose(motion_between(motion, motion), torch.eye(4).expand(2, 4, 4), atol=1e-6)


def test_reading_a_field_at_its_own_pixels_changes_nothing():
    rows, columns = torch.meshgrid(torch.arange(12.0), torch.arange(16.0), indexing='ij')
    place = torch.stack([columns, rows]).expand(2, -1, -1, -1)
    read, inside = sampled(field(), place)
    assert torch.allclose(read, field(), atol=1e-5) and inside.all()
    _, inside = sampled(field(), place + 1)
    assert not inside[:, 0, -1].any() and not inside[:, 0, :, -1].any() and inside[:, 0, :-1, :-1].all()
