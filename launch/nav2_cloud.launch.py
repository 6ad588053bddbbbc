"""A cloud for the VoxelLayer of Nav2: `ros2 launch dfd_depth_ros nav2_cloud.launch.py lens_file:=/path/to/lens.yaml`.

The depth node of depth.launch.py with the parameters of config/nav2_cloud.yaml: few points, each of them sure. What
Nav2 is to be told stands in config/nav2_voxel_layer.yaml. It also needs the place of the camera in tf.
"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.substitutions import LaunchConfiguration

from dfd_depth_ros.paths import share_directory

# All are handed on to depth.launch.py.
ARGUMENTS = {
    'namespace': ('camera', 'Namespace of the camera; nav2_voxel_layer.yaml listens in /camera.'),
    'lens_file': ('', 'Lens file: package://, absolute or relative path. Empty: as in params_file.'),
    'lens_source': ('', 'parameters, joint_state or diagnostics. Empty: as in params_file.'),
    'weights': ('', 'Weights file: package://, absolute or relative path. Empty: as in params_file.'),
    'device': ('', 'auto, cpu or cuda. Empty: as in params_file.'),
    'params_file': ('config/nav2_cloud.yaml', 'Parameter file of the depth node.'),
    'use_sim_time': ('false', 'Take the time from /clock.'),
    'view': ('none', 'Show the results: rviz, rerun (a web page on this machine), or none.'),
}


def generate_launch_description():
    """The depth node, told to publish a cloud for a costmap."""
    depth = IncludeLaunchDescription(
        str(share_directory() / 'launch' / 'depth.launch.py'),
        launch_arguments={name: LaunchConfiguration(name) for name in ARGUMENTS}.items(),
    )
    declared = [
        DeclareLaunchArgument(name, default_value=default, description=text)
        for name, (default, text) in ARGUMENTS.items()
    ]
    return LaunchDescription([*declared, depth])
