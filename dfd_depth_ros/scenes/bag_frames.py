"""Frames as a bag: whatever can be evaluated can also be played into a running node."""

from collections.abc import Iterable
from itertools import count

import numpy as np

from dfd_depth_ros.optics.lens import Lens
from dfd_depth_ros.scenes.bags import CAMERA_INFO, IMAGE, JOINT_STATE
from dfd_depth_ros.scenes.frame import Frame, Intrinsics
from dfd_depth_ros.scenes.recordings import BagError, BagWriter, typestore
from dfd_depth_ros.scenes.rgbd import defocused

STEP_NS = 100_000_000  # between frames that have no stamp
LENS_NAMES = ('focus_dioptre', 'focal_length_m', 'f_number')


def write_bag(path, frames: Iterable[Frame], lens: Lens | None = None, storage: str = 'mcap') -> Lens:
    """Write image, lens state and, where known, calibration of every frame; returns the lens of the first one.

    Frames get their stamps where these rise, else one every 0.1 s. lens: overrides that of the frames. Raises BagError
    for a frame without lens and where there is none at all.
    """
    first, last = None, 0
    with BagWriter(path, storage) as writer:
        for number, frame in zip(count(), frames):
            used = lens or frame.lens
            if used is None:
                raise BagError(f'{frame.name} has no lens; give one with --lens FILE')
            frame = frame if frame.image is not None else defocused(frame, used)
            first = first or used
            stamp = 1_000_000_000 + (STEP_NS * number if frame.stamp is None else round(frame.stamp * 1e9))
            last = stamp if stamp > last else last + STEP_NS
            for topic, message in _messages(frame, used, last):
                data = bytes(typestore().serialize_cdr(message, message.__msgtype__))
                writer.write(topic, message.__msgtype__, data, last)
    if first is None:
        raise BagError('there is no frame to play')
    return first


def _messages(frame: Frame, lens: Lens, stamp: int):
    """(topic, message) in the order in which the node wants them: what it needs to know of an image comes first."""
    height, width = frame.image.shape[:2]
    header = _kind('std_msgs/msg/Header')(_kind('builtin_interfaces/msg/Time')(*divmod(stamp, 10**9)), 'camera')
    values = np.array([getattr(lens, name) for name in LENS_NAMES], np.float64)
    yield '/lens', _kind(JOINT_STATE)(header, list(LENS_NAMES), values, np.empty(0), np.empty(0))
    if frame.intrinsics:
        yield '/camera_info', _camera_info(header, frame.intrinsics, height, width)
    pixels = np.ascontiguousarray(frame.image).ravel()
    yield '/image_raw', _kind(IMAGE)(header, height, width, 'rgb8', 0, 3 * width, pixels)


def _camera_info(header, camera: Intrinsics, height: int, width: int):
    k = np.array([camera.fx, 0, camera.cx, 0, camera.fy, camera.cy, 0, 0, 1.0])
    p = np.insert(k, [3, 6, 9], 0.0)
    region = _kind('sensor_msgs/msg/RegionOfInterest')(0, 0, 0, 0, False)
    return _kind(CAMERA_INFO)(header, height, width, 'plumb_bob', np.zeros(5), k, np.eye(3).ravel(), p, 0, 0, region)


def _kind(name: str):
    return typestore().types[name]
