"""A board at a known distance, pass or fail: `ros2 launch dfd_depth_ros acceptance.launch.py camera:=true`."""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, Shutdown
from launch.conditions import IfCondition, UnlessCondition
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

ARGUMENTS = {
    'camera': ('false', 'true: judge a depth node that runs already; false: simulate camera and board.'),
    'topic': ('depth/image_rect', 'Depth topic of the running node.'),
    'distance': ('1.99', 'Distance of the board in metres.'),
    'tolerance': ('0.02', 'Largest error of the mean in metres.'),
    'window': ('0.5', 'Share of width and height in the middle that the board fills.'),
    'frames': ('100', 'Depth images to judge.'),
}


def generate_launch_description():
    """The test, whose end ends the launch; its verdict is its exit code and its last line."""
    value = {name: LaunchConfiguration(name) for name in ARGUMENTS}
    given = [part for name in ARGUMENTS if name != 'camera' for part in (f'--{name}', value[name])]
    tests = [
        Node(
            package='dfd_depth_ros',
            executable='acceptance',
            arguments=arguments,
            condition=condition(value['camera']),
            output='screen',
            on_exit=Shutdown(),
        )
        for arguments, condition in ((['--camera', *given], IfCondition), (given, UnlessCondition))
    ]
    declared = [
        DeclareLaunchArgument(name, default_value=default, description=text)
        for name, (default, text) in ARGUMENTS.items()
    ]
    return LaunchDescription([*declared, *tests])
