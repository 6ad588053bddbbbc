"""The topic `lens_model`: what the node takes the lens to be, latched, so that a recording or a latecomer knows it."""

from collections.abc import Callable

from std_msgs.msg import String

from dfd_depth_ros.ros import qos
from dfd_depth_ros.scenes.lens_model import lens_model, to_text, without_focus


class LensModelTopic:
    """Publishes the model with the first image, and again when something but the focus changes. A focus that is a
    parameter, and so part of the model, counts as well. on_problem: as that of `qos.publisher`."""

    def __init__(self, node, on_problem: Callable[[str, str], None]):
        self._node = node
        self._told: dict | None = None
        self._publisher = qos.publisher(node, String, 'lens_model', on_problem, qos.latched())

    def destroy(self) -> None:
        """Remove the publisher from the node."""
        self._node.destroy_lifecycle_publisher(self._publisher)

    def publish(self, lens, size: tuple[int, int], is_fixed: bool, **facts: str) -> None:
        """Publish the lens before images of that size (height, width) if it is news. Raises RCLError where that
        fails."""
        height, width = size
        model = lens_model(lens, height, width, **facts)
        news = model if is_fixed else without_focus(model)
        if news != self._told:
            self._publisher.publish(String(data=to_text(model)))
            self._told = news
