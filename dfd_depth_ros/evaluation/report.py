"""The report of an evaluation: one self-contained HTML page that reads well in light and in dark."""

from html import escape
from pathlib import Path
from string import Template

import numpy as np

from dfd_depth_ros.evaluation import pictures, plots
from dfd_depth_ros.evaluation.page import PAGE
from dfd_depth_ros.evaluation.scoring import Evaluation
from dfd_depth_ros.evaluation.table import headline, table_rows
from dfd_depth_ros.optics.lens import Lens

PLOTS = (
    (
        'Error by depth',
        'The line is the median over pixels, the band holds half of them. Where the dashed line agrees with it, the '
        'error bar is honest at that depth. Grey: how many pixels lie there.',
        lambda evaluation: plots.error_by_depth(evaluation.curves),
    ),
    (
        'Error by blur',
        'Error of the signed circle of confusion. A slope of one is blur that was not seen, of two the wrong side.',
        lambda evaluation: plots.error_by_coc(evaluation.curves),
    ),
    (
        'Side of focus',
        'Pixels on the right side of focus, of those with more than half a pixel of blur. Near the edge of an occluder '
        'the picture shows which surface is in front; far from any edge it takes context.',
        lambda evaluation: plots.sides(evaluation.curves),
    ),
    (
        'Calibration of sigma',
        'Above the dashed line the error bar is too wide, below it too narrow.',
        lambda evaluation: plots.calibration(evaluation.curves),
    ),
    (
        'Error by frame',
        'AbsRel of each frame, in the order of the input.',
        lambda evaluation: plots.error_by_frame(evaluation.numbers['per_frame']),
    ),
)


def write_report(folder: Path, evaluation: Evaluation, command: str) -> Path:
    """Write index.html into a folder, which is made where needed; returns its path. command: shown as it was typed."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / 'index.html'
    path.write_text(render(evaluation, command), encoding='utf-8')
    return path


def render(evaluation: Evaluation, command: str) -> str:
    """The page as text. It depends on nothing but its arguments."""
    numbers = evaluation.numbers
    return Template(PAGE).substitute(
        summary=f'{numbers["frames"]} frames, {numbers["frames_with_truth"]} with ground truth',
        tiles=''.join(_tile(*tile) for tile in headline(numbers)),
        notes=_notes([*numbers.get('truncated', ()), *numbers.get('notes', ())]),
        table=''.join(_row(*row) for row in table_rows(numbers)),
        plots=_plots(evaluation) if numbers['frames_with_truth'] else '',
        frames=_frames(evaluation),
        facts=''.join(
            f'<dt>{escape(name)}</dt><dd>{escape(text)}</dd>' for name, text in _facts(numbers, evaluation.lens)
        ),
        command=escape(command),
    )


def _facts(numbers: dict, lens: Lens):
    focus = 'infinity' if np.isinf(lens.focus_distance_m) else f'{lens.focus_distance_m:.3g} m'
    yield (
        'Lens of the first frame',
        (
            f'{lens.focal_length_m * 1e3:.3g} mm f/{lens.f_number:.3g} focused at {focus}, '
            f'pixel pitch {lens.pixel_pitch_m * 1e6:.3g} um, side {lens.side}'
        ),
    )
    yield 'Blur of that lens', f'{lens.gain:.3g} px for each dioptre away from focus'
    yield 'Model', f'{numbers["model"]} on {numbers["device"]}, {numbers["precision"]}'
    yield 'SHA-256 of the weights', numbers['weights_digest']


def _frames(evaluation: Evaluation) -> str:
    choice = evaluation.gallery.choice()
    scales = pictures.scales(choice.values())
    bars = ''.join(_bar(scale) for scale in scales.values())
    return f'<div class="bars">{bars}</div>' + ''.join(_frame(*item, scales) for item in choice.items())


def _frame(title: str, picture: pictures.Picture, scales: dict) -> str:
    score = f' <span class="soft">AbsRel {picture.abs_rel:.3f}</span>' if np.isfinite(picture.abs_rel) else ''
    panels = ''.join(
        f'<figure><img src="{uri}" alt="{caption}"><figcaption>{caption}</figcaption></figure>'
        for caption, uri in pictures.panels(picture, scales)
    )
    return f'<h3>{title}{score} <span class="soft">{escape(picture.name)}</span></h3><div class="panels">{panels}</div>'


def _bar(scale: pictures.Scale) -> str:
    ticks = ''.join(f'<span>{tick}</span>' for tick in scale.ticks())
    return (
        f'<div class="bar"><b>{scale.title}</b> <span class="soft">{scale.unit}</span>'
        f'<div class="ramp" style="background:{scale.gradient()}"></div><div class="ticks">{ticks}</div></div>'
    )


def _tile(label: str, value: str, note: str) -> str:
    return f'<div class="tile"><span>{label}</span><strong>{value}</strong><small>{note}</small></div>'


def _row(label: str, value: str, note: str) -> str:
    return f'<tr><th scope="row">{label}</th><td>{value}</td><td class="soft">{note}</td></tr>'


def _plots(evaluation: Evaluation) -> str:
    figures = ''.join(
        f'<figure class="plot"><h3>{title}</h3>{draw(evaluation)}<figcaption>{text}</figcaption></figure>'
        for title, text, draw in PLOTS
    )
    return f'<h2>Where the errors are</h2><div class="plots">{figures}</div>'


def _notes(sentences: list[str]) -> str:
    return ''.join(f'<p class="note">{escape(sentence)}</p>' for sentence in sentences)
