"""ROS messages to NumPy and back. Stamps are integer nanoseconds, so that they survive the way there and back."""

import array
import copy
import math

import numpy as np
from builtin_interfaces.msg import Time
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, JointState, PointCloud2, PointField, RegionOfInterest
from std_msgs.msg import Header

from dfd_depth_ros.optics.lens import Lens
from dfd_depth_ros.scenes.calibration import reduction
from dfd_depth_ros.scenes.encodings import MAX_PIXELS, decode_compressed, decode_depth, decode_image
from dfd_depth_ros.scenes.frame import Intrinsics

LENS_NAMES = ('focus_dioptre', 'focal_length_m', 'f_number', 'focus_dioptre_sigma')
_ENCODINGS = {('float32', 2): '32FC1', ('uint8', 2): 'mono8', ('uint8', 3): 'rgb8'}


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


def _layout(message: Image) -> tuple[array.array, int, int, str, int, bool]:
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
    data.frombytes(np.ascontiguousarray(values).reshape(-1).view(np.uint8).data)
    return data


def to_cloud(
    depth: np.ndarray, keep: np.ndarray, colour: np.ndarray, rays: np.ndarray, header: Header, organised: bool = False
) -> PointCloud2:
    """Coloured points in the optical frame (x right, y down, z forward; REP 118), fields x, y, z, rgb.

    depth: (H, W) float32 metres. keep: (H, W) bool; points outside it and those of no finite depth are left out, or NaN
    where organised. colour: (H, W, 3) uint8 RGB. rays: (H, W, 2) x/z and y/z, NaN where a pixel has none.
    """
    height, width = depth.shape
    keep = keep & np.isfinite(depth) & np.isfinite(rays[..., 0])
    depth = np.where(keep, depth, np.float32(np.nan))
    points = np.empty((height, width, 4), np.float32)
    np.multiply(rays, depth[..., None], out=points[..., :2])
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


def fitted(info: CameraInfo, height: int, width: int) -> CameraInfo:
    """Camera info for an image of this size: the same one, or where the image was resized one that says so."""
    made = reduction(info, height, width)
    if made.resize == (1.0, 1.0):
        return info
    scale = [resize / binning for resize, binning in zip(made.resize, made.binning, strict=True)]
    fit = np.diag([*scale, 1.0]) @ [[1, 0, -made.offset[0]], [0, 1, -made.offset[1]], [0, 0, 1]]
    info = copy.copy(info)
    info.k, info.p = ((fit @ np.reshape(matrix, (3, -1))).ravel() for matrix in (info.k, info.p))
    info.height, info.width, info.binning_x, info.binning_y = height, width, 0, 0
    info.roi = RegionOfInterest()
    return info


def to_lens_message(lens: Lens, header: Header) -> JointState:
    """Lens state as JointState, stamped like the image that it belongs to."""
    position = [float(getattr(lens, name)) for name in LENS_NAMES]
    return JointState(header=header, name=list(LENS_NAMES), position=position)


def to_lens_values(message: JointState) -> dict[str, float]:
    """Names and positions of a JointState. Raises ValueError where there are not as many positions as names."""
    if len(message.name) != len(message.position):
        raise ValueError(f'lens message has {len(message.name)} names and {len(message.position)} positions')
    return dict(zip(message.name, message.position, strict=True))
