"""One node as the whole of a process: from its ROS arguments to the signal that ends it."""

import signal
from collections.abc import Callable

import rclpy
from rclpy.executors import ExternalShutdownException


def run_node(make: Callable, name: str, arguments: list[str]) -> None:
    """Make a node and serve it until a signal, or until it ends itself. Raises ValueError for a bad ROS argument, and
    what make() raises."""
    try:
        rclpy.init(args=[name, *arguments])
    except RuntimeError as error:
        raise ValueError(str(error).splitlines()[0]) from None
    node = None
    try:
        node = make()
        rclpy.spin(node)
    except ExternalShutdownException:
        pass
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not interrupt the cleaning up
        if node:
            node.destroy_node()
        rclpy.try_shutdown()
