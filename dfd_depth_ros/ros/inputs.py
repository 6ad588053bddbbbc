"""What a camera says: its images, its calibration and its lens. Callbacks only store; reading is done in a worker."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, JointState

from dfd_depth_ros.optics.distortion import Distortion, DistortionError
from dfd_depth_ros.ros import messages, qos
from dfd_depth_ros.ros.diagnostics import Monitor
from dfd_depth_ros.ros.lens_buffer import LensMatch
from dfd_depth_ros.ros.lens_sources import Added, LensSource
from dfd_depth_ros.ros.silence import Silence
from dfd_depth_ros.scenes import calibration
from dfd_depth_ros.scenes.frame import Intrinsics
from dfd_depth_ros.scenes.lens_metadata import NoLensMetadataError

LENS_TOPICS = {'joint_state': (JointState, 'lens'), 'diagnostics': (DiagnosticArray, 'lens_metadata')}
OPTIONAL = ('weights', 'pose')  # topics that may be silent for ever


@dataclass(frozen=True)
class View:
    """One image with what belongs to it. stamp: nanoseconds. image: (H, W, 3) uint8 RGB. camera: None where it is
    uncalibrated or distorts in an unknown way. distortion: None where there is none."""

    stamp: int
    image: np.ndarray
    match: LensMatch
    info: CameraInfo | None
    camera: Intrinsics | None
    distortion: Distortion | None = None


class Inputs:
    """The subscriptions to a camera. lens: the configured source of lens states. on_image(message) is called in the
    executor. loss: what an uncalibrated camera costs, for the diagnostics."""

    def __init__(self, node, settings: dict, lens: LensSource, monitor: Monitor, on_image: Callable, loss: str):
        self._node, self._lens, self._monitor, self._loss = node, lens, monitor, loss
        self._info: CameraInfo | None = None
        self._has_info, self._is_first, self._has_state = threading.Event(), True, False
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
        if settings['lens.source'] in LENS_TOPICS:
            self.subscribe(*LENS_TOPICS[settings['lens.source']], self.on_lens)

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

    def on_lens(self, message: JointState | DiagnosticArray) -> None:
        """Store a state of the lens."""
        try:
            added = self._add(message)
        except NoLensMetadataError as error:  # others may speak on this topic too, so this matters until a lens does
            self._monitor.condition('lens', '' if self._has_state else f'lens message refused: {error}')
            return
        except ValueError as error:
            self._monitor.error('lens', f'lens message refused: {error}')
            return
        self._has_state = True
        text = f'lens message has unknown names: {", ".join(added.unknown)}' if added.unknown else ''
        self._monitor.condition('lens', text)
        if added.problem:
            self._monitor.warning('lens_stamp', added.problem)

    def _add(self, message: JointState | DiagnosticArray) -> Added:
        stamp = messages.to_nanoseconds(message.header.stamp)
        if isinstance(message, DiagnosticArray):
            return self._lens.add_metadata(stamp, message.status)
        return self._lens.add(stamp, messages.to_lens_values(message))

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
        camera, distortion, problem = self._calibration(info, image, settings['rectified'])
        self._monitor.condition('camera', problem)
        match = self._lens.match(stamp, camera, _sensor_pixels(info, image))
        self._monitor.fact(lens_moving=match.is_moving)
        self._monitor.condition('lens_doubt', self._lens.doubts(match.lens, camera))
        camera = None if problem else self._lens.breathed(camera, match.lens)
        return View(stamp, image, match, info, camera, distortion)

    def _calibration(self, info: CameraInfo | None, image: np.ndarray, is_rectified: bool) -> tuple:
        """Camera, distortion, and a sentence where no ray can be drawn; None for what is not known."""
        camera = distortion = None
        height, width = image.shape[:2]
        try:
            if info is None:
                raise calibration.CalibrationError('no camera_info has arrived')
            camera = calibration.intrinsics(info, height, width, is_rectified)
            distortion = calibration.distortion(info, is_rectified)
        except (calibration.CalibrationError, DistortionError) as error:
            return camera, distortion, f'{error}; {self._loss}'
        return camera, distortion, ''


def _sensor_pixels(info: CameraInfo | None, image: np.ndarray) -> float | None:
    """Pixels of the full sensor in one of the image, across; None where nobody knows."""
    if info is None or not info.width:
        return None
    try:
        return calibration.reduction(info, *image.shape[:2]).pixels
    except calibration.CalibrationError:
        return None


def sentence(error: Exception) -> str:
    """An error for the user: our own speak for themselves, others need their type."""
    return str(error) if isinstance(error, ValueError) else f'{type(error).__name__}: {error}'
