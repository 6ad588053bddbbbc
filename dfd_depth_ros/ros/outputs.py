"""What `depth_node` publishes for one frame; what nobody listens to is not even made."""

from collections.abc import Callable
from dataclasses import astuple, dataclass, replace

import cv2
import numpy as np
from rclpy.impl.implementation_singleton import rclpy_implementation
from sensor_msgs.msg import CameraInfo, Image, JointState, PointCloud2
from std_msgs.msg import Header

from dfd_depth_ros.estimation.estimate import Estimate
from dfd_depth_ros.optics.distortion import Distortion, rays
from dfd_depth_ros.optics.lens import Lens
from dfd_depth_ros.ros import messages, qos
from dfd_depth_ros.ros.lens_model import LensModelTopic
from dfd_depth_ros.scenes.frame import Intrinsics

RCLError = rclpy_implementation.RCLError
TOPICS = {
    'depth/image_rect': Image,
    'depth/camera_info': CameraInfo,
    'depth/sigma': Image,
    'coc/image': Image,
    'depth/points': PointCloud2,
    'depth/view': Image,
    'lens_used': JointState,
}


@dataclass(frozen=True)
class Result:
    """One frame with all that is known about it. image: (H, W, 3) uint8 RGB. camera: None where uncalibrated."""

    header: Header
    image: np.ndarray
    lens: Lens
    estimate: Estimate
    info: CameraInfo | None
    camera: Intrinsics | None
    distortion: Distortion | None = None


class Outputs:
    """The publishers of `depth_node`. on_problem gets topic and sentence about each incompatible subscriber."""

    def __init__(self, node, on_problem: Callable[[str, str], None]):
        self._node = node
        self._publishers = {topic: qos.publisher(node, kind, topic, on_problem) for topic, kind in TOPICS.items()}
        self._model = LensModelTopic(node, on_problem)

    def destroy(self) -> None:
        """Remove the publishers from the node."""
        for publisher in self._publishers.values():
            self._node.destroy_lifecycle_publisher(publisher)
        self._model.destroy()

    def publish_depth(self, result: Result) -> None:
        """Publish `depth/image_rect` of an estimate that is limited to the range. Raises RCLError where it cannot."""
        self._publishers['depth/image_rect'].publish(messages.to_image(result.estimate.depth, result.header))

    def publish_rest(self, result: Result, settings: dict) -> list[str]:
        """Publish all else that somebody listens to. Returns a sentence for each topic that could not be published."""
        problems = []
        for topic, make in _MAKERS.items():
            try:
                is_heard = self._publishers[topic].get_subscription_count() > 0
                message = make(result, settings) if is_heard else None
                if message is not None:
                    self._publishers[topic].publish(message)
            except Exception as error:
                problems.append(f'{topic} could not be published: {error}')
        return problems

    def publish_model(self, result: Result, facts: dict[str, str]) -> list[str]:
        """Publish `lens_model` where it is news. facts: see `lens_model`. Returns as publish_rest does."""
        try:
            self._model.publish(result.lens, result.image.shape[:2], facts['source'] == 'parameters', **facts)
        except RCLError as error:
            return [f'lens_model could not be published: {error}']
        return []


def limited(estimate: Estimate, min_m: float, max_m: float) -> Estimate:
    """The estimate with depth outside the range as -Inf and +Inf (REP 117) and no sigma there."""
    near, far = estimate.depth < min_m, estimate.depth > max_m
    depth = np.where(near, np.float32(-np.inf), np.where(far, np.float32(np.inf), estimate.depth))
    return replace(estimate, depth=depth, sigma=np.where(near | far, np.float32(np.nan), estimate.sigma))


def coloured(depth: np.ndarray, min_m: float, max_m: float) -> np.ndarray:
    """(H, W) metres as (H, W, 3) uint8 RGB on the Turbo scale, near is red, unknown is black."""
    scale = np.clip((max_m - depth) / (max_m - min_m), 0, 1)
    colours = cv2.applyColorMap(np.uint8(np.nan_to_num(scale) * 255), cv2.COLORMAP_TURBO)
    colours[np.isnan(depth)] = 0
    return cv2.cvtColor(colours, cv2.COLOR_BGR2RGB)


def _points(result: Result, settings: dict) -> PointCloud2 | None:
    if result.camera is None:
        return None
    n, depth = settings['points.stride'], result.estimate.depth
    keep = result.estimate.sigma[::n, ::n] <= settings['points.max_sigma_m']
    looks = rays(*astuple(result.camera), result.distortion, *depth.shape, n)
    image, organised = result.image[::n, ::n], settings['points.organised']
    return messages.to_cloud(depth[::n, ::n], keep, image, looks, result.header, organised)


def _camera_info(result: Result, settings: dict) -> CameraInfo | None:
    if result.info is None:
        return None
    info = result.info if result.camera is None else messages.fitted(result.info, *result.image.shape[:2])
    return messages.restamped(info, result.header)


def _view(result: Result, settings: dict) -> Image:
    picture = coloured(result.estimate.depth, settings['view.min_m'], settings['view.max_m'])
    return messages.to_image(picture, result.header)


_MAKERS = {
    'depth/camera_info': _camera_info,
    'depth/sigma': lambda result, _: messages.to_image(result.estimate.sigma, result.header),
    'coc/image': lambda result, _: messages.to_image(result.estimate.coc, result.header),
    'lens_used': lambda result, _: messages.to_lens_message(result.lens, result.header),
    'depth/points': _points,
    'depth/view': _view,
}
