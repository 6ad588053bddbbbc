"""A lens fitted to readings of blur: recovered from made-up readings, with its uncertainty, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest

from dfd_depth_ros.estimation import lens_fit, lens_readings
from dfd_depth_ros.estimation.blur import BlurReading, BlurTable
from dfd_depth_ros.optics.lens import Lens
from dfd_depth_ros.scenes.frame import Frame
from dfd_depth_ros.scenes.simulated import true_lens

LENS = Lens.focused_at(1.0, focal_length_m=0.025, f_number=2.8, pixel_pitch_m=1.4e-5)
COCS = np.array([0.0, 1.0, 2.0, 4.0, 8.0, 16.0])
TABLE = BlurTable(COCS, 0.9 * COCS + 0.4, 0.3 + 0.05 * COCS, 0.5 + 0.1 * COCS)


def readings(true, told=LENS, frames=16, noise=0.05, focuses=(1.0,), spread=8.0, low=-1.0, seed=0):
    """What a reader with TABLE sees of boards at several distances, seen through `true` while `told` is told."""
    rng, rows = np.random.default_rng(seed), []
    for number in range(frames):
        scale = focuses[number % len(focuses)]
        focused = replace(true, focus_dioptre=true.focus_dioptre * scale)
        says = replace(told, focus_dioptre=told.focus_dioptre * scale)
        inverse = focused.focus_dioptre + (low + (1 - low) * number / (frames - 1)) * spread / focused.gain
        seen = float(TABLE.read(abs(focused.coc(inverse)))) + rng.normal(0, noise)
        rows.append((number, says.gain, says.focus_dioptre, inverse, rng.uniform(0, 1), seen, 4.0))
    return lens_fit.Readings(*np.array(rows).T)


@pytest.mark.parametrize('f_number, focus', [(0.0, 0.0), (-0.2, -0.1), (0.2, 0.08)])
def test_a_wrong_lens_is_recovered(f_number, focus):
    true = true_lens(LENS, f_number, focus)
    seen = readings(true)
    found = lens_fit.fit(seen, TABLE, bootstraps=20)
    lens = lens_fit.calibrated(LENS, found)
    assert lens.gain == pytest.approx(true.gain, rel=0.03)
    assert lens.focus_dioptre == pytest.approx(true.focus_dioptre, rel=0.01)
    assert found.after < 0.1 and (f_number == 0 or found.after < found.before / 5)
    assert lens.quality == 'APPROXIMATE'  # because a network read the blur
    assert lens_fit.calibrated(LENS, replace(found, reader=0.0)).quality == 'CALIBRATED'


def test_uncertainty_covers_the_error_and_grows_with_noise():
    true = true_lens(LENS, -0.15, 0.0)
    quiet, loud = (lens_fit.fit(readings(true, noise=noise), TABLE, bootstraps=20) for noise in (0.03, 0.6))
    assert loud.sigmas['log_gain'] > 2 * quiet.sigmas['log_gain']
    truth = np.log(true.gain / LENS.gain)
    assert abs(loud.values['log_gain'] - truth) < 3 * lens_fit.gain_sigma(loud)


def test_scale_and_offset_are_told_apart_by_several_focuses():
    true = replace(LENS, focus_dioptre=1.1)
    one = lens_fit.fit(readings(true), TABLE, bootstraps=0)
    assert one.values['focus_offset'] == one.sigmas['focus_offset'] == 0
    several = lens_fit.fit(readings(true, frames=40, focuses=(0.6, 1.0, 1.5, 2.0)), TABLE, bootstraps=0)
    assert several.sigmas['focus_offset'] > 0
    assert several.focus(1.0) == pytest.approx(1.1, rel=0.01) and several.focus(2.0) == pytest.approx(2.2, rel=0.01)


def test_outliers_count_little():
    seen = readings(true_lens(LENS, -0.2, 0.0), frames=24)
    seen.magnitude[::8] = 0.5
    gain = lens_fit.calibrated(LENS, lens_fit.fit(seen, TABLE, bootstraps=0)).gain
    assert gain == pytest.approx(true_lens(LENS, -0.2, 0.0).gain, rel=0.08)


def test_expected_is_the_formula_of_one_reading():
    seen = readings(LENS, frames=3)
    values = lens_fit.NOTHING | {'log_gain': 0.1, 'focus_scale': 1.05, 'base_px': 1.0, 'radial': 0.2}
    read, spread = lens_fit.expected(values, seen, TABLE)
    for index in range(3):
        gain = LENS.gain * np.exp(0.1) * (1 + 0.2 * seen.radius[index] ** 2)
        coc = np.hypot(gain * (1.05 * 1.0 - seen.inverse[index]), 1.0)
        assert read[index] == pytest.approx(TABLE.read(coc)) and spread[index] == pytest.approx(TABLE.spread(coc))


@pytest.mark.parametrize(
    'sigma, focus, word',
    [
        (0.01, 0.0, 'CALIBRATED'),
        (0.1, 0.0, 'APPROXIMATE'),
        (0.01, 1 / LENS.gain, 'APPROXIMATE'),
        (0.3, 0.0, 'UNCALIBRATED'),
    ],
)
def test_quality(sigma, focus, word):
    sigmas = dict.fromkeys(lens_fit.NAMES, 0.0) | {'log_gain': sigma, 'focus_offset': focus}
    found = lens_fit.LensFit(lens_fit.NOTHING, sigmas, 0.0, 1.0, 1.0, reader=0.0)
    assert lens_fit.quality(LENS, found) == word


def test_a_corrected_gain_leaves_the_focus():
    lens, sigma = lens_fit.corrected_gain(LENS, 0.1, 0.03)
    assert lens.gain == pytest.approx(LENS.gain * np.exp(0.1)) and lens.focus_dioptre == LENS.focus_dioptre
    assert lens.gain_sigma == sigma == pytest.approx(np.hypot(0.03, lens_fit.READER_SIGMA))
    assert lens.quality == 'APPROXIMATE'


# Readings of frames, with a reader that sees the truth


@pytest.fixture
def reader(monkeypatch):
    """Reads 2 px everywhere, usable where the picture is not black."""

    def read(model, image):
        cells = image[::4, ::4, 0]
        return BlurReading(np.full(cells.shape, 2.0), cells > 0, float((cells > 0).mean()), float((cells > 250).mean()))

    monkeypatch.setattr(lens_readings, 'read_blur', read)


def frame(value=100, depth=1.5, **changes):
    image = np.full((64, 96, 3), value, np.uint8)
    return replace(Frame('f.png', image, LENS, np.full((64, 96), depth, np.float32)), **changes)


def test_gathered_readings(reader):
    seen, left_out = lens_readings.gather([frame(depth=depth) for depth in (0.8, 1.0, 1.5)], None)
    assert left_out == [] and seen.frame.tolist() == [0, 1, 2]
    assert seen.inverse.tolist() == pytest.approx([1 / 0.8, 1.0, 1 / 1.5]) and set(seen.magnitude) == {2.0}
    assert set(seen.gain) == {LENS.gain} and ((seen.radius > 0) & (seen.radius < 1)).all()


def test_edges_and_unknown_depth_are_left_out(reader):
    depth = np.full((64, 96), 1.5, np.float32)
    depth[:, 48:], depth[:20] = 0.7, np.nan
    seen, _ = lens_readings.gather([frame(depth=depth)], None)
    assert sorted(set(np.round(1 / seen.inverse, 3))) == [0.7, 1.5]


SATURATED = 'f.png is saturated in 100% of its pixels; shorten the exposure'
PLAIN = (
    'f.png has texture in 0% of its pixels, 5% are the least; use a target with fine print or a random pattern, in '
    'good light'
)
HOLES = 'f.png has no texture where its depth is known and even; fill the picture with the target'


@pytest.mark.parametrize(
    'bad, message',
    [
        (frame(255), SATURATED),
        (frame(0), PLAIN),
        (frame(depth=np.nan), HOLES),
        (frame(lens=None), 'f.png has no lens; write what is told of it, or give one with --lens FILE'),
        (frame(image=None), 'f.png has no image; a lens is calibrated with its own pictures'),
    ],
)
def test_bad_frames(reader, bad, message):
    with pytest.raises(lens_readings.CalibrationDataError) as error:
        lens_readings.gather([bad], None)
    assert str(error.value) == message


def test_one_bad_frame_among_good_ones_is_named(reader):
    _, left_out = lens_readings.gather([frame(), frame(255), frame(depth=2.0)], None)
    assert left_out == [SATURATED]


def test_nothing_to_gather(reader):
    with pytest.raises(lens_readings.CalibrationDataError) as error:
        lens_readings.gather([], None)
    assert str(error.value) == 'there is no frame with depth'


def test_too_few_distances(reader):
    seen, _ = lens_readings.gather([frame(depth=1.0), frame(depth=1.005), frame(depth=2.0)], None)
    with pytest.raises(lens_readings.CalibrationDataError) as error:
        lens_readings.check(seen, TABLE)
    assert str(error.value) == (
        'the frames show 2 distinct distances; 3 are the least, 6 to 10 from near to far are better, some in front of '
        'focus and some behind it'
    )


def test_too_little_blur(reader):
    seen, _ = lens_readings.gather([frame(depth=depth) for depth in (1.0, 1.02, 1.04)], None)
    with pytest.raises(lens_readings.CalibrationDataError) as error:
        lens_readings.check(seen, TABLE)
    assert str(error.value) == (
        'blur spans 0.63 px over all frames, 1 px are the least; record from nearer to farther, open the aperture, or '
        'keep more pixels'
    )


@pytest.mark.parametrize('low, word', [(0.0, 'in front of'), (None, 'behind'), (-1.0, '')])
def test_one_side_of_focus(low, word):
    seen = readings(LENS, low=0.1) if low == 0.0 else readings(LENS, low=-1.0)
    seen = seen.where(seen.inverse < 0.9) if low is None else seen
    notes = lens_readings.check(seen, TABLE)
    assert len(notes) == bool(word) and all(f'all distances lie {word} focus: gain and focus' in note for note in notes)
