"""The thin lens against the equations by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfd_depth_ros.optics.lens import Lens, LensError, check_units

DSLR = {'focal_length_m': 0.035, 'f_number': 2.8, 'pixel_pitch_m': 3.6e-5}


def test_coc_by_hand():
    lens = Lens.focused_at(1.65, **DSLR)
    aperture = 0.035 / 2.8
    gain = aperture * 0.035 * 1.65 / ((1.65 - 0.035) * 3.6e-5)
    assert lens.gain == pytest.approx(gain, rel=1e-12)
    assert lens.coc(1 / 4.0) == pytest.approx(gain * (1 / 1.65 - 1 / 4.0))
    assert lens.coc(1 / 4.0) > 0 > lens.coc(1 / 1.0)
    assert abs(lens.coc(1 / 1.0)) == pytest.approx(5.0, abs=0.15)  # the figure of the DSLR data set at 1 m


def test_coc_is_the_diameter_that_rays_make():
    """Trace the two rim rays of a point to the sensor instead of using the formula."""
    lens, depth = Lens.focused_at(2.0, **DSLR), 0.9
    sensor = 1 / (1 / lens.focal_length_m - 1 / 2.0)
    image = 1 / (1 / lens.focal_length_m - 1 / depth)
    spot = lens.aperture_m * abs(sensor - image) / image
    assert abs(lens.coc(1 / depth)) == pytest.approx(spot / lens.pixel_pitch_m, rel=1e-9)


def test_infinity_is_a_finite_number():
    lens = Lens(focus_dioptre=0.0, **DSLR)
    assert lens.focus_distance_m == math.inf
    assert lens.gain == pytest.approx(0.035**2 / 2.8 / 3.6e-5)
    assert lens.coc(0.0) == 0
    assert Lens.focused_at(math.inf, **DSLR) == lens


@given(depth=st.floats(0.1, 100), focus=st.floats(0.1, 100), number=st.floats(0.95, 22))
def test_coc_and_inverse_depth_undo_each_other(depth, focus, number):
    lens = Lens.focused_at(focus, focal_length_m=0.05, f_number=number, pixel_pitch_m=1e-5)
    assert lens.inverse_depth(lens.coc(1 / depth)) == pytest.approx(1 / depth, rel=1e-6, abs=1e-9)


def test_arrays_go_through():
    lens = Lens.focused_at(1.0, **DSLR)
    inverse = np.array([[0.5, 1.0], [2.0, np.nan]])
    np.testing.assert_allclose(lens.inverse_depth(lens.coc(inverse)), inverse)


def test_blur_in_pixels_shrinks_with_the_picture():
    lens = Lens.focused_at(1.0, **DSLR)
    assert lens.resized(0.5).coc(0.2) == pytest.approx(lens.coc(0.2) / 2)


@pytest.mark.parametrize(
    'change, message',
    [
        ({'focal_length_m': math.nan}, 'lens focal_length_m is nan; it must be a finite number'),
        ({'f_number': math.inf}, 'lens f_number is inf; it must be a finite number'),
        ({'f_number': 0}, 'lens f_number is 0; it must be above zero'),
        ({'pixel_pitch_m': -1e-6}, 'lens pixel_pitch_m is -1e-06; it must be above zero'),
        ({'focus_dioptre': -0.5}, 'lens focus_dioptre is -0.5; it must not be negative'),
        ({'focus_dioptre': 50}, 'focus distance 0.02 m lies inside the focal length 0.035 m'),
        ({'side': 'left'}, "lens side is 'left'; it must be one of both, behind, front"),
    ],
)
def test_what_no_lens_can_be(change, message):
    with pytest.raises(LensError) as error:
        Lens(**DSLR | {'focus_dioptre': 0.5} | change)
    assert str(error.value) == message


def test_dict_and_back():
    lens = Lens(focus_dioptre=0.5, side='behind', **DSLR)
    assert Lens.from_dict(lens.to_dict()) == lens
    assert Lens.from_dict(DSLR | {'focus_distance_m': 2, 'colour': 'black'}) == Lens(focus_dioptre=0.5, **DSLR)


@pytest.mark.parametrize(
    'values, message',
    [
        ({'f_number': 2}, 'lens has no focal_length_m, pixel_pitch_m'),
        (DSLR, 'lens has neither focus_dioptre nor focus_distance_m'),
        (DSLR | {'focus_distance_m': 'near'}, "lens focus_distance_m is 'near'; it must be a number"),
        (DSLR | {'focus_distance_m': 0}, 'focus distance is 0.0 m; it must be above zero'),
        (
            {'focal_length_m': 35},
            'lens focal_length_m is 35; it must lie between 0.0005 and 1.2 m; did you mean 0.035?',
        ),
        (
            {'focal_length_m': 4.74},
            'lens focal_length_m is 4.74; it must lie between 0.0005 and 1.2 m; did you mean 0.00474?',
        ),
        (
            {'pixel_pitch_m': 3.45},
            'lens pixel_pitch_m is 3.45; it must lie between 2e-07 and 0.0005 m; did you mean 3.45e-06?',
        ),
        (
            {'pixel_pitch_m': 0.00345},
            'lens pixel_pitch_m is 0.00345; it must lie between 2e-07 and 0.0005 m; did you mean 3.45e-06?',
        ),
        (
            {'sensor_pitch_m': '1.4'},
            'lens sensor_pitch_m is 1.4; it must lie between 2e-07 and 0.0005 m; did you mean 1.4e-06?',
        ),
        ({'focal_length_m': 3.5e-5}, 'lens focal_length_m is 3.5e-05; it must lie between 0.0005 and 1.2 m'),
        ({'f_number': 2800}, 'lens f_number is 2800; it must lie between 0.3 and 300'),
        (
            {'focus_dioptre': 0.5, 'focus_distance_m': 3.0},
            'lens focus_dioptre is 0.5 and focus_distance_m is 3, which is 0.333333 dioptre: they disagree',
        ),
        (
            {'focus_dioptre': 0.5, 'focus_distance_m': 2000.0},
            'lens focus_dioptre is 0.5 and focus_distance_m is 2000, which is 0.0005 dioptre: they disagree; '
            'did you mean focus_distance_m 2?',
        ),
        (
            {'focus_dioptre': 0.5, 'focus_distance_m': 0.0},
            'lens focus_dioptre is 0.5 and focus_distance_m is 0, which is inf dioptre: they disagree',
        ),
    ],
)
def test_mappings_that_are_no_lens(values, message):
    whole = {} if values in (DSLR, {'f_number': 2}) else DSLR
    with pytest.raises(LensError) as error:
        Lens.from_dict(whole | values)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ('dioptre', 'distance'), [(0.5, 2.0), (0.5, 2.05), (0.0, float('inf')), (0.01, 80.0), (8, 0.13)]
)
def test_a_focus_told_twice_alike_is_taken_in_dioptres(dioptre, distance):
    told_twice = DSLR | {'focus_dioptre': dioptre, 'focus_distance_m': distance}
    assert Lens.from_dict(told_twice).focus_dioptre == dioptre


def test_every_lens_from_a_phone_to_a_telescope_passes():
    for focal_length_m, pitch in ((0.0015, 7e-7), (0.00474, 2.8e-6), (0.05, 5e-5), (0.8, 1e-5), (0.035, 3e-4)):
        check_units({'focal_length_m': focal_length_m, 'pixel_pitch_m': pitch, 'f_number': 1.4})
    check_units({'focal_length_m': -35, 'f_number': float('nan')})  # these are for Lens to name
