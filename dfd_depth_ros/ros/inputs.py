"""What a camera says: its images, its calibration and its lens. Callbacks only store; reading is done in a worker."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, JointState

from dfd_depth_ros.ros import messages, qos
from dfd_depth_ros.ros.diagnostics import Monitor
from dfd_depth_ros.ros.lens_buffer import LensMatch
from dfd_depth_ros.ros.lens_sources import LensSource
from dfd_depth_ros.ros.silence import Silence
from dfd_depth_ros.scenes.frame import Intrinsics

OPTIONAL = ('weights', 'pose')  # topics that may be silent for ever


@dataclass(frozen=True)
class View:
    """One image with what belongs to it. stamp: nanoseconds. image: (H, W, 3) uint8 RGB. camera: None where it is
    uncalibrated."""

    stamp: int
    image: np.ndarray
    match: LensMatch
    info: CameraInfo | None
    camera: Intrinsics | None


class Inputs:
    """The subscriptions to a camera. lens: the configured source of lens states. on_image(message) is called in the
    executor. loss: what an uncalibrated camera costs, for the diagnostics."""

    def __init__(self, node, settings: dict, lens: LensSource, monitor: Monitor, on_image: Callable, loss: str):
        self._node, self._lens, self._monitor, self._loss = node, lens, monitor, loss
        self._info: CameraInfo | None = None
        self._has_info, self._is_first = threading.Event(), True
        self._subscriptions: list = []
        self._silence = Silence(node, monitor)
        self.report_silence = self._silence.report
        # As with image_transport, the compressed topic follows a remapped `image_raw`.
        image = {
            'raw': (Image, 'image_raw', on_image),
            'compressed': (CompressedImage, f'{node.resolve_topic_name("image_raw")}/compressed', on_image),
        }
        self.subscribe(*image[settings['image_transport']])
        self.subscribe(CameraInfo, 'camera_info', self.on_camera_info)
        if settings['lens.source'] == 'joint_state':
            self.subscribe(JointState, 'lens', self.on_lens)

    def subscribe(self, kind, topic: str, callback: Callable, profile=None) -> None:
        """One more topic that lives as long as the others; best effort unless there is a profile."""
        watch = (self.on_incompatible_qos, self._monitor.lost)
        callback = callback if topic in OPTIONAL else self._silence.watch(topic, callback)
        self._subscriptions.append(qos.subscribe(self._node, kind, topic, callback, *watch, profile))

    def destroy(self) -> None:
        """Remove the subscriptions from the node."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self.report_silence(False, '')

    def on_camera_info(self, message: CameraInfo) -> None:
        """Store the calibration."""
        self._info = message
        self._has_info.set()

    def on_lens(self, message: JointState) -> None:
        """Store a state of the lens."""
        try:
            unknown = self._lens.add(messages.to_nanoseconds(message.header.stamp), messages.to_lens_values(message))
            text = f'lens message has unknown names: {", ".join(unknown)}' if unknown else ''
            self._monitor.condition('lens', text)
        except ValueError as error:
            self._monitor.error('lens', f'lens message refused: {error}')

    def on_incompatible_qos(self, topic: str, text: str) -> None:
        """A connection that the middleware refused is a condition."""
        self._monitor.condition(f'qos.{topic}', text)

    def read(self, message: Image | CompressedImage, settings: dict) -> View:
        """The image with its lens state and camera; may wait for `lens.wait_s`. Raises ValueError (EncodingError,
        LensError) where the image is wrong or has no lens state."""
        if self._is_first:
            self._has_info.wait(settings['lens.wait_s'])  # the first camera_info may come after the first image
        self._is_first = False
        stamp, info = messages.to_nanoseconds(message.header.stamp), self._info
        image = messages.to_rgb(message, settings['max_pixels'])
        camera = self._camera(info, image)
        return View(stamp, image, self._lens.match(stamp, camera), info, camera)

    def _camera(self, info: CameraInfo | None, image: np.ndarray) -> Intrinsics | None:
        """The camera of the image, or None and a condition that says why not."""
        try:
            if info is None:
                raise messages.CalibrationError('no camera_info has arrived')
            camera = messages.to_intrinsics(info, *image.shape[:2])
        except messages.CalibrationError as error:
            self._monitor.condition('camera', f'{error}; {self._loss}')
            return None
        self._monitor.condition('camera', '')
        return camera


def sentence(error: Exception) -> str:
    """An error for the user: our own speak for themselves, others need their type."""
    return str(error) if isinstance(error, ValueError) else f'{type(error).__name__}: {error}'
