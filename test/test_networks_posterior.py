"""The distribution over signed CoC: what is put in is read back."""

import numpy as np
import pytest
import torch

from dfd_depth_ros.networks import posterior
from dfd_depth_ros.networks.posterior import (
    BINS,
    MAX_COC,
    centres,
    cross_entropy,
    estimate,
    far_share,
    impossible,
    magnitude,
    quantile,
    shares,
    sides,
    symexp,
    symlog,
)

CLASSES = centres(torch.zeros(1, dtype=torch.float64)).flatten()
LEVELS = symlog(CLASSES).numpy()


def split(coc: float) -> torch.Tensor:
    """Readable twin of the target of `cross_entropy`: all probability on one CoC, over its two classes."""
    level = np.log1p(abs(coc)) * np.sign(coc)
    probability = np.maximum(0, 1 - np.abs(LEVELS - level) / (LEVELS[1] - LEVELS[0]))
    return torch.tensor(probability)[None, :, None, None]


def normal(mean: float, sigma: float) -> torch.Tensor:
    weights = torch.exp(-0.5 * ((CLASSES - mean) / sigma) ** 2) * torch.from_numpy(np.gradient(CLASSES.numpy()))
    return (weights / weights.sum())[None, :, None, None]


def test_classes_are_symmetric_and_fine_near_focus():
    assert len(CLASSES) == BINS and torch.allclose(CLASSES, -CLASSES.flip(0))
    assert float(CLASSES[-1]) == pytest.approx(MAX_COC)
    steps = CLASSES.diff()
    assert float(steps.min()) < 0.12 and bool((steps[BINS // 2 :].diff() > 0).all())
    assert torch.allclose(symexp(symlog(CLASSES)), CLASSES)


@pytest.mark.parametrize('coc', [-31.0, -4.3, -0.02, 0.0, 0.4, 2.5, 17.0])
def test_a_certain_coc_is_read_back(coc):
    probability = split(coc)
    assert float(estimate(probability)[0]) == pytest.approx(coc, abs=0.01 + 0.02 * abs(coc))
    assert float(magnitude(probability)[0]) == pytest.approx(abs(coc), abs=0.06 + 0.01 * abs(coc))
    if abs(coc) > 0.1:
        assert float(far_share(probability)) == pytest.approx(float(coc > 0), abs=1e-9)


@pytest.mark.parametrize('mean, sigma', [(3.0, 0.8), (-6.0, 1.5), (10.0, 3.0)])
def test_sigma_of_a_normal_distribution(mean, sigma):
    probability = normal(mean, sigma)
    coc, width = estimate(probability)
    assert float(coc) == pytest.approx(mean, abs=0.15 * sigma) and float(width) == pytest.approx(sigma, rel=0.15)


def test_two_modes_widen_sigma():
    probability = (split(-5.0) + 2 * split(5.0)) / 3
    coc, sigma = estimate(probability)
    assert float(coc) > 4 and float(sigma) > 2.5 and float(far_share(probability)) == pytest.approx(2 / 3)
    assert float(estimate(split(5.0))[1]) < 0.7  # about a class


def test_cross_entropy_against_its_twin_and_at_an_edge():
    """The best answer to a cell that is half of one CoC and half of another has both."""
    coc = torch.full((1, 1, 4, 4), 2.0)
    coc[..., 2:] = -6.0
    logits = torch.randn(1, BINS, 1, 1, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    target = ((split(2.0) + split(-6.0)) / 2).flatten()
    expected = -float((target * logits.flatten().log_softmax(0)).sum())
    assert float(cross_entropy(logits, coc)) == pytest.approx(expected, rel=1e-4)
    best = target.clamp(min=1e-9).log()[None, :, None, None]
    assert float(cross_entropy(best, coc)) < float(cross_entropy(split(2.0).clamp(min=1e-9).log(), coc))


def test_what_is_impossible_gets_no_probability():
    at_infinity = torch.tensor([5.0, 0.0])
    logits = torch.zeros(2, BINS, 1, 1, dtype=torch.float64)
    both = (logits + impossible(at_infinity)).softmax(1)
    above = CLASSES.flatten() > 5.6
    assert float(both[0, above].sum()) < 1e-9 and float(both[0, ~above].sum()) == pytest.approx(1)
    assert float(cross_entropy((logits + impossible(at_infinity))[:1], torch.full((1, 1, 4, 4), 5.0))) < 5
    for side, far in (('behind', 1.0), ('front', 0.0)):
        share = far_share((logits + impossible(at_infinity, side)).softmax(1))
        np.testing.assert_allclose(share.flatten(), far, atol=1e-9)


def test_quantile_gradient_by_finite_differences():
    logits = torch.randn(1, BINS, 1, 1, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    logits.requires_grad_(True)
    assert torch.autograd.gradcheck(lambda x: quantile(x.softmax(1), 0.5)[0], logits, eps=1e-6, atol=1e-4)


def test_shares_are_softmax_over_classes_with_the_classes_side_by_side():
    for layout in (torch.contiguous_format, torch.channels_last):
        logits = torch.randn(2, BINS, 3, 5, dtype=torch.float64).contiguous(memory_format=layout)
        found = shares(logits)
        torch.testing.assert_close(found, logits.softmax(1))
        assert found.is_contiguous(memory_format=torch.channels_last)


def test_magnitude_beside_its_readable_twin():
    probability = shares(3 * torch.randn(1, BINS, 4, 6))
    level = centres(probability).abs().log1p()
    mean = (probability * level).sum(1, keepdim=True)
    variance = (probability * (level - mean) ** 2).sum(1, keepdim=True)
    found, relative = magnitude(probability)
    torch.testing.assert_close(found, mean.expm1(), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(relative, (variance + 1e-4).sqrt(), rtol=1e-4, atol=1e-4)
    with torch.autocast('cpu', torch.bfloat16):  # half precision would drown the variance
        torch.testing.assert_close(magnitude(probability)[1], relative)


def test_sides_are_read_one_by_one():
    """Three quarters of the probability at 4 px behind, a quarter at 2 px in front."""
    level = (torch.arange(BINS) - (BINS - 1) / 2) * (2 * np.log1p(MAX_COC) / (BINS - 1))
    near = torch.softmax(-(((level + np.log1p(2.0)) / 0.1) ** 2), 0)
    far = torch.softmax(-(((level - np.log1p(4.0)) / 0.1) ** 2), 0)
    share, coc, sigma = sides((0.25 * near + 0.75 * far)[None, :, None, None])
    torch.testing.assert_close(share.flatten(), torch.tensor([0.25, 0.75]), atol=1e-3, rtol=0)
    torch.testing.assert_close(coc.flatten(), torch.tensor([-2.0, 4.0]), atol=0.05, rtol=0)
    assert 0.15 < float(sigma[0, 0]) < 0.4 and float(sigma[0, 1]) == pytest.approx(5 / 3 * float(sigma[0, 0]), rel=0.1)


def test_a_side_that_cannot_be_is_finite():
    only = torch.zeros(1, BINS, 1, 1)
    only[0, -5] = 1.0
    share, coc, sigma = sides(only)
    assert share.flatten().tolist() == [0.0, 1.0]
    assert bool(coc.isfinite().all()) and bool(sigma.isfinite().all())


def test_an_estimate_leans_to_the_near_side_of_two():
    """Half a metre or four metres, as likely as not: the nearer one loses less. The less likely it gets, the later."""
    gain, focus = torch.tensor([6.0]), torch.tensor([1.0])
    near, far = (int((posterior.centres(torch.zeros(1)).flatten() - coc).abs().argmin()) for coc in (-6.0, 4.5))
    found = []
    for share in (0.5, 0.45, 0.2):
        probability = torch.full((1, posterior.BINS, 1, 1), 1e-6)
        probability[0, near], probability[0, far] = share, 1 - share
        found.append(float(posterior.decided(probability, gain, focus)))
    assert found[0] == pytest.approx(-6, abs=0.8) and found[1] == pytest.approx(-6, abs=0.8)
    assert found[2] == pytest.approx(4.5, abs=0.8)


def test_the_odds_of_the_sides_are_raised_before_the_median():
    """The twin: each class times the power of its side's share, then the median."""
    torch.manual_seed(1)
    probability, gain, focus = (
        shares(2 * torch.randn(2, BINS, 5, 7)),
        torch.tensor([6.0, 20.0]),
        torch.tensor([1.0, 0.4]),
    )
    depth = 1 / (focus[:, None, None, None] - centres(probability) / gain[:, None, None, None]).clamp(min=1 / 60)
    weighted = probability * depth**-posterior.LEAN
    halves = weighted.unflatten(1, (2, BINS // 2))
    raised = halves * (halves.sum(2, keepdim=True) / weighted.sum(1)[:, None, None]) ** (posterior.RESOLVE - 1)
    (slowly,) = quantile(raised.flatten(1, 2), 0.5)
    torch.testing.assert_close(posterior.decided(probability, gain, focus), slowly, atol=0.02, rtol=0.001)


def test_on_one_side_it_is_where_the_weighted_error_is_least():
    torch.manual_seed(0)
    gain, focus = torch.tensor([6.0]), torch.tensor([1.0])
    coc = posterior.centres(torch.zeros(1)).flatten()
    depth = 1 / (1 - coc / 6).clamp(min=1 / 60)
    for number in range(20):
        logits = torch.randn(posterior.BINS) * 2
        logits[coc > 0 if number % 2 else coc < 0] = -1e4
        probability = logits.softmax(0)
        best = float(posterior.decided(probability[None, :, None, None], gain, focus))
        weights = probability * depth**-posterior.LEAN
        loss = (weights * (coc[:, None] - coc).abs()).sum(1)
        assert abs(float(coc[loss.argmin()]) - best) <= float(coc.diff().max())
        assert float((weights * (best - coc).abs()).sum()) <= 1.15 * float(loss.min())


def test_two_sides_in_doubt_are_not_read_as_what_lies_between_them():
    """Blur of about 3 px, 63 % behind focus: the median says 1.9 px, hardly any class near it being likely."""
    level = posterior.symlog(posterior.centres(torch.zeros(1)).flatten())
    lobes = [torch.exp(-(((level - posterior.symlog(torch.tensor(coc))) / 0.35) ** 2) / 2) for coc in (-3.0, 3.0)]
    near, far = (lobe / lobe.sum() for lobe in lobes)
    probability = (0.37 * near + 0.63 * far)[None, :, None, None]
    gain, focus = torch.tensor([60.0]), torch.tensor([1.0])  # so long a lens that no class is much nearer than others
    middle = float(posterior.estimate(probability)[0])
    found = float(posterior.decided(probability, gain, focus))
    assert middle == pytest.approx(1.9, abs=0.2) and found == pytest.approx(2.4, abs=0.2)


def test_a_single_answer_is_not_moved():
    for place in (10, 31, 40):
        probability = torch.full((1, posterior.BINS, 1, 1), 1e-9)
        probability[0, place] = 1.0
        middle = posterior.estimate(probability)[0]
        found = posterior.decided(probability, torch.tensor([6.0]), torch.tensor([1.0]))
        assert torch.allclose(found, middle, atol=0.02)
