"""Two evaluations side by side, frame against frame, with intervals that know that neighbours are alike.

Frames of a video repeat one another, so single frames must not be drawn as if each were a new observation: that makes
intervals too narrow. Whole blocks are drawn instead: sequences where there are enough of them, else runs of
neighbouring frames. Pictures without a stamp are blocks of their own.

Source: Kuensch, "The jackknife and the bootstrap for general stationary observations", Annals of Statistics 1989.
"""

from collections import Counter
from itertools import groupby

import numpy as np

from dfd_depth_ros.evaluation.consistency import CONSISTENCY_METRICS
from dfd_depth_ros.evaluation.metrics import METRICS
from dfd_depth_ros.evaluation.temporal_metrics import PAIR_METRICS

RUN = 10  # neighbouring frames of a video that are drawn together
ENOUGH_SEQUENCES = 10  # from here on whole sequences are drawn
FEW_BLOCKS = 10  # under this an interval is rough
DRAWS, CONFIDENCE = 2000, 0.95
COMPARED = (*METRICS, *PAIR_METRICS, *CONSISTENCY_METRICS)


class ComparisonError(ValueError):
    """Two evaluations that have no frame in common; the message says so."""


def compare(a: list[dict], b: list[dict], seed: int = 0) -> dict:
    """What two evaluations of the same frames differ in. a, b: their `per_frame` rows.

    Frames are matched by name and stamp, or by stamp alone where no name is shared (two bags). Returns `comparison`
    (metric -> `a`, `b` means, `difference` = B minus A, its 95 % interval `low` and `high`, `frames`) and `compared`
    (`paired`, `unpaired_a`, `unpaired_b`, `blocks`, `notes`). `low` and `high` are NaN where there is one block only.
    The same input gives the same numbers. Raises ComparisonError where no frame has a partner.
    """
    pairs = _paired(a, b)
    blocks = _blocks([row for row, _ in pairs])
    draws = np.random.default_rng(seed).integers(0, len(blocks), (DRAWS, len(blocks)))
    metrics = {}
    for name in COMPARED:
        values = np.array([[row.get(name, np.nan) for row in pair] for pair in pairs], np.float64)
        known = np.isfinite(values).all(1)
        if known.any():
            metrics[name] = _interval(values, known, blocks, draws)
    counts = {'paired': len(pairs), 'unpaired_a': len(a) - len(pairs), 'unpaired_b': len(b) - len(pairs)}
    return {'comparison': metrics, 'compared': {**counts, 'blocks': len(blocks), 'notes': _notes(counts, len(blocks))}}


def _paired(a, b) -> list[tuple[dict, dict]]:
    """Rows of both in the order of A: by name and stamp, else by stamp. A key that comes twice in either has no certain
    partner."""
    for names in (('name', 'stamp'), ('stamp',)):
        found = [_unique(rows, names) for rows in (a, b)]
        pairs = [(row, found[1][key]) for key, row in found[0].items() if key in found[1]]
        if pairs:
            return pairs
    raise ComparisonError('no frame of the one evaluation is in the other; only the same frames can be compared')


def _unique(rows, names) -> dict:
    keys = [tuple(row[name] for name in names) for row in rows]
    times = Counter(keys)
    return {key: row for key, row in zip(keys, rows, strict=True) if times[key] == 1 and key != (None,)}


def _blocks(rows: list[dict]) -> list[np.ndarray]:
    """Indices of the rows that are drawn together."""
    sequences = [list(group) for _, group in groupby(range(len(rows)), key=lambda index: rows[index]['sequence'])]
    videos = [group for group in sequences if rows[group[0]]['stamp'] is not None]
    run = len(rows) if len(videos) >= ENOUGH_SEQUENCES else RUN
    blocks = []
    for group in sequences:
        size = run if rows[group[0]]['stamp'] is not None else 1
        blocks += [np.array(group[start : start + size]) for start in range(0, len(group), size)]
    return blocks


def _interval(values, known, blocks, draws) -> dict:
    difference = np.where(known, values[:, 1] - values[:, 0], 0.0)
    sums = np.array([difference[block].sum() for block in blocks])
    counts = np.array([known[block].sum() for block in blocks])
    low = high = float('nan')
    if (counts > 0).sum() > 1:
        drawn = counts[draws].sum(1)
        means = sums[draws].sum(1)[drawn > 0] / drawn[drawn > 0]
        low, high = np.percentile(means, (50 * (1 - CONFIDENCE), 50 * (1 + CONFIDENCE)))
    mean_a, mean_b = values[known].mean(0)
    spread = {'difference': float(mean_b - mean_a), 'low': float(low), 'high': float(high)}
    return {'a': float(mean_a), 'b': float(mean_b), **spread, 'frames': int(known.sum())}


def _notes(counts, blocks) -> list[str]:
    notes = []
    if counts['unpaired_a'] or counts['unpaired_b']:
        notes.append(
            f'{counts["unpaired_a"]} frames of A and {counts["unpaired_b"]} of B have no partner and were not compared'
        )
    if blocks < FEW_BLOCKS:
        notes.append(f'the intervals rest on {blocks} blocks of frames only and are rough')
    return notes


def comparison_rows(numbers: dict) -> list[tuple[str, ...]]:
    """(metric, A, B, B - A, 95 % interval, verdict) as text, of the outcome of `compare`. The verdict says only whether
    the interval spans zero, and nothing where there are too few blocks for it to mean anything."""
    rows: list[tuple[str, ...]] = []
    few = numbers['compared']['blocks'] < FEW_BLOCKS
    for name, value in numbers['comparison'].items():
        known = np.isfinite([value['low'], value['high']]).all()
        interval = f'{value["low"]:+.4f} to {value["high"]:+.4f}' if known else 'one block only'
        differs = known and not value['low'] <= 0 <= value['high']
        verdict = '' if few else 'differs' if differs else 'no difference shown'
        rows.append((name, f'{value["a"]:.4f}', f'{value["b"]:.4f}', f'{value["difference"]:+.4f}', interval, verdict))
    return rows


def comparison_table(numbers: dict) -> str:
    """The same for a terminal."""
    rows = [('metric', 'A', 'B', 'B - A', '95 % interval', ''), *comparison_rows(numbers)]
    widths = [max(len(row[column]) for row in rows) for column in range(6)]
    lines = [[f'{cell:>{width}}' for cell, width in zip(row, widths, strict=True)] for row in rows]
    return '\n'.join(
        '  '.join([f'{row[0]:<{widths[0]}}', *line[1:]]).rstrip() for row, line in zip(rows, lines, strict=True)
    )
