"""Calibration of an image that was binned, cut out, resized or all of it: by hand, and by following a point."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest

from dfd_depth_ros.optics.distortion import Distortion, DistortionError
from dfd_depth_ros.scenes.calibration import CalibrationError, Reduction, distortion, intrinsics, reduction
from dfd_depth_ros.scenes.frame import Intrinsics

K = (1000.0, 0.0, 960.0, 0.0, 1010.0, 540.0, 0.0, 0.0, 1.0)
PLUMB = (-0.1, 0.01, 0.0, 0.0, 0.0)


def info(**changes):
    """A 1920x1080 camera as CameraInfo says it; roi=(x, y, width, height)."""
    x, y, width, height = changes.pop('roi', (0, 0, 0, 0))
    values = {
        'width': 1920, 'height': 1080, 'k': np.array(K), 'p': np.zeros(12), 'd': (), 'distortion_model': 'plumb_bob',
        'binning_x': 0, 'binning_y': 0,
        'roi': SimpleNamespace(x_offset=x, y_offset=y, width=width, height=height),
    }  # fmt: skip
    return SimpleNamespace(**values | changes)


P = np.array([900.0, 0, 950, 0, 0, 910, 530, 0, 0, 0, 1, 0])


def test_the_full_image():
    assert intrinsics(info(), 1080, 1920) == Intrinsics(1000.0, 1010.0, 960.0, 540.0)
    assert reduction(info(), 1080, 1920) == Reduction() and Reduction().pixels == 1


def test_binned_two_by_two():
    binned = info(binning_x=2, binning_y=2)
    assert intrinsics(binned, 540, 960) == Intrinsics(500.0, 505.0, 480.0, 270.0)
    assert reduction(binned, 540, 960).pixels == 2


def test_a_region_of_interest_moves_the_centre_alone():
    cut = info(roi=(480, 270, 960, 540))
    assert intrinsics(cut, 540, 960) == Intrinsics(1000.0, 1010.0, 480.0, 270.0)
    assert reduction(cut, 540, 960).pixels == 1


def test_a_region_that_is_binned_unequally():
    both = info(roi=(480, 270, 960, 540), binning_x=4, binning_y=2)
    assert intrinsics(both, 270, 240) == Intrinsics(250.0, 505.0, 120.0, 135.0)
    assert reduction(both, 270, 240).pixels == 4


@pytest.mark.parametrize('height, width, factor', [(540, 960, 2), (360, 640, 3), (270, 480, 4), (2160, 3840, 0.5)])
def test_resized_images(height, width, factor):
    found = intrinsics(info(), height, width)
    expected = [value / factor for value in (1000, 1010, 960, 540)]
    np.testing.assert_allclose([found.fx, found.fy, found.cx, found.cy], expected)
    assert reduction(info(), height, width).pixels == pytest.approx(factor)


def test_a_size_that_had_to_be_rounded():
    # 1920x1080 at a width of 500 is 281.25 high: both neighbours may have been chosen.
    for height in (281, 282):
        assert reduction(info(), height, 500).resize == (500 / 1920, height / 1080)


def test_a_driver_that_counts_binning_twice_is_understood():
    # binning is set, and width and height are already those of the binned image, as several drivers have it.
    twice = info(width=960, height=540, binning_x=2, binning_y=2)
    assert intrinsics(twice, 540, 960) == Intrinsics(1000.0, 1010.0, 960.0, 540.0)
    assert reduction(twice, 540, 960).pixels == 1


@pytest.mark.parametrize('seed', range(5))
def test_a_point_keeps_its_ray_through_cutting_binning_and_resizing(seed):
    rng = np.random.default_rng(seed)
    x, y, binning, shrink = *rng.integers(0, 200, 2), *rng.integers(1, 4, 2)
    cut = info(roi=(x, y, 1188, 720), binning_x=binning, binning_y=binning)
    width, height = 1188 // binning // shrink, 720 // binning // shrink
    found = intrinsics(cut, height, width)
    full = rng.uniform(300, 900, 2)
    in_image = (full - (x, y)) / (binning * shrink)
    assert (in_image[0] - found.cx) / found.fx == pytest.approx((full[0] - 960) / 1000)
    assert (in_image[1] - found.cy) / found.fy == pytest.approx((full[1] - 540) / 1010)


@pytest.mark.parametrize('height, width', [(1080, 1900), (480, 640), (1920, 1080)])
def test_what_no_resizing_explains(height, width):
    with pytest.raises(CalibrationError) as error:
        intrinsics(info(), height, width)
    assert str(error.value) == (
        f'camera_info is for 1920x1080 pixels; the image has {width}x{height}, which is no resizing of it'
    )


@pytest.mark.parametrize('value', [0.0, float('nan'), -1.0])
def test_an_uncalibrated_camera(value):
    with pytest.raises(CalibrationError) as error:
        intrinsics(info(k=np.full(9, value)), 1080, 1920)
    assert str(error.value) == f'camera_info is uncalibrated: K[0] is {value:g}'


def test_an_uncalibrated_camera_still_says_how_it_bins():
    assert reduction(info(k=np.zeros(9), binning_x=2, binning_y=2), 540, 960).pixels == 2


def test_a_camera_info_without_a_size_fits_every_image():
    assert intrinsics(info(width=0, height=0), 7, 5) == Intrinsics(1000.0, 1010.0, 960.0, 540.0)


def test_which_matrix_counts():
    distorted, straight = info(p=P, d=PLUMB), info(p=P, d=(0.0,) * 5)
    raw, rectified = Intrinsics(1000.0, 1010.0, 960.0, 540.0), Intrinsics(900.0, 910.0, 950.0, 530.0)
    assert intrinsics(distorted, 1080, 1920) == raw
    assert intrinsics(distorted, 1080, 1920, is_rectified=True) == rectified
    assert intrinsics(straight, 1080, 1920) == intrinsics(info(p=P), 1080, 1920) == rectified
    assert intrinsics(info(d=PLUMB), 1080, 1920, is_rectified=True) == raw  # there is no P to take


def test_the_distortion_of_an_image():
    assert distortion(info(d=PLUMB)) == Distortion('plumb_bob', PLUMB)
    assert distortion(info(d=np.array(PLUMB))) == Distortion('plumb_bob', PLUMB)
    for nothing, is_rectified in itertools.chain(
        ((info(d=d, distortion_model=''), False) for d in ((), (0.0,) * 5, np.zeros(4))), [(info(d=PLUMB), True)]
    ):
        assert distortion(nothing, is_rectified) is None
    with pytest.raises(DistortionError, match="distortion model 'odd' is unknown"):
        distortion(info(d=PLUMB, distortion_model='odd'))
