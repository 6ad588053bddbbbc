"""The topic `weights`: what a trainer has learned takes over between two frames, or is refused and changes nothing."""

from collections.abc import Callable

from std_msgs.msg import UInt8MultiArray

from dfd_depth_ros.ros import qos
from dfd_depth_ros.ros.diagnostics import Monitor
from dfd_depth_ros.ros.inputs import Inputs, sentence

MOST_BYTES = 256_000_000  # of weights; more is not even looked at


class HotSwap:
    """Keeps the newest message of the topic until the worker takes it. on_new() is called in the executor when there is
    one."""

    def __init__(self, inputs: Inputs, monitor: Monitor, on_new: Callable):
        self._monitor, self._on_new = monitor, on_new
        self._message: UInt8MultiArray | None = None
        inputs.subscribe(UInt8MultiArray, 'weights', self._store, qos.latched())

    def _store(self, message: UInt8MultiArray) -> None:
        if len(message.data) > MOST_BYTES:
            self._monitor.error(
                'weights', f'weights on the topic have {len(message.data)} bytes; {MOST_BYTES} is the most'
            )
            return
        self._message = message
        self._on_new()

    def apply(self, estimator, pin: str) -> None:
        """Give the newest message, if there is one, to a `ReplaceableEstimator`. Called in the worker; never raises:
        a refusal becomes an error in the diagnostics."""
        message, self._message = self._message, None
        if message is None:
            return
        try:
            if estimator.replace(bytes(message.data), pin):
                self._monitor.condition('weights', '')
        except Exception as error:
            self._monitor.error('weights', sentence(error))
        show_weights(self._monitor, estimator)


def replaceable(estimator, renew: Callable | None, warn: Callable[[str], None]):
    """The estimator as a `ReplaceableEstimator`. renew: its `make`, unless it is None."""
    from dfd_depth_ros.estimation.swap import ReplaceableEstimator, candidate_estimator

    return ReplaceableEstimator(estimator, renew or candidate_estimator, warn)


def show_weights(monitor: Monitor, estimator) -> None:
    """Facts about the weights that a `ReplaceableEstimator` has in service."""
    monitor.fact(
        model=estimator.model_name,
        weights_digest=estimator.digest,
        weights_source=estimator.source,
        device=estimator.device,
        precision=estimator.precision,
    )
