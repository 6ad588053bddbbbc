"""One node as the whole of a process: from its ROS arguments to the signal that ends it."""

import os
import signal
import sys
import threading
from collections.abc import Callable

import rclpy
from rclpy.executors import ExternalShutdownException

END_S = 1.7
LOOK_S = 0.05


def run_node(make: Callable, name: str, arguments: list[str], end_s: float = END_S) -> None:
    """Make a node and serve it until a signal, or until it ends itself. A signal ends the process with exit code 0
    after `end_s` at the latest, also while make() is at work. Raises ValueError for a bad ROS argument, and what make()
    raises."""
    try:
        rclpy.init(args=[name, *arguments])
    except RuntimeError as error:
        raise ValueError(str(error).splitlines()[0]) from None
    node, is_over = None, threading.Event()
    threading.Thread(target=_leave_in_time, args=(end_s, is_over), name='signals', daemon=True).start()
    try:
        node = make()
        rclpy.spin(node)
    except (ExternalShutdownException, KeyboardInterrupt):
        pass
    except Exception:
        if rclpy.ok():
            raise  # otherwise it is only the echo of a signal: nothing can be made any more
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not interrupt the cleaning up
        if sys.exc_info()[0]:
            is_over.set()  # an error has its own exit code
        if node:
            node.destroy_node()
        rclpy.try_shutdown()
    if any(thread.name in ('depth_worker', 'trainer') for thread in threading.enumerate()):
        _leave()
    is_over.set()


def _leave_in_time(end_s: float, is_over: threading.Event) -> None:
    while rclpy.ok():
        if is_over.wait(LOOK_S):
            return
    if not is_over.wait(end_s):
        _leave()


def _leave() -> None:
    """End the process without waiting for a thread that still computes: Python would, or would crash."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
