"""`echo_node`: answers each image at once with an empty depth image. What it takes is the transport's share."""

import numpy as np
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.node import Node
from sensor_msgs.msg import Image

from dfd_depth_ros.ros import qos
from dfd_depth_ros.ros.messages import to_image

RCLError = rclpy_implementation.RCLError


class EchoNode(Node):
    """Subscribes and publishes as `depth_node` does, and thinks nothing in between."""

    def __init__(self, **options):
        super().__init__('echo_node', **options)
        self._depth = np.zeros((0, 0), np.float32)
        self._output = self.create_publisher(Image, 'depth/image_rect', qos.reliable())
        self.create_subscription(Image, 'image_raw', self._answer, qos.sensor_data())

    def _answer(self, message: Image) -> None:
        size = message.height, message.width
        if self._depth.shape != size:
            self._depth = np.full(size, np.nan, np.float32)
        try:
            self._output.publish(to_image(self._depth, message.header))
        except RCLError:
            if self.context.ok():  # an interrupt ends the context while an image is answered
                raise
