"""Frames with depth to readings of blur, and the reasons why some frames cannot calibrate a lens."""

from collections.abc import Iterable

import numpy as np

from dfd_depth_ros.estimation.blur import STRIDE, BlurTable, cell_means, cell_range, read_blur
from dfd_depth_ros.estimation.lens_fit import Readings
from dfd_depth_ros.scenes.frame import Frame

BINS = 16  # of inverse depth in a frame
FEWEST = 12  # usable cells in a bin
FLAT = 0.03  # relative range of depth within a cell and its neighbours
TEXTURE, SATURATED = 0.05, 0.5  # least and largest share of a picture
DISTANCES = 3  # distinct ones that are needed
BLUR_SPAN_PX = 1.0  # of CoC, that the distances must span
INDEPENDENT = 40  # cells of a bin that stand for one independent reading: they see one another's neighbourhood


class CalibrationDataError(ValueError):
    """Frames that no lens can be calibrated with; the message says why and what to do."""


class _UnfitFrameError(ValueError):
    """A single frame that tells nothing; the message says why."""


def gather(frames: Iterable[Frame], model) -> tuple[Readings, list[str]]:
    """Median readings of each frame by inverse depth, and a sentence for each frame that is left out, because it has no
    texture or is saturated. Raises CalibrationDataError for a frame without lens or image, and where none is left."""
    rows, left_out = [], []
    for number, frame in enumerate(frames):
        try:
            rows += _of_frame(frame, number, model)
        except _UnfitFrameError as reason:
            left_out.append(str(reason))
    if not rows:
        raise CalibrationDataError(left_out[0] if left_out else 'there is no frame with depth')
    return Readings(*np.array(rows, float).T), left_out


def check(readings: Readings, table: BlurTable) -> list[str]:
    """Sentences about what these readings leave open. Raises CalibrationDataError where they are too few."""
    distances = np.unique(np.round(np.log(readings.inverse) / 0.02))
    if len(distances) < DISTANCES:
        raise CalibrationDataError(
            f'the frames show {len(distances)} distinct distances; {DISTANCES} are the least, 6 to 10 from near to far '
            'are better, some in front of focus and some behind it'
        )
    coc = readings.gain * (readings.told - readings.inverse)
    if np.ptp(coc) < BLUR_SPAN_PX:
        raise CalibrationDataError(
            f'blur spans {np.ptp(coc):.2g} px over all frames, {BLUR_SPAN_PX:g} px are the least; record from nearer '
            'to farther, open the aperture, or keep more pixels'
        )
    notes = []
    if (coc > -0.5).all() or (coc < 0.5).all():
        side = 'behind' if (coc > -0.5).all() else 'in front of'
        notes.append(
            f'all distances lie {side} focus: gain and focus are then hard to tell apart, and what is sure is the blur '
            f'between {1 / readings.inverse.max():.2g} and {1 / readings.inverse.min():.2g} m; record some on the '
            'other side'
        )
    if np.quantile(np.abs(coc), 0.1) > table.coc_px[-3]:
        notes.append('most of the blur is larger than the networks read well; focus nearer to the target')
    return notes


def _of_frame(frame: Frame, number: int, model):
    if frame.lens is None:
        raise CalibrationDataError(f'{frame.name} has no lens; write what is told of it, or give one with --lens FILE')
    if frame.image is None:
        raise CalibrationDataError(f'{frame.name} has no image; a lens is calibrated with its own pictures')
    if frame.depth is None:
        raise _UnfitFrameError(f'{frame.name} has no depth; give a measured distance, or use --mode sweep')
    height, width = (side - side % STRIDE for side in frame.image.shape[:2])
    reading = read_blur(model, frame.image)
    if reading.saturated > SATURATED:
        raise _UnfitFrameError(
            f'{frame.name} is saturated in {reading.saturated:.0%} of its pixels; shorten the exposure'
        )
    if reading.textured < TEXTURE:
        raise _UnfitFrameError(
            f'{frame.name} has texture in {reading.textured:.0%} of its pixels, {TEXTURE:.0%} are the least; use a '
            'target with fine print or a random pattern, in good light'
        )
    depth = frame.depth[:height, :width].astype(np.float32)
    inverse = cell_means(np.where(depth > 0, 1 / np.maximum(depth, 1e-6), np.nan))
    steep = cell_range(np.where(depth > 0, np.log(np.maximum(depth, 1e-6)), 99.0).astype(np.float32)) > FLAT
    y, x = np.mgrid[: inverse.shape[0], : inverse.shape[1]]
    radius = np.hypot(x / inverse.shape[1] - 0.5, y / inverse.shape[0] - 0.5) / np.sqrt(0.5)
    good = reading.usable & np.isfinite(inverse) & ~steep
    if good.sum() < FEWEST:
        raise _UnfitFrameError(
            f'{frame.name} has no texture where its depth is known and even; fill the picture with the target'
        )
    level = np.quantile(inverse[good], np.linspace(0, 1, BINS + 1))
    places = np.searchsorted(np.unique(level)[1:-1], inverse, side='right')
    for place in np.unique(places[good]):
        here = good & (places == place)
        count = int(here.sum())
        if count >= FEWEST:
            values = (np.median(array[here]) for array in (inverse, radius, reading.magnitude))
            yield number, frame.lens.gain, frame.lens.focus_dioptre, *values, min(count / INDEPENDENT, 8.0)
