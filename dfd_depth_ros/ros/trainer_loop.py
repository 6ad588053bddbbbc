"""The thread in which online learning runs: newest image in, one step after the other, within its share of time."""

import collections
import threading
import time
from collections.abc import Callable
from pathlib import Path

from dfd_depth_ros.ros.diagnostics import Monitor
from dfd_depth_ros.ros.inputs import sentence
from dfd_depth_ros.ros.kept_learner import KeptLearner

IDLE_S = 0.2  # the longest pause between two looks whether there is something to do
ANSWER_S = 1.0  # the longest that a request keeps its caller waiting
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0  # after a failure of the learner, doubled with each that follows
REPORT_S = 20.0
LATER = (True, 'asked for; it is done after the present step, see last_request in training/state')
ENDED = (False, 'the trainer is ending')


class TrainerLoop:
    """Every call to the learner is made in this thread, and nothing that it raises ends the thread.

    read(message): arguments of `OnlineLearner.add`; raises ValueError for an image that cannot be used. settings(): the
    parameters that hold now. `state` is 'waiting', 'training' or 'resting' as the learner says, 'paused' or 'failed'.
    """

    def __init__(self, learner: KeptLearner, read: Callable, settings: Callable[[], dict], monitor: Monitor):
        self._learner, self._read, self._settings, self._monitor = learner, read, settings, monitor
        self._condition = threading.Condition()
        self._requests: list[tuple[str, threading.Event, list]] = []
        self._image, self._running, self._paused = None, True, False
        self._pause_s, self._busy_s = FIRST_PAUSE_S, 0.0
        self._marks = collections.deque([(time.monotonic(), 0.0)], maxlen=11)
        self._reported, self._has_news, self.state = time.monotonic(), False, 'waiting'
        self._thread = threading.Thread(target=self._run, name='trainer', daemon=True)
        self._thread.start()

    # For the callbacks

    def offer(self, message) -> None:
        """Leave an image for the thread; never waits. One that was still there is passed over, as 'newer'."""
        with self._condition:
            passed_over, self._image = self._image, message
            self._condition.notify()
        if passed_over is not None:
            self._monitor.dropped('newer')

    def pause(self, wanted: bool) -> None:
        """Look at nothing and learn nothing until it is called with False."""
        with self._condition:
            self._paused = wanted
            self._condition.notify()

    def ask(self, request: str) -> tuple[bool, str]:
        """'save', 'rollback' or 'reset', done between two steps. Returns success and a sentence, after `ANSWER_S` at
        the latest."""
        done = threading.Event()
        answer: list[tuple[bool, str]] = []
        with self._condition:
            if not self._running:
                return ENDED
            self._requests.append((request, done, answer))
            self._condition.notify()
        return answer[0] if done.wait(ANSWER_S) else LATER

    def duty(self) -> float:
        """Share of the time that went into learning, over the last ten calls."""
        self._marks.append((time.monotonic(), self._busy_s))
        (since, before), (now, busy_s) = self._marks[0], self._marks[-1]
        return min((busy_s - before) / max(now - since, 1e-9), 1.0)

    def stop(self, timeout_s: float) -> bool:
        """Finish the step, save and end the thread. False where that takes longer than timeout_s."""
        with self._condition:
            self._running = False
            self._condition.notify()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    # The thread

    def _run(self) -> None:
        if self._settings()['resume']:
            self._learner.resume()
        while self._running:
            self._answer()
            rest_s, is_idle = self._turn()
            with self._condition:
                self._condition.wait_for(lambda: self._requests or not self._running, rest_s)
                if is_idle:
                    self._condition.wait_for(lambda: self._image or self._requests or not self._running, IDLE_S)
        self._answer()
        self._learner.close()

    def _turn(self) -> tuple[float, bool]:
        """One image and one step. Returns the seconds to rest, and whether there was nothing to do."""
        budget = self._settings()['budget']
        if self._paused or not budget:
            self.state = 'paused'
            self._forget_image()
            return IDLE_S, True
        view = self._look()
        started = time.perf_counter()
        try:
            if view is not None:
                self._add(view)
            self.state = self._learner.step()
        except Exception as error:
            self._learner.fail(error)
            self.state = 'failed'
            pause_s, self._pause_s = self._pause_s, min(2 * self._pause_s, LONGEST_PAUSE_S)
            return pause_s, False
        self._report()
        self._pause_s = FIRST_PAUSE_S
        busy_s = time.perf_counter() - started
        self._busy_s += busy_s
        return busy_s * (1 - budget) / budget, self.state != 'training'

    def _look(self) -> tuple | None:
        with self._condition:
            message, self._image = self._image, None
        if message is None:
            return None
        try:
            return self._read(message)
        except Exception as error:
            self._monitor.dropped('input', sentence(error))
            return None

    def _add(self, view: tuple) -> None:
        started = time.perf_counter()
        try:
            self._learner.add(*view)
        except ValueError as error:
            self._monitor.dropped('refused', sentence(error))
            return
        except Exception:
            self._monitor.dropped('learner')
            raise
        took_s = time.perf_counter() - started
        self._monitor.published(took_s, took_s)

    def _forget_image(self) -> None:
        with self._condition:
            message, self._image = self._image, None
        if message is not None:
            self._monitor.dropped('paused')

    def _report(self) -> None:
        folder, self._has_news = self._settings()['report_dir'], self._has_news or self.state == 'training'
        if folder and self._has_news and time.monotonic() - self._reported >= REPORT_S:
            self._learner.report(Path(folder).expanduser())
            self._reported, self._has_news = time.monotonic(), False

    def _answer(self) -> None:
        with self._condition:
            requests, self._requests = self._requests, []
        for request, done, answer in requests:
            answer.append(self._learner.answer(request))
            self._monitor.fact(last_request=f'{request}: {answer[0][1]}')
            done.set()
