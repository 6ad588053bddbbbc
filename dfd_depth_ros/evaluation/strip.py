"""One frame as one picture: what the camera saw, what was read from it, and how far that is from the truth."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from dfd_depth_ros.estimation.estimate import Estimate
from dfd_depth_ros.evaluation.gallery import Picture
from dfd_depth_ros.evaluation.pictures import Scale, relative_error, scales
from dfd_depth_ros.scenes.frame import Frame

DOTS_PER_INCH = 110
PANEL_IN = 4.2  # width of a panel in inches
Panel = tuple[str, np.ndarray, Scale | None]  # title, pixels and how they are coloured


def write_strip(path: Path, frame: Frame, estimate: Estimate) -> None:
    """Write a PNG with input, CoC and depth in the first row; sigma and, where there is ground truth, error and truth
    in the second."""
    picture = Picture(frame.name, np.nan, frame.image, estimate.coc, estimate.depth, estimate.sigma, frame.depth)
    by_name, error = scales([picture]), relative_error(picture)
    panels = [
        ('What the camera saw', picture.image, None),
        ('Blur read from it: signed CoC', picture.coc, by_name['coc']),
        ('Depth', picture.depth, by_name['depth']),
        ('Sigma that it claims', picture.sigma, by_name['sigma']),
    ]
    if error is not None:
        panels += [_error_panel('Error', error, by_name), ('True depth', picture.truth, by_name['depth'])]
    _write(path, panels)


def write_comparison(path: Path, frame: Frame, before: Estimate, after: Estimate) -> None:
    """Write a PNG of one frame read in two ways: input and both depths in the first row; truth and both errors in the
    second, where there is ground truth, else the CoC and both sigmas."""
    pictures = [
        Picture(frame.name, np.nan, frame.image, estimate.coc, estimate.depth, estimate.sigma, frame.depth)
        for estimate in (before, after)
    ]
    by_name = scales(pictures)
    times = ('before', 'after')
    panels: list[Panel] = [('What the camera saw', frame.image, None)]
    panels += [
        (f'Depth {when}', picture.depth, by_name['depth']) for when, picture in zip(times, pictures, strict=True)
    ]
    if frame.depth is None:
        panels.append(('Signed CoC after', after.coc, by_name['coc']))
        panels += [(f'Sigma {when}', p.sigma, by_name['sigma']) for when, p in zip(times, pictures, strict=True)]
    else:
        panels.append(('True depth', frame.depth, by_name['depth']))
        panels += [
            _error_panel(f'Error {when}', relative_error(picture), by_name)
            for when, picture in zip(times, pictures, strict=True)
        ]
    _write(path, panels)


def _error_panel(title, error, by_name):
    return (f'{title}, {np.nanmean(np.abs(error)):.1%} on average', 100 * error, by_name['error'])


def _write(path, panels):
    height, width = panels[0][1].shape[:2]
    rows, columns = 2, len(panels) // 2
    size = (columns * PANEL_IN, rows * (0.87 * PANEL_IN * height / width + 0.35))
    figure = Figure(figsize=size, layout='constrained', facecolor='white')
    figure.get_layout_engine().set(wspace=0.04, hspace=0.04)
    for axis, panel in zip(figure.subplots(rows, columns).flat, panels, strict=True):
        _draw(figure, axis, *panel)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=DOTS_PER_INCH)


def _draw(figure, axis, title, pixels, scale):
    axis.set_title(title, fontsize=11, loc='left')
    axis.set(xticks=[], yticks=[], facecolor='0.5')
    axis.spines[:].set_visible(False)
    if scale is None:
        axis.imshow(pixels)
        return
    shown = axis.imshow(np.ma.masked_invalid(pixels), cmap=scale.colours, norm=scale.norm, interpolation='nearest')
    bar = figure.colorbar(shown, cax=axis.inset_axes((1.02, 0, 0.035, 1)))
    bar.outline.set_visible(False)
    bar.set_ticks(scale.norm.inverse(np.array([0, 0.5, 1])), labels=scale.ticks())
    bar.ax.minorticks_off()
    bar.ax.tick_params(labelsize=8, length=2)
    bar.ax.set_title(scale.unit.split(',')[0].split(' ')[0], fontsize=8, loc='left')
