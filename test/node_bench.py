"""A depth node and a tester in one process, talking over real DDS; the estimator is a quick stand-in."""

import collections
import threading
import time

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, JointState

from dfd_depth_ros.estimation.estimate import Estimate
from dfd_depth_ros.ros import depth_node, messages
from dfd_depth_ros.scenes.frame import Intrinsics

LENS = {
    'lens.focal_length_m': 0.05,
    'lens.f_number': 2.0,
    'lens.focus_distance_m': 2.0,
    'lens.pixel_pitch_m': 4e-5,
}
FRAME_ID = 'camera_optical'
CAMERA = Intrinsics(60.0, 60.0, 4.0, 3.0)
START = 1000
PATIENCE_S = 30.0
INPUTS = {
    'image_raw': Image,
    'image_raw/compressed': CompressedImage,
    'camera_info': CameraInfo,
    'lens': JointState,
    'lens_metadata': DiagnosticArray,
}


class FakeEstimator:
    """Depth in metres is a tenth of the red value, sigma a hundredth of depth; `hurdle` is called before each one."""

    digest, device, model_name, precision, at_once = 'd1935', 'cpu', 'fake', 'float32', 1

    def __init__(self, hurdle=lambda: None):
        self.hurdle, self.lenses, self.places, self.resets = hurdle, [], [], 0

    def reset(self):
        self.resets += 1

    def estimate(self, image, lens, stamp, *place, turn=lambda: None):
        turn()
        self.lenses.append(lens)
        self.places.append(place)
        self.hurdle()
        depth = image[..., 0].astype(np.float32) / 10
        coc = lens.coc(1 / np.maximum(depth, 0.1))
        return Estimate(depth, depth / 100, coc, np.ones_like(depth), notes=('little blur to read',))


def wait(condition, what='the expected'):
    """Wait until condition() is true and return it."""
    end = time.monotonic() + PATIENCE_S
    while not (value := condition()):
        assert time.monotonic() < end, f'{what} did not happen within {PATIENCE_S:g} s'
        time.sleep(0.002)
    return value


def picture(red=20, height=6, width=8):
    """Flat (H, W, 3) uint8 RGB."""
    return np.full((height, width, 3), (red, 100, 50), np.uint8)


class NodeBench:
    """A node under test and a tester that talks to it, each in a thread. inputs: topics that the tester publishes, with
    their kinds. received: messages by topic. Stamps are seconds from START."""

    def __init__(self, node, inputs, namespace=None):
        self.node, self.tester = node, Node('tester', namespace=namespace)
        self.received = collections.defaultdict(list)
        self.publishers = {topic: self.tester.create_publisher(kind, topic, 10) for topic, kind in inputs.items()}
        self._executors = [SingleThreadedExecutor(), SingleThreadedExecutor()]
        self._threads = []

    def start(self):
        """Serve both from now on."""
        for executor, node in zip(self._executors, (self.node, self.tester), strict=True):
            executor.add_node(node)
            self._threads.append(threading.Thread(target=executor.spin))
            self._threads[-1].start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for executor in self._executors:
            executor.shutdown()
        for thread in self._threads:
            thread.join()
        self.node.destroy_node()
        self.tester.destroy_node()

    def listen(self, topic, kind=Image, qos=10):
        """Subscribe; messages come to received[topic]."""
        return self.tester.create_subscription(kind, topic, self.received[topic].append, qos)

    def send(self, seconds, message=None, topic='image_raw'):
        """Publish a message, or an array as an image, with a stamp."""
        header = messages.to_header(round((START + seconds) * 1e9), FRAME_ID)
        message = picture() if message is None else message
        message = messages.to_image(message, header) if isinstance(message, np.ndarray) else message
        message.header = header
        self.publishers[topic].publish(message)

    def first(self, topic, condition):
        """The first status of a diagnostics topic from now on that fulfils the condition: (level, message, values)."""
        seen = self.received[topic]
        start = len(seen)

        def find():
            for message in seen[start:]:
                status = message.status[0]
                entry = (status.level, status.message, {pair.key: pair.value for pair in status.values})
                if condition(*entry):
                    return entry
            return None

        return wait(find, f'an entry in {topic}')


class Bench(NodeBench):
    """A depth node and its tester."""

    def __init__(self, estimator=None, load=None, renew=None, parameters=LENS, topics=('depth/image_rect',), **options):
        self.estimator = estimator or FakeEstimator()
        overrides = [Parameter(name, value=value) for name, value in parameters.items()]
        load = load or (lambda settings: self.estimator)
        node = depth_node.DepthNode(load=load, renew=renew, parameter_overrides=overrides, **options)
        super().__init__(node, INPUTS, options.get('namespace'))
        for topic in topics:
            self.listen(topic)
        self.listen('/diagnostics', DiagnosticArray)
        self.start()

    def connect(self, *extra, topic='image_raw', image=None):
        """Send images, each after the extra (topic, message) of the same stamp, until depth comes back and nothing is
        on its way any more; then forget them. Their stamps are negative."""
        stamps = (-START + count / 100 for count in range(1, 100 * START))

        def send():
            stamp = next(stamps)
            for name, message in extra:
                self.send(stamp, message, name)
            self.send(stamp, image, topic)
            time.sleep(0.05)
            return stamp

        try:
            wait(lambda: send() and self.received['depth/image_rect'], 'a connection')
            self.depth(send())
        except AssertionError as error:
            heard = {name: publisher.get_subscription_count() for name, publisher in self.publishers.items()}
            depths = self.tester.count_publishers('depth/image_rect'), len(self.received['depth/image_rect'])
            counts = self.node.monitor.counts()
            self.__exit__()
            raise AssertionError(f'{error}: listeners {heard}, counts {counts}, depth {depths}') from None
        for received in self.received.values():
            received.clear()
        self.estimator.lenses.clear()
        self.before = self.node.monitor.counts()
        return self

    def since(self):
        """The counts since connect."""
        return {name: count - self.before[name] for name, count in self.node.monitor.counts().items()}

    def settled(self):
        """The counts since connect, once nothing is in work: depth arrives before the node has counted it."""
        wait(lambda: not self.since()['pending'], 'the end of the work')
        return self.since()

    def depth(self, seconds):
        """The depth image with that stamp, awaited."""
        stamp = messages.to_stamp(round((START + seconds) * 1e9))
        found = wait(
            lambda: [m for m in self.received['depth/image_rect'] if m.header.stamp == stamp], f'depth at {seconds} s'
        )
        return messages.to_depth(found[0])

    def status(self, condition):
        """The first diagnostics status from now on that fulfils the condition: (level, message, values)."""
        return self.first('/diagnostics', condition)
