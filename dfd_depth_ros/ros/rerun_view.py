"""`rerun_view`: depth, sigma, CoC, cloud and curves in a browser, for machines without rviz2 or without a screen.

Subscribes what `depth_node` publishes and logs it to rerun, whose own server shows it as a web page, on this machine
only (127.0.0.1). Stands beside the other nodes: it may be started late and stopped at any time.
"""

import math
import socket
import subprocess
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from sensor_msgs.msg import Image, JointState, PointCloud2

from dfd_depth_ros.ros import qos
from dfd_depth_ros.ros.messages import to_depth, to_lens_values, to_nanoseconds, to_rgb
from dfd_depth_ros.ros.parameters import ParameterError, Spec, declare

ADDRESS = '127.0.0.1'
PARAMETERS = {
    'port': Spec(9090, 'Port of the web page.', low=1, high=65535),
    'data_port': Spec(9876, 'Port through which the page gets its data.', low=1, high=65535),
    'recording': Spec('', 'File (.rrd) that is written in place of serving a page; empty: none.'),
    'max_hz': Spec(5.0, 'Most images of one topic in a second; others are left out.', 'Hz', low=0.01, high=1000.0),
    'max_m': Spec(5.0, 'Depth at the far end of the colour scale.', 'm', low=0.001),
}
TOPICS = {  # topic: its type, and the method that logs it
    'image_raw': (Image, '_picture'),
    'depth/image_rect': (Image, '_depth'),
    'depth/sigma': (Image, '_sigma'),
    'coc/image': (Image, '_coc'),
    'depth/points': (PointCloud2, '_cloud'),
    'lens_used': (JointState, '_lens'),
    '/diagnostics': (DiagnosticArray, '_diagnostics'),
}
CURVES = ('rate_hz', 'latency_p50_ms', 'latency_p99_ms', 'drops', 'lost')  # of the diagnostics of depth_node
MEMORY = '512MB'  # of the server, for pages that are opened late
MISSING = 'rerun is missing: install the extra rerun (pip install "dfd_depth_ros[rerun]")'
POINT = 1.5  # size of a point on the screen, in its pixels; rerun wants it below zero
SIGMA_M, COC_PX = 0.5, 12.0  # ends of the colour scales, as in config/rviz/depth.rviz


class RerunView(Node):
    """Raises ParameterError where rerun is not installed or a port is taken."""

    def __init__(self, **options):
        if find_spec('rerun') is None:
            raise ParameterError(MISSING)
        super().__init__('rerun_view', **options)
        import rerun

        self._values, self._last = declare(self, PARAMETERS), {}
        self._rerun, self._stream = rerun, rerun.RecordingStream('dfd_depth_ros')
        self._server = None
        if self._values['recording']:
            self._stream.save(self._values['recording'])
        else:
            self._server = serve(self._values['port'], self._values['data_port'])
            self._stream.connect_grpc(f'rerun+http://{ADDRESS}:{self._values["data_port"]}/proxy')
            self.get_logger().info(f'open {page(self._values["port"], self._values["data_port"])}')
        self._stream.send_blueprint(layout())
        self._stream.log('cloud', rerun.ViewCoordinates.RDF, static=True)
        for topic, (kind, log) in TOPICS.items():
            self.create_subscription(kind, topic, self._logging(topic, getattr(self, log)), qos.sensor_data())

    def destroy_node(self):
        """Send what is left, then end the server."""
        self._stream.flush()
        self._stream.disconnect()
        if self._server:
            self._server.terminate()
            self._server.wait()
        super().destroy_node()

    def _logging(self, topic: str, log):
        """The callback of a topic: no more often than `max_hz`, under the stamp of the message. A message that cannot
        be shown is told and left out."""

        def receive(message):
            stamp = to_nanoseconds(message.header.stamp)
            since = stamp - self._last.get(topic, -math.inf)
            if 0 <= since < 1e9 / self._values['max_hz']:
                return
            self._last[topic] = stamp
            self._stream.set_time('stamp', timestamp=np.datetime64(stamp, 'ns'))
            try:
                log(message)
            except ValueError as error:
                self.get_logger().warning(f'{topic} cannot be shown: {error}', throttle_duration_sec=5.0)

        return receive

    def _image(self, path: str, pixels: np.ndarray) -> None:
        self._stream.log(path, self._rerun.Image(np.ascontiguousarray(pixels)))

    def _curve(self, path: str, value: float) -> None:
        if math.isfinite(value):
            self._stream.log(f'curves/{path}', self._rerun.Scalars(value))

    def _picture(self, message: Image) -> None:
        self._image('image', to_rgb(message))

    def _depth(self, message: Image) -> None:
        depth = to_depth(message)
        self._image('depth', coloured(self._values['max_m'] - depth, 0, self._values['max_m'], cv2.COLORMAP_TURBO))
        self._curve('metres/median_depth', _median(depth))

    def _sigma(self, message: Image) -> None:
        sigma = to_depth(message)
        self._image('sigma', coloured(sigma, 0, SIGMA_M, cv2.COLORMAP_INFERNO))
        self._curve('metres/median_sigma', _median(sigma))

    def _coc(self, message: Image) -> None:
        self._image('coc', coloured(to_depth(message), -COC_PX, COC_PX, cv2.COLORMAP_TWILIGHT_SHIFTED))

    def _cloud(self, message: PointCloud2) -> None:
        positions, colours = points_of(message)
        self._stream.log('cloud/points', self._rerun.Points3D(positions, colors=colours, radii=-POINT))

    def _lens(self, message: JointState) -> None:
        for name, value in to_lens_values(message).items():
            if name.startswith('focus_dioptre'):
                self._curve(f'lens/{name}', value)

    def _diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            values = {pair.key: pair.value for pair in status.values}
            for name in CURVES:
                if status.name.endswith(': depth') and name in values:
                    self._curve(f'{"latency" if name.endswith("_ms") else "node"}/{name}', float(values[name]))


def serve(port: int, data_port: int) -> subprocess.Popen:
    """Start rerun's server for this machine only. Raises ParameterError where a port is taken."""
    import rerun_cli

    for name, number in (('port', port), ('data_port', data_port)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((ADDRESS, number))
            except OSError:
                raise ParameterError(f'{name} {number} is taken; choose another one with -p {name}:=NUMBER') from None
    program = str(Path(rerun_cli.__file__).with_name('rerun'))
    options = ['--port', str(data_port), '--web-viewer-port', str(port), '--server-memory-limit', MEMORY]
    return subprocess.Popen(
        [program, '--serve-web', '--bind', ADDRESS, *options],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def page(port: int, data_port: int) -> str:
    """Address to open in a browser: the page, and where it gets its data."""
    return f'http://{ADDRESS}:{port}/?url=rerun%2Bhttp%3A%2F%2F{ADDRESS}%3A{data_port}%2Fproxy'


def coloured(values: np.ndarray, low: float, high: float, colours: int) -> np.ndarray:
    """(H, W) values as (H, W, 3) uint8 RGB on a scale of OpenCV; what is not finite is black."""
    share = np.clip((np.nan_to_num(values, nan=low, posinf=high, neginf=low) - low) / (high - low), 0, 1)
    picture = cv2.applyColorMap(np.uint8(255 * share), colours)
    picture[~np.isfinite(values)] = 0
    return picture[..., ::-1]


def points_of(message: PointCloud2) -> tuple[np.ndarray, np.ndarray]:
    """Positions (N, 3) float32 and colours (N, 3) uint8 RGB of a cloud as `messages.to_cloud` makes it, without those
    that are not finite. Raises ValueError for another layout."""
    names = [(field.name, field.offset) for field in message.fields]
    if message.point_step != 16 or names != [('x', 0), ('y', 4), ('z', 8), ('rgb', 12)] or message.is_bigendian:
        raise ValueError(f'the cloud has the fields {", ".join(name for name, _ in names)}, not x, y, z, rgb')
    rows = np.frombuffer(message.data, np.uint8).reshape(-1, 16)
    positions = rows[:, :12].copy().view(np.float32)
    known = np.isfinite(positions).all(1)
    return positions[known], rows[known, 14:11:-1]


def layout():
    """What the page shows where: the cloud beside four pictures, curves below."""
    import rerun.blueprint as view

    pictures = (('Image', 'image'), ('Depth', 'depth'), (f'Sigma (0 to {SIGMA_M:g} m)', 'sigma'))
    signed = (f'CoC (-{COC_PX:g} to {COC_PX:g} px)', 'coc')
    curves = (('Depth and sigma [m]', 'metres'), ('Latency [ms]', 'latency'), ('Rate and drops', 'node'))
    return view.Blueprint(
        view.Vertical(
            view.Horizontal(
                view.Spatial3DView(origin='cloud', name='Cloud'),
                view.Grid(*(view.Spatial2DView(origin=at, name=name) for name, at in (*pictures, signed))),
            ),
            view.Horizontal(*(view.TimeSeriesView(origin=f'curves/{at}', name=name) for name, at in curves)),
            row_shares=[3, 1],
        ),
        collapse_panels=True,
    )


def _median(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if known.size else math.nan
