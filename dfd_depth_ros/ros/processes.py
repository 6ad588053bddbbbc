"""Starting and stopping node processes in a ROS graph of their own, on this machine only."""

import json
import os
import random
import signal
import subprocess
import sys
from contextlib import nullcontext, suppress
from pathlib import Path

from dfd_depth_ros.ros.dds import large_image_profile

NICEST = 19


def graph_environment(domain: int | None = None) -> dict[str, str]:
    """Environment of an isolated graph: a domain (random between 1 and 101 unless given), discovery on this machine
    only, and the Fast DDS profile that carries large images. An RMW or a profile that the user chose stays."""
    root = str(Path(__file__).resolve().parents[2])
    python_path = os.pathsep.join(filter(None, (root, os.environ.get('PYTHONPATH'))))
    return {
        'RMW_IMPLEMENTATION': 'rmw_fastrtps_cpp',
        **large_image_profile(),
        **os.environ,
        'PYTHONPATH': python_path,
        'PYTHONUNBUFFERED': '1',
        'ROS_DOMAIN_ID': str(domain or random.SystemRandom().randint(1, 101)),
        'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST',
    }


def start_node(name: str, parameters: dict, environment: dict[str, str], log: Path | None = None) -> subprocess.Popen:
    """Start one of the package's nodes (`depth_node`, `camera_simulator`, ...) as a process in a session of its own, so
    that a Ctrl-C in the terminal reaches it only through `stop_process`. What it prints goes to `log`, or where this
    process prints."""
    script = f'from dfd_depth_ros.cli.nodes import {name}; raise SystemExit({name}())'
    command = [sys.executable, '-c', script, '--ros-args']
    for key, value in parameters.items():
        command += ['-p', f'{key}:={json.dumps(value)}']
    with open(log, 'wb') if log else nullcontext() as output:
        return subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )


def in_background() -> None:
    """Let this thread, and those that it starts, run only on cores that nothing else wants, and give way at once. The
    threads of a network wait for each other at every operation, so each turn on a core that another process takes
    stops them all; a nicer process still takes its turns. Source: sched(7), SCHED_IDLE."""
    try:
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    except (AttributeError, OSError):  # no Linux, or not allowed
        os.nice(NICEST)


def step_back(group: Path = Path('/proc/self/autogroup')) -> None:
    """`in_background` for a process that does nothing else. Linux weighs the processes of one session against each
    other, and sessions against each other by the nice value of their group: where this process has a session of its
    own, that is set too. Source: sched(7), "The autogroup feature"."""
    in_background()
    if os.getsid(0) == os.getpid() and group.exists():
        with suppress(OSError):  # not allowed in some containers, where sessions are not weighed either
            group.write_text(str(NICEST))


def stop_process(process: subprocess.Popen, patience_s: float = 10.0) -> int:
    """Interrupt a process (SIGINT), wait for it and give its exit code; one that does not go within `patience_s` is
    killed and the code is then negative."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    try:
        return process.wait(patience_s)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()
