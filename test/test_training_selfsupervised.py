"""Losses without truth, keyframes, and re-rendering of one keyframe as another."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from dfd_depth_ros.networks.model import DfdModel
from dfd_depth_ros.optics.formation import form, planes_between
from dfd_depth_ros.optics.lens import Lens
from dfd_depth_ros.optics.residual import LensResidual
from dfd_depth_ros.optics.tone import from_srgb, to_srgb
from dfd_depth_ros.scenes.frame import Intrinsics
from dfd_depth_ros.splatting.layered import LayeredRenderer
from dfd_depth_ros.training import losses
from dfd_depth_ros.training.keyframes import Keyframes, difference, paired, to_keyframe
from dfd_depth_ros.training.rerender import Look, looks, rerendering

LENS = Lens(0.05, 1.4, 5e-5, 0.5)
ALL = torch.ones(1, 24, 32)


def noise(seed=0, height=24, width=32, channels=3):
    return torch.rand(channels, height, width, generator=torch.Generator().manual_seed(seed))


def test_photometric_loss_is_zero_for_the_same_picture_and_grows_with_blur():
    picture = noise()
    blurred = [torch.nn.functional.avg_pool2d(picture[None], k, 1, k // 2)[0] for k in (3, 5)]
    assert losses.photometric_loss(picture, picture, ALL) < 1e-7
    weak, strong = (losses.photometric_loss(other, picture, ALL) for other in blurred)
    assert 0 < weak < strong


def test_photometric_loss_ignores_what_has_no_weight():
    picture, other, weight = noise(), noise(), ALL.clone()
    other[:, :, :10] = 0.0
    weight[..., :12] = 0
    assert losses.photometric_loss(other, picture, weight) < 1e-7 < losses.photometric_loss(other, picture, ALL)
    assert losses.photometric_loss(other, picture, torch.zeros_like(weight)) == 0


def test_structural_similarity_is_that_of_scikit_image():
    from skimage.metrics import structural_similarity

    a, b = noise(1, channels=1), noise(2, channels=1)
    ours = losses.structural_similarity(a, b)[0, 1:-1, 1:-1].mean()
    theirs = structural_similarity(
        a[0].numpy(), b[0].numpy(), win_size=3, data_range=1.0, use_sample_covariance=False, full=True
    )[1][1:-1, 1:-1].mean()
    assert float(ours) == pytest.approx(float(theirs), abs=1e-5)


def test_consistency_loss_is_in_pixels_and_soft():
    q, all_of_it = torch.full((1, 4, 4), 0.5), ALL[:, :4, :4]
    small, twice, large = (
        float(losses.consistency_loss(q, q + d, torch.tensor(gain), all_of_it))
        for d, gain in ((0.01, 10.0), (0.01, 20.0), (1.0, 100.0))
    )
    assert small == pytest.approx(0.1 / 1.02) and twice == pytest.approx(0.2 / 1.04)
    assert large < 5  # an occlusion is no reason to tear everything apart
    assert losses.consistency_loss(q, q, torch.tensor(9.0), all_of_it) == 0


def test_smoothness_forgives_steps_where_the_picture_has_edges():
    flat, edge, step = torch.zeros(3, 8, 8), torch.zeros(3, 8, 8), torch.ones(1, 8, 8)
    edge[..., 4:], step[..., 4:] = 1.0, 2.0
    assert losses.smoothness_loss(torch.ones(1, 8, 8), flat) == 0
    assert losses.smoothness_loss(step, edge) < 0.01 * losses.smoothness_loss(step, flat)
    assert float(losses.smoothness_loss(step, flat)) == pytest.approx(float(losses.smoothness_loss(5 * step, flat)))


def test_lens_prior_and_anchor_are_zero_at_rest_and_have_a_gradient_elsewhere():
    residual = LensResidual()
    assert losses.lens_prior(residual) == 0
    residual.log_gain.data.fill_(0.3)
    assert losses.lens_prior(residual) > 0
    weights = [torch.ones(3), torch.full((2, 2), 4.0)]
    assert losses.anchor_loss(weights, weights) == 0
    assert losses.anchor_loss([], []) == 0
    moved = [2 * value for value in weights]
    assert float(losses.anchor_loss(moved, weights)) == pytest.approx(1.0)  # relative to the size of each


def test_residual_corrects_gain_focus_and_base_blur():
    residual = LensResidual()
    told = torch.tensor([[10.0, 0.5, 900.0, 1.0, 2.0]])
    coc = torch.tensor([-5.0, -3.0, -1.0, 0.0, 3.0, 5.0])
    assert torch.equal(residual(told), told)
    assert torch.equal(residual.without_base_blur(coc), coc)
    residual.log_gain.data.fill_(math.log(2))
    residual.log_focus.data.fill_(math.log(1.1))
    residual.base_variance.data.fill_(9.0)
    assert residual(told)[0].tolist() == pytest.approx([20.0, 0.55, 900.0, 1.0, 2.0])
    assert residual.without_base_blur(coc).tolist() == pytest.approx([-4, 0, 0, 0, 0, 4], abs=1e-2)


def test_base_blur_of_zero_has_a_gradient():
    residual = LensResidual().requires_grad_(True)
    residual.without_base_blur(torch.tensor([3.0])).sum().backward()
    assert residual.base_variance.grad == pytest.approx(-1 / 6)


def keyframe(lens=LENS, place=(0, 0, 0), seed=0, pose=True, shape=(24, 32)):
    image = np.random.default_rng(seed).integers(0, 255, (*shape, 3), np.uint8)
    where = np.eye(4)
    where[:3, 3] = place
    return to_keyframe(image, lens, 0.0, where if pose else None, Intrinsics(900.0, 900.0, 15.0, 11.0))


@pytest.mark.parametrize(
    ('other', 'new'),
    [
        (keyframe(), False),
        (keyframe(replace(LENS, focus_dioptre=0.53)), True),
        (keyframe(replace(LENS, focus_dioptre=0.505)), False),
        (keyframe(replace(LENS, f_number=2.0)), True),
        (keyframe(place=(0.02, 0, 0)), True),
        (keyframe(place=(0.005, 0, 0)), False),
        (keyframe(seed=1), True),
    ],
)
def test_what_makes_a_keyframe_new(other, new):
    assert (difference(keyframe(), other) >= 1) == new


def test_pairs_need_poses_or_a_still_scene():
    refocused = replace(LENS, focus_dioptre=0.6)
    assert paired(keyframe(pose=False), keyframe(refocused, pose=False))
    assert not paired(keyframe(pose=False), keyframe(refocused, pose=False, seed=1))
    assert paired(keyframe(), keyframe(refocused, place=(0.01, 0, 0), seed=1))
    assert not paired(keyframe(), keyframe(refocused, place=(0.1, 0, 0)))  # too little in common
    assert not paired(keyframe(), keyframe())
    assert not paired(keyframe(), keyframe(refocused, shape=(48, 64)))
    assert not paired(keyframe(), keyframe(replace(refocused, side='behind')))


@pytest.mark.parametrize('whole', [False, True])
def test_two_keyframes_are_read_at_once_as_one_by_one(whole):
    torch.manual_seed(0)
    model = DfdModel().eval()
    frames = [keyframe(shape=(64, 96)), keyframe(replace(LENS, focus_dioptre=0.6), seed=1, pose=False, shape=(64, 96))]
    reader = model if whole else None
    both = looks(model, frames, (16, 32), (32, 64), reader)
    for found, frame in zip(both, frames, strict=True):
        (alone,) = looks(model, [frame], (16, 32), (32, 64), reader)
        assert found.coc.shape == found.inverse_depth.shape == (1, 32, 64)
        for name in ('image', 'lens', 'pose', 'coc', 'inverse_depth'):
            torch.testing.assert_close(getattr(found, name), getattr(alone, name), atol=1e-4, rtol=1e-4)


def test_camera_info_gives_the_rays():
    assert keyframe().lens[2:].tolist() == [900.0, 15.0, 11.0]


def test_keyframes_are_bounded_and_some_are_held_out():
    kept = Keyframes(capacity=6)
    frames = [keyframe(place=(0.1 * i, 0, 0), seed=i) for i in range(40)]
    assert all(kept.add(frame) for frame in frames)
    assert not kept.add(frames[-1])
    assert len(kept.training) == 6 and len(kept.held_out) == 2
    assert not set(map(id, kept.training)) & set(map(id, kept.held_out))
    assert kept.training[-1] is frames[-1] and kept.held_out[-1] is frames[35]
    assert min(frames.index(frame) for frame in kept.training) < 32  # some of the past is replayed
    assert all(frame in kept.training for pair in kept.training_pairs for frame in pair)
    kept.forget()
    assert not kept.training_pairs and not kept.training and not kept.held_out and kept.add(frames[-1])


def test_too_small_a_capacity_is_refused():
    with pytest.raises(ValueError, match='capacity of 3 keyframes is too small'):
        Keyframes(capacity=3)


def seen_through(lens, inverse_depth, sharp):
    """A look whose reading is the truth: linear light `sharp` (3, H, W) at (1, H, W) inverse depth."""
    height, width = sharp.shape[-2:]
    coc = torch.as_tensor(lens.coc(inverse_depth))
    light = form(sharp[None], coc[None], planes_between(float(coc.min()) - 0.01, float(coc.max()), 24))[0]
    state = torch.tensor([lens.gain, lens.focus_dioptre, 900.0, (width - 1) / 2, (height - 1) / 2])
    return Look(to_srgb(light.clamp(0, 1)), state, torch.eye(4), coc, inverse_depth)


def test_rerendering_finds_the_true_gain_of_a_lens_whose_aperture_opened():
    """Grid search over a wrong gain: the re-rendering error has its minimum near the truth."""
    smooth = torch.nn.functional.interpolate(noise(3, 48, 64)[None], scale_factor=2, mode='bilinear')[0]
    sharp = from_srgb((smooth * 0.8 + 0.1 + 0.2 * noise(4, 96, 128)).clamp(0, 1))
    inverse = torch.linspace(0.15, 0.45, 128).expand(1, 96, 128).contiguous()
    slow, fast = (seen_through(replace(LENS, f_number=n), inverse, sharp) for n in (5.6, 1.8))
    error = {}
    for scale in (0.6, 0.8, 1.0, 1.25, 1.6):
        read = [
            replace(x, coc=x.coc * scale, inverse_depth=x.lens[1] - x.coc * scale / x.lens[0]) for x in (slow, fast)
        ]
        picture, terms = rerendering(LayeredRenderer(8), *read, torch.tensor(1.0))
        error[scale] = float(terms['photometric'])
    assert picture.shape == (3, 96, 128)
    assert min(error, key=error.get) == 1.0, error


def test_rerendering_does_not_compare_what_it_would_have_to_sharpen():
    sharp = from_srgb(noise(5, 64, 64))
    inverse = torch.full((1, 64, 64), 0.2)
    slow, fast = (seen_through(replace(LENS, f_number=n), inverse, sharp) for n in (8.0, 1.4))
    _, terms = rerendering(LayeredRenderer(8), fast, slow, torch.tensor(1.0))
    assert terms['photometric'] == 0
    _, terms = rerendering(LayeredRenderer(8), slow, fast, torch.tensor(1.0))
    assert 0 < terms['photometric'] < 0.05
