"""Metrics against values computed by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dfd_depth_ros.estimation.estimate import Estimate
from dfd_depth_ros.evaluation import metrics

DEPTH, TRUTH = np.array([1.0, 2.0, 4.0, 6.0]), np.array([1.0, 4.0, 2.0, 5.0])
METRES = arrays(np.float64, 12, elements=st.floats(0.1, 50))


def estimate(depth, sigma=None, coc=None):
    depth = np.array(depth, np.float32)
    return Estimate(
        depth=depth,
        sigma=np.ones_like(depth) if sigma is None else np.array(sigma, np.float32),
        coc=np.zeros_like(depth) if coc is None else np.array(coc, np.float32),
        far_probability=np.full_like(depth, 0.5),
    )


@pytest.mark.parametrize(
    'function, expected',
    [
        (metrics.abs_rel, (0 + 0.5 + 1.0 + 0.2) / 4),
        (metrics.mae, (0 + 2 + 2 + 1) / 4),
        (metrics.rmse, math.sqrt((0 + 4 + 4 + 1) / 4)),
        (metrics.log10, (0 + math.log10(2) + math.log10(2) + math.log10(1.2)) / 4),
        (metrics.delta, 2 / 4),
        (lambda depth, truth: metrics.delta(depth, truth, 3), 2 / 4),
    ],
)
def test_depth_errors_by_hand(function, expected):
    assert function(DEPTH, TRUTH) == pytest.approx(expected)


def test_delta_is_strict_and_symmetric():
    assert metrics.delta(np.array([1.25, 1.2499]), np.array([1.0, 1.0])) == 0.5
    assert metrics.delta(np.array([1.0]), np.array([1.25**2 - 1e-6]), 2) == 1.0


def test_coverage_by_hand():
    sigma = np.array([0.0, 1.0, 2.0, np.nan])
    assert metrics.coverage(DEPTH, TRUTH, sigma, 1) == 2 / 4  # errors 0, 2, 2, 1
    assert metrics.coverage(DEPTH, TRUTH, sigma, 2) == 3 / 4
    assert metrics.coverage(DEPTH, TRUTH, np.full(4, np.inf)) == 0


def test_coverage_of_a_gaussian_is_nominal():
    error = np.random.default_rng(0).normal(size=200_000)
    for width, share in ((1, 0.6827), (2, 0.9545)):
        assert metrics.coverage(10 + error, np.full_like(error, 10), np.ones_like(error), width) == pytest.approx(
            share, abs=0.005
        )


def test_sign_accuracy_counts_readable_blur_only():
    true = np.array([0.4, -0.5, 0.6, -2.0, 3.0, 4.0])
    coc = np.array([-9.0, 9.0, 1.0, 2.0, 0.1, np.nan])
    assert metrics.sign_accuracy(coc, true) == pytest.approx(2 / 3)


@given(METRES, METRES)
def test_properties_of_every_error(depth, truth):
    for error in (metrics.abs_rel, metrics.mae, metrics.rmse, metrics.log10):
        assert error(depth, truth) >= 0 and error(truth, truth) == 0
    assert metrics.mae(depth, truth) <= metrics.rmse(depth, truth) * (1 + 1e-9)
    deltas = [metrics.delta(depth, truth, power) for power in (1, 2, 3)]
    assert deltas == sorted(deltas)
    assert metrics.abs_rel(3 * depth, 3 * truth) == pytest.approx(metrics.abs_rel(depth, truth))


@given(METRES, METRES, st.floats(1.1, 3))
def test_scale_is_never_forgiven(depth, truth, scale):
    assert metrics.abs_rel(scale * truth, truth) == pytest.approx(scale - 1)


def test_unknown_truth_and_missing_predictions():
    """Unknown truth counts nowhere; a prediction that is no depth lowers valid_fraction and nothing else."""
    truth = np.array([[np.nan, 2.0, 2.0, 2.0, 2.0, 2.0]], np.float32)
    result = metrics.frame_metrics(
        estimate([[9.0, np.nan, np.inf, -np.inf, 0.0, 3.0]]), truth, np.ones((1, 6)), np.ones((1, 6), bool)
    )
    assert result['valid_fraction'] == pytest.approx(1 / 5)
    assert result['abs_rel'] == pytest.approx(0.5) and result['mae_m'] == pytest.approx(1.0)
    assert result['coverage_1sigma'] == 1.0


def test_frame_metrics_separate_behind_from_front():
    truth = np.array([[1.0, 4.0]], np.float32)
    true_coc = np.array([[-3.0, 3.0]])
    texture = np.array([[True, False]])
    result = metrics.frame_metrics(estimate([[2.0, 5.0]], coc=[[3.0, 2.5]]), truth, true_coc, texture)
    assert result['abs_rel'] == pytest.approx((1.0 + 0.25) / 2)
    assert result['abs_rel_behind'] == result['abs_rel_bare'] == pytest.approx(0.25)
    assert result['abs_rel_front'] == result['abs_rel_textured'] == pytest.approx(1.0)
    assert result['sign_accuracy'] == 0.5
    assert result['coc_mae_px'] == pytest.approx((6.0 + 0.5) / 2)


def test_nothing_to_count_is_nan_and_no_warning(recwarn):
    truth = np.full((2, 2), np.nan, np.float32)
    result = metrics.frame_metrics(estimate(np.ones((2, 2))), truth, truth, truth > 0)
    assert all(math.isnan(value) for value in result.values())
    assert not recwarn.list


def test_frames_weigh_the_same_and_nan_frames_not_at_all():
    rows = [{'abs_rel': 0.1, 'mae_m': float('nan')}, {'abs_rel': 0.3, 'mae_m': 2.0}, {'abs_rel': float('nan')}]
    means = metrics.mean_over_frames(rows, ('abs_rel', 'mae_m', 'log10'))
    assert means['abs_rel'] == pytest.approx(0.2) and means['mae_m'] == 2.0 and math.isnan(means['log10'])


def test_frame_metrics_fill_the_names_of_the_json():
    result = metrics.frame_metrics(estimate([[1.0]]), *[np.ones((1, 1))] * 2, np.ones((1, 1), bool))
    assert set(result) | {'abs_rel_median', 'coc_median_px'} == set(metrics.METRICS)


def test_texture_is_what_varies_by_a_grey_level():
    image = np.full((20, 40, 3), 100, np.uint8)
    image[:, 20:] += (np.indices((20, 20)).sum(0) % 2 * 4).astype(np.uint8)[..., None]  # deviation 2
    image[:, :20] += (np.indices((20, 20)).sum(0) % 2).astype(np.uint8)[..., None]  # deviation 0.5
    found = metrics.textured(image)
    assert found[:, 25:].all() and not found[:, :15].any()


def test_median_frame_and_worst_decile_by_hand():
    values = [*(0.1 * np.arange(20)), float('nan')]
    result = metrics.over_frames(values)
    assert result['frame_median'] == pytest.approx(0.95) and result['worst_decile'] == pytest.approx(1.85)
    assert metrics.over_frames([0.3])['worst_decile'] == pytest.approx(0.3)
    assert all(math.isnan(value) for value in metrics.over_frames([float('nan')]).values())


def test_distance_from_occlusion_edges_by_hand():
    coc = np.zeros((9, 12), np.float32)
    coc[:, 6:] = 3.0
    coc[4, 2] = np.nan
    assert metrics.edge_distance(coc)[0].tolist() == pytest.approx([5, 4, 3, 2, 1, 0, 0, 1, 2, 3, 4, 5], abs=0.1)
    ramp = np.tile(np.linspace(0, 9, 12), (9, 1))
    assert (metrics.edge_distance(ramp) > 1000).all() and (metrics.edge_distance(ramp.T) > 1000).all()
    assert metrics.edge_distance(np.ones((1, 1))).shape == (1, 1)
