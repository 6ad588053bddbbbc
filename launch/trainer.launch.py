"""Depth that gets better while it runs: `ros2 launch dfd_depth_ros trainer.launch.py namespace:=camera lens_file:=...`.

The depth node of depth.launch.py, and beside it a trainer that watches the same camera and publishes `weights` for it.
"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from dfd_depth_ros.paths import PathError, resolve_path, share_directory

# launch argument: parameter of the trainer that it overrides, unless it is empty
OVERRIDES = {
    'lens_file': ('lens.file', str),
    'lens_source': ('lens.source', str),
    'weights': ('weights', str),
    'device': ('device', str),
    'budget': ('budget', float),
    'state_dir': ('state_dir', str),
    'report_dir': ('report_dir', str),
}

# Those named as in depth.launch.py are handed on to it.
ARGUMENTS = {
    'namespace': ('', 'Namespace of the camera, whose image_raw and camera_info are read.'),
    'lens_file': ('', 'Lens file: package://, absolute or relative path. Empty: as in the parameter files.'),
    'lens_source': ('', 'parameters, joint_state or diagnostics. Empty: as in the parameter files.'),
    'weights': ('', 'Weights to begin with. Empty: as in the parameter files.'),
    'device': ('', 'auto, cpu or cuda. Empty: as in the parameter files.'),
    'params_file': ('config/depth.yaml', 'Parameter file of the depth node: package://, absolute or relative path.'),
    'use_sim_time': ('false', 'Take the time from /clock, as when a bag is played with --clock.'),
    'view': ('none', 'Show the results: rviz, rerun (a web page on this machine), or none.'),
    'trainer_params_file': ('config/trainer.yaml', 'Parameter file of the trainer.'),
    'budget': ('', 'Share of the time spent on learning, 0.0 to 1.0. Empty: as in trainer_params_file.'),
    'state_dir': ('', 'Folder of what was learned. Empty: as in trainer_params_file.'),
    'report_dir': ('', 'Folder of pictures and curves of learning. Empty: as in trainer_params_file.'),
}
HANDED_ON = ('namespace', 'lens_file', 'lens_source', 'weights', 'device', 'params_file', 'use_sim_time', 'view')


def trainer_node(context):
    """The trainer: its parameter file, and over it the launch arguments that were given. Raises PathError where the
    file is missing, which launch_ros would pass over."""
    given = {name: LaunchConfiguration(name).perform(context) for name in (*OVERRIDES, 'trainer_params_file')}
    overrides = {
        name: ParameterValue(LaunchConfiguration(argument), value_type=kind)
        for argument, (name, kind) in OVERRIDES.items()
        if given[argument]
    }
    params_file = resolve_path(given['trainer_params_file'])
    if not params_file.is_file():
        raise PathError(f'trainer_params_file {params_file} does not exist')
    use_sim_time = ParameterValue(LaunchConfiguration('use_sim_time'), value_type=bool)
    return [
        Node(
            package='dfd_depth_ros',
            executable='trainer_node',
            namespace=LaunchConfiguration('namespace'),
            parameters=[str(params_file), {**overrides, 'use_sim_time': use_sim_time}],
            output='screen',
        )
    ]


def generate_launch_description():
    """The depth node with the Fast DDS profile of its launch file; then the trainer."""
    depth = IncludeLaunchDescription(
        str(share_directory() / 'launch' / 'depth.launch.py'),
        launch_arguments={name: LaunchConfiguration(name) for name in HANDED_ON}.items(),
    )
    declared = [
        DeclareLaunchArgument(name, default_value=default, description=text)
        for name, (default, text) in ARGUMENTS.items()
    ]
    return LaunchDescription([*declared, depth, OpaqueFunction(function=trainer_node)])
