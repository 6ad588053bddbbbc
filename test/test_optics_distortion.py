"""Rays of distorted pixels: against the models written out, against OpenCV, and where no ray can be drawn."""

import math

import cv2
import numpy as np
import pytest

from dfd_depth_ros.optics.distortion import Distortion, DistortionError, bend, rays

CAMERA = (300.0, 310.0, 159.5, 119.5)
MATRIX = np.array([[300.0, 0, 159.5], [0, 310.0, 119.5], [0, 0, 1]])
SIZE = (240, 320)
PLUMB = (-0.28, 0.09, 0.0012, -0.0007, -0.01)
RATIONAL = (0.3, 0.05, 0.001, -0.0005, 0.01, 0.6, 0.1, 0.02)
FISHEYE = (-0.02, 0.005, -0.003, 0.0004)


def radial(ray, coefficients):
    """Brown's and the rational model, written out for one ray (x, y)."""
    k1, k2, p1, p2, k3, k4, k5, k6 = (*coefficients, 0, 0, 0)[:8]
    x, y = ray
    r2 = x * x + y * y
    factor = (1 + k1 * r2 + k2 * r2**2 + k3 * r2**3) / (1 + k4 * r2 + k5 * r2**2 + k6 * r2**3)
    return (
        x * factor + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
        y * factor + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y,
    )


def equidistant(ray, coefficients):
    """Kannala and Brandt's model, written out for one ray (x, y)."""
    r = math.hypot(*ray)
    theta = math.atan(r)
    bent = theta * (1 + sum(k * theta ** (2 * power) for power, k in enumerate(coefficients, 1)))
    return tuple(value * (bent / r if r else 1.0) for value in ray)


WRITTEN_OUT = {
    'plumb_bob': (PLUMB, radial),
    'rational_polynomial': (RATIONAL, radial),
    'equidistant': (FISHEYE, equidistant),
    'fisheye': (FISHEYE, equidistant),
}


@pytest.mark.parametrize('model', WRITTEN_OUT)
def test_a_ray_sent_through_the_written_out_model_meets_its_pixel(model):
    coefficients, bend = WRITTEN_OUT[model]
    found = rays(*CAMERA, Distortion(model, coefficients), *SIZE)
    assert found.shape == (*SIZE, 2) and found.dtype == np.float32 and np.isfinite(found).all()
    for row, column in ((0, 0), (0, 319), (239, 0), (239, 319), (120, 160), (17, 255), (200, 31)):
        x, y = bend(found[row, column].astype(float), coefficients)
        assert x * 300 + 159.5 == pytest.approx(column, abs=2e-3)
        assert y * 310 + 119.5 == pytest.approx(row, abs=2e-3)


@pytest.mark.parametrize('model', ['plumb_bob', 'rational_polynomial'])
def test_as_opencv_undistorts(model):
    coefficients = np.array(WRITTEN_OUT[model][0])
    pixels = np.float64([[[30, 40]], [[160, 120]], [[300, 200]]])
    expected = cv2.undistortPoints(pixels, MATRIX, coefficients).reshape(-1, 2)
    found = rays(*CAMERA, Distortion(model, tuple(coefficients)), *SIZE)
    # OpenCV stops after five steps, which leaves a hundredth of a pixel at the rim.
    np.testing.assert_allclose(found[[40, 120, 200], [30, 160, 300]], expected, atol=5e-4)


def test_as_opencv_undistorts_a_fisheye():
    pixels = np.float64([[[0, 0]], [[160, 120]], [[319, 239]]])
    expected = cv2.fisheye.undistortPoints(pixels, MATRIX, np.array(FISHEYE)).reshape(-1, 2)
    found = rays(*CAMERA, Distortion('equidistant', FISHEYE), *SIZE)
    np.testing.assert_allclose(found[[0, 120, 239], [0, 160, 319]], expected, atol=1e-5)


def test_distortion_matters_at_the_rim_and_not_in_the_middle():
    straight = rays(*CAMERA, None, *SIZE)
    moved = np.linalg.norm(rays(*CAMERA, Distortion('plumb_bob', PLUMB), *SIZE) - straight, axis=-1) * 300
    assert moved[120, 160] < 0.01 and moved[0, 0] > 20


def test_without_distortion_rays_are_those_of_a_pinhole():
    np.testing.assert_allclose(rays(50.0, 100.0, 1.0, 0.5, None, 2, 3)[1], [[-0.02, 0.005], [0, 0.005], [0.02, 0.005]])


def test_zero_coefficients_change_nothing():
    np.testing.assert_allclose(
        rays(*CAMERA, Distortion('plumb_bob', (0.0,) * 5), *SIZE), rays(*CAMERA, None, *SIZE), atol=1e-7
    )


def test_every_stride_th_ray_is_one_of_all():
    every = rays(*CAMERA, Distortion('plumb_bob', PLUMB), *SIZE)
    np.testing.assert_allclose(rays(*CAMERA, Distortion('plumb_bob', PLUMB), *SIZE, 7), every[::7, ::7], atol=1e-7)


def test_a_pixel_that_no_ray_meets_is_nan():
    # With k1 = -1 the model folds back: x - x^3 is never above 0.385, which is 115 pixels from the centre.
    found = rays(300.0, 300.0, 159.5, 119.5, Distortion('plumb_bob', (-1.0, 0.0, 0.0, 0.0, 0.0)), *SIZE)
    assert np.isnan(found[120, 0]).all() and np.isfinite(found[120, 100:220]).all()


def test_a_fisheye_pixel_behind_the_camera_is_nan():
    found = rays(60.0, 60.0, 159.5, 119.5, Distortion('equidistant', (0.0,) * 4), *SIZE)
    assert np.isnan(found[0, 0]).all()  # 199 pixels / 60 = 3.3 radians from the axis
    x, y = found[119, 100]
    assert math.atan(math.hypot(x, y)) == pytest.approx(math.hypot(59.5, 0.5) / 60, rel=1e-4)


def test_bend_is_the_largest_move_of_a_pixel():
    fx, _, cx, cy = camera = (600.0, 600.0, 319.5, 239.5)
    corner = np.hypot(cx, cy) / fx
    assert bend(*camera, Distortion('plumb_bob', (0.0, 0.0, 0.0, 0.0)), 480, 640) < 1e-3
    straight = bend(*camera, Distortion('plumb_bob', (0.01, 0.0, 0.0, 0.0)), 480, 640)
    assert straight == pytest.approx(0.01 * corner**3 * fx, rel=0.1)  # to first order, at a corner
    assert bend(*camera, Distortion('plumb_bob', (-0.02, 0.0, 0.0, 0.0)), 480, 640) > 1.8 * straight


def test_bend_is_infinite_where_rays_are_not_known():
    assert bend(100.0, 100.0, 319.5, 239.5, Distortion('plumb_bob', (-0.5, 0.0, 0.0, 0.0)), 480, 640) == math.inf


def test_rays_are_computed_once_for_a_camera_and_cannot_be_written_to():
    one, other = (rays(*CAMERA, Distortion('plumb_bob', PLUMB), *SIZE) for _ in range(2))
    assert one is other
    with pytest.raises(ValueError, match='read-only'):
        one[0, 0] = 0


@pytest.mark.parametrize(
    'model, coefficients, message',
    [
        (
            'kannala',
            FISHEYE,
            "distortion model 'kannala' is unknown; the known ones are plumb_bob, rational_polynomial, equidistant, "
            'fisheye',
        ),
        ('plumb_bob', PLUMB[:3], 'distortion model plumb_bob has 4 or 5 coefficients; 3 are given'),
        ('equidistant', PLUMB, 'distortion model equidistant has 4 coefficients; 5 are given'),
        (
            'fisheye',
            (0.1, math.nan, 0.0, 0.0),
            'distortion coefficients are [0.1, nan, 0.0, 0.0]; they must be finite numbers',
        ),
    ],
)
def test_a_distortion_that_is_none(model, coefficients, message):
    with pytest.raises(DistortionError) as error:
        Distortion(model, coefficients)
    assert str(error.value) == message
