"""Losses over video: cases that can be worked out by hand, and readable twins in float64."""

import math

import numpy as np
import pytest
import torch

from dfd_depth_ros.optics.pinhole import motion_between, rigid
from dfd_depth_ros.training.losses import photometric_error, photometric_loss, smoothness_loss, structural_similarity
from dfd_depth_ros.training.video_losses import (
    disagreement,
    least_error,
    masked_mean,
    neighbours,
    reprojection_terms,
    seen_again,
    velocity_loss,
)

LENS = torch.tensor([[12.0, 0.6, 50.0, 15.5, 11.5]])
SIDE = rigid(torch.tensor([[0, 0, 0, -0.08, 0, 0]]))  # the camera goes right: 4 pixels for each dioptre


def pixels(*values):
    """(1, S, 1, 1, N) of S lists."""
    return torch.tensor(values, dtype=torch.float32)[None, :, None, None]


def rolling(shift: float, width=32) -> torch.Tensor:
    """A smooth picture (1, 3, 24, width), seen `shift` pixels further right."""
    x = torch.arange(width) + shift
    wave = 0.5 + 0.2 * torch.sin(x / 3) + 0.2 * torch.cos(x / 5)
    return wave.expand(1, 3, 24, width)


def test_the_source_that_is_not_hidden_is_believed():
    error = pixels([0.9, 0.1], [0.2, 0.8])  # the first pixel is hidden in source 0, the second in source 1
    least, mask = least_error(error, torch.ones_like(error, dtype=torch.bool), pixels([1, 1], [1, 1]))
    assert least.flatten().tolist() == pytest.approx([0.2, 0.1]) and mask.all()


def test_the_automask_drops_what_fits_best_unmoved():
    error = pixels([0.3, 0.3], [0.4, 0.4])
    least, mask = least_error(error, torch.ones_like(error, dtype=torch.bool), pixels([0.5, 0.1], [0.6, 0.6]))
    assert mask.flatten().tolist() == [True, False]
    assert least.flatten().tolist() == pytest.approx([0.3, 0.0])


def test_a_source_that_does_not_see_a_pixel_does_not_judge_it():
    error = pixels([0.1, 0.1], [0.3, 0.3])
    inside = pixels([0, 0], [1, 0]).bool()
    least, mask = least_error(error, inside, pixels([0.5, 0.5], [0.5, 0.5]))
    assert mask.flatten().tolist() == [True, False] and least.flatten().tolist() == pytest.approx([0.3, 0.0])


def test_least_error_is_its_twin():
    generator = torch.Generator().manual_seed(0)
    error, unmoved = (torch.rand(2, 3, 1, 4, 5, generator=generator) for _ in range(2))
    inside = torch.rand(2, 3, 1, 4, 5, generator=generator) > 0.3
    least, mask = least_error(error, inside, unmoved)
    for index in np.ndindex(2, 4, 5):
        b, y, x = index
        known = [float(error[b, s, 0, y, x]) for s in range(3) if inside[b, s, 0, y, x]]
        best = min(known, default=math.inf)
        counts = best < min(float(unmoved[b, s, 0, y, x]) for s in range(3))
        assert bool(mask[b, 0, y, x]) == counts
        assert float(least[b, 0, y, x]) == pytest.approx(best if counts else 0)


def test_a_frame_is_seen_again_where_its_depth_is_right():
    target, source = rolling(0), rolling(4)
    inverse = torch.ones(1, 1, 24, 32)
    picture, implied, inside = seen_again(inverse, LENS, SIDE, source, LENS)
    assert torch.allclose(picture[..., 4:], target[..., 4:], atol=1e-4)
    assert inside[..., 4:].all() and not inside[..., :4].any() and torch.allclose(implied, inverse)
    wrong, *_ = seen_again(inverse / 2, LENS, SIDE, source, LENS)
    assert (wrong - target)[..., 4:].abs().mean() > 0.05


def test_points_behind_the_source_do_not_count():
    back = rigid(torch.tensor([[0, 0, 0, 0, 0, -3.0]]))
    assert not seen_again(torch.ones(1, 1, 24, 32), LENS, back, rolling(0), LENS)[2].any()


def test_depths_that_agree_do_not_disagree():
    inverse = torch.rand(1, 1, 4, 4) + 0.5
    assert (disagreement(inverse, inverse) == 0).all()
    assert float(disagreement(torch.tensor(1.0), torch.tensor(3.0))) == pytest.approx(0.5)
    assert float(disagreement(torch.tensor(2.0), torch.tensor(0.5))) == pytest.approx(
        abs(1 / 2 - 1 / 0.5) / (1 / 2 + 1 / 0.5)
    )  # of depths and of inverse depths alike


def test_velocity_is_distance_without_direction():
    motion = rigid(torch.tensor([[0, 0, 0, 0.3, 0, 0.4], [0, 0, 0, 0, -0.2, 0]]))
    assert float(velocity_loss(motion, torch.tensor([0.5, 0.2]))) == pytest.approx(0, abs=1e-6)
    assert float(velocity_loss(motion, torch.tensor([0.4, 0.2]))) == pytest.approx(0.05)


def test_velocity_has_a_gradient_at_rest():
    vector = torch.zeros(1, 6, requires_grad=True)
    velocity_loss(rigid(vector), torch.tensor([0.5])).backward()
    assert vector.grad.isfinite().all()


def test_the_mean_of_nothing_is_zero():
    assert float(masked_mean(torch.ones(3), torch.zeros(3))) == 0
    assert float(masked_mean(torch.tensor([1.0, 5.0, 9.0]), torch.tensor([1, 1, 0]))) == 3


@pytest.mark.parametrize(
    ('frames', 'expected'),
    [
        (2, {0: (1,), 1: (0,)}),
        (3, {0: (1, 2), 1: (0, 2), 2: (1, 0)}),
        (4, {0: (1, 2), 1: (0, 2), 2: (1, 3), 3: (2, 1)}),
    ],
)
def test_neighbours_are_the_nearest_two(frames, expected):
    assert neighbours(frames) == expected


def rolling_clip():
    """Three frames of a wall at one metre, and a camera that goes right by 0.08 m each."""
    image = torch.stack([rolling(4 * t) for t in range(3)], 1)
    poses = [rigid(torch.tensor([[0, 0, 0, 0.08 * t, 0, 0]])) for t in range(3)]
    motions = {(t, s): motion_between(poses[t], poses[s]) for t, others in neighbours(3).items() for s in others}
    return image, LENS[:, None].expand(-1, 3, -1), motions


@pytest.mark.parametrize('consistent', [False, True])
def test_true_depth_has_the_least_loss_and_gradients_point_to_it(consistent):
    image, lens, motions = rolling_clip()

    def terms(level):
        return reprojection_terms(image, torch.full((1, 3, 1, 24, 32), level), lens, motions, consistent)

    right, near, far = (float(terms(level)['photometric']) for level in (1.0, 1.3, 0.75))
    assert right < 3e-3 and right < near / 5 and right < far / 5
    level = torch.tensor(1.1, requires_grad=True)
    reprojection_terms(image, level.expand(1, 3, 1, 24, 32), lens, motions, consistent)['photometric'].backward()
    assert level.grad > 0


def test_consistency_is_zero_for_consistent_depths_alone():
    image, lens, motions = rolling_clip()
    flat = torch.ones(1, 3, 1, 24, 32)
    assert float(reprojection_terms(image, flat, lens, motions, True)['consistency']) == pytest.approx(0, abs=1e-6)
    flat[:, 1] *= 2
    assert float(reprojection_terms(image, flat, lens, motions, True)['consistency']) > 0.2
    assert 'consistency' not in reprojection_terms(image, flat, lens, motions)


def test_errors_of_batches_are_those_of_single_pictures():
    one, other = (torch.rand(2, 3, 3, 8, 9, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
    error, similar = photometric_error(one, other), structural_similarity(one, other)
    assert error.shape == (2, 3, 1, 8, 9)
    for index in np.ndindex(2, 3):
        assert torch.allclose(error[index], photometric_error(one[index], other[index]), atol=1e-6)
        assert torch.allclose(similar[index], structural_similarity(one[index], other[index]), atol=1e-5)
    whole = photometric_loss(one[0, 0], other[0, 0], torch.ones(1, 8, 9))
    assert float(whole) == pytest.approx(float(error[0, 0].mean()), rel=1e-5)


def test_smoothness_of_a_batch_is_the_mean_of_its_pictures():
    inverse, picture = torch.rand(3, 1, 8, 9) + 0.1, torch.rand(3, 3, 8, 9)
    single = [float(smoothness_loss(inverse[i], picture[i])) for i in range(3)]
    assert float(smoothness_loss(inverse, picture)) == pytest.approx(np.mean(single), rel=1e-5)
