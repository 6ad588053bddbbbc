"""Plays the camera of a bag into a running graph, byte for byte, as if it happened now."""

import struct
import time
from collections.abc import Iterator

import rclpy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, JointState

from dfd_depth_ros.ros.qos import reliable
from dfd_depth_ros.scenes.bags import BagFrames, Recording, stamp_ns

IMAGE_TOPICS = {'raw': ('image_raw', Image), 'compressed': ('image_raw/compressed', CompressedImage)}
TOPICS = {
    'camera_info': ('camera_info', CameraInfo),
    'lens': ('lens', JointState),
    'truth': ('ground_truth/depth', Image),
}
DISCOVERY_S = 60.0


class Player:
    """Publishes images, calibration, lens states and ground truth of a bag under the names of our graph.

    bag: path of the bag. frames: the same bag as frames, for the topics of its roles. transport: 'raw' or 'compressed'.
    """

    def __init__(self, bag, frames: BagFrames, transport: str):
        self._recording = Recording(bag)
        self._context = rclpy.Context()
        rclpy.init(args=[], context=self._context)
        self._node = rclpy.create_node('player', context=self._context)
        names = {'image': IMAGE_TOPICS[transport], **TOPICS}
        self._outputs = {
            frames.topics[role]: self._node.create_publisher(kind, name, reliable())
            for role, (name, kind) in names.items()
            if role in frames.topics
        }
        self._image = self._outputs[frames.topics['image']]
        self._first = tuple(int(times[0]) for times in frames.times['image'])

    def wait_for_listeners(self, count: int):
        """Return when `count` subscribers listen to the image. Raises RuntimeError where they are missing too long."""
        deadline = time.monotonic() + DISCOVERY_S
        while self._image.get_subscription_count() < count:
            if time.monotonic() > deadline:
                raise RuntimeError(f'only {self._image.get_subscription_count()} of {count} listen to the image')
            time.sleep(0.05)

    def play(self) -> Iterator[float]:
        """Publish in the rhythm of the bag and yield the seconds played after each message. All stamps are moved by the
        same time, so that the first image is taken now."""
        first_stamp, first_receive = self._first
        now = self._node.get_clock().now().nanoseconds
        start = time.monotonic()
        for message in self._recording.messages(set(self._outputs)):
            elapsed = (message.receive_ns - first_receive) / 1e9
            time.sleep(max(0.0, start + elapsed - time.monotonic()))
            self._outputs[message.topic].publish(moved(message.data, now - first_stamp))
            yield elapsed

    def close(self):
        """Leave the graph."""
        self._node.destroy_node()
        self._context.try_shutdown()


def moved(data: bytes, offset_ns: int) -> bytes:
    """The same message with its stamp moved."""
    stamp = divmod(stamp_ns(data) + offset_ns, 1_000_000_000)
    return data[:4] + struct.pack('<iI' if data[1] & 1 else '>iI', *stamp) + data[12:]
