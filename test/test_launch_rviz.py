"""The rviz2 configuration shows topics that exist, with a quality of service that their publishers offer."""

import pytest
import yaml

from dfd_depth_ros.paths import share_directory


def displays():
    """Every display with a topic, by the name of the topic."""
    config = yaml.safe_load((share_directory() / 'config' / 'rviz' / 'depth.rviz').read_text())
    return {entry['Topic']['Value']: entry for entry in config['Visualization Manager']['Displays'] if 'Topic' in entry}


def test_displays():
    pytest.importorskip('rclpy')
    from dfd_depth_ros.ros.camera_simulator import TOPICS as camera
    from dfd_depth_ros.ros.outputs import TOPICS as depth

    published = {**camera, **depth}
    assert set(displays()) == {
        'image_raw',
        *(f'depth/{name}' for name in ['view', 'sigma', 'image_rect', 'points']),
        'coc/image',
    }
    for topic, display in displays().items():
        assert display['Class'] == f'rviz_default_plugins/{published[topic].__name__}'


def test_quality_of_service():
    for topic, display in displays().items():
        assert display['Topic']['Durability Policy'] == 'Volatile'
        assert display['Topic']['Reliability Policy'] == ('Best Effort' if topic == 'image_raw' else 'Reliable')


def test_fixed_frame_is_that_of_the_simulated_camera():
    pytest.importorskip('rclpy')
    from dfd_depth_ros.ros.camera_simulator import FRAME_ID

    config = yaml.safe_load((share_directory() / 'config' / 'rviz' / 'depth.rviz').read_text())
    assert config['Visualization Manager']['Global Options']['Fixed Frame'] == FRAME_ID


def test_publishers_offer_what_the_displays_ask_for(ros):
    """Asked of the publishers themselves, in a graph."""
    from rclpy.lifecycle import LifecycleNode
    from rclpy.parameter import Parameter
    from rclpy.qos import DurabilityPolicy, ReliabilityPolicy

    from dfd_depth_ros.ros.camera_simulator import CameraSimulator
    from dfd_depth_ros.ros.outputs import Outputs

    small = {'width': 32, 'height': 24, 'loop_frames': 1, 'scene': 'motorcycle'}
    overrides = [Parameter(name, value=value) for name, value in small.items()]
    camera = CameraSimulator(parameter_overrides=overrides)
    node = LifecycleNode('depth')
    outputs = Outputs(node, lambda *_: None)
    for topic, display in displays().items():
        owner = camera if topic == 'image_raw' else node
        (offered,) = [info.qos_profile for info in owner.get_publishers_info_by_topic(f'/{topic}')]
        wanted = display['Topic']
        assert wanted['Durability Policy'] == 'Volatile' and offered.durability == DurabilityPolicy.VOLATILE
        reliable = offered.reliability == ReliabilityPolicy.RELIABLE
        assert reliable or wanted['Reliability Policy'] == 'Best Effort'
    outputs.destroy()
    node.destroy_node()
    camera.destroy_node()
