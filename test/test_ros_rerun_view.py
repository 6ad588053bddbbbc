"""`rerun_view`: what it writes is read back from a recording; and it declines in a sentence where it cannot show."""

import importlib.util
import socket

import cv2
import numpy as np
import pytest

pytest.importorskip('rclpy')
rerun_chunk = pytest.importorskip('rerun.chunk', reason='the extra rerun is not installed')

from diagnostic_msgs.msg import DiagnosticArray  # noqa: E402
from node_bench import NodeBench, wait  # noqa: E402
from rclpy.parameter import Parameter  # noqa: E402
from sensor_msgs.msg import Image, JointState, PointCloud2  # noqa: E402

from dfd_depth_ros.cli import nodes  # noqa: E402
from dfd_depth_ros.optics.lens import Lens  # noqa: E402
from dfd_depth_ros.ros import messages, rerun_view  # noqa: E402
from dfd_depth_ros.ros.diagnostics import to_message  # noqa: E402
from dfd_depth_ros.ros.parameters import ParameterError  # noqa: E402
from dfd_depth_ros.scenes.frame import Intrinsics  # noqa: E402

TOPICS = {
    'image_raw': Image,
    'depth/image_rect': Image,
    'depth/sigma': Image,
    'coc/image': Image,
    'depth/points': PointCloud2,
    'lens_used': JointState,
    '/diagnostics': DiagnosticArray,
}
DEPTH = np.tile(np.linspace(1, 4, 8, dtype=np.float32), (6, 1))
COLOUR = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
HEADER = messages.to_header(5_000_000_000, 'camera')
CLOUD = messages.to_cloud(DEPTH, DEPTH < 3, COLOUR, Intrinsics(10.0, 10.0, 4.0, 3.0), HEADER)


class ViewBench(NodeBench):
    """A view that writes a recording, and a tester that publishes to it."""

    def __init__(self, path, **parameters):
        parameters = {'recording': str(path), **parameters}
        overrides = [Parameter(name, value=value) for name, value in parameters.items()]
        super().__init__(rerun_view.RerunView(parameter_overrides=overrides), TOPICS)
        self.start()

    def connect(self):
        """Wait until every topic has its listener."""
        wait(lambda: all(publisher.get_subscription_count() for publisher in self.publishers.values()), 'a connection')


def wait_for(bench, *topics):
    """Wait until a message of each topic has been logged."""
    wait(lambda: set(topics) <= set(bench.node._last), f'a log of {topics}')


def columns(path):
    """What a recording holds: entity path to the names of its columns, and the values of those with numbers."""
    found = {}
    for chunk in rerun_chunk.RrdReader(path).stream().to_chunks():
        batch = chunk.to_record_batch()
        for name in batch.schema.names:
            column = batch.column(name)
            column = column.cast('int64') if str(column.type).startswith('timestamp') else column
            found.setdefault(chunk.entity_path, {}).setdefault(name, []).extend(column.to_pylist())
    return found


def test_everything_is_logged_under_its_stamp(ros, tmp_path):
    path = tmp_path / 'view.rrd'
    with ViewBench(path) as bench:
        bench.connect()
        bench.send(1.0, COLOUR)
        for topic in ('depth/image_rect', 'depth/sigma', 'coc/image'):
            bench.send(1.0, DEPTH, topic)
        bench.send(1.0, CLOUD, 'depth/points')
        bench.send(1.0, messages.to_lens_message(Lens(0.05, 2.0, 5e-5, 0.5), HEADER), 'lens_used')
        values = {'rate_hz': '12.5', 'latency_p50_ms': '80.0', 'latency_p99_ms': '99.0', 'drops': '3', 'model': 'x'}
        bench.send(1.0, to_message('depth_node: depth', b'\x00', 'well', values, HEADER.stamp), '/diagnostics')
        wait_for(bench, *TOPICS)
    found = columns(path)
    assert {'/image', '/depth', '/sigma', '/coc', '/cloud/points', '/curves/lens/focus_dioptre'} <= set(found)
    names = ('node/rate_hz', 'node/drops', 'latency/latency_p99_ms')
    curves = {name: number(found[f'/curves/{name}']) for name in names}
    assert curves == {'node/rate_hz': 12.5, 'node/drops': 3.0, 'latency/latency_p99_ms': 99.0}
    assert number(found['/curves/metres/median_depth']) == pytest.approx(2.5)
    assert number(found['/curves/lens/focus_dioptre']) == pytest.approx(0.5)
    points = np.array(found['/cloud/points']['Points3D:positions'][0])
    np.testing.assert_allclose(np.sort(points[:, 2]), np.sort(DEPTH[DEPTH < 3]))
    (pixels,) = found['/image']['Image:buffer'][0]
    np.testing.assert_array_equal(np.frombuffer(bytes(pixels), np.uint8).reshape(6, 8, 3), COLOUR)
    assert set(found['/image']['stamp']) == {1001 * 10**9}


def number(entity):
    """The one number of an entity."""
    ((value,),) = entity['Scalars:scalars']
    return value


def test_no_more_than_the_most_images_in_a_second(ros, tmp_path):
    with ViewBench(tmp_path / 'view.rrd', max_hz=2.0) as bench:
        bench.connect()
        receive, seen = bench.node._logging('image_raw', lambda message: seen.append(message.header.stamp.sec)), []
        for seconds in (1.0, 1.2, 1.4, 1.6, 2.0, 0.5):
            receive(messages.to_image(COLOUR, messages.to_header(round(seconds * 1e9), 'camera')))
        assert seen == [1, 1, 0]  # 1.0, 1.6 and, after the jump back, 0.5


def test_what_cannot_be_shown_is_left_out(ros, tmp_path):
    path = tmp_path / 'view.rrd'
    with ViewBench(path) as bench:
        bench.connect()
        wrong = messages.to_image(COLOUR, HEADER)
        wrong.encoding = 'secret'
        bench.send(1.0, wrong)
        wait_for(bench, 'image_raw')
        bench.send(2.0, DEPTH * np.nan, 'depth/image_rect')
        wait_for(bench, 'depth/image_rect')
    found = columns(path)
    assert '/image' not in found and '/depth' in found and '/curves/metres/median_depth' not in found


def test_points_of_a_cloud():
    positions, colours = rerun_view.points_of(CLOUD)
    keep = DEPTH < 3
    np.testing.assert_allclose(positions[:, 2], DEPTH[keep])
    np.testing.assert_array_equal(colours, COLOUR[keep])
    organised = messages.to_cloud(DEPTH, keep, COLOUR, Intrinsics(10.0, 10.0, 4.0, 3.0), HEADER, organised=True)
    np.testing.assert_array_equal(rerun_view.points_of(organised)[0], positions)
    with pytest.raises(ValueError, match='^the cloud has the fields x, not x, y, z, rgb$'):
        rerun_view.points_of(PointCloud2(fields=CLOUD.fields[:1], point_step=16))


def test_colours_of_a_scale():
    values = np.array([[-1, 0, 5, 10, 99, np.nan, np.inf]])
    picture = rerun_view.coloured(values, 0, 10, cv2.COLORMAP_TURBO)
    scale = cv2.applyColorMap(np.array([[0, 127, 255]], np.uint8), cv2.COLORMAP_TURBO)[..., ::-1]
    expected = [scale[0, 0], scale[0, 0], scale[0, 1], scale[0, 2], scale[0, 2], [0, 0, 0], [0, 0, 0]]
    np.testing.assert_array_equal(picture[0], expected)


def test_the_page_names_its_data():
    assert rerun_view.page(9090, 9876) == 'http://127.0.0.1:9090/?url=rerun%2Bhttp%3A%2F%2F127.0.0.1%3A9876%2Fproxy'


def test_a_taken_port_is_named():
    with socket.socket() as taken:
        taken.bind(('127.0.0.1', 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ParameterError) as error:
            rerun_view.serve(port, port)
    assert str(error.value) == f'port {port} is taken; choose another one with -p port:=NUMBER'


def test_the_server_listens_on_this_machine_only():
    ports = []
    for _ in range(2):
        with socket.socket() as probe:
            probe.bind(('127.0.0.1', 0))
            ports.append(probe.getsockname()[1])
    server = rerun_view.serve(*ports)
    try:
        wait(lambda: all(opens('127.0.0.1', port) for port in ports), 'a server')
        assert not any(opens('127.0.0.2', port) for port in ports)  # it would answer there if it listened on all
    finally:
        server.terminate()
        server.wait()


def opens(address, port):
    with socket.socket() as probe:
        probe.settimeout(2)
        return probe.connect_ex((address, port)) == 0


def test_without_the_extra_it_declines(ros_domain, monkeypatch, capsys):
    find = importlib.util.find_spec
    monkeypatch.setattr(rerun_view, 'find_spec', lambda name: None if name == 'rerun' else find(name))
    assert nodes.rerun_view([]) == 1
    sentence = 'rerun_view: rerun is missing: install the extra rerun (pip install "dfd_depth_ros[rerun]")\n'
    assert capsys.readouterr().err == sentence
