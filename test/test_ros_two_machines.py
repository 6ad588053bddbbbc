"""Weights from a trainer on another machine: two network namespaces joined by a cable that can be pulled."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip('rclpy')

from node_bench import LENS, wait

from dfd_depth_ros.paths import share_directory

TRAINER = """
from dfd_depth_ros.ros.run import run_node
from dfd_depth_ros.ros.trainer_node import TrainerNode
from trainer_bench import FakeLearner

FakeLearner.needed, FakeLearner.size, FakeLearner.every = 0, 1_000_000, 1500  # weights every few seconds
run_node(lambda: TrainerNode(make=FakeLearner), 'trainer_node', {arguments})
"""
LISTENER = """
import json
import rclpy
from std_msgs.msg import UInt8MultiArray
from dfd_depth_ros.ros import qos

rclpy.init()
node = rclpy.create_node('listener')
show = lambda message: print(len(message.data), json.loads(bytes(message.data))['number'], flush=True)
node.create_subscription(UInt8MultiArray, 'weights', show, qos.latched())
rclpy.spin(node)
"""
ADDRESSES = {'a': '10.213.7.1/24', 'b': '10.213.7.2/24'}


def ip(*arguments):
    subprocess.run(['ip', *arguments], check=True, capture_output=True)


def can_make_machines() -> bool:
    if sys.platform != 'linux' or os.geteuid() or not (shutil.which('ip') and shutil.which('unshare')):
        return False
    probe = f'dfd_{os.getpid()}_probe'
    with contextlib.suppress(subprocess.CalledProcessError):
        ip('netns', 'add', probe)
        ip('netns', 'del', probe)
        return True
    return False


@pytest.fixture
def machines():
    """run(machine, script, log) starts Python on machine 'a' or 'b'; plug(bool) pulls the cable or puts it back."""
    if not can_make_machines():
        pytest.skip('needs the right to make network namespaces')
    names = {machine: f'dfd_{os.getpid()}_{machine}' for machine in ADDRESSES}
    processes = []
    path = os.pathsep.join([str(share_directory()), str(Path(__file__).parent)])
    environment = os.environ | {'PYTHONPATH': path, 'ROS_AUTOMATIC_DISCOVERY_RANGE': 'SUBNET', 'ROS_DOMAIN_ID': '7'}

    def run(machine, script, log):
        # Without shared memory, which two machines do not have either.
        hide = 'mount -t tmpfs tmpfs /dev/shm && exec "$@"'
        command = ['ip', 'netns', 'exec', names[machine], 'unshare', '--mount', 'sh', '-c', hide, 'sh']
        with open(log, 'wb') as output:
            process = subprocess.Popen(
                [*command, sys.executable, '-u', '-c', script], env=environment, stdout=output, stderr=output
            )
        processes.append(process)
        return process

    def plug(is_in, machine='a'):
        ip('-n', names[machine], 'link', 'set', f'cable_{machine}', 'up' if is_in else 'down')
        if is_in:  # discovery is by multicast, which machines send where their default route goes
            ip('-n', names[machine], 'route', 'replace', 'default', 'dev', f'cable_{machine}')

    try:
        for name in names.values():
            ip('netns', 'add', name)
        ip('-n', names['a'], 'link', 'add', 'cable_a', 'type', 'veth', 'peer', 'cable_b', 'netns', names['b'])
        for machine, name in names.items():
            ip('-n', name, 'address', 'add', ADDRESSES[machine], 'dev', f'cable_{machine}')
            ip('-n', name, 'link', 'set', 'lo', 'up')
            plug(True, machine)
        yield run, plug
    finally:
        for process in processes:
            process.kill()
            process.wait()
        for name in names.values():
            subprocess.run(['ip', 'netns', 'del', name], capture_output=True)


def test_weights_come_over_the_network_and_again_after_the_cable_was_pulled(machines, tmp_path):
    run, plug = machines
    arguments = ['--ros-args']
    for name, value in (LENS | {'state_dir': str(tmp_path / 'state'), 'budget': 1.0}).items():
        arguments += ['-p', f'{name}:={json.dumps(value)}']
    trainer = run('a', TRAINER.format(arguments=arguments), tmp_path / 'trainer.log')
    run('b', LISTENER, tmp_path / 'listener.log')

    def heard():
        assert trainer.poll() is None, (tmp_path / 'trainer.log').read_text()
        whole, _, _ = (tmp_path / 'listener.log').read_text().rpartition('\n')  # the last line may be half written
        return [tuple(map(int, line.split())) for line in whole.splitlines()]

    first = wait(heard, 'weights over the network')[-1]
    assert first[0] == 1_000_000
    plug(False)
    time.sleep(2)
    count = len(heard())
    plug(True)
    latest = wait(lambda: len(heard()) > count and heard()[-1], 'weights after the cable is back')
    assert latest[0] == 1_000_000 and latest[1] > first[1]
    assert 'Traceback' not in (tmp_path / 'trainer.log').read_text()
