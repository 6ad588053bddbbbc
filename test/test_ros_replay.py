"""Replay: every image goes through a real depth node, and what is lost or late is counted."""

import math
from functools import partial

import numpy as np
import pytest

pytest.importorskip('rclpy')

from dfd_depth_ros.optics.lens import Lens
from dfd_depth_ros.ros import graph
from dfd_depth_ros.ros.processes import graph_environment
from dfd_depth_ros.ros.replay import replay, timing
from dfd_depth_ros.scenes.bag_frames import write_bag
from dfd_depth_ros.scenes.frame import Frame

LENS = Lens.focused_at(2.0, focal_length_m=0.05, f_number=2.0, pixel_pitch_m=4e-5)


def test_latency_and_drops_by_hand():
    sent = {1: 10**9, 2: 2 * 10**9, 3: 3 * 10**9}
    found = timing(sent, [(1, 10**9 + 20_000_000), (3, 3 * 10**9 + 40_000_000), (7, 10**10)], 2.0)
    assert (found['images'], found['depths'], found['drops'], found['unmatched'], found['rate']) == (3, 3, 1, 1, 2.0)
    assert found['latency_ms']['p50'] == pytest.approx(30) and found['latency_from'] == 'stamp'


def test_a_node_that_says_nothing_dropped_everything():
    found = timing({1: 10**9, 2: 2 * 10**9}, [], 1.0)
    assert found['drops'] == 2 and found['depths'] == 0 and math.isnan(found['latency_ms']['p50'])


def test_frames_go_through_a_running_node(ros_domain, tmp_path, monkeypatch):
    monkeypatch.setattr(graph, 'graph_environment', partial(graph_environment, ros_domain))
    rng = np.random.default_rng(0)
    frames = [Frame(f'{n}', image=rng.integers(0, 256, (64, 96, 3), np.uint8), lens=LENS) for n in range(4)]
    write_bag(tmp_path / 'bag', frames)
    found = replay(tmp_path / 'bag', LENS, {'weights': 'models/dfd_small.safetensors'}, rate=0.05)
    assert found['images'] == 4 and found['depths'] + found['drops'] == 4 and found['unmatched'] == 0
    assert found['depths'] >= 1 and 0 < found['latency_ms']['p50'] < 60_000 and found['rate'] == 0.05


def test_a_node_that_cannot_start_is_an_error_with_its_reason(ros_domain, tmp_path, monkeypatch):
    from dfd_depth_ros.ros import player

    monkeypatch.setattr(graph, 'graph_environment', partial(graph_environment, ros_domain))
    monkeypatch.setattr(player, 'DISCOVERY_S', 0.5)
    write_bag(tmp_path / 'bag', [Frame('x', image=np.zeros((64, 96, 3), np.uint8), lens=LENS)])
    with pytest.raises(RuntimeError, match='only 0 of 1 listen to the image'):
        replay(tmp_path / 'bag', LENS, {'weights': 'models/gone.safetensors'})
