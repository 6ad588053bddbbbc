"""Depth from two pictures: the classical formula on scenes whose depth is known, and the estimator for stacks."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from dfd_depth_ros.estimation import two_pictures
from dfd_depth_ros.estimation.two_pictures import (
    BANDS,
    CELL,
    RelativeBlur,
    StackEstimator,
    attenuation,
    fitted,
    log_ratios,
)
from dfd_depth_ros.networks.depth import lens_state
from dfd_depth_ros.networks.weights import make_model
from dfd_depth_ros.optics.lens import Lens
from dfd_depth_ros.optics.psf import blur, disc
from dfd_depth_ros.optics.tone import to_srgb
from dfd_depth_ros.scenes.frame import Frame

FAR = Lens(0.05, 2.0, 5e-5, 0.4)  # 25 pixels of CoC for each dioptre
NEAR = replace(FAR, focus_dioptre=0.7)


def scene(seed=0, size=160):
    """(3, size, size) linear light with a spectrum of about 1 / f^2."""
    noise = np.random.default_rng(seed).standard_normal((size, size))
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.fftfreq(size)[None])
    picture = np.fft.ifft2(np.fft.fft2(noise) / np.maximum(frequency, 1 / size)).real
    picture = 0.35 + 0.1 * picture / picture.std()
    return torch.from_numpy(picture.clip(0.02, 1)).float().expand(3, -1, -1)


def seen(light, lens, inverse):
    """(H, W, 3) uint8: a flat scene at one inverse depth."""
    picture = blur(light, light.new_tensor(lens.coc(inverse)))
    return (to_srgb(picture.clamp(0, 1)) * 255).round().byte().permute(1, 2, 0).numpy()


def pair(inverse, one=FAR, other=NEAR, seed=0):
    light = scene(seed)
    return seen(light, one, inverse), Frame('other', image=seen(light, other, inverse), lens=other)


@pytest.mark.parametrize('inverse', [0.25, 0.45, 0.6, 0.8])
def test_the_formula_finds_the_depth_of_a_flat_scene_on_both_sides_of_focus(inverse):
    method = RelativeBlur()
    image, method.other = pair(inverse)
    found = method.estimate(image, FAR)
    inner = np.s_[24:-24, 24:-24]
    assert np.median(1 / found.depth[inner]) == pytest.approx(inverse, abs=0.05)  # 1.2 pixels of CoC
    right = (found.coc[inner] > 0) == (FAR.coc(inverse) > 0)
    assert right.mean() > 0.9 and np.isnan(found.sigma).all() and found.depth.shape == image.shape[:2]


def test_two_apertures_of_one_focus_tell_blur_and_the_farther_side_is_taken():
    method, slow = RelativeBlur(), replace(FAR, f_number=8.0)
    image, method.other = pair(0.2, other=slow)
    found = 1 / method.estimate(image, FAR).depth[24:-24, 24:-24]
    assert np.median(found) == pytest.approx(0.2, abs=0.05)


def test_the_order_of_the_pictures_does_not_matter():
    method = RelativeBlur()
    image, method.other = pair(0.8)
    one = method.estimate(image, FAR).depth
    swapped, method.other = method.other.image, Frame('first', image=image, lens=FAR)
    two = method.estimate(swapped, NEAR).depth
    assert np.median(np.abs(one - two)) < 0.02


def test_exposure_does_not_matter():
    method = RelativeBlur()
    image, method.other = pair(0.6)
    bright = method.estimate(image, FAR).depth
    method.other = replace(method.other, image=(method.other.image * 0.8).astype(np.uint8))
    assert np.median(np.abs(bright - method.estimate(image, FAR).depth) / bright) < 0.1


def test_attenuation_is_nothing_for_no_blur_and_grows_with_it():
    levels = attenuation(2.0, np.array([0.0, 1.0, -1.0, 3.0, 6.0]))
    assert levels[0] == pytest.approx(0, abs=1e-6) and levels[1] == pytest.approx(levels[2])
    assert levels[0] > levels[1] > levels[3] > levels[4]


def test_attenuation_of_a_little_blur_is_that_of_its_variance():
    """log |H|^2 is about -4 pi^2 f^2 v, v = (c / 4)^2, in the mean over the band."""
    sigma, coc = 4.0, 1.0
    frequency = np.linspace(1e-4, 0.5, 4000)
    weight = (frequency * sigma) ** 4 * np.exp(-((2 * np.pi * sigma * frequency) ** 2)) / frequency
    expected = -4 * np.pi**2 * (coc / 4) ** 2 * (weight * frequency**2).sum() / weight.sum()
    assert attenuation(sigma, np.array([coc]))[0] == pytest.approx(expected, rel=0.03)
    passed = np.array([float(disc(torch.tensor(coc * f))) ** 2 for f in frequency[::40]])
    slow = np.log((passed * weight[::40]).sum() / weight[::40].sum())
    assert attenuation(sigma, np.array([coc]))[0] == pytest.approx(slow, rel=0.03)


def test_ratios_of_pictures_are_those_of_the_lens():
    light = scene(3)
    one, two = (blur(light, torch.tensor(coc))[0].numpy() for coc in (2.0, 5.0))
    ratios, trust = log_ratios(one / one.mean(), two / two.mean())
    assert ratios.shape == (len(BANDS), 160 // CELL, 160 // CELL) and (trust >= 0).all() and (trust <= 1).all()
    for index, sigma in enumerate(BANDS[1:3], 1):
        expected = np.diff(attenuation(sigma, np.array([5.0, 2.0])))[0]
        assert np.median(ratios[index, 8:-8, 8:-8]) == pytest.approx(expected, abs=0.25)


def test_a_bare_wall_takes_the_depth_around_it():
    row = two_pictures.DEPTHS * 2.0
    expected = np.stack([attenuation(s, FAR.coc(row)) - attenuation(s, NEAR.coc(row)) for s in BANDS])
    ratios = np.broadcast_to(expected[:, 20, None, None], (len(BANDS), 12, 12)).copy()
    trust = np.ones_like(ratios)
    ratios[:, 4:7, 4:7], trust[:, 4:7, 4:7] = 50.0, 0.0
    nearest = min(two_pictures.NEAREST, FAR.focus_dioptre + two_pictures.MOST / FAR.gain)
    found = fitted(ratios, trust, FAR, NEAR)
    assert np.abs(found - row[20]).max() < 2.1 * nearest / len(row) * 1.5


@pytest.mark.parametrize('method', [RelativeBlur(), StackEstimator(make_model('peer_stack'))])
def test_what_cannot_be_a_pair_is_refused(method):
    image = np.zeros((64, 64, 3), np.uint8)
    with pytest.raises(ValueError) as error:
        method.estimate(image, FAR)
    assert str(error.value) == 'depth from two pictures needs a second picture with its lens'
    method.other = Frame('small', image=np.zeros((32, 64, 3), np.uint8), lens=NEAR)
    with pytest.raises(ValueError) as error:
        method.estimate(image, FAR)
    assert str(error.value) == 'the two pictures differ in size: (64, 64) and (32, 64)'
    method.reset()


def test_the_estimator_of_a_stack_says_what_its_network_says():
    model = make_model('peer_stack')
    method = StackEstimator(model, digest='abc')
    image, method.other = pair(0.6)
    found = method.estimate(image, FAR)
    pictures = torch.from_numpy(np.stack([image, method.other.image])).permute(0, 3, 1, 2) / 255
    lens = torch.tensor([lens_state(each, 160, 160) for each in (FAR, NEAR)])
    expected = model.distribution(pictures, lens).inverse[0, 0].numpy()
    np.testing.assert_allclose(1 / found.depth, np.maximum(expected, 1e-3), rtol=1e-3)
    np.testing.assert_allclose(found.coc, FAR.coc(1 / found.depth), atol=1e-3)
    assert np.isnan(found.sigma).all() and (method.digest, method.model_name) == ('abc', 'peer_stack')
