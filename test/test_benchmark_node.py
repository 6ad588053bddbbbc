"""Suite `node`: what it counts is what happened, on a graph of our own making and once over DDS."""

import os
import struct
import subprocess
import sys
import time
from collections import Counter
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

from dfd_depth_ros.benchmarks import node, peers, usage
from dfd_depth_ros.networks.model import DfdModel
from dfd_depth_ros.networks.weights import save_weights


def stamped(stamp_ns, content=b''):
    """A serialised message with this stamp, as far as anybody looks."""
    return struct.pack('<4siI', b'\x00\x01\x00\x00', *divmod(stamp_ns, 1_000_000_000)) + content


def test_arrivals_of_an_interval():
    arrivals = node.Arrivals()
    for stamp in (5, 10, 15, 20):
        arrivals.write('/image_raw', 'sensor_msgs/msg/Image', stamped(stamp), stamp + 1)
    times = arrivals.between('image_raw', 10, 20)
    np.testing.assert_array_equal(times.stamp_ns, [10, 15])
    np.testing.assert_array_equal(times.receive_ns, [11, 16])
    assert len(arrivals.between('depth/image_rect', 0, 99).stamp_ns) == 0
    arrivals.close()


def digest_of(*contents):
    arrivals = node.Arrivals()
    for stamp, content in enumerate(contents):
        arrivals.write('/image_raw', '', stamped(stamp, content), stamp)
        arrivals.write('/depth/image_rect', '', stamped(stamp, bytes([stamp])), stamp)
    return arrivals.digest()


def test_digest_knows_the_images_and_neither_stamps_nor_order():
    assert digest_of(b'a', b'b', b'c') == digest_of(b'c', b'a', b'b', b'c') != digest_of(b'a', b'b', b'd')


class PlayedGraph:
    """A graph in which a node of a given speed serves the newest image; no process, no clock."""

    def __init__(self, arrivals, served_hz):
        self.arrivals, self.served_hz, self.rate_hz, self.now = arrivals, served_hz, 1.0, 0
        self.recorder, self.started, self.waited = SimpleNamespace(counts=Counter()), [], []

    def start(self, name, parameters):
        self.started.append((name, parameters))

    def wait_for(self, topic, after=0):
        self.waited.append((topic, after))

    def pid(self, name):
        return os.getpid()

    def set_parameter(self, name, parameter, value):
        assert (name, parameter) == ('camera_simulator', 'rate_hz')
        self.rate_hz = value

    def rest(self, seconds):
        end, period, free = self.now + int(seconds * 1e9), int(1e9 / self.rate_hz), self.now
        for stamp in range(self.now, end, period):
            self.arrivals.write('/image_raw', '', stamped(stamp), stamp + 1_000_000)
            if stamp >= free:
                free = stamp + int(1e9 / self.served_hz)
                self.arrivals.write('/depth/image_rect', '', stamped(stamp), free)
        self.now = end


@pytest.fixture
def played(monkeypatch):
    """Makes a PlayedGraph with its arrivals, on a clock of its own and with a node that uses 30 % of a core."""

    def make(served_hz):
        arrivals = node.Arrivals()
        graph = PlayedGraph(arrivals, served_hz)
        monkeypatch.setattr(node.time, 'time_ns', lambda: graph.now)
        monkeypatch.setattr(node.usage, 'cpu_seconds', lambda pid: 0.3 * graph.now / 1e9)
        return graph, arrivals

    return make


@pytest.mark.parametrize(('rate_hz', 'loss'), [(5.0, 0.0), (20.0, 0.5)])
def test_a_trial_counts_what_was_dropped(played, rate_hz, loss):
    graph, arrivals = played(served_hz=10.0)
    trial = node._trial(graph, arrivals, rate_hz, 4.0, os.getpid())
    assert trial['offered_hz'] == pytest.approx(rate_hz, rel=0.02)
    assert trial['loss'] == pytest.approx(loss, abs=0.03)
    assert trial['latency_ms']['p99'] == pytest.approx(100) == trial['latency_ms']['max']
    assert trial['transport_ms']['p50'] == pytest.approx(1) and trial['cpu_percent'] == pytest.approx(30)


def test_the_search_finds_the_rate_of_the_node(played):
    graph, arrivals = played(served_hz=10.0)
    found = node._measured(graph, arrivals, 'depth_node', {'a': 1}, 4.0, repetitions=2)
    assert graph.started == [('depth_node', {'a': 1})] and graph.waited == [('depth/image_rect', 0)]
    assert 9.0 < found['sustained_hz'] <= 10.3 and len(found['trials']) == node.HALVINGS
    assert found['p50_ms'] == pytest.approx(100) and found['cpu_percent'] == pytest.approx(30)
    assert set(found['fixed']) == {'10', '30', '60'}
    assert found['fixed']['10']['loss'] < 0.05 < 0.6 < found['fixed']['30']['loss'] < found['fixed']['60']['loss']
    assert found['peak_memory_mb'] > 10 and found['repetitions'] == 2


@pytest.mark.parametrize('most, confirmed', [(16.0, 16.0), (13.0, 12.8), (8.0, 8.0), (3.0, None)])
def test_a_rate_that_was_kept_up_by_luck_is_not_confirmed(monkeypatch, most, confirmed):
    asked = []

    def trial(graph, arrivals, rate, *_):
        asked.append(rate)
        return {'asked_hz': rate, 'loss': 0.03 if rate <= most else 0.3}

    monkeypatch.setattr(node, '_trial', trial)
    lucky = [{'asked_hz': rate, 'loss': 0.0} for rate in (4.0, 8.0, 16.0)]
    found = node._confirmed(None, None, lucky, 1.0, 3, 1)
    assert (found and found['asked_hz']) == (confirmed and pytest.approx(confirmed))
    assert asked == sorted(asked, reverse=True) and len(asked) % 3 == 0


def test_a_fixed_rate_that_was_kept_up_counts_where_the_search_was_unlucky(played, monkeypatch):
    graph, arrivals = played(served_hz=12.0)
    monkeypatch.setattr(node, '_confirmed', lambda *_: None)
    assert node._measured(graph, arrivals, 'depth_node', {}, 4.0, 1)['sustained_hz'] == pytest.approx(10, rel=0.02)
    graph, arrivals = played(served_hz=2.0)
    assert node._measured(graph, arrivals, 'depth_node', {}, 4.0, 1)['sustained_hz'] is None


def test_median_of_trials():
    trials = [{'a': value, 'b': {'c': -value}} for value in (1, 9, 2)]
    assert node._median(trials) == {'a': 2.0, 'b': {'c': -2.0}}


def test_processor_time_and_memory_of_a_process():
    script = 'data = bytearray(60_000_000)\nwhile True: pass'
    process = subprocess.Popen([sys.executable, '-c', script])
    try:
        deadline = time.monotonic() + 30
        while usage.cpu_seconds(process.pid) < 0.3:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert 60 < usage.peak_memory_mb(process.pid) < 200
    finally:
        process.kill()
        process.wait()
    assert usage.load() >= 0


@pytest.mark.parametrize(('pid', 'memory'), [(12, (300 + 24) * 1.048576), (7, None), (13, None)])
def test_memory_on_the_gpu_is_that_of_the_process(monkeypatch, pid, memory):
    told = '12, 300\n12, 24\n13, [N/A]\n'
    monkeypatch.setattr(usage.shutil, 'which', lambda name: f'/bin/{name}')
    monkeypatch.setattr(usage.subprocess, 'run', lambda *_, **__: SimpleNamespace(stdout=told))
    assert usage.gpu_memory_mb(pid) == memory
    monkeypatch.setattr(usage.shutil, 'which', lambda name: None)
    assert usage.gpu_memory_mb(pid) is None


def test_depth_anything_is_timed_where_transformers_is_installed(monkeypatch):
    monkeypatch.setattr(peers, 'find_spec', lambda name: None)
    assert peers.depth_anything('cpu') is None
    monkeypatch.undo()
    pytest.importorskip('transformers', reason='the extra benchmark is not installed')
    timed = peers.depth_anything('cpu', frames=2, size=56)
    assert timed['size'] == [56, 56] and timed['p50_ms'] > 0
    assert timed['fps'] == pytest.approx(1000 / timed['p50_ms'])


def test_node_over_dds(ros_domain, tmp_path, monkeypatch):
    from dfd_depth_ros.ros import graph
    from dfd_depth_ros.ros.processes import graph_environment

    weights = tmp_path / 'untrained.safetensors'
    save_weights(weights, DfdModel(), {})
    monkeypatch.setattr(graph, 'graph_environment', partial(graph_environment, ros_domain))
    for name, value in {'HALVINGS': 1, 'DRAIN_S': 0.5, 'SETTLE_S': 0.5, 'FIXED_HZ': (4.0,)}.items():
        monkeypatch.setattr(node, name, value)
    monkeypatch.setattr(node, 'depth_anything', lambda device: {'fps': 2.0})
    numbers = node.run(str(weights), (64, 48), seconds=1.0, quick=True)
    (trial,) = numbers['trials']
    assert trial['asked_hz'] > 1 and trial['offered_hz'] >= 0
    trials = (trial, numbers['fixed']['4'], numbers['transport_only']['fixed']['4'])
    assert min(timed['loss'] for timed in trials) < 1
    for timed in trials:
        assert 0 <= timed['loss'] <= 1
        assert timed['loss'] == 1 or 0 < timed['latency_ms']['p50'] <= timed['latency_ms']['max']
    assert numbers['peak_memory_mb'] > numbers['transport_only']['peak_memory_mb'] > 10
    assert numbers['with_trainer'] is None and len(numbers['load']) == 2 and len(numbers['data_digest']) == 64
    rate = numbers['sustained_hz']
    assert numbers['ratio_to_depth_anything_v2_small'] == (rate / 2.0 if rate else None)
