"""Depth from one camera: `ros2 launch dfd_depth_ros depth.launch.py namespace:=camera lens_file:=/path/to/lens.yaml`.

The node reads `image_raw` and `camera_info` in the namespace of the camera. What is not given here comes from the
parameter file. The node configures and activates itself.
"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction, SetEnvironmentVariable
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from dfd_depth_ros.paths import PathError, resolve_path, share_directory
from dfd_depth_ros.ros.dds import large_image_profile

# launch argument: parameter that it overrides, unless it is empty
OVERRIDES = {'lens_file': 'lens.file', 'lens_source': 'lens.source', 'weights': 'weights', 'device': 'device'}

VIEWERS = {
    'rviz': {
        'package': 'rviz2',
        'executable': 'rviz2',
        'arguments': ['-d', str(share_directory() / 'config' / 'rviz' / 'depth.rviz')],
    },
    'rerun': {'package': 'dfd_depth_ros', 'executable': 'rerun_view'},
}

ARGUMENTS = {
    'namespace': ('', 'Namespace of the camera, whose image_raw and camera_info are read.'),
    'lens_file': ('', 'Lens file: package://, absolute or relative path. Empty: as in params_file.'),
    'lens_source': ('', 'parameters, joint_state or diagnostics. Empty: as in params_file.'),
    'weights': ('', 'Weights file: package://, absolute or relative path. Empty: as in params_file.'),
    'device': ('', 'auto, cpu or cuda. Empty: as in params_file.'),
    'params_file': ('config/depth.yaml', 'Parameter file of the node: package://, absolute or relative path.'),
    'use_sim_time': ('false', 'Take the time from /clock, as when a bag is played with --clock.'),
    'view': ('none', 'Show the results: rviz, rerun (a web page on this machine), or none.'),
}


def depth_node(context):
    """The node: its parameter file, and over it the launch arguments that were given. Raises PathError where the file
    is missing, which launch_ros would pass over."""
    given = {argument: LaunchConfiguration(argument).perform(context) for argument in (*OVERRIDES, 'params_file')}
    overrides = {
        name: ParameterValue(given[argument], value_type=str) for argument, name in OVERRIDES.items() if given[argument]
    }
    params_file = resolve_path(given['params_file'])
    if not params_file.is_file():
        raise PathError(f'params_file {params_file} does not exist')
    use_sim_time = ParameterValue(LaunchConfiguration('use_sim_time'), value_type=bool)
    return [
        Node(
            package='dfd_depth_ros',
            executable='depth_node',
            namespace=LaunchConfiguration('namespace'),
            parameters=[str(params_file), {**overrides, 'use_sim_time': use_sim_time}],
            output='screen',
        )
    ]


def viewer(context):
    """What shows the results, if anything. Raises ValueError for a view that is not there."""
    view = LaunchConfiguration('view').perform(context)
    if view not in ('none', *VIEWERS):
        raise ValueError(f'view is {view!r}; it must be none, rviz or rerun')
    if view == 'none':
        return []
    return [
        Node(
            namespace=LaunchConfiguration('namespace'),
            parameters=[{'use_sim_time': ParameterValue(LaunchConfiguration('use_sim_time'), value_type=bool)}],
            output='screen',
            **VIEWERS[view],
        )
    ]


def generate_launch_description():
    """The Fast DDS profile for large images, unless the user has one; the node; a viewer on request."""
    return LaunchDescription(
        [
            *(
                DeclareLaunchArgument(name, default_value=default, description=text)
                for name, (default, text) in ARGUMENTS.items()
            ),
            *(SetEnvironmentVariable(name, value) for name, value in large_image_profile().items()),
            OpaqueFunction(function=viewer),  # first: where it cannot be, no node is left behind
            OpaqueFunction(function=depth_node),
        ]
    )
