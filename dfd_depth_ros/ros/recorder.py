"""Records topics to a bag, byte for byte as they came over DDS, stamped with the time of their receipt."""

import threading
import time
from collections import Counter
from contextlib import suppress

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, JointState
from std_msgs.msg import String

from dfd_depth_ros.ros.qos import latched, reliable

TOPICS = {
    'image_raw': Image,
    'image_raw/compressed': CompressedImage,
    'camera_info': CameraInfo,
    'lens': JointState,
    'pose': PoseStamped,
    'ground_truth/depth': Image,
    'depth/image_rect': Image,
    'depth/camera_info': CameraInfo,
    'depth/sigma': Image,
    'coc/image': Image,
    'lens_used': JointState,
    'lens_metadata': DiagnosticArray,
    'lens_model': String,
    'training/state': DiagnosticArray,
    '/diagnostics': DiagnosticArray,
}
LATCHED = ('lens_model',)  # said once, perhaps before anybody listened
QUEUE = 200  # messages of one topic that may wait to be written
QUIET_S, QUIET_WAITS = 0.15, 3  # a graph that was silent so often for so long has nothing more on its way
PATIENCE_S = 5.0  # a graph that never falls silent is left after this


class Recorder:
    """Gives every message of `topics` (name -> type) of a running graph to `writer` until `stop`.

    writer: `BagWriter`, or anything with its `write(topic, msgtype, data, receive_ns)` and `close()`; called from one
    thread. `counts` tells how many messages of each topic were written. Has an rclpy context of its own, with `node`.

    DDS tells other processes of subscriptions in the order in which they were made, which may take seconds on a busy
    machine: once a message of the last of `topics` has come, its sender knows of all others.
    """

    def __init__(self, writer, topics: dict = TOPICS):
        self.counts: Counter[str] = Counter()
        self._writer = writer
        self._context = rclpy.Context()
        rclpy.init(args=[], context=self._context)
        self.node = rclpy.create_node('recorder', context=self._context)
        for topic, message in topics.items():
            self.listen(topic, message)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._spin, name='recorder')
        self._thread.start()

    def listen(self, topic: str, message: type) -> None:
        """Record one topic more from now on."""
        profile = latched() if topic in LATCHED else reliable(QUEUE)
        self.node.create_subscription(message, topic, self._writing(topic, message), profile, raw=True)

    def _writing(self, topic, message):
        name = self.node.resolve_topic_name(topic)
        kind = f'{message.__module__.split(".")[0]}/msg/{message.__name__}'

        def write(data: bytes, info):
            self._writer.write(name, kind, data, info['received_timestamp'])
            self.counts[topic] += 1

        return write

    def _spin(self):
        with suppress(ExternalShutdownException):
            self._executor.spin()

    def stop(self):
        """Write what is still arriving, until nothing has come for a moment of listening, and close the writer."""
        self._executor.shutdown()
        self._thread.join()
        rest = SingleThreadedExecutor(context=self._context)
        rest.add_node(self.node)
        end, silent = time.monotonic() + PATIENCE_S, 0
        while silent < QUIET_WAITS and time.monotonic() < end:
            before = self.counts.total()
            rest.spin_once(timeout_sec=QUIET_S)
            silent = silent + 1 if self.counts.total() == before else 0
        rest.shutdown()
        self.node.destroy_node()
        self._context.try_shutdown()
        self._writer.close()
