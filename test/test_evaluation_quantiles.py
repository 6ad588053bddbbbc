"""Streaming quantiles against NumPy's."""

import numpy as np
import pytest

from dfd_depth_ros.evaluation.quantiles import Quantiles


@pytest.mark.parametrize('share', [0.05, 0.25, 0.5, 0.75, 0.95])
def test_quantiles_agree_with_numpy_within_a_bin(share):
    values = np.random.default_rng(0).lognormal(-2, 1, 50_000)
    pooled = Quantiles()
    for part in np.split(values, 10):
        pooled.add(part)
    assert pooled.at(share)[0] == pytest.approx(np.quantile(values, share), rel=0.005)
    assert pooled.counts.tolist() == [50_000]


def test_values_are_sorted_into_ranges():
    pooled = Quantiles([0, 1, 2, 4])
    pooled.add(np.array([1.0, 2.0, 3.0, 7.0, np.nan, 9.0]), np.array([0.5, 0.9, 1.0, 3.0, 1.5, 4.0]))
    assert pooled.counts.tolist() == [2, 1, 1]
    np.testing.assert_allclose(pooled.at(0.5), [1, 3, 7], rtol=0.005)


def test_empty_ranges_are_nan_and_extremes_are_kept():
    pooled = Quantiles([0, 1, 2])
    pooled.add(np.array([0.0, 0.0, 1e9]), 0.5)
    assert pooled.at(0.5)[0] == 0 and pooled.at(0.99)[0] == 1e3 and np.isnan(pooled.at(0.5)[1])


def test_share_below_is_the_inverse_of_at():
    pooled = Quantiles()
    pooled.add(np.linspace(0.001, 1, 1000))
    for value in (0.1, 0.5, 0.9):
        assert pooled.below(value)[0] == pytest.approx(value, abs=0.004)
    assert pooled.below(1e-7)[0] == 0 and pooled.below(1e9)[0] == 1
