"""Collects depth images of a running graph, as a writer for `Recorder`."""

from collections.abc import Callable

import numpy as np
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import Image

from dfd_depth_ros.ros.messages import to_depth
from dfd_depth_ros.ros.recorder import Recorder


class DepthCollector:
    """The first `count` depth images, (H, W) float32 metres each, in `depths`."""

    def __init__(self, count: int):
        self.depths: list[np.ndarray] = []
        self._count = count

    def write(self, topic: str, msgtype: str, data: bytes, receive_ns: int) -> None:
        """One message, as `Recorder` gives it."""
        if len(self.depths) < self._count:
            self.depths.append(to_depth(deserialize_message(data, Image)))

    def close(self) -> None:
        """Nothing is left to be done."""

    @property
    def full(self) -> bool:
        """Whether all have come."""
        return len(self.depths) >= self._count


def depth_topic(topic: str) -> dict:
    """The table of topics that `Recorder` takes, of one depth topic."""
    return {topic: Image}


def collect(topic: str, collector: DepthCollector, wait: Callable[[], bool]) -> None:
    """Listen to a depth topic of the graph that this process belongs to, until all have come or `wait`, called again
    and again, gives False."""
    recorder = Recorder(collector, depth_topic(topic))
    try:
        while not collector.full and wait():
            pass
    finally:
        recorder.stop()
