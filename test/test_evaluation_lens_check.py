"""A fitted lens is judged by the depth of frames that did not fit it."""

from types import SimpleNamespace

import numpy as np
import pytest

from dfd_depth_ros.estimation import lens_fit
from dfd_depth_ros.estimation.blur import BlurTable
from dfd_depth_ros.evaluation import lens_check
from dfd_depth_ros.optics.lens import Lens
from dfd_depth_ros.scenes.frame import Frame
from dfd_depth_ros.scenes.simulated import true_lens

TOLD = Lens.focused_at(1.0, focal_length_m=0.025, f_number=2.8, pixel_pitch_m=1.4e-5)
COCS = np.array([0.0, 1.0, 2.0, 4.0, 8.0, 16.0])
TABLE = BlurTable(COCS, 0.9 * COCS + 0.4, 0.3 + 0.05 * COCS, 0.5 + 0.1 * COCS)


class Reader:
    """Reads the signed CoC that stands in the picture."""

    def estimate(self, image, lens):
        coc = image.astype(float)[..., 0] - 100
        return SimpleNamespace(depth=1 / (lens.focus_dioptre - coc / lens.gain))


def filmed(true, count=12, too_much=1.0):
    """Flat walls through a lens of which TOLD is told, and readings of their blur, so many times the true one."""
    frames, rows = [], []
    for number in range(count):
        coc = 2 * number - 8
        inverse = true.inverse_depth(coc)
        image = np.full((4, 4, 3), 100 + coc, np.uint8)
        frames.append(Frame(f'{number}', image=image, depth=np.full((4, 4), 1 / inverse), lens=TOLD))
        seen = TABLE.read(too_much * abs(coc))
        rows.append((number, TOLD.gain, TOLD.focus_dioptre, inverse, 0.0, float(seen), 4.0))
    return frames, lens_fit.Readings(*np.array(rows, float).T)


def test_a_wrong_lens_that_is_found_gives_better_depth():
    frames, readings = filmed(true_lens(TOLD, -0.2, -0.1))
    found = lens_check.check(frames, readings, TABLE, Reader())
    assert found.told > 0.1 and found.fitted < 0.02 and not found.is_worse
    assert found.told - found.fitted > 2 * found.doubt


def test_a_reader_of_too_much_blur_makes_a_right_lens_wrong():
    frames, readings = filmed(TOLD, too_much=1.3)
    found = lens_check.check(frames, readings, TABLE, Reader())
    assert found.told == pytest.approx(0, abs=1e-6) and found.fitted > 0.02 and found.is_worse


def test_a_frame_is_judged_by_the_other_half():
    frames, readings = filmed(TOLD)
    readings.magnitude[::2] *= 1.4  # of the first half
    first, second = (
        np.mean([abs(lens_fit.calibrated(TOLD, fit).gain / TOLD.gain - 1)])
        for fit in (lens_fit.fit(readings.where(readings.frame % 2 == half), TABLE, bootstraps=0) for half in (0, 1))
    )
    assert first > 0.1 > 0.01 > second
    only_even = [frame if number % 2 == 0 else None for number, frame in enumerate(frames)]
    used = readings.where(readings.frame % 2 == 0)
    assert lens_check.check(only_even, used, TABLE, Reader()) is None  # nothing to fit the lens with
    found = lens_check.check(frames, readings, TABLE, Reader())
    assert 0.02 < found.fitted < 0.2


@pytest.mark.parametrize('count', [1, 7])
def test_too_few_frames_are_not_halved(count):
    frames, readings = filmed(TOLD, count)
    assert lens_check.check(frames, readings, TABLE, Reader()) is None
