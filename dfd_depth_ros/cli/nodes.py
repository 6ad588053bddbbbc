"""Mains of the ROS nodes."""

import argparse
import importlib
import sys

_NODES = {
    'depth_node': ('DepthNode', 'Metric depth with its sigma from defocused images and the lens state.'),
    'camera_simulator': ('CameraSimulator', 'A moving, refocusing camera with known depth, for demos and tests.'),
}


def depth_node(argv=None) -> int:
    """Run `depth_node` until it is interrupted; returns the exit code."""
    return _run('depth_node', argv)


def camera_simulator(argv=None) -> int:
    """Run `camera_simulator` until it is interrupted; returns the exit code."""
    return _run('camera_simulator', argv)


def _run(name: str, argv: list[str] | None) -> int:
    class_name, description = _NODES[name]
    parser = argparse.ArgumentParser(
        prog=name,
        description=description,
        epilog=f'Parameters and remappings: {name} --ros-args -p NAME:=VALUE --params-file FILE -r FROM:=TO',
    )
    _, ros_arguments = parser.parse_known_args(argv)
    try:
        return _spin(name, class_name, ros_arguments)
    except KeyboardInterrupt:
        return 0
    except ImportError as error:
        if error.name != 'rclpy':
            raise
        message = 'ROS 2 is missing: source a ROS installation, or install the extra ros-wheels'
    except ValueError as error:
        message = str(error)
    print(f'{name}: {message}', file=sys.stderr)
    return 1


def _spin(name: str, class_name: str, ros_arguments: list[str]) -> int:
    """Run the node until a signal, or until it ends itself. Raises ValueError for a bad parameter or ROS argument."""
    import rclpy
    from rclpy.executors import ExternalShutdownException

    node_class = getattr(importlib.import_module(f'dfd_depth_ros.ros.{name}'), class_name)
    try:
        rclpy.init(args=[name, *ros_arguments])
    except RuntimeError as error:
        raise ValueError(str(error).splitlines()[0]) from None
    node = None
    try:
        node = node_class()
        rclpy.spin(node)
    except ExternalShutdownException:
        pass
    finally:
        if node:
            node.destroy_node()
        rclpy.try_shutdown()
    return 0
