"""ROS image encodings to NumPy, without ROS: the same for a live message and for a bag.

Names and layouts follow sensor_msgs/image_encodings.hpp and REP 118 (depth images). Row padding (`step`) and endianness
are honoured. 16-bit grey is scaled to 8 bits over its full range, as cv_bridge does.
"""

from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np

from dfd_depth_ros.scenes.compressed import size_of

MAX_PIXELS = 16_000_000


class EncodingError(ValueError):
    """An image that cannot be read; the message names the value and what was expected."""


class _Layout(NamedTuple):
    dtype: str
    channels: int
    to_rgb: Callable[[np.ndarray], np.ndarray]


def _opencv(code: int) -> Callable[[np.ndarray], np.ndarray]:
    return lambda pixels: cv2.cvtColor(pixels, code)


def _grey(pixels: np.ndarray) -> np.ndarray:
    return np.repeat(pixels, 3, axis=2)


def _grey16(pixels: np.ndarray) -> np.ndarray:
    return _grey(((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8))


_UYVY = _Layout('u1', 2, _opencv(cv2.COLOR_YUV2RGB_UYVY))
_YUYV = _Layout('u1', 2, _opencv(cv2.COLOR_YUV2RGB_YUY2))

# OpenCV names a Bayer pattern by its second row, ROS by its first: rggb is OpenCV's BG.
_COLOUR = {
    'mono8': _Layout('u1', 1, _grey),
    'mono16': _Layout('u2', 1, _grey16),
    'rgb8': _Layout('u1', 3, lambda pixels: pixels),
    'bgr8': _Layout('u1', 3, _opencv(cv2.COLOR_BGR2RGB)),
    'rgba8': _Layout('u1', 4, _opencv(cv2.COLOR_RGBA2RGB)),
    'bgra8': _Layout('u1', 4, _opencv(cv2.COLOR_BGRA2RGB)),
    'bayer_rggb8': _Layout('u1', 1, _opencv(cv2.COLOR_BayerBG2RGB)),
    'bayer_bggr8': _Layout('u1', 1, _opencv(cv2.COLOR_BayerRG2RGB)),
    'bayer_gbrg8': _Layout('u1', 1, _opencv(cv2.COLOR_BayerGR2RGB)),
    'bayer_grbg8': _Layout('u1', 1, _opencv(cv2.COLOR_BayerGB2RGB)),
    'yuv422': _UYVY,
    'uyvy': _UYVY,
    'yuv422_yuy2': _YUYV,
    'yuyv': _YUYV,
}


def _millimetres(pixels: np.ndarray) -> np.ndarray:
    return np.where(pixels == 0, np.float32(np.nan), pixels.astype(np.float32) / 1000)


_DEPTH = {
    '16UC1': _Layout('u2', 1, _millimetres),
    '32FC1': _Layout('f4', 1, lambda pixels: pixels.astype(np.float32)),
}
DEPTH_ENCODINGS = frozenset(_DEPTH)


def decode_image(
    data, height: int, width: int, encoding: str, step: int, is_bigendian: bool = False, max_pixels: int = MAX_PIXELS
) -> np.ndarray:
    """Pixels of a sensor_msgs/Image as (H, W, 3) uint8 RGB. data: any bytes-like object of height * step bytes; the
    result may share its memory. Raises EncodingError for an unknown encoding and for sizes that do not fit."""
    layout = _look_up(_COLOUR, encoding)
    check_size(height, width, max_pixels)
    if encoding.startswith('bayer') and min(height, width) < 2 or layout.channels == 2 and width % 2:
        raise EncodingError(f'image is {width}x{height} pixels; {encoding} needs whole pairs of pixels')
    return np.ascontiguousarray(layout.to_rgb(_pixels(data, height, width, encoding, layout, step, is_bigendian)))


def decode_compressed(data, format: str, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Pixels of a sensor_msgs/CompressedImage (JPEG or PNG) as (H, W, 3) uint8 RGB, in the sensor's orientation. Raises
    EncodingError where the bytes are no such picture, or not all of it, and, before it is decoded, for one above the
    limit."""
    encoded = np.frombuffer(data, np.uint8)
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    size = size_of(encoded.tobytes())
    if size:
        check_size(*size, max_pixels)
    try:
        image = cv2.imdecode(encoded, flags) if size else None
    except cv2.error:
        image = None
    if image is None:
        raise EncodingError(f'compressed image of format {format!r} with {encoded.size} bytes cannot be decoded')
    height, width = image.shape[:2]
    check_size(height, width, max_pixels)
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def decode_depth(
    data, height: int, width: int, encoding: str, step: int, is_bigendian: bool = False, max_pixels: int = MAX_PIXELS
) -> np.ndarray:
    """Depth image as (H, W) float32 metres along Z. 16UC1 counts millimetres and its 0 becomes NaN; 32FC1 comes as it
    is (REP 118). Raises EncodingError as decode_image does."""
    layout = _look_up(_DEPTH, encoding)
    check_size(height, width, max_pixels)
    return layout.to_rgb(_pixels(data, height, width, encoding, layout, step, is_bigendian))[..., 0]


def check_size(height: int, width: int, max_pixels: int = MAX_PIXELS) -> None:
    """Raise EncodingError for an empty image and for one above the limit."""
    if height < 1 or width < 1:
        raise EncodingError(f'image is {width}x{height} pixels; it is empty')
    if height * width > max_pixels:
        raise EncodingError(f'image is {width}x{height} = {height * width} pixels; the limit is {max_pixels}')


def _look_up(layouts: dict[str, _Layout], encoding: str) -> _Layout:
    if encoding not in layouts:
        raise EncodingError(f'image encoding is {encoding!r}; it must be one of {", ".join(layouts)}')
    return layouts[encoding]


def _pixels(data, height: int, width: int, encoding: str, layout: _Layout, step: int, is_bigendian: bool) -> np.ndarray:
    """(H, W, channels) array in native byte order."""
    dtype = np.dtype(layout.dtype)
    row = width * layout.channels * dtype.itemsize
    if step < row:
        raise EncodingError(f'image step is {step} bytes; {width} pixels of {encoding} need {row}')
    values = np.frombuffer(data, np.uint8)
    if values.size != height * step:
        raise EncodingError(f'image data has {values.size} bytes; {height} rows of {step} bytes are {height * step}')
    rows = np.ascontiguousarray(values.reshape(height, step)[:, :row])
    ordered = rows.view(dtype.newbyteorder('>' if is_bigendian else '<'))
    return ordered.astype(dtype, copy=False).reshape(height, width, layout.channels)
