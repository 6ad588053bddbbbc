"""Messages: what goes into a message comes out of it again, and clouds and cameras against hand-made numbers."""

from dataclasses import astuple

import numpy as np
import pytest

pytest.importorskip('rclpy')

from sensor_msgs.msg import CompressedImage, JointState

from dfd_depth_ros.optics.distortion import rays
from dfd_depth_ros.optics.lens import Lens
from dfd_depth_ros.ros import messages
from dfd_depth_ros.scenes.calibration import intrinsics
from dfd_depth_ros.scenes.encodings import EncodingError
from dfd_depth_ros.scenes.frame import Intrinsics

HEADER = messages.to_header(1_700_000_000_123_456_789, 'camera_optical')
CAMERA = Intrinsics(fx=100.0, fy=50.0, cx=1.0, cy=0.5)
DEPTH = np.array([[1, 2, np.nan], [4, np.inf, 6]], np.float32)
COLOUR = np.arange(18, dtype=np.uint8).reshape(2, 3, 3)
RAYS = rays(*astuple(CAMERA), None, 2, 3)
ALL = np.ones((2, 3), bool)


def fields(cloud):
    """(height, width, 4) float32 and (height, width, 4) bytes of a cloud, by its own description."""
    values = np.frombuffer(cloud.data, np.float32).reshape(cloud.height, cloud.width, 4)
    return values, values.view(np.uint8)[..., 12:]


@pytest.mark.parametrize('nanoseconds', [0, 1, 999_999_999, 1_000_000_000, 1_700_000_000_123_456_789])
def test_stamps_keep_every_nanosecond(nanoseconds):
    assert messages.to_nanoseconds(messages.to_stamp(nanoseconds)) == nanoseconds


def test_depth_image_there_and_back():
    image = messages.to_image(DEPTH, HEADER)
    assert (image.encoding, image.height, image.width, image.step, len(image.data)) == ('32FC1', 2, 3, 12, 24)
    assert image.header == HEADER
    np.testing.assert_array_equal(messages.to_depth(image), DEPTH)


def test_colour_and_grey_images_there_and_back():
    image = messages.to_image(COLOUR, HEADER)
    assert (image.encoding, image.step) == ('rgb8', 9)
    np.testing.assert_array_equal(messages.to_rgb(image), COLOUR)
    grey = messages.to_image(COLOUR[..., 1], HEADER)
    assert (grey.encoding, grey.step) == ('mono8', 3)
    np.testing.assert_array_equal(messages.to_rgb(grey), np.repeat(COLOUR[..., 1:2], 3, axis=2))


def test_images_that_are_views_are_copied_row_by_row():
    np.testing.assert_array_equal(messages.to_rgb(messages.to_image(COLOUR[:, ::-1], HEADER)), COLOUR[:, ::-1])


def test_compressed_messages_are_recognised():
    with pytest.raises(EncodingError, match='compressed image of format'):
        messages.to_rgb(CompressedImage(format='jpeg', data=b'no'))


def test_the_pixel_limit_reaches_the_decoder():
    with pytest.raises(EncodingError) as error:
        messages.to_rgb(messages.to_image(COLOUR, HEADER), max_pixels=5)
    assert str(error.value) == 'image is 3x2 = 6 pixels; the limit is 5'


def test_cloud_leaves_out_what_is_unknown_or_gated():
    keep = ALL.copy()
    keep[1, 0] = False
    cloud = messages.to_cloud(DEPTH, keep, COLOUR, RAYS, HEADER)
    assert (cloud.height, cloud.width, cloud.point_step, cloud.row_step, cloud.is_dense) == (1, 3, 16, 48, True)
    assert [(field.name, field.offset) for field in cloud.fields] == [('x', 0), ('y', 4), ('z', 8), ('rgb', 12)]
    values, colour = fields(cloud)
    expected = [[-0.01, -0.01, 1], [0, -0.02, 2], [0.06, 0.06, 6]]
    np.testing.assert_allclose(values[0, :, :3], expected, atol=1e-7)
    np.testing.assert_array_equal(colour[0], [[2, 1, 0, 0], [5, 4, 3, 0], [17, 16, 15, 0]])


def test_organised_cloud_keeps_its_shape():
    cloud = messages.to_cloud(DEPTH, ALL, COLOUR, RAYS, HEADER, organised=True)
    assert (cloud.height, cloud.width, cloud.is_dense) == (2, 3, False)
    np.testing.assert_array_equal(np.isfinite(fields(cloud)[0][..., 2]), np.isfinite(DEPTH))


def test_points_without_a_ray_are_left_out():
    looks = RAYS.copy()
    looks[0, 1] = np.nan
    assert messages.to_cloud(DEPTH, ALL, COLOUR, looks, HEADER).width == 3
    assert np.isnan(fields(messages.to_cloud(DEPTH, ALL, COLOUR, looks, HEADER, True))[0][0, 1, :3]).all()


def test_empty_cloud():
    cloud = messages.to_cloud(DEPTH, ~ALL, COLOUR, RAYS, HEADER)
    assert (cloud.height, cloud.width, len(cloud.data)) == (1, 0, 0)


def test_cloud_as_sensor_msgs_py_reads_and_writes_it():
    point_cloud2 = pytest.importorskip('sensor_msgs_py.point_cloud2')
    cloud = messages.to_cloud(DEPTH, ALL, COLOUR, RAYS, HEADER)
    points = point_cloud2.read_points(cloud, field_names=['x', 'y', 'z', 'rgb'])
    assert point_cloud2.create_cloud(HEADER, cloud.fields, points) == cloud


@pytest.mark.parametrize('encoding', ['mono8', 'rgb8', 'bgr8', 'rgba8', 'bgra8', 'bayer_rggb8', 'mono16'])
def test_encodings_as_cv_bridge_reads_them(encoding):
    cv_bridge = pytest.importorskip('cv_bridge', exc_type=ImportError)
    channels = {'rgb8': 3, 'bgr8': 3, 'rgba8': 4, 'bgra8': 4, 'mono16': 2}.get(encoding, 1)
    data = np.random.default_rng(3).integers(0, 256, (8, 10 * channels), np.uint8)
    image = messages.to_image(data, HEADER)
    image.encoding, image.width = encoding, 10
    np.testing.assert_array_equal(messages.to_rgb(image), cv_bridge.CvBridge().imgmsg_to_cv2(image, 'rgb8'))


def test_camera_info_there_and_back():
    info = messages.to_camera_info(CAMERA, 2, 3, HEADER)
    assert intrinsics(info, 2, 3) == CAMERA
    assert (info.height, info.width, info.header) == (2, 3, HEADER)


def test_restamped_camera_info_leaves_the_original_alone():
    info = messages.to_camera_info(CAMERA, 2, 3, HEADER)
    later = messages.restamped(info, messages.to_header(5, 'other'))
    assert later.header.frame_id == 'other' and info.header == HEADER
    np.testing.assert_array_equal(later.k, info.k)


def test_camera_info_of_a_resized_image():
    info = messages.to_camera_info(CAMERA, 480, 640, HEADER)
    info.binning_x, info.binning_y = 2, 2
    info.roi.x_offset, info.roi.y_offset, info.roi.width, info.roi.height = 20, 10, 320, 240
    assert messages.fitted(info, 120, 160) is info
    smaller = messages.fitted(info, 60, 80)
    assert (smaller.height, smaller.width, smaller.binning_x, smaller.roi.width) == (60, 80, 0, 0)
    assert intrinsics(smaller, 60, 80) == intrinsics(info, 60, 80) == Intrinsics(25.0, 12.5, -4.75, -2.375)
    np.testing.assert_allclose(smaller.k, [25, 0, -4.75, 0, 12.5, -2.375, 0, 0, 1])
    assert info.width == 640 and info.k[0] == 100


def test_lens_state_there_and_back():
    lens = Lens(0.05, 1.4, 5e-5, 0.5, focus_dioptre_sigma=0.01)
    values = messages.to_lens_values(messages.to_lens_message(lens, HEADER))
    assert values == {'focus_dioptre': 0.5, 'focal_length_m': 0.05, 'f_number': 1.4, 'focus_dioptre_sigma': 0.01}


def test_lens_message_of_unequal_lengths_is_refused():
    with pytest.raises(ValueError) as error:
        messages.to_lens_values(JointState(name=['focus_dioptre', 'f_number'], position=[0.5]))
    assert str(error.value) == 'lens message has 2 names and 1 positions'
