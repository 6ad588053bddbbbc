"""Replays recorded frames through a running depth node and tells how late and how complete its depth is."""

import tempfile
from contextlib import closing
from pathlib import Path

import numpy as np
import yaml

from dfd_depth_ros.evaluation.timing import recorded_timing
from dfd_depth_ros.optics.lens import Lens
from dfd_depth_ros.ros.graph import Graph
from dfd_depth_ros.ros.player import Player
from dfd_depth_ros.ros.recorder import TOPICS
from dfd_depth_ros.scenes.bag_lenses import SOURCES
from dfd_depth_ros.scenes.bags import Times, read_bag, stamp_ns

DEPTH = 'depth/image_rect'
HEARD = (DEPTH, '/diagnostics')


class _Receipts:
    """A writer for `Recorder` that keeps when depth came, not what it was."""

    def __init__(self):
        self.pairs = []

    def write(self, topic: str, msgtype: str, data: bytes, receive_ns: int) -> None:
        """Keep stamp and receive time of depth."""
        if topic.endswith(DEPTH):
            self.pairs.append((stamp_ns(data), receive_ns))

    def close(self) -> None:
        """Nothing is open."""


def replay(bag, lens: Lens, parameters: dict, rate: float = 1.0) -> dict:
    """Play a bag of raw images, `rate` times as fast, into a `depth_node` process of its own with /clock, and time it.

    lens: gives the node what the lens topic of the bag leaves out (pixel pitch). parameters: of the node. Returns the
    dictionary of `recorded_timing`, where latency runs from the sending of an image to the receipt of its depth on the
    wall clock, and `rate`. Raises GraphError or RuntimeError where the node does not work.
    """
    receipts, topics = _Receipts(), {topic: TOPICS[topic] for topic in HEARD}
    with tempfile.TemporaryDirectory() as folder, Graph(receipts, Path(folder), topics) as graph:
        lens_file = Path(folder) / 'lens.yaml'
        lens_file.write_text(yaml.safe_dump(lens.to_dict()))
        frames = read_bag(bag, lens)
        source = SOURCES.get(frames.kinds.get('lens'), 'parameters')
        node = {'lens.source': source, 'lens.file': str(lens_file), 'use_sim_time': True, **parameters}
        graph.start('depth_node', node)
        graph.wait_for('/diagnostics')  # no depth is lost from now on
        with closing(Player(bag, frames, 'raw', clock=True)) as player:
            _wait_for_node(player, graph)
            for _ in player.play(rate):
                graph.rest(0)
            graph.settle(DEPTH)
            sent = dict(player.sent)
        graph.stop('depth_node')
    return timing(sent, receipts.pairs, rate)


def _wait_for_node(player: Player, graph: Graph):
    """Return when the node listens. A node that has ended is told with its log."""
    try:
        player.wait_for_listeners(1)
    except RuntimeError:
        graph.rest(0)
        raise


def timing(sent: dict[int, int], pairs: list[tuple[int, int]], rate: float) -> dict:
    """Latency and drops from stamp -> time sent and (stamp, time received) of depth, in nanoseconds."""
    left = np.array(list(sent.values()), np.int64)
    came = np.array([(sent.get(stamp, -1), receipt) for stamp, receipt in pairs], np.int64).reshape(-1, 2)
    return {**recorded_timing(Times(left, left), Times(*came.T)), 'rate': rate}
