"""Depth from several cameras: `ros2 launch dfd_depth_ros multi_camera.launch.py cameras:="left:a.yaml right:b.yaml"`.

One depth node of depth.launch.py for each camera, in the namespace of the camera and with the lens file of the camera.
"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, OpaqueFunction
from launch.substitutions import LaunchConfiguration

from dfd_depth_ros.paths import share_directory

# All but cameras are handed on to depth.launch.py.
ARGUMENTS = {
    'cameras': ('', 'Cameras as NAMESPACE:LENS_FILE, with spaces between them.'),
    'lens_source': ('', 'parameters, joint_state or diagnostics. Empty: as in params_file.'),
    'weights': ('', 'Weights file: package://, absolute or relative path. Empty: as in params_file.'),
    'device': ('', 'auto, cpu or cuda. Empty: as in params_file.'),
    'params_file': ('config/depth.yaml', 'Parameter file of every node: package://, absolute or relative path.'),
    'use_sim_time': ('false', 'Take the time from /clock, as when a bag is played with --clock.'),
}


def cameras(text: str) -> dict[str, str]:
    """Namespace -> lens file. Raises ValueError where one of them is missing or a namespace comes twice."""
    pairs = [pair.partition(':')[::2] for pair in text.split()]
    for namespace, lens_file in pairs:
        if not (namespace and lens_file):
            pair = f'{namespace}:{lens_file}' if lens_file else namespace
            raise ValueError(f'cameras has {pair!r}; it must be NAMESPACE:LENS_FILE')
    if not pairs:
        raise ValueError('cameras is empty; give NAMESPACE:LENS_FILE for each camera')
    named = [namespace for namespace, _ in pairs]
    if twice := [namespace for namespace in named if named.count(namespace) > 1]:
        raise ValueError(f'cameras has {twice[0]!r} twice; each camera needs a namespace of its own')
    return dict(pairs)


def depth_nodes(context):
    """A depth node for each camera. Raises ValueError where `cameras` is wrong."""
    handed_on = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS if name != 'cameras'}
    return [
        IncludeLaunchDescription(
            str(share_directory() / 'launch' / 'depth.launch.py'),
            launch_arguments={**handed_on, 'namespace': namespace, 'lens_file': lens_file}.items(),
        )
        for namespace, lens_file in cameras(LaunchConfiguration('cameras').perform(context)).items()
    ]


def generate_launch_description():
    """The depth nodes of all cameras."""
    declared = [
        DeclareLaunchArgument(name, default_value=default, description=text)
        for name, (default, text) in ARGUMENTS.items()
    ]
    return LaunchDescription([*declared, OpaqueFunction(function=depth_nodes)])
