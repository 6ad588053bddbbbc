"""Image encodings: each one against a hand-made picture, and every way in which a message can be wrong."""

import array

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfd_depth_ros.scenes.encodings import EncodingError, decode_compressed, decode_depth, decode_image

COLOUR = np.array([200, 120, 40], np.uint8)


def flat(height, width):
    return np.broadcast_to(COLOUR, (height, width, 3)).copy()


def pad(rows, padding):
    return np.pad(rows, ((0, 0), (0, padding)), constant_values=77)


def mosaic(pattern, height=6, width=8):
    """Flat colour seen through a Bayer pattern that is named by its first two rows."""
    plane = np.empty((height, width), np.uint8)
    for index, channel in enumerate(pattern):
        plane[index // 2 :: 2, index % 2 :: 2] = COLOUR['rgb'.index(channel)]
    return plane


@pytest.mark.parametrize('padding', [0, 5])
@pytest.mark.parametrize(
    'encoding, order', [('rgb8', [0, 1, 2]), ('bgr8', [2, 1, 0]), ('rgba8', [0, 1, 2, 0]), ('bgra8', [2, 1, 0, 0])]
)
def test_colour_orders_and_padding(encoding, order, padding):
    image = np.random.default_rng(1).integers(0, 256, (5, 7, 3), np.uint8)
    rows = pad(image[..., order].reshape(5, -1), padding)
    decoded = decode_image(rows.tobytes(), 5, 7, encoding, rows.shape[1])
    assert decoded.dtype == np.uint8 and decoded.flags['C_CONTIGUOUS']
    np.testing.assert_array_equal(decoded, image)


@pytest.mark.parametrize('pattern', ['rggb', 'bggr', 'gbrg', 'grbg'])
def test_bayer_patterns_are_named_by_their_first_row(pattern):
    rows = pad(mosaic(pattern), 3)
    np.testing.assert_array_equal(decode_image(rows.tobytes(), 6, 8, f'bayer_{pattern}8', 11), flat(6, 8))


@pytest.mark.parametrize(
    'encoding, order', [('yuv422', 'uyvy'), ('uyvy', 'uyvy'), ('yuv422_yuy2', 'yuyv'), ('yuyv', 'yuyv')]
)
def test_yuv422_by_the_bt601_equations(encoding, order):
    red, green, blue = (float(value) for value in COLOUR)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    values = {
        'y': 16 + luma * 219 / 255,
        'u': 128 + (blue - luma) / 1.772 * 224 / 255,
        'v': 128 + (red - luma) / 1.402 * 224 / 255,
    }
    pair = np.array([round(values[name]) for name in order], np.uint8)
    rows = np.tile(pair, (4, 3))
    np.testing.assert_allclose(decode_image(rows.tobytes(), 4, 6, encoding, 12).astype(int), flat(4, 6), atol=3)


@pytest.mark.parametrize('is_bigendian', [False, True])
def test_mono16_scales_its_full_range_and_honours_endianness(is_bigendian):
    values = np.array([[0, 128, 129, 257 * 90, 65535]], '>u2' if is_bigendian else '<u2')
    decoded = decode_image(values.tobytes(), 1, 5, 'mono16', 10, is_bigendian)
    np.testing.assert_array_equal(decoded[0, :, 0], [0, 0, 1, 90, 255])
    np.testing.assert_array_equal(decoded[..., 0], decoded[..., 2])


def test_mono8_is_grey_and_reads_every_kind_of_buffer():
    values = np.arange(6, dtype=np.uint8)
    for data in (values, values.tobytes(), bytearray(values), array.array('B', values.tobytes()), memoryview(values)):
        decoded = decode_image(data, 2, 3, 'mono8', 3)
        np.testing.assert_array_equal(decoded, np.repeat(values.reshape(2, 3, 1), 3, axis=2))


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 4), st.booleans())
def test_depth_survives_padding_and_byte_order(height, width, padding, is_bigendian):
    depth = np.linspace(0.5, 4, height * width).astype(np.float32).reshape(height, width)
    rows = pad(np.ascontiguousarray(depth.astype('>f4' if is_bigendian else '<f4')).view(np.uint8), padding)
    decoded = decode_depth(rows.tobytes(), height, width, '32FC1', rows.shape[1], is_bigendian)
    assert decoded.dtype == np.float32 and decoded.dtype.isnative
    np.testing.assert_array_equal(decoded, depth)


def test_depth_in_millimetres_has_nan_for_zero():
    decoded = decode_depth(np.array([[0, 1, 2345]], '<u2').tobytes(), 1, 3, '16UC1', 6)
    assert decoded.dtype == np.float32
    np.testing.assert_array_equal(decoded, np.array([[np.nan, 0.001, 2.345]], np.float32))


def test_compressed_pictures_come_as_rgb():
    image = cv2.GaussianBlur(np.random.default_rng(2).integers(0, 256, (32, 48, 3), np.uint8), (0, 0), 3)
    png = cv2.imencode('.png', image[..., ::-1])[1].tobytes()
    jpeg = cv2.imencode('.jpg', image[..., ::-1])[1].tobytes()
    np.testing.assert_array_equal(decode_compressed(png, 'rgb8; png compressed bgr8'), image)
    assert np.abs(decode_compressed(jpeg, 'jpeg').astype(int) - image).mean() < 4
    grey = cv2.imencode('.png', image[..., 0])[1].tobytes()
    np.testing.assert_array_equal(decode_compressed(grey, 'png'), np.repeat(image[..., :1], 3, axis=2))


KNOWN = (
    'mono8, mono16, rgb8, bgr8, rgba8, bgra8, bayer_rggb8, bayer_bggr8, bayer_gbrg8, bayer_grbg8, yuv422, uyvy, '
    'yuv422_yuy2, yuyv'
)


@pytest.mark.parametrize(
    'arguments, message',
    [
        ((bytes(12), 2, 2, 'rgb8', 5), 'image step is 5 bytes; 2 pixels of rgb8 need 6'),
        ((bytes(11), 2, 2, 'rgb8', 6), 'image data has 11 bytes; 2 rows of 6 bytes are 12'),
        ((bytes(13), 2, 2, 'rgb8', 6), 'image data has 13 bytes; 2 rows of 6 bytes are 12'),
        ((bytes(12), 2, 2, 'rgb9', 6), f"image encoding is 'rgb9'; it must be one of {KNOWN}"),
        ((b'', 0, 2, 'rgb8', 6), 'image is 2x0 pixels; it is empty'),
        ((b'', 2, 0, 'rgb8', 0), 'image is 0x2 pixels; it is empty'),
        ((b'', 6000, 8000, 'rgb8', 24000), 'image is 8000x6000 = 48000000 pixels; the limit is 16000000'),
        ((bytes(12), 2, 3, 'yuv422', 6), 'image is 3x2 pixels; yuv422 needs whole pairs of pixels'),
        ((bytes(1), 1, 1, 'bayer_rggb8', 1), 'image is 1x1 pixels; bayer_rggb8 needs whole pairs of pixels'),
    ],
)
def test_bad_images_name_the_value(arguments, message):
    with pytest.raises(EncodingError) as error:
        decode_image(*arguments)
    assert str(error.value) == message


def test_one_pixel_is_an_image():
    np.testing.assert_array_equal(decode_image(b'\x01\x02\x03', 1, 1, 'rgb8', 3), [[[1, 2, 3]]])


@pytest.mark.parametrize('data', [b'', b'not a picture'])
def test_bad_compressed_bytes_name_format_and_size(data):
    with pytest.raises(EncodingError) as error:
        decode_compressed(data, 'jpeg')
    assert str(error.value) == f"compressed image of format 'jpeg' with {len(data)} bytes cannot be decoded"


def test_the_pixel_limit_holds_for_compressed_pictures():
    png = cv2.imencode('.png', np.zeros((10, 20), np.uint8))[1].tobytes()
    with pytest.raises(EncodingError) as error:
        decode_compressed(png, 'png', max_pixels=199)
    assert str(error.value) == 'image is 20x10 = 200 pixels; the limit is 199'


def test_bad_depth_names_the_value():
    with pytest.raises(EncodingError) as error:
        decode_depth(bytes(4), 2, 2, 'mono8', 2)
    assert str(error.value) == "image encoding is 'mono8'; it must be one of 16UC1, 32FC1"
    with pytest.raises(EncodingError) as error:
        decode_depth(bytes(4), 1, 2, '16UC1', 2)
    assert str(error.value) == 'image step is 2 bytes; 2 pixels of 16UC1 need 4'
