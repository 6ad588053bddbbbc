"""The launch file for several cameras: what it makes of its argument, with stand-ins and, where it is there, launch."""

import runpy

import pytest
from test_launch_examples import LAUNCH, declared, entities  # noqa: F401

THREE = 'left:a.yaml right:package://robot/b.yaml robot/rear:/etc/c.yaml'


@pytest.fixture
def cameras(entities):  # noqa: F811
    """The function that reads the argument."""
    return runpy.run_path(str(LAUNCH / 'multi_camera.launch.py'))['cameras']


def test_cameras_are_namespaces_with_lens_files(cameras):
    assert cameras(THREE) == {'left': 'a.yaml', 'right': 'package://robot/b.yaml', 'robot/rear': '/etc/c.yaml'}
    assert cameras('  one:x.yaml\n two:x.yaml ') == {'one': 'x.yaml', 'two': 'x.yaml'}, 'two cameras with one lens'


@pytest.mark.parametrize(
    ('text', 'sentence'),
    [
        ('', 'cameras is empty; give NAMESPACE:LENS_FILE for each camera'),
        ('   ', 'cameras is empty; give NAMESPACE:LENS_FILE for each camera'),
        ('left:a.yaml right', "cameras has 'right'; it must be NAMESPACE:LENS_FILE"),
        ('left:', "cameras has 'left'; it must be NAMESPACE:LENS_FILE"),
        (':a.yaml', "cameras has ':a.yaml'; it must be NAMESPACE:LENS_FILE"),
        ('left:a.yaml left:b.yaml', "cameras has 'left' twice; each camera needs a namespace of its own"),
    ],
)
def test_a_wrong_list_is_one_sentence(cameras, text, sentence):
    with pytest.raises(ValueError) as error:
        cameras(text)
    assert str(error.value) == sentence


class Given:
    """Stands for a LaunchConfiguration that is performed."""

    def __init__(self, values):
        self.values = values

    def __call__(self, name):
        return type('Configuration', (), {'perform': lambda _, context: self.values[name]})()


def test_each_camera_gets_a_depth_node_with_its_own_lens_and_what_is_common(entities, monkeypatch):  # noqa: F811
    found = entities('multi_camera')
    arguments = declared(found)
    (action,) = (entity for entity in found if entity.kind == 'OpaqueFunction')
    common = {name: f'the {name}' for name in arguments if name != 'cameras'}
    monkeypatch.setitem(
        action.function.__globals__, 'LaunchConfiguration', Given(common | {'cameras': 'left:a.yaml right:b.yaml'})
    )
    nodes = action.function(None)
    assert [node.given for node in nodes] == 2 * [(str(LAUNCH / 'depth.launch.py'),)]
    assert [dict(node.launch_arguments) for node in nodes] == [
        common | {'namespace': 'left', 'lens_file': 'a.yaml'},
        common | {'namespace': 'right', 'lens_file': 'b.yaml'},
    ]


def test_what_is_handed_on_are_arguments_of_the_depth_launch_file(entities):  # noqa: F811
    handed_on = declared(entities('multi_camera')).keys() - {'cameras'}
    assert handed_on <= declared(entities('depth')).keys() and 'namespace' not in handed_on


@pytest.mark.parametrize('name', ['depth', 'trainer', 'nav2_cloud', 'multi_camera'])
def test_every_source_of_the_lens_stands_in_the_help(entities, name):  # noqa: F811
    pytest.importorskip('rclpy')
    from dfd_depth_ros.ros.parameters import DEPTH_PARAMETERS

    text = declared(entities(name))['lens_source'].description
    assert all(source in text for source in DEPTH_PARAMETERS['lens.source'].choices)


def test_launch_itself_makes_a_node_in_each_namespace():
    pytest.importorskip('launch_ros', reason='launch_ros comes with a ROS 2 installation')
    from launch import LaunchContext
    from launch.launch_description_sources import get_launch_description_from_python_launch_file
    from launch_ros.actions import Node

    context = LaunchContext()
    context.launch_configurations['cameras'] = 'left:a.yaml right:b.yaml'
    nodes, waiting = [], [get_launch_description_from_python_launch_file(str(LAUNCH / 'multi_camera.launch.py'))]
    while waiting:
        entity = waiting.pop(0)
        if isinstance(entity, Node):
            entity._perform_substitutions(context)
            nodes.append(entity.expanded_node_namespace)
        else:
            waiting[:0] = entity.visit(context) or []
    assert nodes == ['/left', '/right']
