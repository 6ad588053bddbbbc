"""The examples for Nav2 and depth_image_proc: launch files, read with stand-ins for `launch`, and parameter files."""

import runpy
import sys
from types import ModuleType, SimpleNamespace

import pytest
import yaml

from dfd_depth_ros.paths import share_directory

LAUNCH, CONFIG = share_directory() / 'launch', share_directory() / 'config'
NAMES = {
    'launch': ['LaunchDescription'],
    'launch.actions': ['DeclareLaunchArgument', 'IncludeLaunchDescription', 'OpaqueFunction', 'SetEnvironmentVariable'],
    'launch.conditions': ['IfCondition'],
    'launch.substitutions': ['LaunchConfiguration'],
    'launch_ros': [],
    'launch_ros.actions': ['Node'],
    'launch_ros.parameter_descriptions': ['ParameterValue'],
}


def recorder(kind):
    """Stands for a class of launch: remembers what it is made with."""

    def make(*given, **named):
        return SimpleNamespace(kind=kind, given=given, **named)

    return make


@pytest.fixture
def entities(monkeypatch):
    """entities(name) -> what the launch file of that name describes."""
    for name, classes in NAMES.items():
        module = ModuleType(name)
        for kind in classes:
            setattr(module, kind, recorder(kind))
        monkeypatch.setitem(sys.modules, name, module)

    def read(name):
        described = runpy.run_path(str(LAUNCH / f'{name}.launch.py'))['generate_launch_description']()
        return described.given[0]

    return read


def declared(entities) -> dict:
    return {entity.given[0]: entity for entity in entities if entity.kind == 'DeclareLaunchArgument'}


def parameters(file):
    return yaml.safe_load((CONFIG / file).read_text())


@pytest.mark.parametrize('name', ['depth', 'demo', 'trainer', 'nav2_cloud', 'depth_image_proc', 'multi_camera'])
def test_every_argument_has_a_default_and_an_explanation(entities, name):
    arguments = declared(entities(name))
    assert arguments and all(a.description and a.default_value is not None for a in arguments.values())


def test_the_cloud_for_nav2_hands_everything_on_to_the_depth_node(entities):
    found = entities('nav2_cloud')
    include = next(entity for entity in found if entity.kind == 'IncludeLaunchDescription')
    assert include.given == (str(LAUNCH / 'depth.launch.py'),)
    handed_on = dict(include.launch_arguments)
    assert set(handed_on) == set(declared(found)) == set(declared(entities('depth')))
    assert all(value.given == (name,) for name, value in handed_on.items())
    assert declared(found)['params_file'].default_value == 'config/nav2_cloud.yaml'


def test_depth_image_proc_gets_the_image_whose_calibration_lies_beside_it(entities):
    pytest.importorskip('rclpy')
    from dfd_depth_ros.ros.outputs import TOPICS

    node = next(entity for entity in entities('depth_image_proc') if entity.kind == 'Node')
    assert (node.package, node.executable) == ('depth_image_proc', 'point_cloud_xyz_node')
    remapped = dict(node.remappings)
    image = remapped['image_rect']
    assert {image, f'{image.rpartition("/")[0]}/camera_info'} <= set(TOPICS)
    assert remapped['points'] not in TOPICS, 'two publishers would share a topic'


def test_the_parameters_of_the_cloud_are_parameters_of_the_node():
    pytest.importorskip('rclpy')
    from dfd_depth_ros.ros.parameters import DEPTH_PARAMETERS, check

    groups = parameters('nav2_cloud.yaml')['/**']['ros__parameters']
    given = {f'{group}.{name}': value for group, values in groups.items() for name, value in values.items()}
    assert all(type(value) is type(DEPTH_PARAMETERS[name].default) for name, value in given.items())
    check({name: spec.default for name, spec in DEPTH_PARAMETERS.items()} | given, DEPTH_PARAMETERS)
    assert given['points.organised'] is False and given['points.max_sigma_m'] < 0.25


def test_the_voxel_layer_listens_where_the_cloud_is_and_lets_it_in(entities):
    layers = parameters('nav2_voxel_layer.yaml')['local_costmap']['local_costmap']['ros__parameters']
    assert set(layers) == {'plugins', *layers['plugins']}
    voxels = layers['voxel_layer']
    source = voxels[voxels['observation_sources']]
    namespace = declared(entities('nav2_cloud'))['namespace'].default_value
    assert (source['topic'], source['data_type']) == (f'/{namespace}/depth/points', 'PointCloud2')
    assert 0 <= source['min_obstacle_height'] < source['max_obstacle_height'] <= voxels['max_obstacle_height']
    top = voxels['origin_z'] + voxels['z_voxels'] * voxels['z_resolution']
    assert voxels['z_voxels'] <= 16 and top == voxels['max_obstacle_height']
    limits = parameters('nav2_cloud.yaml')['/**']['ros__parameters']['range']
    assert (source['obstacle_min_range'], source['obstacle_max_range']) == (limits['min_m'], limits['max_m'])
    assert source['raytrace_max_range'] > source['obstacle_max_range']
