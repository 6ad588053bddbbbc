"""`depth_node`: defocused images and the lens state in, metric depth with its sigma out.

Callbacks only store what arrived; worker threads serve the latest images, on a CPU two at once: the networks look at
each in a thread of its own, and filter and publishers take one after the other. Nothing that a message says can stop
the node: a bad one is dropped, counted and named in the diagnostics, and the next good one is served. Weights that come
over the air take over between two images (`hot_swap`).
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn
from sensor_msgs.msg import CompressedImage, Image

from dfd_depth_ros.estimation import memory
from dfd_depth_ros.estimation.estimate import Estimate
from dfd_depth_ros.optics.lens import LensError
from dfd_depth_ros.ros import messages, qos
from dfd_depth_ros.ros.diagnostics import Monitor, to_message
from dfd_depth_ros.ros.hot_swap import HotSwap, replaceable, show_weights
from dfd_depth_ros.ros.inputs import Inputs, sentence
from dfd_depth_ros.ros.lens_sources import LensSource
from dfd_depth_ros.ros.outputs import Outputs, RCLError, Result, limited
from dfd_depth_ros.ros.parameters import DEPTH_PARAMETERS, changed, declare
from dfd_depth_ros.ros.poses import PoseSource
from dfd_depth_ros.ros.reach import Reach
from dfd_depth_ros.ros.worker import Worker

REPORT_PERIOD_S = 1.0
STOP_TIMEOUT_S = 1.5
WITHOUT_CAMERA = 'depth/points is withheld'
NO_MEMORY = 'the GPU has too little memory; make the images smaller, or set out_of_memory or device to cpu'
ON_CPU = 'the GPU had too little memory; the networks run on the CPU until the node is configured anew'
SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE
_DROP_CAUSES = (
    (memory.TooLittleMemoryError, 'memory'),
    (LensError, 'lens'),
    (RCLError, 'publish'),
    (ValueError, 'image'),
    (Exception, 'estimator'),
)


def load_estimator(settings: dict):
    """The DepthEstimator that the parameters ask for. Raises ValueError in one sentence where it cannot be had."""
    import torch

    from dfd_depth_ros.estimation import estimator

    device = estimator.to_device(settings['device'])
    threads = settings['threads'] or usual_threads()
    at_once, each = estimator.divided(threads, settings['images_at_once'], device)
    torch.set_num_threads(each)
    names = ('weights', 'device', 'temporal.filter', 'cuda_graphs')
    # In a thread that ends, since each thread that runs networks keeps OpenMP threads of its own as long as it lives,
    # and those of the worker sleep at once while there are more than cores: an image took half as long again.
    with ThreadPoolExecutor(1) as passing:
        found = passing.submit(estimator.load_estimator, *(settings[name] for name in names)).result()
    found.at_once = at_once
    return found


@cache
def usual_threads() -> int:
    """Threads that PyTorch would use if it was not told."""
    import torch

    return torch.get_num_threads()


class DepthNode(LifecycleNode):
    """The lifecycle node. load(settings) returns an estimator with the methods of DepthEstimator, renew(data, present)
    makes another one from weights that came over the air, `candidate_estimator` unless given."""

    def __init__(self, load: Callable = load_estimator, renew: Callable | None = None, **options):
        super().__init__('depth_node', **options)
        self._load, self._renew = load, renew
        self._estimator: Any = None  # a ReplaceableEstimator, whose module brings PyTorch along
        self._inputs: Inputs | None = None
        self._poses: PoseSource | None = None
        self._hot_swap: HotSwap | None = None
        self._outputs: Outputs | None = None
        self._worker: Worker | None = None
        self._ended: Worker | None = None
        self._lens = LensSource()
        self._reading, self._last_stamp = threading.Lock(), 0
        self.monitor = Monitor(self._log)
        self.settings = declare(self, DEPTH_PARAMETERS)
        self.add_on_set_parameters_callback(self._on_parameters)
        self._diagnostics = self.create_publisher(DiagnosticArray, '/diagnostics', qos.reliable(10))
        self.create_timer(REPORT_PERIOD_S, self._report, clock=Clock(clock_type=ClockType.STEADY_TIME))
        if self.settings['autostart'] and self.trigger_configure() == SUCCESS:
            self.trigger_activate()

    # Lifecycle

    def on_configure(self, state):
        """Read the lens and the weights, and create the topics."""
        try:
            self._lens.configure(self.settings)
            self.monitor.condition('device', '')
            on_cpu = self.settings | {'device': 'cpu'}
            loaded = self._within_memory(lambda: self._load(self.settings), lambda: self._load(on_cpu))
            estimator = replaceable(loaded, self._renew, self._on_way_back)
            self._reach = Reach(self.settings['weights'], self.settings['range.max_sigma_share'])
            self._told_reach = False
            self._outputs = Outputs(self, self._on_incompatible_qos)
            self._subscribe(estimator)
        except Exception as error:
            self._release()
            if not self.context.ok():
                raise KeyboardInterrupt from error  # the error is only the echo of a signal
            self.monitor.failure(f'cannot configure: {sentence(error)}')
            return FAILURE
        self._estimator = estimator
        self.monitor.failure('')
        show_weights(self.monitor, estimator)
        return super().on_configure(state)

    def on_activate(self, state):
        """Serve images from now on, unless one from before is still in work."""
        if self._ended and not self._ended.stop(STOP_TIMEOUT_S):
            self.monitor.error('worker', 'cannot activate: the last image is still in work')
            return FAILURE
        self._estimator.reset()
        self._last_stamp = 0
        self._worker = Worker(self._serve, self.monitor.dropped, self.settings['queue_size'], self._estimator.at_once)
        self._worker.errand(self._swap)  # weights may have come while the node was inactive
        return super().on_activate(state)

    def on_deactivate(self, state):
        """Serve no more images; the one in work is finished."""
        self._stop()
        return super().on_deactivate(state)

    def on_cleanup(self, state):
        """Remove the topics and the networks."""
        self._release()
        return super().on_cleanup(state)

    def on_shutdown(self, state):
        """Serve no more images, for good."""
        self._stop()
        self._release()
        return super().on_shutdown(state)

    def destroy_node(self):
        """End the work, then remove the node. Its services of the lifecycle, which rclpy forgets, would keep it in the
        graph: until it is collected or, where the process ends first, until others miss it after 20 s."""
        self._stop()
        super().destroy_node()
        self._state_machine.destroy_when_not_in_use()

    def _stop(self) -> None:
        worker, self._worker = self._worker, None
        self._ended = worker or self._ended
        if worker and not worker.stop(STOP_TIMEOUT_S):
            self.get_logger().warning('the last image is still in work')

    def _release(self) -> None:
        for part in (self._inputs, self._poses, self._outputs):
            if part:
                part.destroy()
        if self._hot_swap:
            self._hot_swap.end(STOP_TIMEOUT_S)
        self._estimator = self._outputs = self._inputs = self._poses = self._hot_swap = None
        memory.give_back()

    # Input: store, nothing else

    def _subscribe(self, estimator) -> None:
        self._inputs = Inputs(self, self.settings, self._lens, self.monitor, self._on_image, WITHOUT_CAMERA)
        self._poses = PoseSource(self, self.settings, self._inputs, self.monitor)
        if self.settings['weights_topic']:
            self._hot_swap = HotSwap(self._inputs, self.monitor, estimator, self._pin, self._on_weights)

    def _on_image(self, message: Image | CompressedImage) -> None:
        if self._worker:
            self.monitor.received()
            self._worker.offer(message)

    def _pin(self) -> str:
        return self.settings['weights_pin']

    def _on_weights(self) -> None:
        if self._worker:
            self._worker.errand(self._swap)

    def _on_incompatible_qos(self, topic: str, text: str) -> None:
        self.monitor.condition(f'qos.{topic}', text)

    def _on_parameters(self, parameters) -> SetParametersResult:
        configured = self._estimator is not None
        try:
            settings = changed(self.settings, parameters, DEPTH_PARAMETERS, configured)
            if configured:
                self._lens.configure(settings)
                self._reach.check(settings['range.max_sigma_share'])
        except ValueError as error:
            return SetParametersResult(successful=False, reason=str(error))
        self.settings = settings
        return SetParametersResult(successful=True)

    # Work, in threads of the worker: the networks look at several images at once, the rest goes in order

    def _serve(self, message: Image | CompressedImage, turn: Callable) -> None:
        started = time.perf_counter()
        settings, stamp = self.settings, messages.to_nanoseconds(message.header.stamp)
        try:
            result = self._estimate(message, stamp, settings, turn)
            facts = self._lens.facts() | {'weights_digest': self._estimator.digest}
            self._outputs.publish_depth(result)
        except Exception as error:
            if self._outputs is None or not self.context.ok():  # it took longer than the node would wait for it
                self.monitor.dropped('deactivated')
                return
            cause = next(cause for kind, cause in _DROP_CAUSES if isinstance(error, kind))
            self.monitor.dropped(cause, sentence(error))
            return
        latency_s = (self.get_clock().now().nanoseconds - stamp) / 1e9
        self.monitor.published(latency_s, time.perf_counter() - started)
        problems = self._outputs.publish_rest(result, settings) + self._outputs.publish_model(result, facts)
        for problem in problems if self.context.ok() else ():  # else they are only the echo of a signal
            self.monitor.error('publish', problem)

    def _estimate(self, message: Image | CompressedImage, stamp: int, settings: dict, turn: Callable) -> Result:
        with self._reading:
            view = self._inputs.read(message, settings)
            pose = self._poses.match(message.header, view, settings)
        frame = view.image, view.match.lens, stamp / 1e9, pose, view.camera

        def in_turn():
            turn()
            self._notice_jump(stamp)

        estimate = self._within_memory(
            lambda: self._estimator.estimate(*frame, turn=in_turn), lambda: self._estimate_on_cpu(*frame, turn=in_turn)
        )
        quality, age = view.match.quality, f'{view.match.age_s:.3f}'
        self.monitor.fact(lens_quality=quality, lens_age_s=age, notes='; '.join(estimate.notes))
        farthest = min(settings['range.max_m'], self._show_reach(view.match.lens, settings['range.max_sigma_share']))
        estimate = limited(estimate, settings['range.min_m'], farthest)
        camera = view.info, view.camera, view.distortion
        return Result(message.header, view.image, view.match.lens, estimate, *camera)

    def _notice_jump(self, stamp: int) -> None:
        if stamp < self._last_stamp:
            self.monitor.warning('time', f'image stamp jumped back by {(self._last_stamp - stamp) / 1e9:.3f} s')
            self._estimator.reset()
        self._last_stamp = stamp

    def _within_memory(self, work: Callable, otherwise: Callable):
        """What work() returns, or otherwise() where the GPU has too little memory for it. Raises TooLittleMemoryError
        where the GPU may not be left."""
        try:
            return work()
        except Exception as error:
            if not memory.is_out_of_memory(error):
                raise
        memory.give_back()
        if self.settings['out_of_memory'] == 'fail':
            raise memory.TooLittleMemoryError(NO_MEMORY)
        self.monitor.condition('device', ON_CPU)
        return otherwise()

    def _estimate_on_cpu(self, *frame, turn: Callable) -> Estimate:
        self._estimator.move('cpu')
        show_weights(self.monitor, self._estimator)
        return self._estimator.estimate(*frame, turn=turn)

    def _show_reach(self, lens, share: float) -> float:
        """The distance beyond which depth is not published, after telling it."""
        near, far = self._reach.of(lens, share)
        self.monitor.fact(lens_calibration=lens.quality, lens_reach_m=f'{near:.2f} to {far:.2f}')
        if not self._told_reach:
            self._told_reach = True
            self.get_logger().info(self._reach.sentence(lens, share))
        return self._reach.farthest(lens, share)

    def _swap(self) -> None:
        if self._hot_swap:
            self._hot_swap.apply()

    def _on_way_back(self, text: str) -> None:
        self.monitor.condition('weights', text)
        show_weights(self.monitor, self._estimator)

    # Diagnostics

    def _report(self) -> None:
        name = self.get_fully_qualified_name().lstrip('/')
        is_active = self._worker is not None
        if self._inputs:
            self._inputs.report_silence(is_active, self.settings['lens.policy'])
        report = self.monitor.report(is_active)
        self._diagnostics.publish(to_message(f'{name}: depth', *report, self.get_clock().now().to_msg()))

    def _log(self, severity: str, text: str) -> None:
        if severity == 'error':
            self.get_logger().error(text)
        else:
            self.get_logger().warning(text)
