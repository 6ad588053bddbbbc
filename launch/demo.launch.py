"""A simulated camera and the depth node that watches it: `ros2 launch dfd_depth_ros demo.launch.py view:=rviz`."""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from dfd_depth_ros.paths import share_directory

# Those named as in depth.launch.py are handed on to it.
ARGUMENTS = {
    'namespace': ('camera', 'Namespace of the camera and of the depth node.'),
    'lens_file': ('config/lenses/simulated_50mm_f1.4.yaml', 'Lens of the simulated camera.'),
    'weights': ('', 'Weights file of the depth node. Empty: those that ship.'),
    'device': ('', 'auto, cpu or cuda. Empty: auto.'),
    'view': ('none', 'Show the results: rviz, rerun (a web page on this machine), or none.'),
    'scene': ('motorcycle', 'What the simulated camera looks at.'),
    'rate_hz': ('5.0', 'Frames in a second.'),
}
HANDED_ON = ('namespace', 'lens_file', 'weights', 'device', 'view')


def generate_launch_description():
    """The depth node, told by the camera where it focuses; then the camera."""
    value = {name: LaunchConfiguration(name) for name in ARGUMENTS}
    depth = IncludeLaunchDescription(
        str(share_directory() / 'launch' / 'depth.launch.py'),
        launch_arguments={'lens_source': 'joint_state', **{name: value[name] for name in HANDED_ON}}.items(),
    )
    camera = Node(
        package='dfd_depth_ros',
        executable='camera_simulator',
        namespace=value['namespace'],
        parameters=[
            {
                'lens_file': ParameterValue(value['lens_file'], value_type=str),
                'scene': ParameterValue(value['scene'], value_type=str),
                'rate_hz': ParameterValue(value['rate_hz'], value_type=float),
            }
        ],
        output='screen',
    )
    declared = [
        DeclareLaunchArgument(name, default_value=default, description=text)
        for name, (default, text) in ARGUMENTS.items()
    ]
    return LaunchDescription([*declared, depth, camera])
