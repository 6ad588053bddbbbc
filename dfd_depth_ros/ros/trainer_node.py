"""`trainer_node`: learns on from what the camera sees, beside `depth_node` and for it.

A process of its own, so that it may be killed at any instant or run on another machine. It is a plain node: it works
from its start to its end. Callbacks only store; one worker thread owns the learner (`trainer_loop`).
"""

import os
from collections.abc import Callable
from pathlib import Path

from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos_overriding_options import QoSOverridingOptions
from std_msgs.msg import UInt8MultiArray
from std_srvs.srv import SetBool, Trigger

from dfd_depth_ros.ros import qos
from dfd_depth_ros.ros.diagnostics import Monitor, to_message
from dfd_depth_ros.ros.inputs import Inputs
from dfd_depth_ros.ros.kept_learner import KeptLearner
from dfd_depth_ros.ros.lens_sources import LensSource
from dfd_depth_ros.ros.parameters import TRAINER_PARAMETERS, changed, declare
from dfd_depth_ros.ros.poses import PoseSource
from dfd_depth_ros.ros.processes import step_back
from dfd_depth_ros.ros.trainer_loop import TrainerLoop

REPORT_PERIOD_S = 1.0
STOP_TIMEOUT_S = 4.0
WITHOUT_CAMERA = 'pictures from several places are not compared'


def load_learner(settings: dict):
    """The OnlineLearner that the parameters ask for. Raises ValueError in one sentence where it cannot be had."""
    import torch

    from dfd_depth_ros.training import online

    if settings['threads']:
        torch.set_num_threads(settings['threads'])
    return online.make_learner(settings)


class TrainerNode(Node):
    """The node. make(settings) returns a learner with the methods of `training.online.OnlineLearner`. Raises ValueError
    where the lens or the weights cannot be had."""

    def __init__(self, make: Callable = load_learner, **options):
        super().__init__('trainer_node', **options)
        self.monitor = Monitor(self._log, usual=('newer', 'paused'))
        self.settings = declare(self, TRAINER_PARAMETERS)
        if self.settings['background']:
            step_back()
        self._lens, self._last_stamp, self._loop = LensSource(), 0, None
        self._lens.configure(self.settings)
        overrides = QoSOverridingOptions.with_default_policies()
        self._weights = self.create_publisher(
            UInt8MultiArray, 'weights', qos.latched(), qos_overriding_options=overrides
        )
        self._state = self.create_publisher(DiagnosticArray, 'training/state', qos.reliable(10))
        folder = state_folder(self.settings['state_dir'], self.get_namespace())
        self._inputs = Inputs(self, self.settings, self._lens, self.monitor, self._on_image, WITHOUT_CAMERA)
        self._poses = PoseSource(self, self.settings, self._inputs, self.monitor)
        learner = KeptLearner(lambda: make(self.settings), folder, self._publish, self.monitor)
        self._loop = TrainerLoop(learner, self._read, lambda: self.settings, self.monitor)
        self.create_service(SetBool, '~/pause', self._on_pause)
        for name in ('save', 'rollback', 'reset'):
            self.create_service(Trigger, f'~/{name}', self._asking(name))
        self.create_timer(REPORT_PERIOD_S, self._report, clock=Clock(clock_type=ClockType.STEADY_TIME))
        self.add_on_set_parameters_callback(self._on_parameters)

    def destroy_node(self):
        """Finish the step in work, save, then remove the node."""
        if self._loop and not self._loop.stop(STOP_TIMEOUT_S):
            self.get_logger().warning('the last step is still in work; what was accepted is saved')
        super().destroy_node()

    # Input: store, nothing else

    def _on_image(self, message) -> None:
        if self._loop:
            self.monitor.received()
            self._loop.offer(message)

    def _on_pause(self, request, response):
        self._loop.pause(request.data)
        response.success, response.message = True, 'training pauses' if request.data else 'training goes on'
        return response

    def _asking(self, name: str) -> Callable:
        def ask(_, response):
            response.success, response.message = self._loop.ask(name)
            return response

        return ask

    def _on_parameters(self, parameters) -> SetParametersResult:
        try:
            settings = changed(self.settings, parameters, TRAINER_PARAMETERS, configured=True)
            self._lens.configure(settings)
        except ValueError as error:
            return SetParametersResult(successful=False, reason=str(error))
        self.settings = settings
        return SetParametersResult(successful=True)

    # Work, in the thread of the loop

    def _read(self, message) -> tuple:
        """What the learner is told about an image: picture, lens, stamp, pose and camera."""
        view = self._inputs.read(message, self.settings)
        if view.stamp < self._last_stamp:
            self.monitor.warning('time', f'image stamp jumped back by {(self._last_stamp - view.stamp) / 1e9:.3f} s')
        self._last_stamp = view.stamp
        pose = self._poses.match(message.header, view, self.settings)
        self.monitor.fact(lens_quality=view.match.quality)
        return view.image, view.match.lens, view.stamp / 1e9, pose, view.camera

    def _publish(self, weights: bytes) -> None:
        message = UInt8MultiArray()
        message.data.frombytes(weights)
        self._weights.publish(message)

    # Diagnostics

    def _report(self) -> None:
        name = self.get_fully_qualified_name().lstrip('/')
        self.monitor.fact(state=self._loop.state, duty=f'{self._loop.duty():.2f}')
        is_active = self._loop.state != 'paused'
        self._inputs.report_silence(is_active, self.settings['lens.policy'])
        report = self.monitor.report(is_active, well=self._loop.state)
        self._state.publish(to_message(f'{name}: training', *report, self.get_clock().now().to_msg()))

    def _log(self, severity: str, text: str) -> None:
        if severity == 'error':
            self.get_logger().error(text)
        else:
            self.get_logger().warning(text)


def state_folder(text: str, namespace: str) -> Path:
    """The folder that `state_dir` names; where it is empty, one for each namespace where ROS keeps its files."""
    if text:
        return Path(text).expanduser().absolute()
    home = Path(os.environ.get('ROS_HOME') or Path.home() / '.ros')
    return home / 'dfd_depth_ros' / 'trainer' / namespace.strip('/')
