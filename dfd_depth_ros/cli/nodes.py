"""Mains of the ROS nodes."""

import argparse
import importlib
import sys

# class, the longest that it may take to end in seconds (the trainer saves before it goes), description
_NODES = {
    'depth_node': ('DepthNode', 1.7, 'Metric depth with its sigma from defocused images and the lens state.'),
    'trainer_node': ('TrainerNode', 5.0, 'Learns on from what the camera sees and publishes weights for depth_node.'),
    'echo_node': ('EchoNode', 1.7, 'Answers each image at once with an empty depth image, for benchmarks.'),
    'rerun_view': ('RerunView', 1.7, 'Depth, sigma, CoC, cloud and curves as a web page on this machine, with rerun.'),
    'camera_simulator': ('CameraSimulator', 1.7, 'A moving, refocusing camera with known depth, for demos and tests.'),
}


def depth_node(argv=None) -> int:
    """Run `depth_node` until it is interrupted; returns the exit code."""
    return _run('depth_node', argv)


def trainer_node(argv=None) -> int:
    """Run `trainer_node` until it is interrupted; returns the exit code."""
    return _run('trainer_node', argv)


def echo_node(argv=None) -> int:
    """Run `echo_node` until it is interrupted; returns the exit code."""
    return _run('echo_node', argv)


def rerun_view(argv=None) -> int:
    """Run `rerun_view` until it is interrupted; returns the exit code."""
    return _run('rerun_view', argv)


def camera_simulator(argv=None) -> int:
    """Run `camera_simulator` until it is interrupted; returns the exit code."""
    return _run('camera_simulator', argv)


def _run(name: str, argv: list[str] | None) -> int:
    class_name, end_s, description = _NODES[name]
    parser = argparse.ArgumentParser(
        prog=name,
        description=description,
        epilog=f'Parameters and remappings: {name} --ros-args -p NAME:=VALUE --params-file FILE -r FROM:=TO',
    )
    _, ros_arguments = parser.parse_known_args(argv)
    try:
        from dfd_depth_ros.ros.run import run_node

        make = getattr(importlib.import_module(f'dfd_depth_ros.ros.{name}'), class_name)
        run_node(make, name, ros_arguments, end_s)
    except KeyboardInterrupt:
        return 0
    except ImportError as error:
        if error.name != 'rclpy':
            raise
        return _fail(name, 'ROS 2 is missing: source a ROS installation, or install the extra ros-wheels')
    except ValueError as error:
        return _fail(name, str(error))
    return 0


def _fail(name: str, sentence: str) -> int:
    print(f'{name}: {sentence}', file=sys.stderr)
    return 1
