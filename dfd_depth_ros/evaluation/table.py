"""The numbers as people read them: one table for the terminal and for the report."""

import math

# name in the JSON, label, format, what it says
ROWS = (
    ('abs_rel', 'AbsRel', '{:.3f}', 'mean of |error| / true depth'),
    ('abs_rel_median', 'AbsRel, median', '{:.3f}', 'over all pixels'),
    ('abs_rel_frame_median', 'AbsRel, median frame', '{:.3f}', 'of the means of single frames'),
    ('abs_rel_worst_decile', 'AbsRel, worst frames', '{:.3f}', 'mean over the worst tenth of the frames'),
    ('abs_rel_behind', 'AbsRel, behind focus', '{:.3f}', 'pixels truly behind the focal plane'),
    ('abs_rel_front', 'AbsRel, before focus', '{:.3f}', 'pixels truly in front of the focal plane'),
    ('abs_rel_textured', 'AbsRel, textured', '{:.3f}', 'where the picture varies by a grey level of 255 and more'),
    ('abs_rel_bare', 'AbsRel, bare', '{:.3f}', 'where it varies less, and blur cannot be read'),
    ('sign_accuracy', 'Sign accuracy', '{:.1%}', 'pixels on the right side of focus, of those with readable blur'),
    ('rmse_m', 'RMSE', '{:.3f} m', ''),
    ('mae_m', 'MAE', '{:.3f} m', ''),
    ('log10', 'log10', '{:.3f}', 'mean of |log10 error|'),
    ('delta1', 'delta < 1.25', '{:.1%}', 'ratio to the truth, the larger over the smaller'),
    ('delta2', 'delta < 1.25²', '{:.1%}', ''),
    ('delta3', 'delta < 1.25³', '{:.1%}', ''),
    ('coverage_1sigma', 'Within 1 sigma', '{:.1%}', 'nominal 68.3 %'),
    ('coverage_2sigma', 'Within 2 sigma', '{:.1%}', 'nominal 95.4 %'),
    ('valid_fraction', 'Valid', '{:.1%}', 'pixels with truth that got a depth'),
    ('coc_mae_px', 'CoC error, mean', '{:.2f} px', '|signed error| of the blur'),
    ('coc_median_px', 'CoC error, median', '{:.2f} px', 'over all pixels'),
    ('tae', 'TAE', '{:.4f}', 'temporal alignment error; read it beside AbsRel'),
    ('opw', 'OPW', '{:.4f} m', 'flow-warped change; read it beside AbsRel'),
    ('reblur_ratio', 'Re-blur error', '{:.2f}', 'over that of no re-blur: below 1 depth explains the change of blur'),
    ('reblur_levels', 'Re-blur difference', '{:.2f}', 'grey levels of 255'),
    ('focus_disagreement', 'Across focus', '{:.1%}', 'median difference of inverse depth between focus positions'),
    ('tcc', 'TCC', '{:.3f}', 'consistency of change, 1 is best'),
)


def table_rows(numbers: dict) -> list[tuple[str, str, str]]:
    """(label, value, meaning) of every metric that is known, then the timings."""
    known = [row for row in ROWS if math.isfinite(numbers.get(row[0], math.nan))]
    rows = [(label, form.format(numbers[name]), note) for name, label, form, note in known]
    rows.append(('Estimation time', _latency(numbers['latency_ms']), 'p50 / p95 / p99 of one frame, here and now'))
    if recorded := numbers.get('recorded'):
        since = f'p50 / p95 / p99, {recorded["latency_from"]} of the image to receipt of its depth'
        rows += [
            ('Recorded latency', _latency(recorded['latency_ms']), since),
            ('Recorded rate', _format('{:.1f} Hz', recorded['rate_hz']), f'{recorded["depths"]} depth images'),
            ('Recorded drops', str(recorded['drops']), f'of {recorded["images"]} images'),
        ]
    if live := numbers.get('live'):
        rows += [
            ('Live latency', _latency(live['latency_ms']), 'p50 / p95 / p99, image sent to receipt of its depth'),
            ('Live drops', str(live['drops']), f'of {live["images"]} images played at rate {live["rate"]:g}'),
        ]
    return rows


def text_table(numbers: dict) -> str:
    """The table for a terminal."""
    rows = [
        ('Frames', str(numbers['frames']), f'{numbers["frames_with_truth"]} with ground truth'),
        *table_rows(numbers),
    ]
    left, middle = (max(len(row[column]) for row in rows) for column in (0, 1))
    return '\n'.join(f'{label:<{left}}  {value:>{middle}}  {note}'.rstrip() for label, value, note in rows)


def headline(numbers: dict) -> list[tuple[str, str, str]]:
    """(label, value, note) of the few numbers that a page begins with."""
    rows = {label: (label, value, note) for label, value, note in table_rows(numbers)}
    picked = ('AbsRel', 'AbsRel, median', 'delta < 1.25', 'Sign accuracy', 'Within 1 sigma', 'Recorded rate')
    return [rows[label] for label in picked if label in rows]


def _format(form: str, value: float) -> str:
    return form.format(value) if math.isfinite(value) else '-'


def _latency(values: dict) -> str:
    return ' / '.join(_format('{:.0f}', value) for value in values.values()) + ' ms'
