"""Threads that serve the newest items: latency stays bounded when items come faster than they are served."""

import collections
import functools
import threading
import time
from collections.abc import Callable


class Worker:
    """serve(item, turn) runs in one of `hands` threads, so that many items are in work at once, and must not raise.
    turn() waits until every item before this one is done: what has to go in order comes after it. At most `capacity`
    items wait to be taken. drop(cause) is called for each item that is never served: cause 'overload' (the oldest, when
    one too many waits) or 'deactivated' (still waiting when the worker stops). So each item is either served or
    dropped, exactly once. An errand is done between two items, when none is in work."""

    def __init__(self, serve: Callable, drop: Callable, capacity: int, hands: int = 1):
        self._serve, self._drop, self._capacity = serve, drop, capacity
        self._condition = threading.Condition()
        self._waiting: collections.deque = collections.deque()
        self._errand: Callable | None = None
        self._taken = self._done = 0  # work so far; what is between them is in work
        self._running, self._is_alone = True, False
        self._threads = [threading.Thread(target=self._run, name='depth_worker', daemon=True) for _ in range(hands)]
        for thread in self._threads:
            thread.start()

    def offer(self, item) -> None:
        """Leave an item for the threads; never waits."""
        with self._condition:
            self._waiting.append(item)
            full = len(self._waiting) > self._capacity
            if full:
                self._waiting.popleft()
            self._condition.notify_all()
        if full:
            self._drop('overload')

    def errand(self, do: Callable) -> None:
        """Have do() called in a thread before the next item is taken; it must not raise. A newer errand takes the place
        of one that still waits. Never waits."""
        with self._condition:
            self._errand = do
            self._condition.notify_all()

    def stop(self, timeout_s: float) -> bool:
        """Drop what waits, let what is in work finish and end the threads. False where that takes longer than
        timeout_s."""
        with self._condition:
            self._running = False
            left = len(self._waiting)
            self._waiting.clear()
            self._condition.notify_all()
        for _ in range(left):
            self._drop('deactivated')
        end = time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)

    def _run(self) -> None:
        while taken := self._take():
            turn, work = taken
            work()
            turn()
            with self._condition:
                self._done += 1
                self._is_alone = False
                self._condition.notify_all()

    def _take(self) -> tuple[Callable, Callable] | None:
        """What to wait for before the next work is done, and that work; None at the end."""
        with self._condition:
            self._condition.wait_for(lambda: not self._running or self._may_take())
            if not self._running:
                return None
            turn = functools.partial(self._turn, self._taken)
            self._taken += 1
            if self._errand:
                work, self._errand, self._is_alone = self._errand, None, True
                return turn, work
            return turn, functools.partial(self._serve, self._waiting.popleft(), turn)

    def _may_take(self) -> bool:
        if self._is_alone:
            return False
        return self._taken == self._done if self._errand else bool(self._waiting)

    def _turn(self, number: int) -> None:
        with self._condition:
            self._condition.wait_for(lambda: self._done == number)
