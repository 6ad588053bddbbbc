"""Parameters: the tables against the files that explain them, and what a node does with bad values."""

import math
from types import SimpleNamespace

import pytest
import yaml

pytest.importorskip('rclpy')

from rclpy.node import Node
from rclpy.parameter import Parameter

from dfd_depth_ros.paths import share_directory
from dfd_depth_ros.ros.parameters import DEPTH_PARAMETERS, TRAINER_PARAMETERS, ParameterError, changed, check, declare

CONFIG = share_directory() / 'config'
TABLES = [('depth.yaml', DEPTH_PARAMETERS), ('trainer.yaml', TRAINER_PARAMETERS)]
DEFAULTS = {name: spec.default for name, spec in DEPTH_PARAMETERS.items()}


def flat(tree, prefix=''):
    """Nested mapping as dotted names."""
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from flat(value, f'{prefix}{name}.')
        else:
            yield prefix + name, value


def declared(ros, **overrides):
    node = Node('parameters', parameter_overrides=[Parameter(name, value=value) for name, value in overrides.items()])
    try:
        return declare(node, DEPTH_PARAMETERS)
    finally:
        node.destroy_node()


@pytest.mark.parametrize(('file', 'table'), TABLES)
def test_the_file_has_the_names_the_types_and_the_defaults_of_the_table(file, table):
    in_file = dict(flat(yaml.safe_load((CONFIG / file).read_text())['/**']['ros__parameters']))
    assert in_file == {name: spec.default for name, spec in table.items()}
    assert all(type(value) is type(table[name].default) for name, value in in_file.items())


@pytest.mark.parametrize(('file', 'table'), TABLES)
def test_the_file_explains_every_parameter_and_says_which_are_live(file, table):
    lines = (CONFIG / file).read_text().splitlines()
    for name, spec in table.items():
        key = name.rpartition('.')[2] + ': '
        places = [index for index, line in enumerate(lines) if line.strip().startswith(key)]
        comments = []
        for place in places:
            start = place
            while lines[start - 1].strip().startswith('#'):
                start -= 1
            comments.append(' '.join(line.strip('# ') for line in lines[start:place]))
        assert all(comments), f'{name} is not explained'
        if len(places) == 1:
            assert comments[0].endswith('Live.') == spec.live, name


@pytest.mark.parametrize('table', [DEPTH_PARAMETERS, TRAINER_PARAMETERS])
def test_every_row_has_a_description_and_a_default_in_its_range(table):
    for name, spec in table.items():
        assert spec.description.endswith('.'), name
        if not isinstance(spec.default, str | bool):
            assert spec.low <= spec.default <= spec.high, name
    check({name: spec.default for name, spec in table.items()}, table)


def test_defaults_and_overrides_reach_the_node(ros):
    assert declared(ros) == DEFAULTS
    values = declared(ros, **{'lens.focus_distance_m': math.inf, 'lens.policy': 'hold'})
    assert values['lens.focus_distance_m'] == math.inf and values['lens.policy'] == 'hold'


def test_descriptors_carry_range_unit_and_choices(ros):
    node = Node('parameters')
    declare(node, DEPTH_PARAMETERS)
    pitch, policy = (node.describe_parameter(name) for name in ('lens.pixel_pitch_m', 'lens.policy'))
    assert pitch.description.endswith('[m]') and pitch.floating_point_range[0].to_value == 1e6
    assert policy.additional_constraints == "one of 'drop', 'hold', 'static'"
    assert node.describe_parameter('points.stride').integer_range[0].from_value == 1
    node.destroy_node()


@pytest.mark.parametrize(
    'name, value, message',
    [
        ('lens.policy', 'guess', "parameter lens.policy is 'guess'; it must be one of 'drop', 'hold', 'static'"),
        ('view.min_m', 6.0, 'parameter view.min_m is 6; it must be below view.max_m = 5'),
        ('range.max_m', 0.0, 'parameter range.min_m is 0; it must be below range.max_m = 0'),
    ],
)
def test_bad_words_and_empty_ranges_are_named(ros, name, value, message):
    with pytest.raises(ParameterError) as error:
        declared(ros, **{name: value})
    assert str(error.value) == message


@pytest.mark.parametrize(
    'name, value, part',
    [
        ('lens.f_number', -1.0, 'Parameter lens.f_number out of range'),
        ('lens.f_number', math.nan, 'Parameter lens.f_number out of range'),
        ('points.stride', 0, 'Parameter points.stride out of range'),
        (
            'lens.f_number',
            2,
            "Trying to set parameter 'lens.f_number' to '2' of type 'INTEGER', expecting type 'DOUBLE'",
        ),
    ],
)
def test_bad_numbers_are_named(ros, name, value, part):
    with pytest.raises(ParameterError) as error:
        declared(ros, **{name: value})
    assert part in str(error.value)


def test_only_live_parameters_change_while_configured():
    request = [SimpleNamespace(name='weights', value='other.safetensors')]
    with pytest.raises(ParameterError) as error:
        changed(DEFAULTS, request, DEPTH_PARAMETERS, configured=True)
    assert str(error.value) == 'parameter weights can only change while the node is unconfigured'
    assert changed(DEFAULTS, request, DEPTH_PARAMETERS, configured=False)['weights'] == 'other.safetensors'
    request = [SimpleNamespace(name='lens.f_number', value=2.8), SimpleNamespace(name='use_sim_time', value=True)]
    assert changed(DEFAULTS, request, DEPTH_PARAMETERS, configured=True) == DEFAULTS | {'lens.f_number': 2.8}
