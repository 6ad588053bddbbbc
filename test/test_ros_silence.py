"""Topics that bring nothing: named as they are resolved, and only where something is expected."""

import pytest

pytest.importorskip('rclpy')

from diagnostic_msgs.msg import DiagnosticStatus
from node_bench import LENS, Bench, picture
from sensor_msgs.msg import CameraInfo

from dfd_depth_ros.ros import depth_node, silence
from dfd_depth_ros.ros.diagnostics import Monitor
from dfd_depth_ros.ros.silence import Silence


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


class Graph:
    """Stands for a node: names are resolved under /eye, and `count` publishers are there."""

    count = 0

    def resolve_topic_name(self, topic):
        return f'/eye/{topic}'

    def count_publishers(self, name):
        return self.count if name.startswith('/eye/') else None


@pytest.fixture
def watched():
    """Clock, graph, silence and the sentences of the monitor by topic."""
    clock, graph, monitor = Clock(), Graph(), Monitor(lambda *entry: None)
    quiet = Silence(graph, monitor, clock)

    def sentences(is_expected=True, policy='drop'):
        quiet.report(is_expected, policy)
        values = monitor.report(True)[2]
        return {name.removeprefix('condition.silent.'): text for name, text in values.items() if 'silent' in name}

    return clock, graph, quiet, sentences


def test_a_silent_topic_is_named_with_its_publishers_until_it_speaks(watched):
    clock, graph, quiet, sentences = watched
    heard = []
    hear = quiet.watch('image_raw', heard.append)
    clock.now += 4.9
    assert sentences() == {}
    clock.now += 0.1
    assert sentences() == {'image_raw': 'no data on /eye/image_raw for 5 s; nobody publishes it'}
    graph.count = 1
    assert sentences() == {'image_raw': 'no data on /eye/image_raw for 5 s; it has 1 publisher'}
    graph.count = 2
    assert sentences() == {'image_raw': 'no data on /eye/image_raw for 5 s; it has 2 publishers'}
    hear('message')
    assert heard == ['message'] and sentences() == {}


def test_each_topic_has_its_own_silence(watched):
    clock, _, quiet, sentences = watched
    hears = {topic: quiet.watch(topic, lambda message: None) for topic in ('image_raw', 'camera_info', 'lens')}
    clock.now += 3
    hears['image_raw'](None)
    clock.now += 3
    assert list(sentences()) == ['camera_info', 'lens']


def test_nothing_is_expected_of_an_inactive_node_nor_of_a_lens_whose_last_state_holds(watched):
    clock, _, quiet, sentences = watched
    for topic in ('image_raw', 'lens'):
        quiet.watch(topic, lambda message: None)
    clock.now += 60
    assert sentences(is_expected=False) == {}
    assert list(sentences(policy='hold')) == ['image_raw']
    assert list(sentences(policy='static')) == ['image_raw', 'lens']


def test_the_node_names_image_camera_info_and_lens(ros, monkeypatch):
    monkeypatch.setattr(depth_node, 'REPORT_PERIOD_S', 0.05)
    monkeypatch.setattr(silence, 'SILENCE_S', 0.5)
    parameters = LENS | {'lens.source': 'joint_state'}
    remap = ['--ros-args', '-r', 'image_raw:=/front/image', '-r', 'camera_info:=/front/info']
    with Bench(parameters=parameters, namespace='/robot', cli_args=remap) as bench:
        wanted = {
            'condition.silent.image_raw': 'no data on /front/image for 0.5 s; nobody publishes it',
            'condition.silent.camera_info': 'no data on /front/info for 0.5 s; nobody publishes it',
            'condition.silent.lens': 'no data on /robot/lens for 0.5 s; it has 1 publisher',
        }
        level, text, _ = bench.status(lambda level, text, values: wanted.items() <= values.items())
        assert level == DiagnosticStatus.WARN and all(sentence in text for sentence in wanted.values())
        bench.node.trigger_deactivate()
        bench.node.trigger_cleanup()
        bench.status(lambda level, text, values: text == 'not active')


def test_a_camera_that_stops_and_comes_back(ros, monkeypatch):
    monkeypatch.setattr(depth_node, 'REPORT_PERIOD_S', 0.05)
    monkeypatch.setattr(silence, 'SILENCE_S', 0.5)
    with Bench().connect() as bench:
        bench.status(lambda level, text, values: 'no data on /image_raw for 0.5 s; it has 1 publisher' in text)

        def speaks(level, text, values):
            bench.send(1e6, picture())
            bench.send(1e6, CameraInfo(), 'camera_info')
            return not any(name.startswith('condition.silent') for name in values)

        bench.status(speaks)
