"""`camera_simulator`: publishes a moving, refocusing camera with its ground truth, for demos and tests."""

import itertools
from dataclasses import replace

from geometry_msgs.msg import PoseStamped
from rcl_interfaces.msg import SetParametersResult
from rclpy.duration import Duration
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CameraInfo, Image, JointState
from tqdm import tqdm

from dfd_depth_ros.ros.messages import to_camera_info, to_header, to_image, to_lens_message, to_stamp
from dfd_depth_ros.ros.parameters import ParameterError, Spec, changed, declare
from dfd_depth_ros.ros.poses import to_pose_message
from dfd_depth_ros.ros.qos import reliable
from dfd_depth_ros.scenes.frame import Frame
from dfd_depth_ros.scenes.lens_files import read_lens
from dfd_depth_ros.scenes.simulated import BOARD_M, MILD_NOISE, SCENES, camera_loop, film_set

TOPICS = {
    'image_raw': Image,
    'camera_info': CameraInfo,
    'lens': JointState,
    'ground_truth/depth': Image,
    'pose': PoseStamped,
}
FRAME_ID, WORLD_ID = 'camera_optical_frame', 'map'
KEPT = 30  # frames that a reliable listener may lag behind: a recorder on a busy machine must miss none
PARAMETERS = {
    'rate_hz': Spec(5.0, 'Frames in a second.', 'Hz', low=0.01, high=1000.0, live=True),
    'scene': Spec('motorcycle', 'What the camera looks at.', choices=SCENES),
    'board_m': Spec(BOARD_M, 'Distance of the board of scene board.', 'm', low=0.05, high=1000.0),
    'lens_file': Spec(
        'config/lenses/simulated_50mm_f1.4.yaml', 'Lens; of it, a procedural scene takes the focal length.'
    ),
    'width': Spec(640, 'Width of the image.', 'pixel', low=16, high=4096),
    'height': Spec(480, 'Height of the image.', 'pixel', low=16, high=4096),
    'loop_frames': Spec(
        30, 'Frames in the loop; each takes a moment to render before the first is sent.', low=1, high=10000
    ),
    'frames': Spec(0, 'Frames to publish before the node ends; 0: endless.', high=1_000_000_000),
    'listeners': Spec(
        0, 'Listeners to image_raw that the first frame waits for, and at least one to each other topic.', high=1000
    ),
    'lens_error.f_number': Spec(0.0, 'Share by which the true f-number is above the one in lens.', low=-0.9, high=9.0),
    'lens_error.focus': Spec(
        0.0, 'Share by which the true focus distance is beyond the one in lens.', low=-0.9, high=9.0
    ),
    'lens_error.base_blur_px': Spec(0.0, 'Sigma of a blur that is there at perfect focus.', 'pixel', high=20.0),
    'seed': Spec(0, 'Seed of sensor noise and of the procedural scene.', high=2**31),
}


class CameraSimulator(Node):
    """Renders its loop when made, then plays it at `rate_hz`, which may be changed while it runs."""

    def __init__(self, **options):
        super().__init__('camera_simulator', **options)
        self._values = declare(self, PARAMETERS)
        self._loop = itertools.cycle([to_messages(frame) for frame in self._rendered()])
        overrides = QoSOverridingOptions.with_default_policies()
        self._outputs = {
            topic: self.create_publisher(kind, topic, reliable(KEPT), qos_overriding_options=overrides)
            for topic, kind in TOPICS.items()
        }
        self._sent = 0
        self._timer = self.create_timer(1 / self._values['rate_hz'], self._publish)
        self.add_on_set_parameters_callback(self._set_parameters)
        size, rate = f'{self._values["width"]}x{self._values["height"]}', self._values['rate_hz']
        self.get_logger().info(f'ready: {self._values["scene"]}, {size}, {rate:g} Hz')

    def _rendered(self):
        values = self._values
        size, count = (values['width'], values['height']), values['loop_frames']
        told = read_lens(values['lens_file'])
        scene, lens, motion = film_set(values['scene'], told, size, values['seed'], values['board_m'])
        sensor = replace(MILD_NOISE, base_blur_px=values['lens_error.base_blur_px'])
        errors = {f'{name}_error': values[f'lens_error.{name}'] for name in ('f_number', 'focus')}
        loop = camera_loop(scene, lens, count, size, motion, sensor, values['seed'], **errors)
        for frame in tqdm(loop, desc='camera_simulator renders', total=count, unit='frame', disable=None):
            if not self.context.ok():
                raise ExternalShutdownException
            yield frame

    def _publish(self):
        if not (self._sent or self._is_heard()):
            return
        stamp = to_stamp(self.get_clock().now().nanoseconds)
        for topic, message in next(self._loop).items():
            message.header.stamp = stamp
            self._outputs[topic].publish(message)
        self._sent += 1
        if self._sent == self._values['frames']:
            for publisher in self._outputs.values():
                publisher.wait_for_all_acked(Duration(seconds=5))
            self.context.try_shutdown()

    def _is_heard(self) -> bool:
        wanted = self._values['listeners']
        counts = {topic: publisher.get_subscription_count() for topic, publisher in self._outputs.items()}
        return counts['image_raw'] >= wanted and min(counts.values()) >= min(wanted, 1)

    def _set_parameters(self, changes):
        try:
            self._values = changed(self._values, changes, PARAMETERS, configured=True)
        except ParameterError as error:
            return SetParametersResult(successful=False, reason=str(error))
        self._timer.timer_period_ns = int(1e9 / self._values['rate_hz'])
        self._timer.reset()
        return SetParametersResult(successful=True)


def to_messages(frame: Frame) -> dict:
    """What the camera publishes of one frame, by topic; the stamps are still zero."""
    header = to_header(0, FRAME_ID)
    height, width = frame.depth.shape
    return {
        'image_raw': to_image(frame.image, header),
        'camera_info': to_camera_info(frame.intrinsics, height, width, header),
        'lens': to_lens_message(frame.lens, header),
        'ground_truth/depth': to_image(frame.depth, header),
        'pose': to_pose_message(frame.pose, to_header(0, WORLD_ID)),
    }
