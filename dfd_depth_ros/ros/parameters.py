"""Parameters of a node: one table with default, range, unit and description; declared, checked and read from it.

The default gives the type. A live parameter takes effect with the next frame; any other may only change while the node
is unconfigured. `config/depth.yaml` and `config/trainer.yaml` explain each one in prose.
"""

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.exceptions import ParameterException

from dfd_depth_ros.scenes.lens_metadata import LIBCAMERA
from dfd_depth_ros.temporal.filters import DEFAULT

Value = bool | int | float | str


class ParameterError(ValueError):
    """A parameter value that the node cannot take; the message names both."""


class Spec(NamedTuple):
    """One row of the table. low and high are inclusive; `choices` lists the words that a text may be."""

    default: Value
    description: str
    unit: str = ''
    low: float = 0
    high: float = math.inf
    choices: tuple[str, ...] = ()
    live: bool = False


DEPTH_PARAMETERS = {
    'autostart': Spec(True, 'Configure and activate by itself at start.'),
    'weights': Spec('models/dfd_small.safetensors', 'Weights file: package://, absolute or share-relative path.'),
    'weights_topic': Spec(True, 'Take weights from the topic weights as well.'),
    'weights_pin': Spec('', 'SHA-256 of the only weights taken from the topic; empty: any.', live=True),
    'device': Spec('auto', 'Where the networks run: cpu, cuda, cuda:N, or auto, which takes CUDA where there is one.'),
    'out_of_memory': Spec(
        'fail',
        'What to do when the GPU has too little memory: drop the image, or go on, on the CPU.',
        choices=('fail', 'cpu'),
        live=True,
    ),
    'threads': Spec(0, 'CPU threads of the networks; 0 leaves the choice to PyTorch.', high=1024),
    'images_at_once': Spec(
        0, 'Images that share these threads, on a CPU; 0: two where there are two threads or more.', high=64
    ),
    'cuda_graphs': Spec(False, 'On CUDA, start the networks as one graph for each image size.'),
    'image_transport': Spec('raw', 'Kind of image that is subscribed.', choices=('raw', 'compressed')),
    'rectified': Spec(False, 'Images are rectified already: P of camera_info describes them.', live=True),
    'max_pixels': Spec(16_000_000, 'Larger images are refused.', 'pixel', low=1, high=1_000_000_000),
    'queue_size': Spec(2, 'Images that may wait; the oldest is dropped when one too many does.', low=1, high=1000),
    'temporal.filter': Spec(
        DEFAULT,
        'Filter that steadies depth over video.',
        choices=('none', 'ema', 'geometry', 'kalman'),
    ),
    'lens.source': Spec(
        'parameters', 'Where the lens state comes from.', choices=('parameters', 'joint_state', 'diagnostics')
    ),
    'lens.file': Spec('', 'Lens file; values below override it. Empty: no file.'),
    'lens.focal_length_m': Spec(0.0, 'Focal length; 0: from the lens file.', 'm', high=1e6, live=True),
    'lens.f_number': Spec(0.0, 'F-number; 0: from the lens file.', high=1000.0, live=True),
    'lens.focus_distance_m': Spec(0.0, 'Focus distance, .inf allowed; 0: from the lens file.', 'm', live=True),
    'lens.pixel_pitch_m': Spec(
        0.0, 'Pixel pitch of the image; 0: from the lens file, else focal length / fx.', 'm', high=1e6, live=True
    ),
    'lens.sensor_pitch_m': Spec(
        0.0, 'Pixel pitch of the full sensor, which binning and resizing enlarge; 0: unknown.', 'm', high=1e6, live=True
    ),
    'lens.focus_dioptre_sigma': Spec(0.0, '1 sigma of the focus; 0: from the lens file.', '1/m', live=True),
    'lens.side': Spec(
        '',
        'Side of focus the scene is on; empty: as in the file.',
        choices=('', 'both', 'behind', 'front'),
        live=True,
    ),
    'lens.max_age_s': Spec(0.1, 'Lens states further away are not interpolated.', 's', high=3600.0, live=True),
    'lens.wait_s': Spec(0.2, 'How long an image waits for its lens state.', 's', high=1.0, live=True),
    'lens.policy': Spec(
        'drop', 'What to do without a matching lens state.', choices=('drop', 'hold', 'static'), live=True
    ),
    'lens.moving': Spec('widen', 'What to do while the lens moves.', choices=('widen', 'drop'), live=True),
    'lens.metadata.keys': Spec(LIBCAMERA, 'Names of ours = keys of the driver in lens_metadata.', live=True),
    'lens.metadata.hardware_id': Spec('', 'Status of lens_metadata that counts; empty: each.', live=True),
    'lens.metadata.scale': Spec(1.0, 'Factor of the focus in lens_metadata.', low=0.01, high=100.0, live=True),
    'lens.metadata.offset': Spec(
        0.0, 'What is added to the focus in lens_metadata after that.', '1/m', low=-100.0, high=100.0, live=True
    ),
    'pose.max_age_s': Spec(0.02, 'A pose further away does not belong to an image.', 's', high=3600.0, live=True),
    'pose.wait_s': Spec(0.02, 'How long an image waits for its pose where poses come.', 's', high=1.0, live=True),
    'pose.fixed_frame': Spec('', 'Frame of tf in which the scene stands still; empty: poses come from a topic alone.'),
    'range.min_m': Spec(0.0, 'Nearer depth is published as -Inf.', 'm', live=True),
    'range.max_m': Spec(math.inf, 'Farther depth is published as +Inf.', 'm', live=True),
    'range.max_sigma_share': Spec(
        0.0, 'Depth beyond the distance at which the expected sigma exceeds this share is +Inf; 0: no limit.', live=True
    ),
    'points.max_sigma_m': Spec(0.25, 'Points with a larger sigma are left out.', 'm', live=True),
    'points.stride': Spec(1, 'Every n-th row and column becomes points.', 'pixel', low=1, high=1000, live=True),
    'points.organised': Spec(False, 'Keep the shape of the image, NaN where a point is left out.', live=True),
    'view.min_m': Spec(0.5, 'Depth at the near end of the colour scale.', 'm', low=0.001, live=True),
    'view.max_m': Spec(5.0, 'Depth at the far end of the colour scale.', 'm', low=0.001, live=True),
}

_SHARED = ('weights', 'device', 'image_transport', 'rectified', 'max_pixels', 'lens', 'pose')
TRAINER_PARAMETERS = {
    **{name: spec for name, spec in DEPTH_PARAMETERS.items() if name.partition('.')[0] in _SHARED},
    'threads': DEPTH_PARAMETERS['threads']._replace(default=1),
    'pose.wait_s': DEPTH_PARAMETERS['pose.wait_s']._replace(default=0.1),
    'budget': Spec(0.5, 'Share of time that is spent on training; 0: none.', high=1.0, live=True),
    'background': Spec(True, 'Run only on cores that nothing else wants at the moment.'),
    'state_dir': Spec('', 'Folder of what was learned; empty: ~/.ros/dfd_depth_ros/trainer, or under $ROS_HOME.'),
    'resume': Spec(True, 'Go on from state_dir at start.'),
    'report_dir': Spec('', 'Folder of pictures and curves, renewed while training; empty: none.'),
}


def declare(node, table: dict[str, Spec]) -> dict[str, Any]:
    """Declare the table on a node and return the values that hold. Raises ParameterError for a bad one."""
    try:
        values = {
            name: node.declare_parameter(name, spec.default, _descriptor(spec)).value for name, spec in table.items()
        }
    except ParameterException as error:
        raise ParameterError(str(error)) from None
    check(values, table)
    return values


def check(values: dict[str, Any], table: dict[str, Spec]) -> None:
    """Raise ParameterError for a word that is no choice and for a range that is empty. Types and limits of numbers are
    checked by rclpy from the descriptors."""
    for name, value in values.items():
        if table[name].choices and value not in table[name].choices:
            choices = ', '.join(repr(choice) for choice in table[name].choices)
            raise ParameterError(f'parameter {name} is {value!r}; it must be one of {choices}')
    for group in ('range', 'view'):
        low, high = (values.get(f'{group}.{end}') for end in ('min_m', 'max_m'))
        if low is not None and high is not None and low >= high:
            raise ParameterError(f'parameter {group}.min_m is {low:g}; it must be below {group}.max_m = {high:g}')


def changed(values: dict[str, Any], changes: Iterable, table: dict[str, Spec], configured: bool) -> dict[str, Any]:
    """The values after a request to set parameters (objects with name and value); names outside the table are ignored.
    Raises ParameterError where one of them may not change now or to that."""
    new = {change.name: change.value for change in changes if change.name in table}
    fixed = [name for name in new if configured and not table[name].live]
    if fixed:
        raise ParameterError(f'parameter {fixed[0]} can only change while the node is unconfigured')
    check(values | new, table)
    return values | new


def _descriptor(spec: Spec) -> ParameterDescriptor:
    descriptor = ParameterDescriptor(description=f'{spec.description} [{spec.unit}]' if spec.unit else spec.description)
    descriptor.additional_constraints = 'one of ' + ', '.join(map(repr, spec.choices)) if spec.choices else ''
    if type(spec.default) is float:
        descriptor.floating_point_range = [FloatingPointRange(from_value=float(spec.low), to_value=float(spec.high))]
    elif type(spec.default) is int:
        descriptor.integer_range = [IntegerRange(from_value=int(spec.low), to_value=int(spec.high))]
    return descriptor
