"""Focus breathing: the thin lens by hand and by ray tracing on paper, measured tables, and what is none."""

import pytest

from dfd_depth_ros.optics.breathing import checked, growth, relative_growth
from dfd_depth_ros.optics.lens import LensError

TABLE = ((0.0, 1.0), (1.0, 0.99), (4.0, 0.93))


def image_distance(focal_length_m, focus_distance_m):
    """v of 1/v + 1/s = 1/f."""
    return 1 / (1 / focal_length_m - 1 / focus_distance_m)


@pytest.mark.parametrize('focus_distance_m', [0.2, 0.5, 2.0, 100.0])
def test_a_thin_lens_grows_as_its_image_distance(focus_distance_m):
    expected = image_distance(0.05, focus_distance_m) / 0.05
    assert growth('thin_lens', 1 / focus_distance_m, 0.05) == pytest.approx(expected)


def test_by_hand():
    # f = 50 mm at 0.3 m: v = 50 * 300 / 250 = 60 mm, 1.2 times the focal length.
    assert growth('thin_lens', 1 / 0.3, 0.05) == pytest.approx(1.2)
    # At the same distance the macro scale 1:1 of a 50 mm lens is s = 100 mm, v = 100 mm.
    assert growth('thin_lens', 10.0, 0.05) == pytest.approx(2.0)


def test_at_infinity_nothing_grows():
    assert growth('thin_lens', 0.0, 0.05) == growth('none', 3.0, 0.05) == growth(TABLE, 0.0, 0.05) == 1.0


def test_a_table_is_read_between_its_rows_and_held_beyond_them():
    assert growth(TABLE, 2.5, 0.05) == pytest.approx(0.96)
    assert growth(TABLE, 9.0, 0.05) == 0.93


def test_relative_to_the_focus_of_the_calibration():
    # A phone lens of 4.74 mm that was calibrated at half a metre, now at 10 cm: 1 - 0.00948 over 1 - 0.0474.
    assert relative_growth('thin_lens', 10.0, 2.0, 0.00474) == pytest.approx(0.99052 / 0.9526)
    assert relative_growth('thin_lens', 2.0, 2.0, 0.05) == 1.0
    assert relative_growth(TABLE, 0.0, 4.0, 0.05) == pytest.approx(1 / 0.93)


@pytest.mark.parametrize(
    'said, understood',
    [
        (None, 'none'),
        ('none', 'none'),
        ('thin_lens', 'thin_lens'),
        ({0.0: 1.0, 4: 0.93, 1.0: 0.99}, TABLE),
        ([[0, 1], [1, 0.99], [4, 0.93]], TABLE),
    ],
)
def test_what_a_lens_file_may_say(said, understood):
    assert checked(said) == understood


@pytest.mark.parametrize('said', ['backwards', {0.0: 1.0}, [1, 2], {0.0: -1.0, 1.0: 1.0}, {'x': 1, 'y': 2}, 3])
def test_what_is_no_breathing(said):
    with pytest.raises(LensError) as error:
        checked(said)
    assert str(error.value) == (
        f'lens breathing is {said!r}; it must be none, thin_lens or a table of at least two dioptres with the fx there '
        'relative to infinity'
    )


def test_a_table_with_a_dioptre_twice():
    with pytest.raises(LensError) as error:
        checked([[1, 1], [1, 2]])
    assert str(error.value) == 'lens breathing is [[1, 1], [1, 2]]; it has a dioptre twice'
