"""The topic `weights`: what a trainer has learned takes over between two frames, or is refused and changes nothing."""

import threading
from collections.abc import Callable
from typing import Any

from std_msgs.msg import UInt8MultiArray

from dfd_depth_ros.ros import qos
from dfd_depth_ros.ros.diagnostics import Monitor
from dfd_depth_ros.ros.inputs import Inputs, sentence
from dfd_depth_ros.ros.processes import in_background

MOST_BYTES = 256_000_000  # of weights; more is not even looked at


class HotSwap:
    """Tests the newest message of the topic in a thread of its own, in the background, while images are served.

    estimator: a `ReplaceableEstimator`. pin(): the only digest that is accepted. on_ready() is called in that thread
    when there are weights to `apply`. Nothing raises: a refusal becomes an error in the diagnostics.
    """

    def __init__(self, inputs: Inputs, monitor: Monitor, estimator, pin: Callable[[], str], on_ready: Callable):
        self._monitor, self._estimator, self._pin, self._on_ready = monitor, estimator, pin, on_ready
        self._lock = threading.Lock()
        self._message: UInt8MultiArray | None = None
        self._ready: Any = None  # an estimator
        self._thread: threading.Thread | None = None
        inputs.subscribe(UInt8MultiArray, 'weights', self._store, qos.latched())

    def apply(self) -> None:
        """Take the weights that passed, if there are any, into service. Called between two images."""
        with self._lock:
            ready, self._ready, estimator = self._ready, None, self._estimator
        if not (ready and estimator):
            return
        try:
            estimator.take(ready)
            self._monitor.condition('weights', '')
        except Exception as error:
            self._monitor.error('weights', sentence(error))
        show_weights(self._monitor, estimator)

    def is_testing(self) -> bool:
        """Whether a message is in work or waits."""
        return self._thread is not None

    def end(self, timeout_s: float) -> None:
        """Test nothing more, and wait so long at the most for the test in work."""
        with self._lock:
            self._message, thread = None, self._thread
        if thread:
            thread.join(timeout_s)
        with self._lock:  # rclpy may still hold the callback, and so this object, which must not hold the networks
            self._estimator = self._ready = None

    def _store(self, message: UInt8MultiArray) -> None:
        if len(message.data) > MOST_BYTES:
            self._monitor.error(
                'weights', f'weights on the topic have {len(message.data)} bytes; {MOST_BYTES} is the most'
            )
            return
        with self._lock:
            self._message = message
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name='weights', daemon=True)
                self._thread.start()

    def _run(self) -> None:
        in_background()
        compute_alone()
        estimator = self._estimator
        while (message := self._next()) is not None:
            try:
                candidate = estimator.candidate(bytes(message.data), self._pin())
            except Exception as error:
                self._monitor.error('weights', sentence(error))
                continue
            with self._lock:
                self._ready = candidate if self._estimator else None
            if candidate:
                self._on_ready()

    def _next(self) -> UInt8MultiArray | None:
        with self._lock:
            message, self._message = self._message, None
            if message is None:
                self._thread = None
        return message


def replaceable(estimator, renew: Callable | None, warn: Callable[[str], None]):
    """The estimator as a `ReplaceableEstimator`. renew: its `make`, unless it is None."""
    from dfd_depth_ros.estimation.swap import ReplaceableEstimator, candidate_estimator

    return ReplaceableEstimator(estimator, renew or candidate_estimator, warn)


def compute_alone() -> None:
    """Let PyTorch use no threads beside this one for what this one computes. Where there are more of its threads than
    cores all of them sleep between two operations, those that serve images too."""
    import torch

    usual = torch.get_num_threads()
    torch.set_num_threads(1)  # for this thread, and for threads to come
    others = threading.Thread(target=torch.set_num_threads, args=(usual,))
    others.start()
    others.join()


def show_weights(monitor: Monitor, estimator) -> None:
    """Facts about the weights that a `ReplaceableEstimator` has in service."""
    monitor.fact(
        model=estimator.model_name,
        weights_digest=estimator.digest,
        weights_source=estimator.source,
        device=estimator.device,
        precision=estimator.precision,
    )
