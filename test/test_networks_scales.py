"""The second look: half the size is half the blur, and the two opinions are put together class by class."""

import numpy as np
import pytest
import torch

from dfd_depth_ros.networks import posterior, scales
from dfd_depth_ros.networks.depth import lens_state
from dfd_depth_ros.networks.model import DfdModel
from dfd_depth_ros.optics.lens import Lens

LENS = Lens(0.035, 2.8, 3.6e-5, 0.6)


def doubled_slowly(probability: np.ndarray) -> np.ndarray:
    """The twin: a density over CoC, from classes of CoC, of twice that CoC, read at the classes again."""
    coc = posterior.centres(torch.zeros(1, dtype=torch.float64)).flatten().numpy()
    level = np.sign(coc) * np.log1p(np.abs(coc))
    step = level[1] - level[0]
    half = 1 + np.abs(coc / 2)
    between = np.interp(np.sign(coc) * np.log1p(np.abs(coc / 2)), level, np.log(probability))
    density = np.exp(between) / (step * half) / 2
    mass = density * step * (1 + np.abs(coc))
    return mass / mass.sum()


def bump(coc: float, width: float = 0.12) -> torch.Tensor:
    """Logits (1, BINS, 1, 1) around one CoC."""
    level = posterior.symlog(posterior.centres(torch.zeros(1, dtype=torch.float64)))
    return -((level - posterior.symlog(torch.tensor(coc, dtype=torch.float64))) ** 2 / (2 * width**2))[None]


@pytest.mark.parametrize('coc', [-9.0, -3.0, -0.4, 0.0, 0.7, 2.0, 6.0, 12.0])
def test_coc_read_at_half_the_size_is_doubled(coc):
    found = scales.doubled(bump(coc / 2)).softmax(1)
    assert float(posterior.quantile(found, 0.5)[0]) == pytest.approx(coc, abs=0.06 * (1 + abs(coc)))


@pytest.mark.parametrize('coc', [-4.0, 0.3, 5.0])
def test_distribution_is_that_of_the_twin(coc):
    logits = bump(coc, 0.4)
    found = scales.doubled(logits).softmax(1).flatten().numpy()
    np.testing.assert_allclose(found, doubled_slowly(logits.softmax(1).flatten().numpy()), atol=1e-6)


def test_the_side_is_kept_and_a_constant_in_the_logits_means_nothing():
    logits = torch.logaddexp(bump(3.0), bump(-3.0) - 1.0)
    before = posterior.far_share(logits.softmax(1))
    after = scales.doubled(logits).softmax(1)
    assert float(posterior.far_share(after)) == pytest.approx(float(before), abs=0.02)
    torch.testing.assert_close(scales.doubled(logits + 7.0).softmax(1), after)


def test_opinions_are_weighed_and_what_cannot_be_is_ruled_out():
    """The twin: enlarged first, then weighed, then masked."""
    closer, wider, trust = (
        torch.randn(2, posterior.BINS, 6, 9),
        torch.randn(2, posterior.BINS, 3, 5),
        torch.tensor([0.7, 0.2]),
    )
    never = posterior.impossible(torch.tensor([4.0, 9.0]))
    larger = torch.nn.functional.interpolate(scales.doubled(wider), scale_factor=2, mode='bilinear')[..., :6, :9]
    slowly = torch.where(never < 0, -torch.inf, 0.7 * closer + 0.2 * larger)
    found = scales.pooled(closer, wider, trust, never)
    torch.testing.assert_close(found.softmax(1), slowly.softmax(1), atol=1e-5, rtol=1e-4)


def test_cells_come_out_at_their_places():
    logits = torch.zeros(1, posterior.BINS, 4, 5)
    logits[..., 2, 3] = 1.0
    closer, both, never = torch.zeros(1, posterior.BINS, 7, 9), torch.ones(2), torch.zeros(1, posterior.BINS, 1, 1)
    found, before = (scales.pooled(closer, wider, both, never) for wider in (logits, torch.zeros_like(logits)))
    found = found - before
    assert found.shape == (1, posterior.BINS, 7, 9)
    assert np.unravel_index(int(found[0, 10].argmax()), (7, 9))[0] in (4, 5)
    assert np.unravel_index(int(found[0, 10].argmax()), (7, 9))[1] in (6, 7)


def test_halving_a_picture_is_halving_the_lens():
    """What the networks are told of the smaller picture is what a lens behind twice the pitch has."""
    state = torch.tensor([lens_state(LENS, 96, 128)], dtype=torch.float64)
    picture, smaller = scales.halved(torch.rand(1, 3, 96, 128, dtype=torch.float64), state)
    assert picture.shape == (1, 3, 48, 64)
    torch.testing.assert_close(smaller, torch.tensor([lens_state(LENS.resized(0.5), 48, 64)], dtype=torch.float64))


@pytest.mark.parametrize('size', [(1, 1), (33, 65), (64, 96), (97, 31)])
def test_padding_repeats_the_border(size):
    image = torch.rand(1, 3, *size)
    found = scales.padded(image)
    assert found.shape[-2] % scales.STRIDE == found.shape[-1] % scales.STRIDE == 0
    torch.testing.assert_close(found[..., : size[0], : size[1]], image)
    torch.testing.assert_close(found[..., -1, -1], image[..., -1, -1])


@pytest.mark.parametrize('size', [(16, 16), (33, 65), (72, 100)])
def test_model_takes_any_size_and_both_looks_count(size):
    torch.manual_seed(0)
    model = DfdModel().eval()
    image, state = torch.rand(1, 3, *size), torch.tensor([lens_state(LENS, *size)])
    with torch.no_grad():
        both = model.distribution(image, state).logits
        model.trust.copy_(torch.tensor([0.5, 0.0]))
        one = model.distribution(image, state).logits
    assert model(image, state).coc.shape == (1, 1, *size)
    assert both.shape == one.shape == (1, posterior.BINS, *(-(-side // 32) * 8 for side in size))
    assert not torch.allclose(both, one)


def test_both_looks_and_their_weights_are_trained():
    model = DfdModel()
    state = torch.tensor([lens_state(LENS, 64, 64)])
    found = model.distribution(torch.rand(2, 3, 64, 64), state.repeat(2, 1))
    posterior.cross_entropy(found.logits, torch.full((2, 1, 64, 64), 2.0)).backward()
    assert bool((model.trust.grad != 0).all())
