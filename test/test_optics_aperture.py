"""Apertures of any shape against pictures of themselves."""

import math

import numpy as np
import pytest
import torch

from dfd_depth_ros.optics.aperture import SAMPLES, Aperture, cats_eye, matched, polygon
from dfd_depth_ros.optics.formation import Surface, form, form_surfaces
from dfd_depth_ros.optics.lens import Lens
from dfd_depth_ros.optics.psf import blur, disc

LETTER = torch.tensor([[1, 1, 1], [1, 0, 0], [1, 1, 0]], dtype=torch.float64)  # like no turned or mirrored copy
FULL = cats_eye(0.0)


def kernel(otf, diameter, size=65):
    point = torch.zeros(size, size, dtype=torch.float64)
    point[size // 2, size // 2] = 1
    return blur(point, torch.tensor(float(diameter), dtype=torch.float64), otf).numpy()


def moments(picture):
    place = np.arange(len(picture)) - len(picture) // 2
    total = picture.sum()
    mean = np.array([(picture.sum(1) * place).sum(), (picture.sum(0) * place).sum()]) / total
    square = np.array([(picture.sum(1) * place**2).sum(), (picture.sum(0) * place**2).sum()]) / total
    return total, mean, square - mean**2


def test_a_round_mask_is_the_disc():
    ours, theirs = kernel(Aperture(FULL), 14.0), kernel(disc, 14.0)
    assert np.abs(ours - theirs).max() < 0.04 * theirs.max()
    assert matched(FULL) == pytest.approx(1, abs=0.01)


def test_blur_is_the_picture_of_the_mask_and_turned_in_front_of_focus():
    behind, front = kernel(Aperture(LETTER), 30.0), kernel(Aperture(LETTER), -30.0)
    np.testing.assert_allclose(front, behind[::-1, ::-1], atol=1e-4)
    blocks = behind[17:47, 17:47].reshape(3, 10, 3, 10)[:, 2:8, :, 2:8].mean((1, 3))
    np.testing.assert_allclose(blocks / blocks.max(), LETTER, atol=0.12)


def test_against_the_sum_over_the_mask():
    """Readable twin: the Fourier sum over the samples of the mask."""
    mask = cats_eye(0.6, 0.8)
    place = (np.arange(SAMPLES) + 0.5) / SAMPLES - 0.5
    for u, v in ((0.0, 0.0), (0.7, -1.3), (3.2, 2.1), (-6.05, 0.4)):
        wave = np.exp(-2j * np.pi * (u * place[:, None] + v * place[None]))
        expected = (mask.numpy() * wave).sum() / float(mask.sum())
        found = Aperture(mask)(torch.tensor([[u]], dtype=torch.float64), torch.tensor([[v]], dtype=torch.float64))
        assert complex(found) == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize('mask', [polygon(5), polygon(6, 0.3), polygon(9), cats_eye(0.5, 1.0), LETTER])
def test_matched_masks_have_the_variance_of_a_disc(mask):
    total, _, variance = moments(kernel(Aperture(mask, matched(mask)), 14.0))
    assert total == pytest.approx(1, abs=1e-6)
    assert variance.mean() == pytest.approx((14 / 4) ** 2, rel=0.05)


def test_a_polygon_has_its_corners():
    mask = polygon(6)
    area = float(mask.sum()) * (2 / SAMPLES) ** 2
    assert area == pytest.approx(6 * math.sin(math.pi / 3) * math.cos(math.pi / 3), rel=0.02)
    np.testing.assert_allclose(polygon(6, 2 * math.pi / 6), mask, atol=1e-9)


def test_a_cats_eye_is_shifted_and_narrow():
    _, mean, variance = moments(kernel(Aperture(cats_eye(0.8)), 24.0))
    assert mean[1] == pytest.approx(0.4 * 12, rel=0.05) and abs(mean[0]) < 0.05
    assert variance[0] > 1.5 * variance[1]


def test_it_forms_pictures_of_scenes_and_shows_the_side_of_focus():
    lens = Lens.focused_at(2.0, focal_length_m=0.05, f_number=2.0, pixel_pitch_m=5e-5)
    light = torch.zeros(3, 64, 64)
    light[:, 32, 32] = 1
    for coc in (12.0, -12.0):
        inverse = torch.full((64, 64), lens.focus_dioptre - coc / lens.gain)
        surface = Surface(light, torch.ones(64, 64), inverse)
        picture = form_surfaces([surface], lens, otf=Aperture(cats_eye(0.8).float()))
        _, mean, _ = moments(picture[0, :63, :63].numpy())
        assert np.sign(mean[1]) == np.sign(coc)
    planes = torch.tensor([-12.0, 12.0])
    whole = form(light[None], torch.full((1, 1, 64, 64), 12.0), planes, Aperture(cats_eye(0.8).float()))
    assert float(whole[0, 0, :, 33:].sum()) > 3 * float(whole[0, 0, :, :32].sum())


def test_gradient_in_the_mask_by_finite_differences():
    mask = torch.rand(4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    picture = torch.rand(12, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    weight = torch.rand(12, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    size = torch.tensor(5.0, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda m: (blur(picture, size, Aperture(m)) * weight).sum(), mask)


@pytest.mark.parametrize('mask', [torch.zeros(4, 4), torch.ones(3, 4), -torch.ones(2, 2), torch.ones(4)])
def test_what_is_no_aperture(mask):
    with pytest.raises(ValueError, match='an aperture is a square mask of transmissions'):
        Aperture(mask)
