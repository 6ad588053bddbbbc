"""A ROS graph of our own for as long as a demo or a benchmark lasts: node processes and a recorder."""

import os
import subprocess
import threading
import time
from pathlib import Path

from rclpy.parameter import Parameter
from rclpy.parameter_client import AsyncParameterClient

from dfd_depth_ros.ros.processes import graph_environment, start_node, stop_process
from dfd_depth_ros.ros.recorder import TOPICS, Recorder

START_S = 120.0  # the longest that a node may take to show its first message
ANSWER_S = 10.0  # the longest that a node may take to answer a request
LOG_LINES = 5


class GraphError(RuntimeError):
    """A node that ended or stayed silent; the message says which and shows the end of its log."""


class Graph:
    """Context in which nodes run as processes and everything they say goes to `writer` (see `Recorder`).

    logs: folder for NAME.log of each node. On leaving, also through an exception, every process is stopped and the
    writer closed. The environment of this process is that of the graph meanwhile.
    """

    def __init__(self, writer, logs: Path, topics: dict = TOPICS):
        self._writer, self._logs, self._topics = writer, logs, topics
        self._processes: dict[str, subprocess.Popen] = {}
        self._clients: dict = {}

    def __enter__(self) -> 'Graph':
        self._outside = dict(os.environ)
        self._environment = graph_environment()
        os.environ.update(self._environment)
        self.recorder = Recorder(self._writer, self._topics)
        return self

    def __exit__(self, *_):
        for process in self._processes.values():
            stop_process(process)
        self.recorder.stop()
        os.environ.clear()
        os.environ.update(self._outside)

    def start(self, name: str, parameters: dict, shown: bool = False):
        """Start a node of this package with these parameters. What it prints goes to its log, or is shown."""
        self._processes[name] = start_node(name, parameters, self._environment, None if shown else self._log(name))

    def pid(self, name: str) -> int:
        """Process id of a node that runs."""
        return self._processes[name].pid

    def wait_for(self, topic: str, after: int = 0):
        """Return when a message of the topic has come after the first `after`. Raises GraphError where a node ends, or
        none comes in time."""
        deadline = time.monotonic() + START_S
        while self.recorder.counts[topic] <= after:
            self.rest(0.1)
            if time.monotonic() > deadline:
                logs = '\n'.join(self._tail(name) for name in self._processes)
                raise GraphError(f'no {topic} came within {START_S:.0f} s{logs}')

    def rest(self, seconds: float):
        """Let the graph work. Raises GraphError where a node has ended."""
        time.sleep(seconds)
        for name, process in self._processes.items():
            if process.poll() is not None:
                raise GraphError(f'{name} ended with exit code {process.returncode}{self._tail(name)}')

    def settle(self, topic: str, quiet_s: float = 1.5):
        """Return when the topic has been silent for a while."""
        seen = -1
        while self.recorder.counts[topic] != seen:
            seen = self.recorder.counts[topic]
            self.rest(quiet_s)

    def set_parameter(self, name: str, parameter: str, value):
        """Change a parameter of a running node. Raises GraphError where the node refuses or does not answer."""
        if name not in self._clients:
            self._clients[name] = AsyncParameterClient(self.recorder.node, name)
        answered = threading.Event()
        future = None
        if self._clients[name].wait_for_services(ANSWER_S):
            future = self._clients[name].set_parameters([Parameter(parameter, value=value)])
            future.add_done_callback(lambda _: answered.set())
        if future is None or not answered.wait(ANSWER_S):
            raise GraphError(f'{name} does not answer{self._tail(name)}')
        if not future.result().results[0].successful:
            raise GraphError(f'{name} refuses {parameter} = {value}: {future.result().results[0].reason}')

    def stop(self, name: str):
        """Interrupt a node and wait for it. Raises GraphError where it does not end with exit code 0."""
        code = stop_process(self._processes.pop(name))
        if code:
            raise GraphError(f'{name} ended with exit code {code} when it was interrupted{self._tail(name)}')

    def _log(self, name: str) -> Path:
        return self._logs / f'{name}.log'

    def _tail(self, name: str) -> str:
        log = self._log(name)
        lines = log.read_text(errors='replace').strip().splitlines()[-LOG_LINES:] if log.exists() else ()
        return ''.join(f'\n  {name}: {line}' for line in lines)
