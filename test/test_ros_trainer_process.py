"""trainer_node as a process: killed at any instant it leaves whole files, and the next one goes on from them."""

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
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
    quick = {'state_dir': str(folder), 'budget': 1.0, 'background': False}
    for name, value in (LENS | quick | values).items():
        arguments += ['-p', f'{name}:={json.dumps(value)}']
    path = os.pathsep.join([str(share_directory()), str(Path(__file__).parent)])
    with open(log, 'ab') as output:
        return subprocess.Popen(
            [sys.executable, '-c', SCRIPT.format(arguments=arguments)],
            env=os.environ | {'PYTHONPATH': path},
            stdout=output,
            stderr=output,
        )


def saved_number(folder):
    """The number that the state of a folder holds, -1 where there is none; a running trainer replaces it."""
    state = folder / 'state.json'
    return json.loads(state.read_text())['number'] if state.exists() else -1


def saved(folder):
    """The learner that the files of a folder make, and the weights file beside it; both are whole or it raises."""
    learner = FakeLearner()
    learner.size = LARGE
    assert learner.resume(folder)
    return learner, (folder / 'weights.safetensors').read_bytes()


def save_until(learner, folder, count):
    """Save, and die by SIGKILL before the line of Python code that is the `count`-th from here; tell whether it was."""
    child = os.fork()
    if child:
        return os.WIFSIGNALED(os.waitpid(child, 0)[1])
    left = count

    def trace(frame, event, argument):
        nonlocal left
        left -= event == 'line'
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        return trace

    try:
        sys.settrace(trace)
        learner.save(folder)
    finally:
        os._exit(0)


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='needs fork')
def test_killed_before_any_line_of_saving_the_files_are_whole(tmp_path):
    learner = FakeLearner()
    learner.size = LARGE
    learner.save(tmp_path)
    seen = []
    for count in itertools.count(1):
        learner.number += 1
        killed = save_until(learner, tmp_path, count)
        learner, weights = saved(tmp_path)
        seen.append((json.loads(weights)['number'], learner.number))
        assert seen[-1][0] - seen[-1][1] in (0, 1) and len(weights) == LARGE
        if not killed:
            break
    assert seen[-1] == (learner.number, learner.number) and learner.number > 0
    assert {weights - state for weights, state in seen} == {0, 1}  # also between the two files


def test_killed_at_any_instant_the_next_one_goes_on(ros, tmp_path):
    log, folder, last, heard = tmp_path / 'log', tmp_path / 'state', 0, []
    node = ros.create_node('listener')

    def hear(message, about):
        heard.append((about['source_timestamp'], json.loads(bytes(message.data))['number']))

    def listened(condition):
        ros.spin_once(node, timeout_sec=0.05)
        return condition()

    node.create_subscription(UInt8MultiArray, 'weights', hear, qos.latched())
    for more in (1, 2, 4):
        started = time.time_ns()  # what was sent before is of the trainer before
        process = start(folder, log)
        try:
            wait(partial(listened, lambda: heard and heard[-1][0] > started), 'weights of the trainer')  # noqa: B023
            first = next(number for stamp, number in heard if stamp > started)
            assert first >= last, 'the next trainer must not know less'
            wait(partial(listened, lambda: saved_number(folder) >= last + more), 'saved progress')  # noqa: B023
        finally:
            process.kill()
            process.wait()
        learner, weights = saved(folder)
        assert learner.number >= last + more and json.loads(weights)['number'] - learner.number in (0, 1)
        last = learner.number
    node.destroy_node()
    assert 'Traceback' not in log.read_text()


@pytest.mark.parametrize('signal_number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly_and_it_steps_back_behind_others(ros, tmp_path, signal_number):
    log, folder = tmp_path / 'log', tmp_path / 'state'
    process = start(folder, log, background=True)
    try:
        wait(lambda: (folder / 'state.json').exists() or process.poll() is not None, 'a saved state')
        assert os.sched_getscheduler(process.pid) == os.SCHED_IDLE
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
