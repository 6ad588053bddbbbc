"""The Foxglove layout shows topics that exist, each in a panel that can show its type, and every panel has a place."""

import json
import re

import pytest

from dfd_depth_ros.paths import share_directory


@pytest.fixture(scope='module')
def layout():
    return json.loads((share_directory() / 'config' / 'foxglove' / 'depth.json').read_text())


def kind(panel: str) -> str:
    return panel.split('!')[0]


def topics(panel: str, config: dict) -> list[str]:
    """The topics that a panel reads, by what Foxglove calls them in panels of its kind."""
    return {
        '3D': lambda: list(config['topics']),
        'Image': lambda: [config['imageMode']['imageTopic']],
        'Plot': lambda: [path['value'].split('.')[0] for path in config['paths']],
        'DiagnosticSummary': lambda: [config['topicToRender']],
    }[kind(panel)]()


def places(tree):
    """Every panel of the tree of splits; fails where a split is not one."""
    if isinstance(tree, str):
        return [tree]
    assert set(tree) == {'direction', 'first', 'second', 'splitPercentage'}
    assert tree['direction'] in ('row', 'column') and 0 < tree['splitPercentage'] < 100
    return places(tree['first']) + places(tree['second'])


def test_parts_of_a_layout(layout):
    assert set(layout) == {'configById', 'globalVariables', 'userNodes', 'playbackConfig', 'layout'}


def test_every_panel_has_one_place(layout):
    assert sorted(places(layout['layout'])) == sorted(layout['configById'])


def test_every_panel_can_show_its_topics(layout):
    pytest.importorskip('rclpy')
    from dfd_depth_ros.ros.camera_simulator import TOPICS as camera
    from dfd_depth_ros.ros.outputs import TOPICS as depth

    types = {name: kind.__name__ for name, kind in {**camera, **depth}.items()} | {'diagnostics': 'DiagnosticArray'}
    shows = {'3D': 'PointCloud2', 'Image': 'Image', 'Plot': 'JointState', 'DiagnosticSummary': 'DiagnosticArray'}
    shown = {topic: kind(panel) for panel, config in layout['configById'].items() for topic in topics(panel, config)}
    assert {topic: types[topic.lstrip('/')] for topic in shown} == {topic: shows[shown[topic]] for topic in shown}
    assert {'/depth/view', '/depth/sigma', '/coc/image', '/depth/points', '/diagnostics'} <= set(shown)


def test_scales_are_those_of_rviz(layout):
    text = (share_directory() / 'config' / 'rviz' / 'depth.rviz').read_text()
    for panel, name in (('Image!sigma', 'Sigma'), ('Image!coc', 'CoC')):
        scale = layout['configById'][panel]['imageMode']
        low, high = re.search(rf'Name: {name} \((-?[\d.]+) to ([\d.]+)', text).groups()
        assert (scale['minValue'], scale['maxValue']) == (float(low), float(high))


def test_the_plotted_number_is_the_focus(layout):
    pytest.importorskip('rclpy')
    from dfd_depth_ros.ros.messages import LENS_NAMES

    (path,) = layout['configById']['Plot!focus']['paths']
    index = int(re.fullmatch(r'/lens_used\.position\[(\d)\]', path['value']).group(1))
    assert LENS_NAMES[index] == path['label'] == 'focus_dioptre'


def test_the_cloud_is_seen_from_the_frame_of_the_simulated_camera(layout):
    pytest.importorskip('rclpy')
    from dfd_depth_ros.ros.camera_simulator import FRAME_ID

    assert layout['configById']['3D!cloud']['followTf'] == FRAME_ID
