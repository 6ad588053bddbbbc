"""One node as the whole of a process: from its ROS arguments to the signal that ends it."""

import os
import signal
import sys
import threading
from collections.abc import Callable

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor

END_S = 1.7
LOOK_S = 0.05


def run_node(make: Callable, name: str, arguments: list[str], end_s: float = END_S) -> None:
    """Make a node and serve it until a signal, or until it ends itself; the process ends then, with exit code 0. After
    a signal that takes `end_s` at the longest, also while make() is at work. Raises ValueError for a bad ROS argument,
    and what make() raises."""
    try:
        rclpy.init(args=[name, *arguments])
    except RuntimeError as error:
        raise ValueError(str(error).splitlines()[0]) from None
    node, is_over = None, threading.Event()
    threading.Thread(target=_leave_in_time, args=(end_s, is_over), name='signals', daemon=True).start()
    try:
        executor = SingleThreadedExecutor()  # now: a signal while it is made leaves a traceback from rclpy
        node = make()
        rclpy.spin(node, executor)
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
    _leave()


def _leave_in_time(end_s: float, is_over: threading.Event) -> None:
    while rclpy.ok():
        if is_over.wait(LOOK_S):
            return
    if not is_over.wait(end_s):
        _leave()


def _leave() -> None:
    """End the process at once. Python would wait for a thread that still computes, or crash, and takes seconds on a
    busy machine to take PyTorch apart, while launch loses patience after five."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
