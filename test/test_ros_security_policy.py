"""The SROS 2 policy names every topic and service that running nodes use, and no more."""

import gc
import time
from xml.etree import ElementTree

import pytest

pytest.importorskip('rclpy')

from node_bench import LENS, FakeEstimator, wait
from rclpy.parameter import Parameter
from trainer_bench import FakeLearner

from dfd_depth_ros.paths import share_directory
from dfd_depth_ros.ros.camera_simulator import CameraSimulator
from dfd_depth_ros.ros.depth_node import DepthNode
from dfd_depth_ros.ros.trainer_node import TrainerNode

POLICY = ElementTree.parse(share_directory() / 'config' / 'security' / 'policy.xml').getroot()
GRAPH_S = 5.0
SMALL = {'width': 32, 'height': 32, 'loop_frames': 1, 'scene': 'procedural'}

# The policy schema of SROS 2 (version 0.2.0): element, its attributes, what may be in it.
SCHEMA = {
    'policy': ({'version'}, {'enclaves'}),
    'enclaves': (set(), {'enclave'}),
    'enclave': ({'path'}, {'profiles'}),
    'profiles': (set(), {'profile'}),
    'profile': ({'ns', 'node'}, {'topics', 'services'}),
    'topics': ({'publish', 'subscribe'}, {'topic'}),
    'services': ({'reply', 'request'}, {'service'}),
    'topic': (set(), set()),
    'service': (set(), set()),
}
# Used by some settings or installations only.
OPTIONAL = {
    ('subscribe', '/clock'),
    ('subscribe', '/parameter_events'),
    ('subscribe', '/tf'),
    ('subscribe', '/tf_static'),
    ('subscribe', '/image_raw/compressed'),
    ('subscribe', '/lens_metadata'),
    ('reply', '/depth_node/get_transition_graph'),
}


def allowed(node: str) -> set[tuple[str, str]]:
    """(what, full name) of all that the policy lets a node do."""
    profile = POLICY.find(f".//profile[@node='{node}']")
    found = set()
    for group in profile:
        for attribute, value in group.attrib.items():
            assert value == 'ALLOW'
            found |= {(attribute, full(element.text, node)) for element in group}
    return found


def full(name: str, node: str) -> str:
    """A name of the policy as the graph shows it; the namespace is the root."""
    if name.startswith('~/'):
        return f'/{node}/{name[2:]}'
    return name if name.startswith('/') else f'/{name}'


def used(observer, node: str) -> set[tuple[str, str]]:
    """(what, full name) of all that a node of the graph has."""
    readers = {
        'publish': observer.get_publisher_names_and_types_by_node,
        'subscribe': observer.get_subscriber_names_and_types_by_node,
        'reply': observer.get_service_names_and_types_by_node,
        'request': observer.get_client_names_and_types_by_node,
    }
    return {(what, name) for what, read in readers.items() for name, _ in read(node, '/')}


def whole_graph(ros, make, name) -> set[tuple[str, str]] | None:
    """All that a node has, once another node sees what it sees itself; None where that takes too long: rarely, the
    graph of Fast DDS stays incomplete, and that of the next node is whole."""
    gc.collect()  # a lifecycle node of another test stays in the graph until it is collected
    observer, node = ros.create_node('observer'), make()
    end = time.monotonic() + GRAPH_S
    try:
        while time.monotonic() < end:
            uses = used(observer, name)
            if ('reply', f'/{name}/set_parameters') in uses and uses == used(node, name):
                return uses
            time.sleep(0.05)
        return None
    finally:
        node.destroy_node()
        observer.destroy_node()


def make_depth(values):
    return DepthNode(load=lambda settings: FakeEstimator(), parameter_overrides=overrides(LENS | values))


def make_trainer(values, folder):
    settings = LENS | values | {'state_dir': str(folder), 'background': False}
    return TrainerNode(make=FakeLearner, parameter_overrides=overrides(settings))


def overrides(values):
    return [Parameter(name, value=value) for name, value in values.items()]


@pytest.mark.parametrize(('transport', 'source'), [('raw', 'joint_state'), ('compressed', 'diagnostics')])
@pytest.mark.parametrize('name', ['depth_node', 'trainer_node', 'camera_simulator'])
def test_the_policy_is_what_the_nodes_use(ros, tmp_path, name, transport, source):
    values = {'image_transport': transport, 'lens.source': source, 'use_sim_time': True}
    make = {
        'depth_node': lambda: make_depth(values),
        'trainer_node': lambda: make_trainer(values, tmp_path),
        'camera_simulator': lambda: CameraSimulator(parameter_overrides=overrides(SMALL)),
    }[name]
    uses = wait(lambda: whole_graph(ros, make, name), 'the whole graph')
    assert uses - allowed(name) == set(), 'not in the policy'
    unused = allowed(name) - uses - OPTIONAL
    others = {('subscribe', '/image_raw'), ('subscribe', '/lens')}
    assert unused == (others if transport == 'compressed' and name != 'camera_simulator' else set())


def test_the_policy_follows_the_schema():
    def check(element):
        attributes, children = SCHEMA[element.tag]
        assert set(element.attrib) <= attributes and {child.tag for child in element} <= children, element.tag
        for child in element:
            check(child)

    check(POLICY)
    assert POLICY.tag == 'policy' and POLICY.get('version') == '0.2.0'


def test_each_enclave_has_one_node_and_its_name():
    enclaves = {enclave.get('path'): [p.get('node') for p in enclave.iter('profile')] for enclave in POLICY[0]}
    assert enclaves == {f'/dfd_depth_ros/{name}': [name] for name in ('depth_node', 'trainer_node', 'camera_simulator')}


def test_only_the_trainer_may_publish_weights_and_nobody_may_ask_for_anything():
    may = {name: allowed(name) for name in ('depth_node', 'trainer_node', 'camera_simulator')}
    assert [name for name, actions in may.items() if ('publish', '/weights') in actions] == ['trainer_node']
    assert not any(what == 'request' for actions in may.values() for what, _ in actions)


def test_the_optional_topics_are_used_by_some_node():
    everything = set().union(*(allowed(node) for node in ('depth_node', 'trainer_node', 'camera_simulator')))
    assert everything >= OPTIONAL
