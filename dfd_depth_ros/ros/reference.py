"""Topics, services and parameters of the nodes as one page of Markdown, `docs/reference.md`."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from dfd_depth_ros.ros import camera_simulator, rerun_view
from dfd_depth_ros.ros.parameters import DEPTH_PARAMETERS, TRAINER_PARAMETERS, Spec


class Interface(NamedTuple):
    """One topic or service of a node. way: 'in', 'out' or 'service'. name: relative to the node's namespace, `~/`:
    below the node's name. kind: type, as `ros2 interface show` takes it. note: when it is there and what it carries."""

    way: str
    name: str
    kind: str
    note: str


_POSE_IN = Interface('in', 'pose', 'geometry_msgs/msg/PoseStamped', 'camera to world, optical frame; or tf')
_CAMERA_IN = (
    Interface('in', 'image_raw', 'sensor_msgs/msg/Image', 'or `image_raw/compressed`, by `image_transport`'),
    Interface('in', 'camera_info', 'sensor_msgs/msg/CameraInfo', '`K[0] == 0`: uncalibrated'),
    Interface('in', 'lens', 'sensor_msgs/msg/JointState', 'with `lens.source: joint_state`; state of the lens by name'),
    Interface(
        'in', 'lens_metadata', 'diagnostic_msgs/msg/DiagnosticArray', 'with `lens.source: diagnostics`, not with `lens`'
    ),
)
INTERFACES = {
    'depth_node': (
        *_CAMERA_IN,
        _POSE_IN,
        Interface('in', 'weights', 'std_msgs/msg/UInt8MultiArray', 'latched; with `weights_topic`'),
        Interface('out', 'depth/image_rect', 'sensor_msgs/msg/Image', '32FC1, metres along Z (REP 118, REP 117)'),
        Interface(
            'out', 'depth/camera_info', 'sensor_msgs/msg/CameraInfo', 'that of the camera, stamped like the depth'
        ),
        Interface('out', 'depth/sigma', 'sensor_msgs/msg/Image', '32FC1, one standard deviation of depth in metres'),
        Interface('out', 'depth/points', 'sensor_msgs/msg/PointCloud2', 'where sigma is below `points.max_sigma_m`'),
        Interface('out', 'depth/view', 'sensor_msgs/msg/Image', 'rgb8, colours from `view.min_m` to `view.max_m`'),
        Interface('out', 'coc/image', 'sensor_msgs/msg/Image', '32FC1, signed CoC in pixels, above zero behind focus'),
        Interface(
            'out', 'lens_used', 'sensor_msgs/msg/JointState', 'the state of the lens that this depth was read with'
        ),
        Interface('out', 'lens_model', 'std_msgs/msg/String', 'latched JSON: the lens in the words of OpenTrackIO'),
        Interface('out', '/diagnostics', 'diagnostic_msgs/msg/DiagnosticArray', '1 Hz'),
    ),
    'trainer_node': (
        *_CAMERA_IN,
        _POSE_IN,
        Interface(
            'out', 'weights', 'std_msgs/msg/UInt8MultiArray', 'latched safetensors, after each accepted candidate'
        ),
        Interface('out', 'training/state', 'diagnostic_msgs/msg/DiagnosticArray', 'what was learned, and the gate'),
        Interface('service', '~/pause', 'std_srvs/srv/SetBool', 'stop and go on'),
        Interface('service', '~/save', 'std_srvs/srv/Trigger', 'write the state now'),
        Interface('service', '~/rollback', 'std_srvs/srv/Trigger', 'back to the weights before'),
        Interface('service', '~/reset', 'std_srvs/srv/Trigger', 'back to the weights of the file'),
    ),
    'camera_simulator': (
        Interface('out', 'image_raw', 'sensor_msgs/msg/Image', 'rgb8, with defocus and the noise of a sensor'),
        Interface('out', 'camera_info', 'sensor_msgs/msg/CameraInfo', 'exact'),
        Interface('out', 'lens', 'sensor_msgs/msg/JointState', 'as the lens tells it, see `lens_error`'),
        Interface('out', 'ground_truth/depth', 'sensor_msgs/msg/Image', '32FC1, metres along Z'),
        Interface('out', 'pose', 'geometry_msgs/msg/PoseStamped', 'camera to world, optical frame'),
    ),
}
INTERFACES['rerun_view'] = tuple(
    Interface('in', name, f'{kind.__module__.split(".")[0]}/msg/{kind.__name__}', 'shown')
    for name, (kind, _) in rerun_view.TOPICS.items()
)
_WAYS = {'in': 'subscribed', 'out': 'published', 'service': 'service'}
_HEAD = """# Topics and parameters

Made from the tables that the nodes themselves use: `make docs` renews this page, and a test fails where it is old.
Names are relative, so a namespace or a remapping places them. `~/` is the name of the node. A parameter that is *live*
takes effect with the next image; any other is refused with a reason while the node is configured. In prose they are
explained in `config/depth.yaml` and `config/trainer.yaml`.
"""
_TABLES = {
    'depth_node': DEPTH_PARAMETERS,
    'trainer_node': TRAINER_PARAMETERS,
    'camera_simulator': camera_simulator.PARAMETERS,
    'rerun_view': rerun_view.PARAMETERS,
}


def page() -> str:
    """The whole page."""
    parts = (f'\n## {name}\n\n{_interfaces(INTERFACES[name])}\n{_parameters(table)}' for name, table in _TABLES.items())
    return _HEAD + ''.join(parts)


def _interfaces(rows: tuple[Interface, ...]) -> str:
    cells = [(_WAYS[row.way], f'`{row.name}`', f'`{row.kind}`', row.note) for row in rows]
    return _table(('', 'name', 'type', ''), cells)


def _parameters(table: dict[str, Spec]) -> str:
    cells = [
        (f'`{name}`', _value(spec.default), _range(spec), spec.unit, 'yes' if spec.live else '', spec.description)
        for name, spec in table.items()
    ]
    return _table(('parameter', 'default', 'range', 'unit', 'live', ''), cells)


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, ('---',) * len(head), *rows]
    return ''.join(f'| {" | ".join(line)} |\n' for line in lines)


def _range(spec: Spec) -> str:
    if spec.choices:
        return ', '.join(_value(choice) for choice in spec.choices)
    if isinstance(spec.default, bool | str):
        return ''
    return f'{spec.low:g} to {spec.high:g}' if math.isfinite(spec.high) else f'at least {spec.low:g}'


def _value(value) -> str:
    if value == '':
        return 'empty'
    return f'`{str(value).lower() if isinstance(value, bool) else value}`'
