"""Plots of a report as inline SVG. Their colours are CSS variables of the page: one plot serves light and dark."""

import io
import math

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from dfd_depth_ros.evaluation.quantiles import Quantiles
from dfd_depth_ros.evaluation.scoring import Curves

SIZE_IN = (5.8, 3.5)
FEWEST = 1e-3  # share of all pixels that a point of a curve must rest on
SIGMAS = np.linspace(0.1, 3, 30)
# Colours that matplotlib draws with, and the CSS variables that take their place.
INK, LINE, BLUE, ORANGE = '#010101', '#020202', '#030303', '#040404'
_VARIABLES = {INK: 'var(--ink-2)', LINE: 'var(--line)', BLUE: 'var(--blue)', ORANGE: 'var(--orange)'}
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


def error_by_depth(curves: Curves) -> str:
    """Relative error by true depth: median and quartiles, beside the sigma that was claimed."""

    def draw(axes):
        centres = np.sqrt(curves.error.edges[1:] * curves.error.edges[:-1])
        enough = _band(axes, centres, curves.error, '|error| / depth')
        # For a Gaussian of this sigma the median |error| would be 0.674 sigma.
        axes.plot(
            centres[enough], 0.674 * curves.claimed.at(0.5)[enough], '--', color=ORANGE, label='expected from sigma'
        )
        axes.set_xscale('log')
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f'{value:g}'))
        axes.xaxis.set_minor_formatter(FuncFormatter(_some_minor_ticks))
        axes.set_xlabel('true depth [m]')
        axes.set_ylabel('relative error')
        axes.yaxis.set_major_formatter(PercentFormatter(1))

    return svg(draw)


def error_by_coc(curves: Curves) -> str:
    """Error of the signed CoC by true CoC: median and quartiles."""

    def draw(axes):
        centres = (curves.coc_error.edges[1:] + curves.coc_error.edges[:-1]) / 2
        _band(axes, centres, curves.coc_error, '|CoC error|')
        axes.axvline(0, color=LINE, linewidth=2)
        axes.set_xlabel('true CoC [px]   (in front of focus < 0 < behind)')
        axes.set_ylabel('CoC error [px]')

    return svg(draw)


def sides(curves: Curves) -> str:
    """Share of pixels on the right side of focus, by distance from the nearest occlusion edge."""

    def draw(axes):
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

    return svg(draw)


def calibration(curves: Curves) -> str:
    """Share of pixels within k sigma, against the share that a Gaussian would have there."""

    def draw(axes):
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

    return svg(draw)


def error_by_frame(rows: list[dict]) -> str:
    """AbsRel of every frame, in order."""

    def draw(axes):
        errors = [row.get('abs_rel', math.nan) for row in rows]
        style = '-' if len(errors) > 200 else '-o'
        axes.plot(np.arange(1, len(errors) + 1), errors, style, color=BLUE, markersize=3, linewidth=1.2, label='AbsRel')
        axes.axhline(np.nanmean(errors), linestyle='--', color=ORANGE, label='mean')
        axes.set_xlabel('frame')
        axes.set_ylabel('AbsRel')
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_ylim(bottom=0)

    return svg(draw)


def latency(seconds: list[float]) -> str:
    """How often an estimate took how long; the first one, which warms up, is left out where there are more."""

    def draw(axes):
        times = np.array(seconds[1:] or seconds) * 1e3
        axes.hist(times, bins=min(40, max(5, len(times) // 3)), color=BLUE, alpha=0.6, label='frames')
        middle, late = np.percentile(times, (50, 99))
        axes.axvline(middle, color=BLUE, label=f'p50 {middle:.0f} ms')
        axes.axvline(late, color=ORANGE, linestyle='--', label=f'p99 {late:.0f} ms')
        axes.set_xlabel('time of one estimate [ms]')
        axes.set_ylabel('frames')
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlim(left=0)

    return svg(draw)


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


def svg(draw) -> str:
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


def _some_minor_ticks(value: float, _) -> str:
    leading = value / 10 ** math.floor(math.log10(value))
    return f'{value:g}' if round(leading) in (2, 5) else ''
