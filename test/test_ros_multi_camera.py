"""Three cameras with three lenses in three namespaces: over DDS, each depth node hears its own lens and no other."""

import threading

import pytest

pytest.importorskip('rclpy')

import yaml
from node_bench import FakeEstimator, wait
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from sensor_msgs.msg import JointState
from std_msgs.msg import String

from dfd_depth_ros.optics.lens import Lens
from dfd_depth_ros.ros import messages, qos
from dfd_depth_ros.ros.camera_simulator import CameraSimulator
from dfd_depth_ros.ros.depth_node import DepthNode
from dfd_depth_ros.scenes.lens_model import read_lens_model

LENSES = {
    'left': Lens.focused_at(2.0, focal_length_m=0.05, f_number=1.4, pixel_pitch_m=5e-5),
    'right': Lens.focused_at(1.0, focal_length_m=0.035, f_number=2.0, pixel_pitch_m=4e-5),
    'robot/rear': Lens.focused_at(3.0, focal_length_m=0.025, f_number=2.8, pixel_pitch_m=2e-5),
}
SMALL = {'width': 48, 'height': 32, 'loop_frames': 1, 'rate_hz': 10.0}
FRAMES = 3


def overrides(values):
    return [Parameter(name, value=value) for name, value in values.items()]


class Robot:
    """A simulator and a depth node for each camera, all in one executor. used: estimators by namespace."""

    def __init__(self, ros, folder, source):
        self.estimators, self.nodes, self.heard = {}, [], {}
        self.listener = ros.create_node('listener')
        for index, (namespace, lens) in enumerate(LENSES.items()):
            lens_file = folder / f'{index}.yaml'
            lens_file.write_text(yaml.safe_dump(lens.to_dict()))
            self.estimators[namespace] = FakeEstimator()
            depth = {'lens.source': source, 'lens.file': str(lens_file), 'lens.wait_s': 1.0}
            camera = SMALL | {'lens_file': str(lens_file)}
            self.nodes += [
                DepthNode(
                    load=lambda settings, estimator=self.estimators[namespace]: estimator,
                    parameter_overrides=overrides(depth),
                    namespace=namespace,
                ),
                CameraSimulator(parameter_overrides=overrides(camera), namespace=namespace),
            ]
            self.heard[namespace] = {'lens_used': [], 'lens_model': []}
            for topic, kind, profile in (
                ('lens_used', JointState, qos.reliable()),
                ('lens_model', String, qos.latched()),
            ):
                self.listener.create_subscription(
                    kind, f'/{namespace}/{topic}', self.heard[namespace][topic].append, profile
                )
        self.executor = SingleThreadedExecutor()
        for node in (*self.nodes, self.listener):
            self.executor.add_node(node)
        self.thread = threading.Thread(target=self.executor.spin)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.executor.shutdown()
        self.thread.join()
        for node in (*self.nodes, self.listener):
            node.destroy_node()


@pytest.mark.parametrize('source', ['joint_state', 'parameters'])
def test_each_depth_is_read_with_the_lens_of_its_camera(ros, tmp_path, source):
    with Robot(ros, tmp_path, source) as robot:
        wait(
            lambda: all(
                len(robot.estimators[name].lenses) >= FRAMES and all(robot.heard[name].values()) for name in LENSES
            ),
            'depth, lens_used and lens_model of every camera',
        )
    for namespace, lens in LENSES.items():
        used = robot.estimators[namespace].lenses
        fixed = [(found.focal_length_m, found.f_number, found.pixel_pitch_m) for found in used]
        assert set(fixed) == {(lens.focal_length_m, lens.f_number, lens.pixel_pitch_m)}, namespace
        told = messages.to_lens_values(robot.heard[namespace]['lens_used'][-1])
        assert (told['focal_length_m'], told['f_number']) == (lens.focal_length_m, lens.f_number)
        assert told['focus_dioptre'] in [found.focus_dioptre for found in used]
        model = Lens.from_dict(read_lens_model(robot.heard[namespace]['lens_model'][-1].data))
        assert (model.f_number, model.pixel_pitch_m) == (lens.f_number, lens.pixel_pitch_m)
        if source == 'parameters':
            assert {found.focus_dioptre for found in used} == {lens.focus_dioptre}
