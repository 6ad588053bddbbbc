"""Plays the camera of a bag into a running graph, byte for byte, as if it happened now."""

import struct
import time
from collections.abc import Iterator

import rclpy
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from dfd_depth_ros.ros.inputs import LENS_TOPICS
from dfd_depth_ros.ros.qos import reliable
from dfd_depth_ros.scenes.bag_lenses import SOURCES
from dfd_depth_ros.scenes.bags import BagFrames, Recording, stamp_ns

IMAGE_TOPICS = {'raw': ('image_raw', Image), 'compressed': ('image_raw/compressed', CompressedImage)}
TOPICS = {
    'camera_info': ('camera_info', CameraInfo),
    'truth': ('ground_truth/depth', Image),
}
DISCOVERY_S = 60.0
TICK_S = 0.01  # between messages of /clock


class Player:
    """Publishes images, calibration, lens states and ground truth of a bag under the names of our graph.

    bag: path of the bag. frames: the same bag as frames, for the topics of its roles. transport: 'raw' or 'compressed'.
    clock: publish /clock too, for nodes with use_sim_time. `sent` tells when images left: stamp -> nanoseconds of the
    wall clock.
    """

    def __init__(self, bag, frames: BagFrames, transport: str, clock: bool = False):
        self._recording = Recording(bag)
        self._context = rclpy.Context()
        rclpy.init(args=[], context=self._context)
        self._node = rclpy.create_node('player', context=self._context)
        names = {'image': IMAGE_TOPICS[transport], **TOPICS}
        if 'lens' in frames.kinds:
            kind, topic = LENS_TOPICS[SOURCES[frames.kinds['lens']]]
            names['lens'] = (topic, kind)
        self._outputs = {
            frames.topics[role]: self._node.create_publisher(kind, name, reliable())
            for role, (name, kind) in names.items()
            if role in frames.topics
        }
        self._image = self._outputs[frames.topics['image']]
        self._clock = self._node.create_publisher(Clock, '/clock', reliable()) if clock else None
        self.sent: dict[int, int] = {}
        self._first = tuple(int(times[0]) for times in frames.times['image'])

    def wait_for_listeners(self, count: int):
        """Return when `count` subscribers listen to the image, and one to /clock. Raises RuntimeError where they are
        missing too long."""
        deadline = time.monotonic() + DISCOVERY_S
        while missing := self._missing(count):
            if time.monotonic() > deadline:
                raise RuntimeError(missing)
            time.sleep(0.05)

    def _missing(self, count: int) -> str:
        heard = self._image.get_subscription_count()
        if heard < count:
            return f'only {heard} of {count} listen to the image'
        return 'nobody listens to /clock' if self._clock and not self._clock.get_subscription_count() else ''

    def play(self, rate: float = 1.0) -> Iterator[float]:
        """Publish in the rhythm of the bag, `rate` times as fast, and yield the seconds of the bag played after each
        message. All stamps are moved by the same time, so that the first image is taken now; /clock runs at `rate`."""
        first_stamp, first_receive = self._first
        now = self._node.get_clock().now().nanoseconds
        start = time.monotonic()
        for message in self._recording.messages(set(self._outputs)):
            elapsed = (message.receive_ns - first_receive) / 1e9
            self._wait(start, elapsed / rate, rate, now)
            data = moved(message.data, now - first_stamp)
            if self._outputs[message.topic] is self._image:
                self.sent[stamp_ns(data)] = time.time_ns()
            self._outputs[message.topic].publish(data)
            yield elapsed

    def _wait(self, start: float, until: float, rate: float, now_ns: int):
        """Sleep until so many seconds after the start, and keep the clock going meanwhile."""
        while True:
            elapsed = time.monotonic() - start
            if self._clock:
                seconds, nanoseconds = divmod(now_ns + int(elapsed * rate * 1e9), 1_000_000_000)
                tick = Clock()
                tick.clock.sec, tick.clock.nanosec = seconds, nanoseconds
                self._clock.publish(tick)
            if elapsed >= until:
                return
            time.sleep(min(until - elapsed, TICK_S if self._clock else until - elapsed))

    def close(self):
        """Leave the graph."""
        self._node.destroy_node()
        self._context.try_shutdown()


def moved(data: bytes, offset_ns: int) -> bytes:
    """The same message with its stamp moved."""
    stamp = divmod(stamp_ns(data) + offset_ns, 1_000_000_000)
    return data[:4] + struct.pack('<iI' if data[1] & 1 else '>iI', *stamp) + data[12:]
