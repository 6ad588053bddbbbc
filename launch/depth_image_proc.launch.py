"""depth_image_proc on our depth: `ros2 launch dfd_depth_ros depth_image_proc.launch.py namespace:=camera`.

Beside a depth node that runs already. Its own depth/points is gated by sigma and coloured; this is for pipelines that
are built on depth_image_proc. camera_info is found beside the image, as depth/camera_info, by image_transport.
"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

ARGUMENTS = {
    'namespace': ('camera', 'Namespace of the camera and of its depth node.'),
    'use_sim_time': ('false', 'Take the time from /clock.'),
}
REMAPPINGS = [('image_rect', 'depth/image_rect'), ('points', 'depth/points_xyz')]


def generate_launch_description():
    """The point_cloud_xyz node, which works while somebody listens to depth/points_xyz."""
    declared = [
        DeclareLaunchArgument(name, default_value=default, description=text)
        for name, (default, text) in ARGUMENTS.items()
    ]
    cloud = Node(
        package='depth_image_proc',
        executable='point_cloud_xyz_node',
        namespace=LaunchConfiguration('namespace'),
        remappings=REMAPPINGS,
        parameters=[{'use_sim_time': ParameterValue(LaunchConfiguration('use_sim_time'), value_type=bool)}],
        output='screen',
    )
    return LaunchDescription([*declared, cloud])
