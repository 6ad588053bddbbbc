"""The report of an evaluation: one self-contained HTML page that reads well in light and in dark."""

import json
from functools import partial
from html import escape
from pathlib import Path
from string import Template

import numpy as np

from dfd_depth_ros.evaluation import pictures, plots
from dfd_depth_ros.evaluation.comparison import comparison_rows
from dfd_depth_ros.evaluation.page import PAGE, SCRIPT
from dfd_depth_ros.evaluation.scoring import Evaluation
from dfd_depth_ros.evaluation.table import headline, table_rows
from dfd_depth_ros.optics.lens import Lens

PLOTS = (
    (
        'Error by depth',
        'The line is the median over pixels, the band holds half of them. Where the dashed line agrees with it, the '
        'error bar is honest at that depth. Grey: how many pixels lie there.',
        plots.error_by_depth,
    ),
    (
        'Error by blur',
        'Error of the signed circle of confusion. A slope of one is blur that was not seen, of two the wrong side.',
        plots.error_by_coc,
    ),
    (
        'Error by texture',
        'Where the picture varies by less than a grey level there is no blur to read, and surroundings have to tell.',
        plots.error_by_texture,
    ),
    (
        'Side of focus',
        'Pixels on the right side of focus, of those with more than half a pixel of blur. Near the edge of an occluder '
        'the picture shows which surface is in front; far from any edge it takes context.',
        plots.sides,
    ),
    (
        'Calibration of sigma',
        'Above the dashed line the error bar is too wide, below it too narrow.',
        plots.calibration,
    ),
    (
        'Error by frame',
        'AbsRel of each frame, in the order of the input.',
        plots.error_by_frame,
    ),
)
LATENCY = (
    'Estimation time',
    'From picture to depth on the machine that made this page, without transport.',
    plots.latency,
)


def write_report(folder: Path, evaluation: Evaluation, command: str) -> Path:
    """Write index.html, and its plots once more as plots.svg, into a folder, which is made where needed; returns the
    path of the page. command: shown as it was typed."""
    folder.mkdir(parents=True, exist_ok=True)
    sheet = plots.sheet([(title, svg) for title, _, svg in _drawn(evaluation)])
    (folder / 'plots.svg').write_text(sheet, encoding='utf-8')
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
        comparison=_comparison(numbers) if 'comparison' in numbers else '',
        plots=_plots(evaluation, _drawn(evaluation)),
        frames=_frames(evaluation),
        cards=_card('Lens', _lens_facts(evaluation.lens)) + _card('Model', _model_facts(numbers)),
        command=escape(command),
        script=SCRIPT,
    )


def _lens_facts(lens: Lens):
    """Of the first frame."""
    focus = 'infinity' if np.isinf(lens.focus_distance_m) else f'{lens.focus_distance_m:.3g} m'
    yield 'First frame', f'{lens.focal_length_m * 1e3:.3g} mm f/{lens.f_number:.3g} focused at {focus}'
    yield 'Pixel pitch', f'{lens.pixel_pitch_m * 1e6:.3g} um'
    yield 'Side of focus', lens.side
    yield 'Blur', f'{lens.gain:.3g} px for each dioptre away from focus'
    yield (
        'Focus known to',
        f'{lens.focus_dioptre_sigma:.2g} dioptres (1 sigma)' if lens.focus_dioptre_sigma else 'exact',
    )


def _model_facts(numbers: dict):
    yield 'Networks', numbers['model']
    yield 'Ran on', f'{numbers["device"]}, {numbers["precision"]}'
    yield 'SHA-256 of the weights', numbers['weights_digest']


def _card(title: str, facts) -> str:
    rows = ''.join(f'<dt>{escape(name)}</dt><dd>{escape(text)}</dd>' for name, text in facts)
    return f'<div class="card"><h3>{title}</h3><dl>{rows}</dl></div>'


def _comparison(numbers: dict) -> str:
    compared = numbers['compared']
    sides = ''.join(
        f'<dt>{side.upper()}</dt><dd>{escape(", ".join(map(str, compared[side].values())))}</dd>' for side in 'ab'
    )
    head = ''.join(f'<th scope="col">{cell}</th>' for cell in ('', 'A', 'B', 'B - A', '95 % interval', ''))
    rows = ''.join(
        f'<tr><th scope="row">{name}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>'
        for name, *cells in comparison_rows(numbers)
    )
    lead = (
        f'{compared["paired"]} frames, paired. The intervals come from drawing whole blocks of neighbouring frames '
        f'({compared["blocks"]} of them), because neighbours are alike.'
    )
    return (
        f'<h2>Comparison</h2><p class="lead">{lead}</p>{_notes(compared["notes"])}'
        f'<div class="card"><dl>{sides}</dl><table class="wide"><tr>{head}</tr>{rows}</table></div>'
    )


def _frames(evaluation: Evaluation) -> str:
    choice, sample = evaluation.gallery.choice(), evaluation.gallery.sample()
    scales = pictures.scales([*choice.values(), *sample])
    bars = ''.join(_bar(scale) for scale in scales.values())
    steps = _viewer(sample, scales) if len(sample) > 1 else ''
    return f'<div class="bars">{bars}</div>{steps}' + ''.join(_frame(*item, scales) for item in choice.items())


def _viewer(sample: list, scales: dict) -> str:
    """What JavaScript makes a viewer of: empty figures, a slider, and the frames as JSON."""
    frames = [
        {
            'title': picture.name + (f' (AbsRel {picture.abs_rel:.3f})' if np.isfinite(picture.abs_rel) else ''),
            'panels': dict(pictures.panels(picture, scales, pictures.small_uri)),
            'values': pictures.values_at(picture),
        }
        for picture in sample
    ]
    captions = list(dict.fromkeys(caption for frame in frames for caption in frame['panels']))
    figures = ''.join(
        f'<figure data-caption="{caption}"><img alt="{caption} of this frame"><figcaption>{caption}</figcaption>'
        '</figure>'
        for caption in captions
    )
    text = json.dumps(frames, separators=(',', ':')).replace('<', '\\u003c')
    return (
        f'<section class="viewer" id="viewer" aria-label="Step through frames" hidden><h3></h3><div class="step">'
        f'<input type="range" min="0" max="{len(frames) - 1}" value="0" aria-label="Frame; arrow keys step">'
        f'<output></output></div><div class="panels">{figures}</div>'
        f'<p class="read">Point at a picture to read its values; arrow keys step through frames.</p></section>'
        f'<script type="application/json" id="frames-data">{text}</script>'
    )


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


def _drawn(evaluation: Evaluation) -> list[tuple[str, str, str]]:
    """Title, explanation and SVG of every plot that this evaluation has something for."""
    wanted = [*PLOTS, LATENCY] if evaluation.numbers['frames_with_truth'] else [LATENCY]
    return [(title, text, plots.svg(partial(draw, evaluation=evaluation))) for title, text, draw in wanted]


def _plots(evaluation: Evaluation, drawn: list[tuple[str, str, str]]) -> str:
    figures = ''.join(
        f'<figure class="plot"><h3>{title}</h3>{svg}<figcaption>{text}</figcaption></figure>'
        for title, text, svg in drawn
    )
    heading = 'Where the errors are' if evaluation.numbers['frames_with_truth'] else 'Speed'
    return f'<h2>{heading}</h2><div class="plots">{figures}</div>'


def _notes(sentences: list[str]) -> str:
    return ''.join(f'<p class="note">{escape(sentence)}</p>' for sentence in sentences)
