"""The page of topics and parameters against the tables, against nodes that run, and against the file in docs/."""

from pathlib import Path

import pytest

pytest.importorskip('rclpy')

from node_bench import LENS, FakeEstimator, wait
from rclpy.parameter import Parameter

from dfd_depth_ros.cli.reference import main
from dfd_depth_ros.ros import reference
from dfd_depth_ros.ros.camera_simulator import CameraSimulator
from dfd_depth_ros.ros.depth_node import DepthNode
from dfd_depth_ros.ros.parameters import DEPTH_PARAMETERS, Spec
from dfd_depth_ros.ros.trainer_node import TrainerNode

PAGE = Path(__file__).parents[1] / 'docs' / 'reference.md'
OWN = ('/parameter_events', '/rosout', 'transition_event')  # what every node has
EVERYONES = ('rcl_interfaces', 'lifecycle_msgs', 'type_description_interfaces')


def of_node(node):
    """(way, absolute name, type) of everything that a node offers, but for what every node of ROS 2 has."""
    name, namespace = node.get_name(), node.get_namespace()
    asked = {
        'in': node.get_subscriber_names_and_types_by_node(name, namespace),
        'out': node.get_publisher_names_and_types_by_node(name, namespace),
        'service': node.get_service_names_and_types_by_node(name, namespace),
    }
    found = {(way, topic, kind) for way, rows in asked.items() for topic, kinds in rows for kind in kinds}
    return {row for row in found if not row[1].endswith(OWN) and row[2].split('/')[0] not in EVERYONES}


def offers(node, expected):
    """Wait until the graph shows the node as expected: one of that name that was killed stays in it for a while."""
    try:
        wait(lambda: of_node(node) == expected, 'what the page tells')
    finally:
        assert of_node(node) == expected


LENS_TOPICS = {'joint_state': 'lens', 'diagnostics': 'lens_metadata'}


def in_page(name, source=''):
    """The same as the page tells it, for a node of that name without namespace, that takes its lens from there."""
    rows = [row for row in reference.INTERFACES[name] if not source or row.name not in others(source)]
    return {(row.way, f'/{row.name}'.replace('/~', f'/{name}').replace('//', '/'), row.kind) for row in rows}


def others(source):
    """Lens topics of the sources that the node does not use."""
    return {topic for name, topic in LENS_TOPICS.items() if name != source}


def test_the_file_in_docs_is_of_today():
    assert PAGE.read_text() == reference.page(), 'run: make docs'


def test_the_command_writes_the_page(tmp_path):
    assert main([str(tmp_path / 'page.md')]) == 0
    assert (tmp_path / 'page.md').read_text() == reference.page()


def test_every_parameter_is_a_row_with_default_range_and_unit():
    page = reference.page()
    assert all(f'| `{name}` |' in page for name in DEPTH_PARAMETERS)
    assert '| `lens.f_number` | `0.0` | 0 to 1000 |  | yes |' in page
    assert '| `lens.policy` | `drop` | `drop`, `hold`, `static` |  | yes |' in page
    assert '| `weights_pin` | empty |  |  | yes |' in page


@pytest.mark.parametrize(
    ('spec', 'row'),
    [
        (Spec(True, 'Yes.'), '| `x` | `true` |  |  |  | Yes. |'),
        (Spec(2, 'Two.', 'pixel', low=1, live=True), '| `x` | `2` | at least 1 | pixel | yes | Two. |'),
        (Spec('', 'Word.', choices=('', 'a')), '| `x` | empty | empty, `a` |  |  | Word. |'),
    ],
)
def test_rows(monkeypatch, spec, row):
    monkeypatch.setattr(reference, '_TABLES', {'depth_node': {'x': spec}})
    assert row in reference.page().splitlines()


@pytest.mark.parametrize('source', [*LENS_TOPICS, 'parameters'])
def test_topics_of_the_depth_node_are_those_of_the_page(ros, source):
    lens = [Parameter(name, value=value) for name, value in (LENS | {'lens.source': source}).items()]
    node = DepthNode(load=lambda settings: FakeEstimator(), parameter_overrides=lens)
    try:
        offers(node, in_page('depth_node', source))
    finally:
        node.destroy_node()


@pytest.mark.parametrize('source', LENS_TOPICS)
def test_topics_and_services_of_the_trainer_are_those_of_the_page(ros, tmp_path, source):
    from trainer_bench import FakeLearner

    values = LENS | {'lens.source': source, 'state_dir': str(tmp_path), 'background': False}
    overrides = [Parameter(name, value=value) for name, value in values.items()]
    node = TrainerNode(make=lambda settings: FakeLearner(), parameter_overrides=overrides)
    try:
        offers(node, in_page('trainer_node', source))
    finally:
        node.destroy_node()


def test_topics_of_the_simulator_are_those_of_the_page(ros):
    small = {'width': 32, 'height': 24, 'loop_frames': 1}
    node = CameraSimulator(parameter_overrides=[Parameter(name, value=value) for name, value in small.items()])
    try:
        offers(node, in_page('camera_simulator'))
    finally:
        node.destroy_node()
