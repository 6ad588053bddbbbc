"""trainer_node over real DDS: what it publishes and saves, what it answers, and that nothing ends it."""

import numpy as np
import pytest

pytest.importorskip('rclpy')

from diagnostic_msgs.msg import DiagnosticStatus
from geometry_msgs.msg import Point, Pose, PoseStamped, Quaternion
from node_bench import CAMERA, FRAME_ID, START, picture, wait
from rclpy.parameter import Parameter
from sensor_msgs.msg import JointState
from std_msgs.msg import UInt8MultiArray
from std_srvs.srv import SetBool, Trigger
from trainer_bench import FakeLearner, TrainerBench, sha

from dfd_depth_ros.networks.model import DfdModel
from dfd_depth_ros.networks.weights import save_weights
from dfd_depth_ros.optics.lens import Lens
from dfd_depth_ros.ros import messages, qos, silence, trainer_loop, trainer_node
from dfd_depth_ros.ros.trainer_node import load_learner, state_folder

BY_MESSAGE = {'lens.source': 'joint_state', 'lens.wait_s': 0.0}


@pytest.fixture(autouse=True)
def quick_reports(ros, monkeypatch):
    monkeypatch.setattr(trainer_node, 'REPORT_PERIOD_S', 0.05)


def pose_message(x=0.0, w=1.0):
    return PoseStamped(pose=Pose(position=Point(x=x, y=0.0, z=0.0), orientation=Quaternion(w=w)))


def once(name):
    """A hurdle that raises when it is passed for the third time."""
    count = iter(range(10**6))

    def hurdle():
        if next(count) == 3:
            raise RuntimeError(name)

    return hurdle


class Rejecting(FakeLearner):
    rejects = True


def test_what_is_accepted_is_published_and_saved(tmp_path):
    with TrainerBench(tmp_path).connect() as bench:
        values = bench.state(lambda level, text, values: int(values.get('accepted', 0)) > 2)[2]
        assert values['decision'].startswith('accepted at step ') and values['decision'].endswith(': residuals')
        assert (values['decision_before'], values['decision_after']) == ('0.5', '0.25')
        assert values['state'] == 'training' and float(values['loss.photometric']) < 1 and int(values['keyframes']) > 0
        bench.call(SetBool, 'pause', data=True)
        bench.state(lambda level, text, values: values['state'] == 'paused')
        digest = sha((tmp_path / 'weights.safetensors').read_bytes())
        assert digest == bench.learner.digest
        wait(lambda: sha(bench.published[-1]) == digest)
        assert bench.state(lambda *_: True)[2]['weights_digest'] == digest
        assert len(bench.learner.threads) == 1


def test_a_late_subscriber_gets_the_last_weights(tmp_path):
    with TrainerBench(tmp_path).connect() as bench:
        wait(lambda: bench.published)
        bench.call(SetBool, 'pause', data=True)
        bench.state(lambda level, text, values: values['state'] == 'paused')
        late = []
        bench.tester.create_subscription(UInt8MultiArray, 'weights', late.append, qos.latched())
        wait(lambda: late)
        assert sha(bytes(late[0].data)) == bench.learner.digest


def test_what_is_rejected_is_neither(tmp_path):
    with TrainerBench(tmp_path, Rejecting).connect() as bench:
        bench.state(lambda level, text, values: int(values.get('rejected', 0)) > 2)
        assert not bench.published and not list(tmp_path.iterdir())


def test_a_restart_resumes_and_publishes_at_once(tmp_path):
    with TrainerBench(tmp_path).connect() as bench:
        wait(lambda: bench.learner.number > 1)
        bench.call(SetBool, 'pause', data=True)
        bench.state(lambda level, text, values: values['state'] == 'paused')
        before = bench.learner
    with TrainerBench(tmp_path) as bench:
        wait(lambda: bench.published)
        assert sha(bench.published[0]) == before.digest
        assert (bench.learner.number, bench.learner.steps) == (before.number, before.steps)
    with TrainerBench(tmp_path, parameters={'resume': False}) as bench:
        bench.state(lambda level, text, values: values['state'] == 'waiting')
        assert not bench.published and bench.learner.number == 0


def test_a_damaged_state_is_named_and_left_alone(tmp_path):
    (tmp_path / 'state.json').write_text('{')
    with TrainerBench(tmp_path).connect() as bench:
        sentence = f'state in {tmp_path} is not used, and nothing is saved there: Expecting property name'
        level = bench.state(lambda level, text, values: values.get('condition.state', '').startswith(sentence))[0]
        assert level == DiagnosticStatus.WARN
        wait(lambda: bench.published)
        assert [path.name for path in tmp_path.iterdir()] == ['state.json']
        assert bench.call(Trigger, 'save').message == f'saved in {tmp_path}'
        bench.state(lambda level, text, values: 'condition.state' not in values)
        assert (tmp_path / 'weights.safetensors').exists()


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / 'file').write_text('')
    with TrainerBench(tmp_path / 'file' / 'state').connect() as bench:
        wait(lambda: len(bench.published) > 1)
        sentence = f'state cannot be saved in {tmp_path}/file/state: Not a directory'
        assert bench.state(lambda level, text, values: text == sentence)[0] == DiagnosticStatus.ERROR
        answer = bench.call(Trigger, 'save')
        assert not answer.success and 'Not a directory' in answer.message


def test_what_dds_refuses_is_named_and_saved_all_the_same(tmp_path, monkeypatch):
    with TrainerBench(tmp_path) as bench:

        def refuse(message):
            raise RuntimeError('cannot publish data')

        monkeypatch.setattr(bench.node._weights, 'publish', refuse)
        assert bench.call(Trigger, 'reset').success and (tmp_path / 'weights.safetensors').exists()
        sentence = 'weights could not be published: RuntimeError: cannot publish data'
        bench.state(lambda level, text, values: values['last_error'] == sentence)
        assert len(bench.learners) == 1


def test_pause(tmp_path):
    with TrainerBench(tmp_path).connect() as bench:
        assert bench.call(SetBool, 'pause', data=True).message == 'training pauses'
        text = bench.state(lambda level, text, values: values['state'] == 'paused')[1]
        assert 'no data' not in text
        steps = bench.learner.steps
        bench.send(0)
        bench.state(lambda level, text, values: values.get('drops.paused') == '1')
        assert bench.learner.steps == steps
        assert bench.call(SetBool, 'pause', data=False).message == 'training goes on'
        wait(lambda: bench.learner.steps > steps)


def test_save_rollback_and_reset(tmp_path):
    class Slow(FakeLearner):
        every = 10**6

    with TrainerBench(tmp_path, Slow) as bench:
        answer = bench.call(Trigger, 'rollback')
        assert (answer.success, answer.message) == (False, 'there are no earlier weights to go back to')
        learner = bench.learner
        learner.history, learner.number = [3], 4
        answer = bench.call(Trigger, 'save')
        assert (answer.success, answer.message) == (True, f'saved in {tmp_path}')
        assert sha((tmp_path / 'weights.safetensors').read_bytes()) == learner.digest and not bench.published
        answer = bench.call(Trigger, 'rollback')
        assert answer.success and answer.message == f'rolled back to the weights {learner.digest}'
        assert learner.number == 3 and sha((tmp_path / 'weights.safetensors').read_bytes()) == learner.digest
        wait(lambda: bench.published)
        assert sha(bench.published[-1]) == learner.digest
        answer = bench.call(Trigger, 'reset')
        assert answer.success and answer.message == f'reset to the weights {learner.digest}; all pictures are forgotten'
        wait(lambda: len(bench.published) == 2)
        assert learner.number == 0 and sha(bench.published[-1]) == learner.digest
        assert sha((tmp_path / 'weights.safetensors').read_bytes()) == learner.digest
        values = bench.state(lambda level, text, values: values.get('last_request', '').startswith('reset'))[2]
        assert values['last_request'] == f'reset: {answer.message}'


def test_a_request_during_a_long_step_is_answered_at_once_and_done_later(tmp_path, monkeypatch):
    monkeypatch.setattr(trainer_loop, 'ANSWER_S', 0.02)
    opened, reached = [], []

    def learner(settings):
        return FakeLearner(settings, lambda: reached.append(1) or wait(lambda: opened))

    with TrainerBench(tmp_path, learner) as bench:
        wait(lambda: reached)
        answer = bench.call(Trigger, 'save')
        assert (answer.success, answer.message) == trainer_loop.LATER
        opened.append(True)
        bench.state(lambda level, text, values: values.get('last_request') == f'save: saved in {tmp_path}')
        assert (tmp_path / 'weights.safetensors').exists()


def test_a_learner_that_fails_is_made_anew_from_the_last_good_weights(tmp_path, monkeypatch):
    monkeypatch.setattr(trainer_loop, 'FIRST_PAUSE_S', 0.01)
    broken = []

    def hurdle():
        if broken:
            raise RuntimeError(broken.pop())

    with TrainerBench(tmp_path, lambda settings: FakeLearner(settings, hurdle)).connect() as bench:
        wait(lambda: bench.learner.number > 0)
        broken.append('out of memory')
        sentence = 'learning failed and goes on from the last good weights: RuntimeError: out of memory'
        assert bench.state(lambda level, text, values: text == sentence)[0] == DiagnosticStatus.ERROR
        wait(lambda: len(bench.learners) == 2 and bench.learner.number)
        first, second = bench.learners
        assert second.number >= first.number
        count = second.number
        bench.connect()
        wait(lambda: bench.learner.number > count)


def test_a_learner_that_always_fails_leaves_the_node_alive(tmp_path, monkeypatch):
    monkeypatch.setattr(trainer_loop, 'FIRST_PAUSE_S', 0.01)

    def learner(settings):
        if bench_made:
            raise ValueError('weights are gone')
        bench_made.append(1)
        return FakeLearner(settings, once('first'))

    bench_made = []
    with TrainerBench(tmp_path, learner) as bench:
        sentence = 'learning failed and goes on from the last good weights: weights are gone'
        bench.state(lambda level, text, values: text == sentence and values['state'] == 'failed')
        answer = bench.call(Trigger, 'rollback')
        assert not answer.success and answer.message == 'the learner is being made anew after a failure; ask again'


def test_without_learner_or_lens_there_is_no_node(tmp_path):
    def learner(settings):
        raise ValueError('weights nowhere cannot be read: No such file or directory')

    with pytest.raises(ValueError, match='weights nowhere cannot be read'):
        TrainerBench(tmp_path, learner)
    with pytest.raises(ValueError, match='lens has no f_number'):
        TrainerBench(tmp_path, parameters={'lens.f_number': 0.0})


def test_the_learner_is_told_lens_stamp_pose_and_camera(tmp_path):
    info = messages.to_camera_info(CAMERA, 6, 8, messages.to_header(0, FRAME_ID))
    with TrainerBench(tmp_path, parameters=BY_MESSAGE | {'lens.wait_s': 1.0, 'pose.wait_s': 1.0}) as bench:
        lens = JointState(name=['focus_dioptre'], position=[0.8])

        def send():
            send.stamp += 1
            for topic, message in (('camera_info', info), ('lens', lens), ('pose', pose_message(0.25))):
                bench.send(send.stamp, message, topic)
            bench.send(send.stamp)
            whole = [seen for seen in bench.learner.seen if seen[3] is not None and seen[4] is not None]
            return whole and whole[0]

        send.stamp = 0
        image, used, stamp, pose, camera = wait(send)
        np.testing.assert_array_equal(image, picture())
        assert used == Lens(0.05, 2.0, 4e-5, 0.8) and stamp > START and camera == CAMERA
        np.testing.assert_allclose(pose[:3], [[1, 0, 0, 0.25], [0, 1, 0, 0], [0, 0, 1, 0]])
        values = bench.state(lambda level, text, values: values.get('pose') == 'known')[2]
        assert values['lens_quality'] == 'exact'


def test_poses_are_passed_over_where_distortion_bends_rays(tmp_path):
    info = messages.to_camera_info(CAMERA, 6, 8, messages.to_header(0, FRAME_ID))
    with TrainerBench(tmp_path, parameters={'pose.wait_s': 1.0}) as bench:

        def told(k1, with_pose):
            info.d = [k1, 0.0, 0.0, 0.0, 0.0]
            stamps.append(len(stamps))
            for topic, message in (('camera_info', info), ('pose', pose_message(0.25))):
                bench.send(stamps[-1], message, topic)
            bench.send(stamps[-1])
            last = bench.learner.seen[-1:]
            return last and last[0][4] is not None and (last[0][3] is not None) == with_pose

        stamps = []
        wait(lambda: told(0.0, with_pose=True))
        wait(lambda: told(100.0, with_pose=False))
        found = bench.state(lambda level, text, values: 'poses are passed over' in text)[1]
        assert 'distortion bends rays by up to 1.4' in found and found.endswith(
            ' pixels, more than the 1 that poses can be used with; poses are passed over: give rectified images'
        )
        wait(lambda: told(0.0, with_pose=True))


def test_bad_input_is_named_and_the_next_is_looked_at(tmp_path):
    with TrainerBench(tmp_path).connect() as bench:
        bench.send(0, messages.to_image(picture(height=2), messages.to_header(0, FRAME_ID)))
        bench.state(lambda level, text, values: text == 'the picture is too small' and values['drops.refused'] == '1')
        bad = messages.to_image(picture(), messages.to_header(0, FRAME_ID))
        bad.step = 5
        bench.send(1, bad)
        bench.state(lambda level, text, values: text == 'image step is 5 bytes; 8 pixels of rgb8 need 24')
        bench.send(2, pose_message(w=0.0), 'pose')
        sentence = 'pose message refused: position [0.0, 0.0, 0.0] with orientation [0.0, 0.0, 0.0, 0.0] is no pose'
        bench.state(lambda level, text, values: text == sentence)
        count = len(bench.learner.seen)
        bench.send(3)
        wait(lambda: len(bench.learner.seen) > count)


def test_a_clock_that_jumps_back(tmp_path):
    with TrainerBench(tmp_path).connect() as bench:
        bench.send(10)
        wait(lambda: bench.learner.seen[-1][2] == START + 10)
        bench.send(8.5)
        bench.state(lambda level, text, values: 'image stamp jumped back by 1.500 s' in text)
        steps = bench.learner.steps
        wait(lambda: bench.learner.steps > steps)


def test_a_paused_camera(tmp_path, monkeypatch):
    monkeypatch.setattr(silence, 'SILENCE_S', 0.5)
    with TrainerBench(tmp_path).connect() as bench:
        bench.state(lambda level, text, values: 'no data on /image_raw for 0.5 s; it has 1 publisher' in text)
        steps = bench.learner.steps
        wait(lambda: bench.learner.steps > steps)
        count = len(bench.learner.seen)
        bench.send(0)
        wait(lambda: len(bench.learner.seen) > count)


def test_a_stuck_lens(tmp_path):
    with TrainerBench(tmp_path, parameters=BY_MESSAGE) as bench:

        def send(stamp, position):
            bench.send(stamp, JointState(name=['focus_dioptre'], position=[position]), 'lens')
            bench.send(stamp)
            return len(bench.learner.seen) >= 2

        stamps = iter(range(1, 10**6))
        wait(lambda: send(next(stamps), 0.4))
        late = next(stamps) + 100
        bench.send(late)
        bench.state(lambda level, text, values: text.startswith('no lens state belongs to the image'))
        steps, count = bench.learner.steps, len(bench.learner.seen)
        wait(lambda: bench.learner.steps > steps)
        assert len(bench.learner.seen) == count
        wait(lambda: send(late + next(stamps), 0.4) and len(bench.learner.seen) > count)


def test_reports(tmp_path, monkeypatch):
    monkeypatch.setattr(trainer_loop, 'REPORT_S', 0.0)
    with TrainerBench(tmp_path, parameters={'report_dir': '~/report'}) as bench:
        bench.send(0)
        wait(lambda: bench.received['training/state'])
        assert not bench.learner.reports, 'nothing has been learned'
        folder = wait(lambda: bench.connect() and bench.learner.reports)[0]
        assert folder.is_absolute() and folder.name == 'report'

    class Unreportable(FakeLearner):
        report = None

    with TrainerBench(tmp_path, Unreportable, {'report_dir': str(tmp_path)}).connect() as bench:
        sentence = "no report was written: TypeError: 'NoneType' object is not callable"
        bench.state(lambda level, text, values: text == sentence)
        assert len(bench.learners) == 1


def test_parameters_that_may_change(tmp_path):
    with TrainerBench(tmp_path) as bench:
        change = bench.node.set_parameters
        assert change([Parameter('budget', value=0.25)])[0].successful and bench.node.settings['budget'] == 0.25
        assert not change([Parameter('budget', value=1.5)])[0].successful
        assert not change([Parameter('state_dir', value='/tmp')])[0].successful
        answer = change([Parameter('lens.focus_distance_m', value=0.01)])[0]
        assert answer.reason == 'focus distance 0.01 m lies inside the focal length 0.05 m'


def test_the_folder_of_what_was_learned(monkeypatch, tmp_path):
    monkeypatch.setenv('HOME', str(tmp_path))
    monkeypatch.delenv('ROS_HOME', raising=False)
    assert state_folder('', '/') == tmp_path / '.ros/dfd_depth_ros/trainer'
    assert state_folder('', '/robot/eye') == tmp_path / '.ros/dfd_depth_ros/trainer/robot/eye'
    monkeypatch.setenv('ROS_HOME', '/var/ros')
    assert str(state_folder('', '/')) == '/var/ros/dfd_depth_ros/trainer'
    assert state_folder('~/mine', '/robot') == tmp_path / 'mine'


def test_names_are_relative(tmp_path):
    with TrainerBench(tmp_path, namespace='/robot') as bench:
        status = wait(lambda: bench.received['training/state'])[0].status[0]
        assert status.name == 'robot/trainer_node: training'
        assert bench.node._weights.topic_name == '/robot/weights'


def test_the_learner_of_this_package(tmp_path):
    parameters = {'weights': str(tmp_path / 'untrained.safetensors'), 'device': 'cpu'}
    save_weights(tmp_path / 'untrained.safetensors', DfdModel(), {})
    with TrainerBench(tmp_path / 'state', load_learner, parameters) as bench:
        bench.send(0)
        assert bench.call(Trigger, 'reset').success
        file = tmp_path / 'state' / 'weights.safetensors'
        wait(lambda: bench.published and file.exists())
        assert bench.published[0] == file.read_bytes() and sha(bench.published[0]) == bench.learner.digest
    with TrainerBench(tmp_path / 'state', load_learner, parameters) as bench:
        wait(lambda: bench.published)
        assert sha(bench.published[0]) == sha(file.read_bytes())
