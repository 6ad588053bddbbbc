"""Several evaluations on one page: a row for each input, with a link to its own report."""

import math
from html import escape
from pathlib import Path
from string import Template

from dfd_depth_ros.evaluation.page import SUMMARY
from dfd_depth_ros.evaluation.table import ROWS

COLUMNS = ('abs_rel', 'abs_rel_median', 'delta1', 'sign_accuracy', 'coverage_1sigma', 'tae', 'opw', 'reblur_ratio')


def folder_names(inputs: list[str]) -> list[str]:
    """A folder for the report of each input: its number and name."""
    digits = len(str(len(inputs)))
    return [f'{number:0{digits}}-{Path(path).resolve().name}' for number, path in enumerate(inputs, 1)]


def summary_rows(runs: list[dict]) -> list[list[str]]:
    """A heading, then a row of text for each run: its input, frames, and the metrics that any of them has."""
    forms = {name: (label, form) for name, label, form, _ in ROWS}
    known = [name for name in COLUMNS if any(math.isfinite(run.get(name, math.nan)) for run in runs)]
    rows = [['Input', 'Frames', *(forms[name][0] for name in known)]]
    for run in runs:
        if 'error' in run:
            rows.append([run['input'], 'failed', *['-'] * len(known)])
            continue
        values = [(forms[name][1], run.get(name, math.nan)) for name in known]
        cells = [form.format(value) if math.isfinite(value) else '-' for form, value in values]
        rows.append([run['input'], str(run['frames']), *cells])
    return rows


def summary_table(runs: list[dict]) -> str:
    """The rows for a terminal."""
    rows = summary_rows(runs)
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return '\n'.join(
        '  '.join(
            [f'{row[0]:<{widths[0]}}', *(f'{cell:>{width}}' for cell, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in rows
    )


def write_summary(folder: Path, runs: list[dict], names: list[str], command: str) -> Path:
    """Write index.html beside the folders of the single reports; returns its path."""
    head, *rows = summary_rows(runs)
    body = ''.join(_row(*item) for item in zip(rows, runs, names, strict=True))
    path = folder / 'index.html'
    path.write_text(
        Template(SUMMARY).substitute(
            summary=f'{len(runs)} inputs',
            head=''.join(f'<th scope="col">{escape(label)}</th>' for label in head),
            rows=body,
            command=escape(command),
        ),
        encoding='utf-8',
    )
    return path


def _row(cells: list[str], run: dict, name: str) -> str:
    label = escape(cells[0])
    if 'error' in run:
        text = f'{label} <span class="soft">{escape(run["error"])}</span>'
    else:
        text = f'<a href="{escape(name)}/index.html">{label}</a>'
        text += ' <span class="soft">cut</span>' if run.get('truncated') else ''
    return f'<tr><th scope="row">{text}</th>{"".join(f"<td>{cell}</td>" for cell in cells[1:])}</tr>'
