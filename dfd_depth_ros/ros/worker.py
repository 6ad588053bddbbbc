"""One thread that serves the newest items: latency stays bounded when items come faster than they are served."""

import collections
import functools
import threading
from collections.abc import Callable


class Worker:
    """serve(item) runs in the worker thread and must not raise; at most `capacity` items wait for it. drop(cause) is
    called for each item that is never served: cause 'overload' (the oldest, when one too many waits) or 'deactivated'
    (still waiting when the worker stops). So each item is either served or dropped, exactly once. An errand is done
    between two items."""

    def __init__(self, serve: Callable, drop: Callable, capacity: int):
        self._serve, self._drop, self._capacity = serve, drop, capacity
        self._condition = threading.Condition()
        self._waiting: collections.deque = collections.deque()
        self._errand: Callable | None = None
        self._running = True
        self._thread = threading.Thread(target=self._run, name='depth_worker', daemon=True)
        self._thread.start()

    def offer(self, item) -> None:
        """Leave an item for the thread; never waits."""
        with self._condition:
            self._waiting.append(item)
            full = len(self._waiting) > self._capacity
            if full:
                self._waiting.popleft()
            self._condition.notify()
        if full:
            self._drop('overload')

    def errand(self, do: Callable) -> None:
        """Have do() called in the thread before its next item; it must not raise. A newer errand takes the place of
        one that still waits. Never waits."""
        with self._condition:
            self._errand = do
            self._condition.notify()

    def stop(self, timeout_s: float) -> bool:
        """Drop what waits, let the item in work finish and end the thread. False where that takes longer than
        timeout_s."""
        with self._condition:
            self._running = False
            left = len(self._waiting)
            self._waiting.clear()
            self._condition.notify()
        for _ in range(left):
            self._drop('deactivated')
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while work := self._take():
            work()

    def _take(self) -> Callable | None:
        with self._condition:
            self._condition.wait_for(lambda: self._errand or self._waiting or not self._running)
            if not self._running:
                return None
            if self._errand:
                work, self._errand = self._errand, None
                return work
            return functools.partial(self._serve, self._waiting.popleft())
