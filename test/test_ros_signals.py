"""A node process: a signal ends it at once with exit code 0, whatever it is in, and it never asks the network."""

import ast
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip('rclpy')

from node_bench import picture, wait
from sensor_msgs.msg import Image

from dfd_depth_ros.networks.model import DfdModel
from dfd_depth_ros.networks.weights import save_weights
from dfd_depth_ros.paths import share_directory
from dfd_depth_ros.ros import messages

LONG_S = 60  # what the node is in would take so long
SOON_S = 15  # far below it, and far above what is needed, for a busy machine
NODE = """
import atexit, sys, time
from pathlib import Path
import rclpy
from rclpy.parameter import Parameter
from node_bench import LENS, FakeEstimator
from dfd_depth_ros.ros.depth_node import DepthNode
from dfd_depth_ros.ros.run import run_node

def busy():
    Path({mark!r}).touch()
    {hurdle}

def load(settings):
    if {where!r} == 'load':
        busy()
    return FakeEstimator(busy if {where!r} == 'estimate' else lambda: None)

overrides = [Parameter(name, value=value) for name, value in LENS.items()]
if {where!r} == 'exit':
    atexit.register(busy)
if {where!r} in ('idle', 'exit'):
    Path({mark!r}).touch()
run_node(lambda: DepthNode(load=load, parameter_overrides=overrides), 'depth_node', [])
"""
HURDLES = {
    'sleeps': f'time.sleep({LONG_S})',
    'computes': f'end = time.monotonic() + {LONG_S}\n    while time.monotonic() < end: pass',
    'outlives': 'while rclpy.ok(): time.sleep(0.01)',  # and then cannot publish any more
}


def start(script, log):
    path = os.pathsep.join([str(share_directory()), str(Path(__file__).parent)])
    with open(log, 'wb') as output:
        return subprocess.Popen(
            [sys.executable, '-c', script], env=os.environ | {'PYTHONPATH': path}, stdout=output, stderr=output
        )


@pytest.mark.parametrize('signal_number', [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    ('where', 'hurdle'),
    [
        ('idle', 'sleeps'),
        ('load', 'sleeps'),
        ('load', 'computes'),
        ('estimate', 'computes'),
        ('estimate', 'outlives'),
        ('exit', 'sleeps'),
    ],
)
def test_a_signal_ends_the_process_at_once(ros, tmp_path, where, hurdle, signal_number):
    node = ros.create_node('camera')
    camera, depth = node.create_publisher(Image, 'image_raw', 10), []
    node.create_subscription(Image, 'depth/image_rect', depth.append, 10)
    mark, log = tmp_path / 'mark', tmp_path / 'log'
    process = start(NODE.format(mark=str(mark), where=where, hurdle=HURDLES[hurdle]), log)

    def is_there():
        camera.publish(messages.to_image(picture(), messages.to_header(0, 'camera')))
        ros.spin_once(node, timeout_sec=0.02)
        return mark.exists() or process.poll() is not None

    try:
        wait(is_there, 'the state to interrupt')
        if where in ('idle', 'exit'):
            wait(lambda: is_there() and depth, 'a node at work')
        started = time.monotonic()
        process.send_signal(signal_number)
        code = process.wait(LONG_S)
        took_s = time.monotonic() - started
    finally:
        process.kill()
        node.destroy_node()
    assert code == 0, log.read_text()
    said = log.read_text()
    assert took_s < SOON_S and ('Traceback' not in said or 'Exception ignored' in said)  # rclpy, half made, in __del__
    assert '[ERROR]' not in said
    print(f'{where}, {hurdle}, signal {signal_number.value}: {took_s:.2f} s')


def test_an_error_at_start_keeps_its_exit_code(ros_domain, tmp_path):
    script = (
        "from dfd_depth_ros.ros.run import run_node\ndef make(): raise RuntimeError('broken')\nrun_node(make, 'n', [])"
    )
    process = start(script, tmp_path / 'log')
    assert process.wait(LONG_S) == 1
    assert (tmp_path / 'log').read_text().splitlines()[-1] == 'RuntimeError: broken'


OFFLINE = """
import sys
heard = []
sys.addaudithook(lambda name, arguments: name in {events} and heard.append((name, repr(arguments[1:]))))
import numpy as np
import rclpy
from rclpy.parameter import Parameter
from node_bench import LENS, wait
from dfd_depth_ros.ros import messages
from dfd_depth_ros.ros.{module} import {kind}

rclpy.init()
values = LENS | {values}
node = {kind}(parameter_overrides=[Parameter(name, value=value) for name, value in values.items()])
image = np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8)
before = len(heard)
node._on_image(messages.to_image(image, messages.to_header(0, 'camera')))
wait(lambda: node.monitor.counts()['outputs'] == 1)
node.destroy_node()
rclpy.shutdown()
print(heard)
"""
EVENTS = ('socket.connect', 'socket.getaddrinfo', 'socket.gethostbyname', 'socket.sendto', 'urllib.Request')


def offline_script(kind, tmp_path):
    save_weights(tmp_path / 'untrained.safetensors', DfdModel(), {})
    values = {'weights': str(tmp_path / 'untrained.safetensors'), 'device': 'cpu'}
    if kind == 'TrainerNode':
        values |= {'state_dir': str(tmp_path / 'state'), 'background': False}
    module = {'DepthNode': 'depth_node', 'TrainerNode': 'trainer_node'}[kind]
    return OFFLINE.format(events=EVENTS, module=module, kind=kind, values=values)


@pytest.mark.parametrize('kind', ['DepthNode', 'TrainerNode'])
def test_from_start_to_depth_nothing_asks_the_network(ros_domain, tmp_path, kind):
    process = start(offline_script(kind, tmp_path), tmp_path / 'log')
    assert process.wait(120) == 0, (tmp_path / 'log').read_text()
    assert ast.literal_eval((tmp_path / 'log').read_text().splitlines()[-1]) == []


def test_the_watch_on_the_network_would_see_a_call():
    script = f'import sys, socket\nheard = []\nsys.addaudithook(lambda n, a: n in {EVENTS} and heard.append(n))\n'
    script += "try: socket.create_connection(('127.0.0.1', 9), 0.2)\nexcept OSError: pass\nprint(heard)"
    output = subprocess.run([sys.executable, '-c', script], capture_output=True, text=True).stdout
    assert ast.literal_eval(output) == ['socket.getaddrinfo', 'socket.connect']
