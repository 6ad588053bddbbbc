"""The report of a lens calibration: one HTML page in the style of an evaluation."""

from html import escape
from pathlib import Path
from string import Template

import numpy as np

from dfd_depth_ros.evaluation.page import PAGE
from dfd_depth_ros.evaluation.plots import BLUE, INK, ORANGE, svg

TITLE = 'Lens calibration'


def write(folder: Path, numbers: dict, command: str, points: dict | None = None) -> Path:
    """Write index.html into a folder; returns its path. numbers: what goes into the JSON. points: with depth, arrays
    `inverse` (1/m) and `read` (px) of the readings, and `told` and `fitted` (px), what the lens would have them be."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    page = PAGE.replace('Depth from defocus: evaluation', TITLE)
    page = page.replace('Depth is compared in metres, never rescaled to the ground truth.', '')
    page = page.replace('<h2>Errors</h2>', '<h2>What was found</h2>').replace('<h2>Frames</h2>', '')
    rows = [(name, value) for name, value in numbers.items() if isinstance(value, (int, float, str))]
    text = Template(page).substitute(
        summary=f'{numbers["mode"]}, {numbers["frames"]} frames: {numbers["quality"]}',
        tiles='',
        notes=''.join(f'<p class="note">{escape(note)}</p>' for note in numbers['notes']),
        table=''.join(
            f'<tr><th scope="row">{escape(name)}</th><td>{escape(shown(value))}</td></tr>' for name, value in rows
        ),
        plots=f'<div class="plots"><figure class="plot">{_plot(points)}</figure></div>' if points else '',
        frames='',
        comparison='',
        cards='',
        script='',
        command=escape(command),
    )
    path = folder / 'index.html'
    path.write_text(text, encoding='utf-8')
    return path


def shown(value) -> str:
    """A number with four digits, or the text."""
    return f'{value:.4g}' if isinstance(value, float) else str(value)


def _plot(points: dict) -> str:
    order = np.argsort(points['inverse'])

    def draw(axes):
        axes.plot(points['inverse'], points['read'], '.', color=INK, alpha=0.4, label='blur as read')
        axes.plot(points['inverse'][order], points['told'][order], '.', color=ORANGE, label='lens as told')
        axes.plot(points['inverse'][order], points['fitted'][order], '.', color=BLUE, label='lens as fitted')
        axes.set_xlabel('1 / depth [1/m]')
        axes.set_ylabel('|CoC| [px]')

    return svg(draw)
