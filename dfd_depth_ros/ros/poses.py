"""Where the camera was when it took an image: poses by stamp, from the topic `pose` or from tf."""

import math
import threading
from typing import Any

import numpy as np
from geometry_msgs.msg import Point, Pose, PoseStamped, Quaternion
from rclpy.duration import Duration
from rclpy.time import Time
from scipy.spatial.transform import Rotation
from std_msgs.msg import Header

from dfd_depth_ros.optics.distortion import bend
from dfd_depth_ros.ros.inputs import Inputs, View
from dfd_depth_ros.ros.messages import to_nanoseconds

_CAPACITY = 1000
MAX_BEND_PX = 1.0  # a warp between two poses, which knows no distortion, is off by at most twice that
TOO_BENT = (
    'distortion bends rays by up to {:.1f} pixels, more than the {:g} that poses can be used with; poses are '
    'passed over: give rectified images'
)
NO_TF = 'pose.fixed_frame is set, but tf2_ros is not installed; poses come from the topic pose alone'


def to_matrix(position, orientation) -> np.ndarray:
    """(4, 4) from messages with x, y, z and x, y, z, w. Raises ValueError where they are no pose."""
    place = np.array([position.x, position.y, position.z])
    turn = np.array([orientation.x, orientation.y, orientation.z, orientation.w])
    length = math.hypot(*turn)
    if not (np.isfinite(place).all() and math.isfinite(length) and length > 1e-6):
        raise ValueError(f'position {place.tolist()} with orientation {turn.tolist()} is no pose')
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_quat(turn / length).as_matrix()
    matrix[:3, 3] = place
    return matrix


def to_pose_message(matrix: np.ndarray, header: Header) -> PoseStamped:
    """(4, 4) camera-to-world as a message. header: stamp of the image, and the frame of the world."""
    x, y, z = (float(value) for value in matrix[:3, 3])
    turn = (float(value) for value in Rotation.from_matrix(matrix[:3, :3]).as_quat())
    orientation = Quaternion(**dict(zip('xyzw', turn, strict=True)))
    return PoseStamped(header=header, pose=Pose(position=Point(x=x, y=y, z=z), orientation=orientation))


class PoseBuffer:
    """Poses by stamp (nanoseconds), safe to fill in one thread and to read in another."""

    def __init__(self):
        self._condition = threading.Condition()
        self._poses: dict[int, np.ndarray] = {}
        self._last = 0

    def add(self, stamp: int, pose: np.ndarray) -> None:
        """Store a (4, 4) pose. A stamp that jumps back means that time began anew: the earlier poses are forgotten."""
        with self._condition:
            if stamp < self._last:
                self._poses.clear()
            self._poses[stamp], self._last = pose, stamp
            if len(self._poses) > _CAPACITY:
                del self._poses[next(iter(self._poses))]
            self._condition.notify_all()

    def match(self, stamp: int, max_age_s: float, wait_s: float) -> np.ndarray | None:
        """The pose of exactly that stamp, else the nearest within max_age_s, else None. Where poses come at all, waits
        up to wait_s for one of that stamp or later."""
        with self._condition:
            if not self._poses:
                return None
            self._condition.wait_for(lambda: self._last >= stamp, wait_s)
            nearest = min(self._poses, key=lambda other: abs(other - stamp))
            return self._poses[nearest] if abs(nearest - stamp) <= max_age_s * 1e9 else None


class PoseSource:
    """Camera-to-world poses of the optical frame: from the topic first, then from tf."""

    def __init__(self, node, settings: dict, inputs: Inputs, monitor):
        self._monitor, self._buffer = monitor, PoseBuffer()
        self._tf: Any = None  # a tf2_ros.Buffer where one is wanted and can be had
        self._listener: Any = None
        self._fixed_frame = settings['pose.fixed_frame']
        inputs.subscribe(PoseStamped, 'pose', self.on_pose)
        if self._fixed_frame:
            self._listen_to_tf(node)

    def _listen_to_tf(self, node) -> None:
        try:
            from tf2_ros import Buffer, TransformListener
        except ImportError:
            self._monitor.condition('tf', NO_TF)
            return
        self._tf = Buffer()
        self._listener = TransformListener(self._tf, node)

    def destroy(self) -> None:
        """Listen to tf no more."""
        if self._listener:
            self._listener.unregister()

    def on_pose(self, message: PoseStamped) -> None:
        """Store a pose."""
        try:
            pose = to_matrix(message.pose.position, message.pose.orientation)
        except ValueError as error:
            self._monitor.error('pose', f'pose message refused: {error}')
            return
        self._buffer.add(to_nanoseconds(message.header.stamp), pose)

    def match(self, header: Header, view: View, settings: dict) -> np.ndarray | None:
        """The (4, 4) pose of an image with that header; None where there is none, which is no error, or where it could
        not be used."""
        pose = self._found(header, settings)
        if self._bends(view if pose is not None else None):
            pose = None
        self._monitor.fact(pose='none' if pose is None else 'known')
        return pose

    def _found(self, header: Header, settings: dict) -> np.ndarray | None:
        stamp, wait_s = to_nanoseconds(header.stamp), settings['pose.wait_s']
        pose = self._buffer.match(stamp, settings['pose.max_age_s'], wait_s)
        return self._from_tf(header.frame_id, stamp, wait_s) if pose is None and self._tf else pose

    def _bends(self, view: View | None) -> bool:
        """Whether the lens of a view with a pose bends rays too much for it to be of use; diagnostics tell."""
        bend_px, camera = 0.0, view.camera if view else None
        if camera and view.distortion:
            height, width = view.image.shape[:2]
            bend_px = bend(camera.fx, camera.fy, camera.cx, camera.cy, view.distortion, height, width)
        text = TOO_BENT.format(bend_px, MAX_BEND_PX) if bend_px > MAX_BEND_PX else ''
        self._monitor.condition('distortion', text)
        return bool(text)

    def _from_tf(self, frame_id: str, stamp: int, wait_s: float) -> np.ndarray | None:
        try:
            found = self._tf.lookup_transform(
                self._fixed_frame, frame_id, Time(nanoseconds=stamp), Duration(seconds=wait_s)
            )
            pose = to_matrix(found.transform.translation, found.transform.rotation)
        except Exception as error:  # tf2 has many, and a camera without a pose is none of our errors
            self._monitor.condition('tf', f'no pose from tf: {error}')
            return None
        self._monitor.condition('tf', '')
        return pose
