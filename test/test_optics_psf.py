"""PSFs against pictures of themselves in space."""

import numpy as np
import pytest
import torch

from dfd_depth_ros.optics.psf import blur, disc, gaussian, power, spherical
from dfd_depth_ros.optics.raytrace import aperture_points


def kernel(otf, diameter, size=65):
    point = torch.zeros(size, size, dtype=torch.float64)
    point[size // 2, size // 2] = 1
    return blur(point, torch.tensor(float(diameter), dtype=torch.float64), otf).numpy()


def deviation(picture):
    size = len(picture)
    axis = np.arange(size) - size // 2
    return np.sqrt((picture.sum(0) * axis**2).sum() / picture.sum())


@pytest.mark.parametrize('otf', [disc, gaussian, power(2.0), power(5.0), power(32.0), spherical(0.9)])
@pytest.mark.parametrize('diameter', [2.0, 6.0, 13.0, -6.0])
def test_every_family_has_the_variance_of_a_disc(otf, diameter):
    picture = kernel(otf, diameter)
    assert picture.sum() == pytest.approx(1, abs=1e-6)
    smooth = kernel(lambda x: otf(x) * gaussian(x * 4 / diameter * 1.5), diameter)  # no ringing beyond the frame
    assert deviation(smooth) ** 2 == pytest.approx((diameter / 4) ** 2 + 1.5**2, rel=0.02)


def test_disc_otf_is_the_mean_over_the_aperture():
    x = torch.linspace(0, 6, 40, dtype=torch.float64)
    points = aperture_points(4000)[:, 0]
    expected = np.cos(2 * np.pi * x.numpy()[:, None] * points).mean(1)
    np.testing.assert_allclose(disc(x).numpy(), expected, atol=2e-3)


def test_power_runs_from_gaussian_to_disc():
    x = torch.linspace(0, 8, 200, dtype=torch.float64)
    assert (power(2.0)(x) - gaussian(x)).abs().max() < 1e-3
    assert (power(200.0)(x) - disc(x)).abs().max() < 1e-3
    first_zero = [float(x[(power(p)(x) < 0).nonzero()[0]]) for p in (4.0, 8.0, 32.0)]
    assert first_zero == sorted(first_zero, reverse=True)


def test_spherical_otf_is_the_mean_over_a_weighted_aperture():
    x = torch.linspace(-6, 6, 61, dtype=torch.float64)
    points = aperture_points(4000) * 2  # radius one
    for amount in (-0.8, 0.5):
        rim = amount * np.sign(x.numpy())[:, None]
        weight = 1 + rim * (2 * (points**2).sum(1) - 1)
        phase = np.pi * x.numpy()[:, None] * points[:, 0] / np.sqrt(1 + rim / 3)
        expected = (weight * np.cos(phase)).mean(1)
        np.testing.assert_allclose(spherical(amount)(x).numpy(), expected, atol=3e-3)
    near, far = (kernel(spherical(1.0), diameter) for diameter in (-12, 12))
    assert near[32, 32] > 3 * far[32, 32]  # bright core in front of focus, bright rim behind it
    with pytest.raises(ValueError, match='must lie within -1 and 1, not 2'):
        spherical(2)


def test_no_blur_at_zero():
    torch.manual_seed(0)
    picture = torch.rand(3, 20, 21)
    torch.testing.assert_close(blur(picture, torch.zeros(3)), picture, atol=1e-6, rtol=0)


@pytest.mark.parametrize('otf', [disc, gaussian])
def test_gradient_in_the_diameter(otf):
    picture = torch.rand(1, 8, 8, dtype=torch.float64)
    diameter = torch.tensor([1.7], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda d: blur(picture, d, otf), (diameter,), atol=1e-5)


def test_exponents_below_one_are_refused():
    with pytest.raises(ValueError, match='needs an exponent of 1 or more, not 0.5'):
        power(0.5)
