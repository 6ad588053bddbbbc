"""PSFs of a lens with a phase mask against closed formulas: the Airy disc in focus, a disc far from it."""

import math

import numpy as np
import pytest
import torch
from scipy.special import j1

from dfd_depth_ros.optics.formation import form
from dfd_depth_ros.optics.psf import blur, disc, transfer
from dfd_depth_ros.optics.wavefront import PLANE, PUPIL, PhaseMask, PsfStack, spectrum

FLAT = torch.zeros(4, dtype=torch.float64)
BENT = torch.tensor([0.0, 1.0, 3.0, 6.0], dtype=torch.float64)


def mask(rings=FLAT, f_number=4.0, pitch=4e-6):
    """A lens whose Airy disc is 1.3 pixels wide."""
    return PhaseMask(rings, f_number, pitch)


def distances(lens):
    """(PLANE, PLANE) pixels from the middle of a PSF."""
    place = torch.fft.fftfreq(PLANE, 1 / (PLANE * lens.pitch), dtype=torch.float64)
    return torch.hypot(place[:, None], place[None])


def enclosed(lens, coc, radius):
    """Share of the light within a radius in pixels."""
    psf = lens.psf(torch.tensor(coc, dtype=torch.float64))
    return float(psf[distances(lens) <= radius].sum())


def test_energy_is_one_and_never_below_zero():
    psf = mask(BENT).psf(torch.tensor([-9.0, -1.0, 0.0, 4.0], dtype=torch.float64))
    assert psf.shape == (4, PLANE, PLANE) and float(psf.min()) >= 0
    torch.testing.assert_close(psf.sum((1, 2)), torch.ones(4, dtype=torch.float64))


def test_in_focus_it_is_the_airy_disc():
    """I(r) = (2 J1(z) / z)^2 with z = pi r / (lambda N); Goodman, chapter 4."""
    lens = mask()
    psf = lens.psf(torch.tensor(0.0, dtype=torch.float64))[0, : PLANE // 8].numpy()
    z = np.pi * np.arange(PLANE // 8) * lens.pitch / lens.unit
    airy = np.where(z > 0, 2 * j1(np.maximum(z, 1e-9)) / np.maximum(z, 1e-9), 1) ** 2
    assert np.abs(psf / psf[0] - airy).max() < 0.01
    assert enclosed(lens, 0.0, 1.22 * lens.unit) == pytest.approx(0.838, abs=0.015)  # light inside the first dark ring


@pytest.mark.parametrize(('coc', 'ripple'), [(20.0, 0.06), (-20.0, 0.06), (30.0, 0.02)])
def test_far_from_focus_it_is_the_disc_of_geometry(coc, ripple):
    """A uniform disc holds (2 r / c)^2 of its light within r, and all of it within c / 2. What diffraction adds at the
    rim grows less with every wave of defocus."""
    lens = mask()
    for share in (0.25, 0.5, 0.75):
        assert enclosed(lens, coc, share * abs(coc) / 2) == pytest.approx(share**2, abs=ripple)
    assert enclosed(lens, coc, abs(coc) / 2 + 2 * lens.unit) > 0.9


def test_its_transfer_function_is_that_of_a_disc_at_low_frequencies():
    lens, coc = mask(), torch.tensor([12.0], dtype=torch.float64)
    frequency = torch.tensor([0.0, 0.01, 0.03, 0.05, 0.07], dtype=torch.float64)
    found = lens.at(coc, torch.zeros(1, 1, dtype=torch.float64), frequency[None])[0, 0]
    assert float((found.real - disc(12 * frequency)).abs().max()) < 0.03 and float(found.imag.abs().max()) < 1e-6


def test_diffraction_alone_has_the_transfer_function_of_a_round_pupil():
    """2 / pi (acos s - s sqrt(1 - s^2)), s the frequency over 1 / (lambda N); Goodman, chapter 6."""
    lens = mask()
    s = torch.tensor([0.0, 0.2, 0.5, 0.8], dtype=torch.float64)
    found = lens.at(torch.zeros(1, dtype=torch.float64), torch.zeros(1, 1, dtype=torch.float64), s[None] / lens.unit)
    torch.testing.assert_close(
        found[0, 0].real, 2 / math.pi * (torch.acos(s) - s * (1 - s * s).sqrt()), atol=0.01, rtol=0
    )


def test_without_a_mask_both_sides_of_focus_are_alike_and_with_one_they_differ():
    level = torch.tensor([-8.0, 8.0], dtype=torch.float64)
    near, far = mask().psf(level)
    torch.testing.assert_close(near, far, atol=1e-9, rtol=0)
    near, far = mask(BENT).psf(level)
    assert float((near - far).abs().sum()) > 0.2


def test_spectrum_is_the_sum_that_it_says():
    """The slow twin: one frequency after the other."""
    torch.manual_seed(0)
    psf, pitch = torch.rand(6, 6, dtype=torch.float64), 0.7
    vertical, horizontal = torch.tensor([[0.1], [-0.3]]).double(), torch.tensor([[0.0, 0.2, 0.45]]).double()
    found = spectrum(psf, pitch, vertical, horizontal)
    places = [0, 1, 2, -3, -2, -1]
    for i, u in enumerate(vertical.flatten().tolist()):
        for k, v in enumerate(horizontal.flatten().tolist()):
            slow = sum(
                float(psf[y, x]) * np.exp(-2j * np.pi * pitch * (u * places[y] + v * places[x]))
                for y in range(6)
                for x in range(6)
            )
            assert complex(found[i, k]) == pytest.approx(slow, abs=1e-9)


def test_a_mask_can_be_learned_through_image_formation():
    """The gradient of a picture in the rings is that of finite differences."""
    torch.manual_seed(0)
    image, coc = torch.rand(1, 3, 16, 16, dtype=torch.float64), torch.full((1, 1, 16, 16), 3.0, dtype=torch.float64)
    planes, weight = torch.tensor([2.0, 4.0], dtype=torch.float64), torch.rand(1, 3, 16, 16, dtype=torch.float64)

    def seen(rings):
        return (form(image, coc, planes, mask(rings)) * weight).sum()

    rings = BENT.clone().requires_grad_(True)
    (slope,) = torch.autograd.grad(seen(rings), rings)
    for index in range(len(BENT)):
        step = torch.zeros(len(BENT), dtype=torch.float64)
        step[index] = 1e-5
        expected = (seen(BENT + step) - seen(BENT - step)) / 2e-5
        assert float(slope[index]) == pytest.approx(float(expected), rel=1e-4, abs=1e-7)
    assert float(slope.abs().max()) > 1e-3


def test_a_flat_picture_stays_flat_through_any_of_them():
    picture = torch.full((1, 20, 24), 0.4)
    stack = PsfStack(torch.tensor([-4.0, 4.0]), torch.rand(2, 5, 5))
    for lens in (PhaseMask(BENT.float(), 4.0, 4e-6), stack):
        torch.testing.assert_close(blur(picture, torch.tensor([3.0]), lens), picture, atol=1e-4, rtol=0)


def test_a_stack_of_delta_functions_blurs_nothing_and_a_shifted_one_moves():
    picture = torch.rand(1, 12, 12)
    delta = torch.zeros(2, 5, 5)
    delta[0, 2, 2] = delta[1, 2, 3] = 7.0  # energy is normalised
    stack = PsfStack(torch.tensor([-2.0, 2.0]), delta)
    torch.testing.assert_close(blur(picture, torch.tensor([-2.0]), stack), picture, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(blur(picture, torch.tensor([9.0]), stack), picture.roll(1, -1), atol=1e-5, rtol=1e-4)
    half = blur(picture, torch.tensor([0.0]), stack)
    torch.testing.assert_close(half, (picture + picture.roll(1, -1)) / 2, atol=1e-5, rtol=1e-4)


def test_a_stack_sampled_from_a_mask_blurs_like_the_mask():
    lens, levels = mask(BENT), torch.linspace(-8, 8, 5, dtype=torch.float64)
    stack = PsfStack(levels, torch.fft.fftshift(lens.psf(levels), (1, 2)), lens.pitch)
    for coc in levels:
        one, two = (transfer(kind, coc[None], 16, 16) for kind in (lens, stack))
        torch.testing.assert_close(one, two, atol=1e-6, rtol=0)


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError) as error:
        PhaseMask(torch.zeros(1), 2.0, 4e-6)
    assert str(error.value) == 'a phase mask is a row of two phases or more, one for each ring, not (1,)'
    lens = mask()
    assert lens.most_px == pytest.approx(0.9 * lens.unit * PUPIL)
    with pytest.raises(ValueError) as error:
        lens.psf(torch.tensor([3.0, -50.0]))
    assert str(error.value) == 'a CoC of 50 px is beyond the 31.7 px of this mask'
    with pytest.raises(ValueError) as error:
        PsfStack(torch.tensor([1.0, 2.0]), torch.ones(3, 5, 5))
    assert str(error.value) == '(2,) levels do not fit PSFs of shape (3, 5, 5)'
    for levels in ([1.0], [2.0, 1.0]):
        with pytest.raises(ValueError) as error:
            PsfStack(torch.tensor(levels), torch.ones(len(levels), 5, 5))
        assert str(error.value) == 'a stack of PSFs needs two levels or more, in ascending order'
    with pytest.raises(ValueError) as error:
        PsfStack(torch.tensor([1.0, 2.0]), torch.zeros(2, 5, 5))
    assert str(error.value) == 'a PSF holds no light'
