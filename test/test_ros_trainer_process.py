"""trainer_node as a process: killed at any instant it leaves whole files, and the next one goes on from them."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip('rclpy')

from node_bench import LENS, wait
from std_msgs.msg import UInt8MultiArray
from trainer_bench import FakeLearner, sha

from dfd_depth_ros.paths import share_directory
from dfd_depth_ros.ros import qos

LARGE = 1_000_000  # bytes of weights: long enough in writing to be hit
SCRIPT = """
from dfd_depth_ros.ros.run import run_node
from dfd_depth_ros.ros.trainer_node import TrainerNode
from trainer_bench import FakeLearner

FakeLearner.needed, FakeLearner.size = 0, 1_000_000
try:
    run_node(lambda: TrainerNode(make=FakeLearner), 'trainer_node', {arguments})
except KeyboardInterrupt:
    pass
"""


def start(folder, log, **values):
    """A trainer with the quick learner in a process of its own; it needs no camera."""
    arguments = ['--ros-args']
    for name, value in (LENS | {'state_dir': str(folder), 'budget': 1.0} | values).items():
        arguments += ['-p', f'{name}:={json.dumps(value)}']
    path = os.pathsep.join([str(share_directory()), str(Path(__file__).parent)])
    with open(log, 'ab') as output:
        return subprocess.Popen(
            [sys.executable, '-c', SCRIPT.format(arguments=arguments)],
            env=os.environ | {'PYTHONPATH': path},
            stdout=output,
            stderr=output,
        )


def saved(folder):
    """The learner that the files of a folder make, and the weights file beside it; both are whole or it raises."""
    learner = FakeLearner()
    learner.size = LARGE
    assert learner.resume(folder)
    return learner, (folder / 'weights.safetensors').read_bytes()


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='needs fork')
def test_killed_while_saving_the_files_are_whole(tmp_path):
    rng = random.Random(0)
    learner = FakeLearner()
    learner.size = LARGE
    learner.save(tmp_path)
    for _ in range(30):
        child = os.fork()
        if not child:
            try:
                while True:
                    learner.number += 1
                    learner.save(tmp_path)
            finally:
                os._exit(1)
        time.sleep(rng.uniform(0.001, 0.03))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        learner, weights = saved(tmp_path)
        number = json.loads(weights)['number']
        assert number - learner.number in (0, 1) and len(weights) == LARGE
    assert learner.number > 10


def test_killed_at_any_instant_the_next_one_goes_on(ros, tmp_path):
    rng, log, folder = random.Random(1), tmp_path / 'log', tmp_path / 'state'
    node = ros.create_node('listener')
    heard = []
    node.create_subscription(UInt8MultiArray, 'weights', heard.append, qos.latched())
    last = 0
    for _ in range(3):
        process = start(folder, log)
        try:
            heard.clear()
            wait(lambda: ros.spin_once(node, timeout_sec=0.05) or heard, 'weights of the trainer')
            first = json.loads(bytes(heard[0].data))['number']
            assert first >= last, 'the next trainer must not know less'
            end = time.monotonic() + rng.uniform(0, 0.3)
            while time.monotonic() < end:
                ros.spin_once(node, timeout_sec=0.01)
        finally:
            process.kill()
            process.wait()
        learner, weights = saved(folder) if (folder / 'state.json').exists() else (FakeLearner(), b'')
        last = learner.number
        assert json.loads(weights or '{"number": 0}')['number'] - last in (0, 1)
    node.destroy_node()
    assert last > 0 and 'Traceback' not in log.read_text()


@pytest.mark.parametrize('signal_number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly_and_it_steps_back_behind_others(ros, tmp_path, signal_number):
    log, folder = tmp_path / 'log', tmp_path / 'state'
    process = start(folder, log, nice=7)
    try:
        wait(lambda: (folder / 'state.json').exists() or process.poll() is not None, 'a saved state')
        assert os.getpriority(os.PRIO_PROCESS, process.pid) == min(os.nice(0) + 7, 19)
        process.send_signal(signal_number)
        assert process.wait(30) == 0, log.read_text()
    finally:
        process.kill()
    assert 'Traceback' not in log.read_text()
    learner, weights = saved(folder)
    assert sha(weights) == learner.digest


def test_bad_weights_end_the_process_with_one_sentence(ros_domain, tmp_path):
    script = 'import sys; from dfd_depth_ros.cli.nodes import trainer_node; sys.exit(trainer_node())'
    arguments = ['--ros-args', '-p', 'weights:=/no/w.safetensors', '-p', f'state_dir:={tmp_path}']
    for name, value in LENS.items():
        arguments += ['-p', f'{name}:={value}']
    process = subprocess.run(
        [sys.executable, '-c', script, *arguments],
        env=os.environ | {'PYTHONPATH': str(share_directory())},
        capture_output=True,
        text=True,
        timeout=120,
    )
    sentence = 'trainer_node: weights /no/w.safetensors cannot be read: No such file or directory'
    assert process.returncode == 1 and process.stderr.splitlines()[-1] == sentence
