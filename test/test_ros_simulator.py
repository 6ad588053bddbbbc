"""`camera_simulator`: five topics, one stamp, and the truth about what they show."""

import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip('rclpy')

from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter

from dfd_depth_ros.ros.camera_simulator import TOPICS, CameraSimulator
from dfd_depth_ros.ros.messages import to_depth, to_lens_values, to_nanoseconds, to_rgb
from dfd_depth_ros.ros.parameters import ParameterError
from dfd_depth_ros.ros.poses import to_matrix
from dfd_depth_ros.ros.processes import graph_environment, start_node, stop_process
from dfd_depth_ros.ros.qos import reliable
from dfd_depth_ros.ros.recorder import Recorder
from dfd_depth_ros.scenes.calibration import intrinsics
from dfd_depth_ros.scenes.lens_files import read_lens
from dfd_depth_ros.scenes.simulated import MILD_NOISE, camera_loop, film_set, true_lens

SIZE = (64, 48)
SMALL = {'width': SIZE[0], 'height': SIZE[1], 'loop_frames': 3, 'rate_hz': 50.0}
PATIENCE_S = 30.0


def simulator(**values):
    overrides = [Parameter(name, value=value) for name, value in (SMALL | values).items()]
    return CameraSimulator(parameter_overrides=overrides)


class Listener(Node):
    """Keeps what comes on every topic of the simulator."""

    def __init__(self):
        super().__init__('listener')
        self.heard = {topic: [] for topic in TOPICS}
        for topic, kind in TOPICS.items():
            self.create_subscription(kind, topic, self.heard[topic].append, reliable(50))


def spin(*nodes, until):
    executor = SingleThreadedExecutor()
    for node in nodes:
        executor.add_node(node)
    end = time.monotonic() + PATIENCE_S
    while not until():
        assert time.monotonic() < end, 'what was awaited did not come'
        executor.spin_once(timeout_sec=0.1)


def test_topics_share_stamps_and_show_the_rendered_loop(ros):
    node, listener = simulator(listeners=1), Listener()
    spin(node, listener, until=lambda: min(map(len, listener.heard.values())) >= 4)
    for participant in (node, listener):
        participant.destroy_node()
    stamps = [[to_nanoseconds(m.header.stamp) for m in messages[:4]] for messages in listener.heard.values()]
    assert all(other == sorted(set(stamps[0])) for other in stamps)
    frames = {topic: {m.header.frame_id for m in messages} for topic, messages in listener.heard.items()}
    assert frames.pop('pose') == {'map'} and all(names == {'camera_optical_frame'} for names in frames.values())

    scene, lens, motion = film_set('motorcycle', read_lens('config/lenses/simulated_50mm_f1.4.yaml'), SIZE)
    frames = list(camera_loop(scene, lens, 3, SIZE, motion))
    for index, frame in enumerate([*frames, frames[0]]):
        image, info, state, depth, pose = (listener.heard[topic][index] for topic in TOPICS)
        np.testing.assert_allclose(to_matrix(pose.pose.position, pose.pose.orientation), frame.pose, atol=1e-12)
        np.testing.assert_array_equal(to_rgb(image), frame.image)
        np.testing.assert_array_equal(to_depth(depth), frame.depth)
        assert intrinsics(info, SIZE[1], SIZE[0]) == frame.intrinsics
        values = to_lens_values(state)
        assert values['focus_dioptre'] == frame.lens.focus_dioptre
        assert (values['focal_length_m'], values['f_number']) == (0.05, 1.4)


def test_a_lens_that_is_not_what_it_says(ros):
    errors = {'lens_error.f_number': 0.5, 'lens_error.focus': 0.1, 'lens_error.base_blur_px': 1.5}
    node = simulator(listeners=1, **errors)
    told = [next(node._loop) for _ in range(3)]
    node.destroy_node()
    scene, lens, motion = film_set('motorcycle', read_lens('config/lenses/simulated_50mm_f1.4.yaml'), SIZE)
    sensor = replace(MILD_NOISE, base_blur_px=1.5)
    frames = camera_loop(scene, lens, 3, SIZE, motion, sensor, f_number_error=0.5, focus_error=0.1)
    for index, (messages, frame) in enumerate(zip(told, frames, strict=True)):
        np.testing.assert_array_equal(to_rgb(messages['image_raw']), frame.image)
        values = to_lens_values(messages['lens'])
        assert values['f_number'] == 1.4 and values['focus_dioptre'] == motion.focus_dioptre(index / 3)
        true = true_lens(frame.lens, 0.5, 0.1)
        assert true.focus_distance_m == pytest.approx(1.1 / motion.focus_dioptre(index / 3))
        np.testing.assert_allclose(frame.coc, true.coc(1 / frame.depth), rtol=1e-5, atol=1e-4)


class Sink:
    """A writer that keeps nothing; the recorder counts."""

    def write(self, *message):
        pass

    def close(self):
        pass


def test_counted_frames_wait_for_their_listener_and_all_arrive(ros_domain, tmp_path):
    counted = SMALL | {'frames': 5, 'listeners': 1}
    process = start_node('camera_simulator', counted, graph_environment(ros_domain), tmp_path / 'log')
    wait_for_line(tmp_path / 'log', 'ready')
    recorder = Recorder(Sink(), TOPICS)
    code = process.wait(PATIENCE_S)
    recorder.stop()
    assert code == 0
    assert recorder.counts == dict.fromkeys(TOPICS, 5)


def test_rate_can_be_changed_live_and_nothing_else(ros):
    node = simulator()
    assert node.set_parameters([Parameter('rate_hz', value=20.0)])[0].successful
    answer = node.set_parameters([Parameter('scene', value='procedural')])[0]
    assert not answer.successful
    assert answer.reason == 'parameter scene can only change while the node is unconfigured'
    assert not node.set_parameters([Parameter('rate_hz', value=0.0)])[0].successful
    node.destroy_node()


def test_a_made_up_room_depends_on_its_seed(ros):
    lens = read_lens('config/lenses/simulated_50mm_f1.4.yaml')
    first, again, other = (film_set('procedural', lens, SIZE, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first[0].aif, again[0].aif)
    assert first[1:] == again[1:] and not np.array_equal(first[0].depth, other[0].depth)
    frame = next(camera_loop(*first[:2], 2, SIZE, first[2]))
    assert frame.image.shape == (48, 64, 3) and np.isfinite(frame.depth).all()
    assert frame.lens.pixel_pitch_m == pytest.approx(frame.lens.focal_length_m / frame.intrinsics.fx)


def test_bad_parameters_are_refused_by_name(ros):
    with pytest.raises(ParameterError) as error:
        simulator(scene='moon')
    assert str(error.value) == "parameter scene is 'moon'; it must be one of 'motorcycle', 'procedural', 'board'"
    with pytest.raises(ParameterError, match='rate_hz out of range'):
        simulator(rate_hz=0.0)


def wait_for_line(log, text):
    end = time.monotonic() + PATIENCE_S
    while text not in log.read_text():
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.05)


def test_process_is_ready_when_rendered_and_ends_cleanly(ros_domain, tmp_path):
    log = tmp_path / 'log'
    process = start_node('camera_simulator', SMALL, graph_environment(ros_domain), log)
    wait_for_line(log, 'ready: motorcycle, 64x48, 50 Hz')
    assert stop_process(process) == 0
    assert 'Traceback' not in log.read_text()


def test_process_explains_a_bad_start(ros_domain, tmp_path):
    log = tmp_path / 'log'
    process = start_node('camera_simulator', SMALL | {'lens_file': '/nowhere.yaml'}, graph_environment(ros_domain), log)
    assert process.wait(PATIENCE_S) == 1
    sentence = 'camera_simulator: lens file /nowhere.yaml cannot be read: No such file or directory'
    assert log.read_text().strip().splitlines()[-1] == sentence


def test_stopping_escalates_to_a_process_that_will_not_listen(ros_domain):
    code = 'import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); print(1, flush=True); time.sleep(60)'
    process = subprocess.Popen([sys.executable, '-c', code], stdout=subprocess.PIPE)
    process.stdout.readline()
    assert stop_process(process, patience_s=0.2) == -signal.SIGKILL
    process.stdout.close()
