"""ROS messages to NumPy and back. Stamps are integer nanoseconds, so that they survive the way there and back."""

import array
import copy
import math

import numpy as np
from builtin_interfaces.msg import Time
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, JointState, PointCloud2, PointField
from std_msgs.msg import Header

from dfd_depth_ros.optics.lens import Lens
from dfd_depth_ros.scenes.encodings import MAX_PIXELS, decode_compressed, decode_depth, decode_image
from dfd_depth_ros.scenes.frame import Intrinsics

LENS_NAMES = ('focus_dioptre', 'focal_length_m', 'f_number', 'focus_dioptre_sigma')
_ENCODINGS = {('float32', 2): '32FC1', ('uint8', 2): 'mono8', ('uint8', 3): 'rgb8'}


class CalibrationError(ValueError):
    """Camera info without which no ray can be drawn; the message says what is wrong with it."""


def to_nanoseconds(stamp: Time) -> int:
    """Stamp as integer nanoseconds."""
    return stamp.sec * 1_000_000_000 + stamp.nanosec


def to_stamp(nanoseconds: int) -> Time:
    """Stamp from integer nanoseconds."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return Time(sec=seconds, nanosec=rest)


def to_header(nanoseconds: int, frame_id: str) -> Header:
    """Header from integer nanoseconds and the name of the optical frame."""
    return Header(stamp=to_stamp(nanoseconds), frame_id=frame_id)


def to_rgb(message: Image | CompressedImage, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Pixels as (H, W, 3) uint8 RGB. Raises EncodingError where the message is wrong."""
    if isinstance(message, CompressedImage):
        return decode_compressed(message.data, message.format, max_pixels)
    return decode_image(*_layout(message), max_pixels)


def to_depth(message: Image, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Depth image (16UC1, 32FC1) as (H, W) float32 metres. Raises EncodingError where the message is wrong."""
    return decode_depth(*_layout(message), max_pixels)


def _layout(message: Image) -> tuple:
    return message.data, message.height, message.width, message.encoding, message.step, bool(message.is_bigendian)


def to_image(pixels: np.ndarray, header: Header) -> Image:
    """(H, W) float32 as 32FC1, (H, W) uint8 as mono8 or (H, W, 3) uint8 RGB as rgb8."""
    return Image(
        header=header,
        height=pixels.shape[0],
        width=pixels.shape[1],
        encoding=_ENCODINGS[pixels.dtype.name, pixels.ndim],
        is_bigendian=0,
        step=pixels.itemsize * math.prod(pixels.shape[1:]),
        data=to_bytes(pixels),
    )


def to_bytes(values: np.ndarray) -> array.array:
    """Array memory in the only type that rclpy assigns to a byte sequence without looking at every element."""
    data = array.array('B')
    data.frombytes(np.ascontiguousarray(values).reshape(-1).view(np.uint8))
    return data


def to_cloud(
    depth: np.ndarray, keep: np.ndarray, colour: np.ndarray, camera: Intrinsics, header: Header, organised: bool = False
) -> PointCloud2:
    """Coloured points in the optical frame (x right, y down, z forward; REP 118), fields x, y, z, rgb.

    depth: (H, W) float32 metres. keep: (H, W) bool; points outside it and those of no finite depth are left out, or NaN
    where organised. colour: (H, W, 3) uint8 RGB.
    """
    height, width = depth.shape
    keep = keep & np.isfinite(depth)
    depth = np.where(keep, depth, np.float32(np.nan))
    points = np.empty((height, width, 4), np.float32)
    points[..., 0] = (np.arange(width, dtype=np.float32) - camera.cx) / camera.fx * depth
    points[..., 1] = ((np.arange(height, dtype=np.float32) - camera.cy) / camera.fy)[:, None] * depth
    points[..., 2] = depth
    packed = points.view(np.uint8)
    packed[..., 12:15] = colour[..., ::-1]
    packed[..., 15] = 0
    points = points if organised else points[keep][None]
    return PointCloud2(
        header=header,
        height=points.shape[0],
        width=points.shape[1],
        fields=[
            PointField(name=name, offset=4 * index, datatype=PointField.FLOAT32, count=1)
            for index, name in enumerate(('x', 'y', 'z', 'rgb'))
        ],
        is_bigendian=False,
        point_step=16,
        row_step=16 * points.shape[1],
        data=to_bytes(points),
        is_dense=not organised,
    )


def to_camera_info(camera: Intrinsics, height: int, width: int, header: Header) -> CameraInfo:
    """Camera info of an undistorted pinhole camera."""
    k = [camera.fx, 0.0, camera.cx, 0.0, camera.fy, camera.cy, 0.0, 0.0, 1.0]
    return CameraInfo(
        header=header,
        height=height,
        width=width,
        distortion_model='plumb_bob',
        d=[0.0] * 5,
        k=k,
        r=[1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0],
        p=[*k[:3], 0.0, *k[3:6], 0.0, *k[6:], 0.0],
    )


def restamped(info: CameraInfo, header: Header) -> CameraInfo:
    """The same camera info under another header."""
    info = copy.copy(info)
    info.header = header
    return info


def to_intrinsics(info: CameraInfo, height: int, width: int) -> Intrinsics:
    """Pinhole camera of an image of this size, with binning and region of interest taken into account: the projection
    matrix P as depth_image_proc takes it, or K where P is empty. Raises CalibrationError where the camera is
    uncalibrated (K[0] is 0) or where the camera info is for another image size."""
    if not (math.isfinite(info.k[0]) and info.k[0] > 0):
        raise CalibrationError(f'camera_info is uncalibrated: K[0] is {info.k[0]:g}')
    binning = (info.binning_x or 1, info.binning_y or 1)
    size = ((info.roi.width or info.width) // binning[0], (info.roi.height or info.height) // binning[1])
    if info.width and size != (width, height):
        raise CalibrationError(f'camera_info is for {size[0]}x{size[1]} pixels; the image has {width}x{height}')
    fx, _, cx, _, fy, cy = info.k[:6] if info.p[0] == 0 else (*info.p[:3], *info.p[4:7])
    return Intrinsics(
        fx=fx / binning[0],
        fy=fy / binning[1],
        cx=(cx - info.roi.x_offset) / binning[0],
        cy=(cy - info.roi.y_offset) / binning[1],
    )


def to_lens_message(lens: Lens, header: Header) -> JointState:
    """Lens state as JointState, stamped like the image that it belongs to."""
    position = [float(getattr(lens, name)) for name in LENS_NAMES]
    return JointState(header=header, name=list(LENS_NAMES), position=position)


def to_lens_values(message: JointState) -> dict[str, float]:
    """Names and positions of a JointState. Raises ValueError where there are not as many positions as names."""
    if len(message.name) != len(message.position):
        raise ValueError(f'lens message has {len(message.name)} names and {len(message.position)} positions')
    return dict(zip(message.name, message.position, strict=True))
