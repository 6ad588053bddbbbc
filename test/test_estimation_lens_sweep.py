"""A lens fitted to a focus sweep without depth, and what is no sweep."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from dfd_depth_ros.estimation import lens_sweep
from dfd_depth_ros.estimation.blur import BlurReading, BlurTable
from dfd_depth_ros.estimation.lens_readings import CalibrationDataError
from dfd_depth_ros.optics.lens import Lens
from dfd_depth_ros.scenes.frame import Frame

LENS = Lens(0.007, 1.85, 7e-6, 1.0)
COCS = np.array([0.0, 2.0, 8.0, 16.0])
TABLE = BlurTable(COCS, COCS, 0.3 + 0 * COCS, 0.5 + 0 * COCS)
TOLD = (2.8, 2.0, 1.2, 0.7, 0.4)


def texture(seed=0):
    rng = np.random.default_rng(seed)
    coarse = cv2.resize(rng.random((16, 24, 3)).astype(np.float32), (384, 256), interpolation=cv2.INTER_CUBIC)
    return np.uint8(np.clip(150 * coarse + rng.normal(40, 25, coarse.shape), 0, 245))


def sweep(told=TOLD, seeds=(0,) * 9):
    return [
        Frame(f'{number}.png', texture(seed), replace(LENS, focus_dioptre=focus))
        for number, (focus, seed) in enumerate(zip(told, seeds, strict=False))
    ]


@pytest.fixture
def reader(monkeypatch):
    """Reads the CoC of a lens with a gain 1.25 times as large, over cells at many depths, in the order of the calls."""
    inverse = np.linspace(0.1, 3.0, 64 * 96).reshape(64, 96)
    calls = iter(TOLD)

    def read(model, image):
        lens = replace(LENS, focus_dioptre=next(calls))
        return BlurReading(np.abs(1.25 * lens.coc(inverse)), np.ones((64, 96), bool), 1.0, 0.0)

    monkeypatch.setattr(lens_sweep, 'read_blur', read)


def test_gain_from_a_sweep(reader):
    found = lens_sweep.fit_sweep(sweep(), None, TABLE)
    assert np.exp(found.log_gain) == pytest.approx(1.25, rel=0.03)
    assert found.base_px < 1 and found.after < found.before


def test_costs_are_those_of_one_cell_at_a_time():
    gain, told, reading = np.array([5.0, 6.0]), np.array([1.0, 2.0]), np.array([[1.0, 2.0], [3.0, 0.5]])
    costs = lens_sweep._costs(gain, told, reading, TABLE, 0.1, 0.2)
    for cell in range(2):
        for place in (0, 50, 100):
            expected = 0.0
            for frame in range(2):
                coc = np.hypot(gain[frame] * np.exp(0.1) * (told[frame] - lens_sweep.DEPTHS[place]), 0.2)
                wrong = (reading[frame, cell] - TABLE.read(coc)) / 0.3
                expected += 2 * (np.sqrt(1 + wrong**2) - 1) + 2 * np.log(0.3)
            assert costs[cell, place] == pytest.approx(expected)


def test_breathing_is_registered():
    first, other = sweep((0.0, 3.0))
    zoom = lens_sweep._breathing(first, other)
    assert zoom == pytest.approx(1 / (1 - 0.007 * 3.0))
    centre = (np.array(first.image.shape[1::-1]) - 1) / 2
    warp = np.column_stack([np.eye(2) * zoom, centre - zoom * centre])
    other = replace(other, image=cv2.warpAffine(first.image, warp, first.image.shape[1::-1]))
    found, alike = lens_sweep._alignment(first, other)
    assert alike > 0.95 and np.linalg.det(found[:, :2]) == pytest.approx(zoom**2, rel=0.005)


@pytest.mark.parametrize(
    'frames, message',
    [
        (
            sweep((1.0, 1.0, 2.0)),
            'there is no depth and no focus sweep: 2 focus settings, 3 are the least; give depth with the frames, or '
            'record a static scene at 5 settings and more',
        ),
        (
            sweep((1.0, 1.1, 1.2)),
            'the focus sweep changes blur by 0.76 px, 2 px are the least; turn the focus further',
        ),
    ],
)
def test_no_sweep(frames, message):
    with pytest.raises(CalibrationDataError) as error:
        lens_sweep.fit_sweep(frames, None, TABLE)
    assert str(error.value) == message


def test_a_moving_scene(reader):
    with pytest.raises(CalibrationDataError) as error:
        lens_sweep.fit_sweep(sweep(seeds=(0, 1, 2, 3, 4)), None, TABLE)
    text = str(error.value)
    assert text.startswith('the scene or the camera moves: 1.png and 0.png correlate by ')
    assert text.endswith(' after registration, 0.75 is the least; use a tripod and a scene that stands still')


def test_frames_of_two_sizes(reader):
    frames = sweep()
    frames[1] = replace(frames[1], image=frames[1].image[:128])
    with pytest.raises(CalibrationDataError) as error:
        lens_sweep.fit_sweep(frames, None, TABLE)
    assert str(error.value) == '1.png has another size than 0.png; a sweep needs one size'


def test_no_texture(monkeypatch):
    nothing = BlurReading(np.ones((64, 96)), np.zeros((64, 96), bool), 0.0, 0.0)
    monkeypatch.setattr(lens_sweep, 'read_blur', lambda model, image: nothing)
    with pytest.raises(CalibrationDataError) as error:
        lens_sweep.fit_sweep(sweep(), None, TABLE)
    assert str(error.value) == (
        '0 places show texture at every focus, 30 are the least; choose a scene with fine texture at several distances'
    )
