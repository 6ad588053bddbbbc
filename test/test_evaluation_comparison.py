"""Paired intervals: right means, honest widths, the same twice, and nothing compared that has no partner."""

import numpy as np
import pytest

from dfd_depth_ros.evaluation.comparison import ComparisonError, compare, comparison_table


def rows(values, sequence='room', video=True, prefix=''):
    return [
        {'name': f'{prefix}{n}', 'sequence': sequence, 'stamp': n / 10 if video else None, 'abs_rel': float(value)}
        for n, value in enumerate(values)
    ]


def slow_interval(difference, run, seed=0, draws=2000):
    """The same by lists: draw runs with replacement, put them one after the other, take the mean."""
    runs = [difference[start : start + run] for start in range(0, len(difference), run)]
    rng, means = np.random.default_rng(seed), []
    for chosen in rng.integers(0, len(runs), (draws, len(runs))):
        means.append(np.mean(np.concatenate([runs[place] for place in chosen])))
    return np.percentile(means, (2.5, 97.5))


def test_means_and_interval_are_those_of_the_slow_twin():
    rng = np.random.default_rng(1)
    a, b = rng.uniform(0.1, 0.2, 95), rng.uniform(0.1, 0.2, 95)
    outcome = compare(rows(a), rows(b))
    found = outcome['comparison']['abs_rel']
    assert found['a'] == pytest.approx(a.mean()) and found['b'] == pytest.approx(b.mean())
    assert found['difference'] == pytest.approx((b - a).mean()) and found['frames'] == 95
    np.testing.assert_allclose((found['low'], found['high']), slow_interval(b - a, 10))
    assert outcome['compared'] == {'paired': 95, 'unpaired_a': 0, 'unpaired_b': 0, 'blocks': 10, 'notes': []}
    assert compare(rows(a), rows(b)) == outcome


def test_frames_that_repeat_one_another_do_not_narrow_the_interval():
    steps = np.repeat(np.random.default_rng(2).normal(0, 0.1, 12), 10)
    together = compare(rows(np.zeros(120)), rows(steps))['comparison']['abs_rel']
    apart = compare(rows(np.zeros(120), video=False), rows(steps, video=False))['comparison']['abs_rel']
    assert together['high'] - together['low'] > 2 * (apart['high'] - apart['low'])


def test_whole_sequences_are_drawn_where_there_are_enough():
    many = [row | {'name': f'{s} {row["name"]}'} for s in range(12) for row in rows(np.ones(25), f'room {s}')]
    assert compare(many, many)['compared']['blocks'] == 12
    assert compare(many[:75], many[:75])['compared']['blocks'] == 9  # 3 rooms of 10, 10 and 5 frames


def test_frames_without_partner_are_counted_and_not_compared():
    found = compare(rows([1, 2, 3, 4]), rows([1, 2, 5])[1:])
    assert found['comparison']['abs_rel']['difference'] == 1 and found['compared']['paired'] == 2
    assert found['compared']['notes'] == [
        '2 frames of A and 0 of B have no partner and were not compared',
        'the intervals rest on 1 blocks of frames only and are rough',
    ]
    assert np.isnan(found['comparison']['abs_rel']['low']) and 'one block only' in comparison_table(found)


def test_two_bags_are_matched_by_stamp():
    found = compare(rows([1, 2], prefix='one at '), rows([2, 3], 'hall', prefix='two at '))
    assert found['compared']['paired'] == 2 and found['comparison']['abs_rel']['difference'] == 1


def test_different_frames_are_refused():
    with pytest.raises(ComparisonError) as caught:
        compare(rows([1], video=False, prefix='a'), rows([1], video=False, prefix='b'))
    assert str(caught.value) == ('no frame of the one evaluation is in the other; only the same frames can be compared')


def test_a_metric_that_is_missing_in_one_is_left_out_and_a_missing_value_too():
    a, b = rows([1, np.nan, 3]), rows([2, 5, 4])
    a[0]['tae'] = 0.1
    found = compare(a, b)['comparison']
    assert set(found) == {'abs_rel'} and found['abs_rel']['frames'] == 2 and found['abs_rel']['difference'] == 1


def test_a_verdict_needs_enough_blocks():
    a, better, same = rows(np.zeros(200)), rows(np.ones(200)), rows(np.tile([-1, 1], 100))
    assert comparison_table(compare(a, better)).endswith('  differs')
    assert comparison_table(compare(a, same)).endswith('no difference shown')
    assert 'differs' not in comparison_table(compare(a[:50], better[:50]))
