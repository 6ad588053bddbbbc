"""Plots of a report as inline SVG. Their colours are CSS variables of the page: one plot serves light and dark."""

import io
import math
from collections.abc import Callable, Sequence
from html import escape

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from dfd_depth_ros.evaluation.quantiles import Quantiles
from dfd_depth_ros.evaluation.scoring import Evaluation

SIZE_IN = (5.8, 3.5)
FEWEST = 1e-3  # share of all pixels that a point of a curve must rest on
SIGMAS = np.linspace(0.1, 3, 30)
# Colours that matplotlib draws with, and the CSS variables that take their place.
INK, LINE, BLUE, ORANGE = '#010101', '#020202', '#030303', '#040404'
_VARIABLES = {INK: 'var(--ink-2)', LINE: 'var(--line)', BLUE: 'var(--blue)', ORANGE: 'var(--orange)'}
_ON_WHITE = '--ink-2: #475569; --line: #e2e8f0; --blue: #2563eb; --orange: #ea8a1a;'
_STYLE = {
    'svg.fonttype': 'none',
    'svg.hashsalt': 'dfd_depth_ros',
    'text.color': INK,
    'axes.labelcolor': INK,
    'axes.edgecolor': LINE,
    'axes.spines.top': False,
    'axes.spines.right': False,
    'axes.grid': True,
    'axes.axisbelow': True,
    'grid.color': LINE,
    'grid.linewidth': 0.8,
    'xtick.color': LINE,
    'ytick.color': LINE,
    'xtick.labelcolor': INK,
    'ytick.labelcolor': INK,
    'lines.linewidth': 2,
    'legend.frameon': False,
    'font.size': 10,
}


def error_by_depth(axes, evaluation: Evaluation):
    """Relative error by true depth: median and quartiles, beside the sigma that was claimed."""
    curves = evaluation.curves
    centres = np.sqrt(curves.error.edges[1:] * curves.error.edges[:-1])
    enough = _band(axes, centres, curves.error, '|error| / depth')
    # For a Gaussian of this sigma the median |error| would be 0.674 sigma.
    axes.plot(centres[enough], 0.674 * curves.claimed.at(0.5)[enough], '--', color=ORANGE, label='expected from sigma')
    axes.set_xscale('log')
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f'{value:g}'))
    axes.xaxis.set_minor_formatter(FuncFormatter(_some_minor_ticks))
    axes.set_xlabel('true depth [m]')
    axes.set_ylabel('relative error')
    axes.yaxis.set_major_formatter(PercentFormatter(1))


def error_by_coc(axes, evaluation: Evaluation):
    """Error of the signed CoC by true CoC: median and quartiles."""
    curves = evaluation.curves
    centres = (curves.coc_error.edges[1:] + curves.coc_error.edges[:-1]) / 2
    _band(axes, centres, curves.coc_error, '|CoC error|')
    axes.axvline(0, color=LINE, linewidth=2)
    axes.set_xlabel('true CoC [px]   (in front of focus < 0 < behind)')
    axes.set_ylabel('CoC error [px]')


def error_by_texture(axes, evaluation: Evaluation):
    """Relative error by contrast of the picture in a small window: median and quartiles."""
    error = evaluation.curves.texture
    _band(axes, np.sqrt(error.edges[1:] * error.edges[:-1]), error, '|error| / depth')
    axes.set_xscale('log')
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f'{value:g}'))
    axes.set_xlabel('contrast of the picture [grey levels]')
    axes.set_ylabel('relative error')
    axes.yaxis.set_major_formatter(PercentFormatter(1))


def sides(axes, evaluation: Evaluation):
    """Share of pixels on the right side of focus, by distance from the nearest occlusion edge."""
    curves = evaluation.curves
    side = curves.side_at
    known = side.counts > 0
    low, high = side.edges[:-1], side.edges[1:]
    labels = [f'{a:g} to {b:g}' if b < 4096 else f'{a:g} and more' for a, b in zip(low, high, strict=True)]
    places, right = np.arange(len(low)), np.where(known, side.below(0.5), 0)
    axes.bar(places, right, color=BLUE, label='on the right side of focus')
    axes.plot(places, side.counts / max(side.counts.sum(), 1), 'o--', color=ORANGE, label='share of the pixels')
    axes.set_xticks(places, labels, rotation=20)
    axes.set_xlabel('pixels from the nearest occlusion edge')
    axes.set_ylim(0, 1)
    axes.yaxis.set_major_formatter(PercentFormatter(1))


def calibration(axes, evaluation: Evaluation):
    """Share of pixels within k sigma, against the share that a Gaussian would have there."""
    curves = evaluation.curves
    nominal = np.array([math.erf(sigma / math.sqrt(2)) for sigma in SIGMAS])
    observed = np.array([curves.z.below(sigma)[0] for sigma in SIGMAS])
    axes.plot([0, 1], [0, 1], '--', color=ORANGE, label='perfectly calibrated')
    axes.plot(nominal, observed, color=BLUE, label='observed')
    for sigma in (1, 2):
        share, seen = math.erf(sigma / math.sqrt(2)), curves.z.below(sigma)[0]
        axes.plot(share, seen, 'o', color=BLUE)
        text = f'within {sigma} sigma: {seen:.1%} of {share:.1%}'
        axes.text(0.98, 0.2 - 0.08 * sigma, text, ha='right')
    axes.set_xlabel('nominal share of pixels')
    axes.set_ylabel('observed share')
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1))


def error_by_frame(axes, evaluation: Evaluation):
    """AbsRel of every frame, in order."""
    rows = evaluation.numbers['per_frame']
    errors = [row.get('abs_rel', math.nan) for row in rows]
    style = '-' if len(errors) > 200 else '-o'
    axes.plot(np.arange(1, len(errors) + 1), errors, style, color=BLUE, markersize=3, linewidth=1.2, label='AbsRel')
    axes.axhline(np.nanmean(errors), linestyle='--', color=ORANGE, label='mean')
    axes.set_xlabel('frame')
    axes.set_ylabel('AbsRel')
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylim(bottom=0)


def latency(axes, evaluation: Evaluation):
    """How often an estimate took how long; the first one, which warms up, is left out where there are more."""
    seconds = evaluation.seconds
    times = np.array(seconds[1:] or seconds) * 1e3
    axes.hist(times, bins=min(40, max(5, len(times) // 3)), color=BLUE, alpha=0.6, label='frames')
    middle, late = np.percentile(times, (50, 99))
    axes.axvline(middle, color=BLUE, label=f'p50 {middle:.0f} ms')
    axes.axvline(late, color=ORANGE, linestyle='--', label=f'p99 {late:.0f} ms')
    axes.set_xlabel('time of one estimate [ms]')
    axes.set_ylabel('frames')
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlim(left=0)


def _band(axes, centres: np.ndarray, values: Quantiles, label: str) -> np.ndarray:
    """Median as a line, quartiles as a band, the share of pixels as bars behind; returns where there are enough."""
    enough = (values.counts > 0) & (values.counts >= FEWEST * values.counts.sum())
    low, middle, high = (values.at(share)[enough] for share in (0.25, 0.5, 0.75))
    axes.fill_between(centres[enough], low, high, color=BLUE, alpha=0.18, linewidth=0, label='quartiles')
    axes.plot(centres[enough], middle, color=BLUE, label=f'{label}, median')
    if enough.any():
        axes.set_ylim(0, 1.1 * min(high.max(), 4 * np.average(middle, weights=values.counts[enough]) + 1e-6))
        axes.set_xlim(values.edges[:-1][enough].min(), values.edges[1:][enough].max())
    behind = axes.twinx()
    behind.bar(
        values.edges[:-1], values.counts, np.diff(values.edges), align='edge', color=INK, alpha=0.10, linewidth=0
    )
    behind.set_ylim(0, 2.5 * max(values.counts.max(), 1))
    behind.set_axis_off()
    return enough


def svg(draw: Callable) -> str:
    """A figure in the style of the reports as SVG. draw(axes) draws on its one pair of axes."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=SIZE_IN, layout='constrained')
        axes = figure.add_subplot()
        draw(axes)
        figure.legend(*axes.get_legend_handles_labels(), loc='outside upper left', ncols=4)
        stream = io.StringIO()
        nothing = dict.fromkeys(('Date', 'Creator', 'Format', 'Type'))
        figure.savefig(stream, format='svg', transparent=True, metadata=nothing)
    text = stream.getvalue()
    text = text[text.index('<svg') :].replace("'DejaVu Sans'", 'system-ui')
    for colour, variable in _VARIABLES.items():
        text = text.replace(colour, variable)
    return text


def sheet(titled: Sequence[tuple[str, str]]) -> str:
    """Titles and plots, as `svg` gives them, two beside each other on white: an SVG file that stands alone."""
    width, height = (int(inches * 96) for inches in SIZE_IN)
    step, rows = height + 30, -(-len(titled) // 2)
    parts = [
        f'<g transform="translate({(width + 20) * (number % 2) + 10},{step * (number // 2) + 22})">'
        f'<text x="4" font-weight="600">{escape(title)}</text>{plot}</g>'
        for number, (title, plot) in enumerate(titled)
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * width + 40} {rows * step}" font-size="13" '
        f'font-family="system-ui, sans-serif"><style>svg {{ {_ON_WHITE} }}</style>'
        f'<rect width="100%" height="100%" fill="#fff"/>{"".join(parts)}</svg>\n'
    )


def _some_minor_ticks(value: float, _) -> str:
    leading = value / 10 ** math.floor(math.log10(value))
    return f'{value:g}' if round(leading) in (2, 5) else ''
