"""One thread that always serves the newest item: latency stays bounded when items come faster than they are served."""

import threading
from collections.abc import Callable


class LatestWorker:
    """serve(item) runs in the worker thread and must not raise; drop(item, cause) gets each item that is never served,
    with the cause 'overload' (replaced by a newer one) or 'deactivated' (still waiting when the worker stops). So each
    item is either served or dropped, exactly once."""

    def __init__(self, serve: Callable, drop: Callable):
        self._serve, self._drop = serve, drop
        self._condition = threading.Condition()
        self._item = None
        self._running = True
        self._thread = threading.Thread(target=self._run, name='depth_worker', daemon=True)
        self._thread.start()

    def offer(self, item) -> None:
        """Leave an item for the thread; never waits."""
        with self._condition:
            previous, self._item = self._item, item
            self._condition.notify()
        if previous is not None:
            self._drop(previous, 'overload')

    def stop(self, timeout_s: float) -> bool:
        """Drop what waits, let the item in work finish and end the thread. False where that takes longer than
        timeout_s."""
        with self._condition:
            self._running = False
            previous, self._item = self._item, None
            self._condition.notify()
        if previous is not None:
            self._drop(previous, 'deactivated')
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (item := self._take()) is not None:
            self._serve(item)

    def _take(self):
        with self._condition:
            self._condition.wait_for(lambda: self._item is not None or not self._running)
            item, self._item = self._item, None
            return item
