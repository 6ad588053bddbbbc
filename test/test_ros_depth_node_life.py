"""The life of depth_node: lifecycle, weights, parameters that change, clocks, and the process that it runs in."""

import importlib.util
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

pytest.importorskip('rclpy')

from diagnostic_msgs.msg import DiagnosticStatus
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from node_bench import LENS, Bench, picture, wait
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from rosgraph_msgs.msg import Clock

from dfd_depth_ros.cli import nodes
from dfd_depth_ros.optics.lens import Lens
from dfd_depth_ros.paths import resolve_path, share_directory
from dfd_depth_ros.ros import depth_node, messages

WEIGHTS = 'models/dfd_small.safetensors'
CLIENT_S = 5.0
GHOST_S = 15.0  # Fast DDS keeps a process that went without a word in the graph for about 20 s


@pytest.fixture(autouse=True)
def quick_reports(ros, monkeypatch):
    monkeypatch.setattr(depth_node, 'REPORT_PERIOD_S', 0.05)


def call(bench, kind, name, **request):
    """The response of a service of the node."""
    client = wait(lambda: found_client(bench, kind, f'depth_node/{name}'), name)
    future = client.call_async(kind.Request(**request))
    return wait(lambda: future.done() and future.result(), name)


def found_client(bench, kind, name):
    """A client that has found its service, or None after a while: very rarely Fast DDS never tells a client that its
    service is there, and tells the next one at once."""
    client, end = bench.tester.create_client(kind, name), time.monotonic() + CLIENT_S
    while time.monotonic() < end:
        if client.service_is_ready():
            return client
        time.sleep(0.002)
    bench.tester.destroy_client(client)
    return None


def change(bench, transition):
    """Ask for a transition; tells whether it succeeded, and the state that follows."""
    response = call(bench, ChangeState, 'change_state', transition=Transition(id=transition))
    return response.success, call(bench, GetState, 'get_state').current_state.label


def set_parameter(bench, name, value):
    parameter = Parameter(name, value=value).to_parameter_msg()
    return call(bench, SetParameters, 'set_parameters', parameters=[parameter]).results[0]


def test_every_transition_and_depth_only_while_active():
    with Bench(parameters=LENS | {'autostart': False}) as bench:
        assert call(bench, GetState, 'get_state').current_state.label == 'unconfigured'
        assert change(bench, Transition.TRANSITION_CONFIGURE) == (True, 'inactive')
        assert change(bench, Transition.TRANSITION_ACTIVATE) == (True, 'active')
        bench.connect()
        assert change(bench, Transition.TRANSITION_DEACTIVATE) == (True, 'inactive')
        bench.send(0)
        bench.status(lambda level, text, values: 'no data' not in text)
        assert bench.since()['inputs'] == 0
        assert change(bench, Transition.TRANSITION_ACTIVATE) == (True, 'active')
        bench.send(1)
        bench.depth(1)
        assert change(bench, Transition.TRANSITION_DEACTIVATE) == (True, 'inactive')
        assert change(bench, Transition.TRANSITION_CLEANUP) == (True, 'unconfigured')
        assert bench.node.count_publishers('depth/image_rect') == 0
        assert change(bench, Transition.TRANSITION_CONFIGURE) == (True, 'inactive')
        assert change(bench, Transition.TRANSITION_ACTIVATE) == (True, 'active')
        bench.connect()
        assert change(bench, Transition.TRANSITION_ACTIVE_SHUTDOWN) == (True, 'finalized')
        assert bench.node.monitor.counts()['pending'] == 0


@pytest.mark.parametrize(
    'parameters, reason',
    [
        ({}, 'lens has no focal_length_m, f_number'),
        (LENS | {'lens.file': '/no/lens.yaml'}, 'lens file /no/lens.yaml cannot be read: No such file or directory'),
        (
            LENS | {'lens.focus_distance_m': 0.04},
            'focus distance 0.04 m lies inside the focal length 0.05 m',
        ),
    ],
)
def test_without_a_lens_the_node_stays_unconfigured_and_says_why(parameters, reason):
    with Bench(parameters=parameters) as bench:
        level = bench.status(lambda level, text, values: text == f'cannot configure: {reason}')[0]
        assert level == DiagnosticStatus.ERROR
        assert call(bench, GetState, 'get_state').current_state.label == 'unconfigured'


def test_the_failure_is_mended_without_a_restart():
    with Bench(parameters=LENS | {'lens.f_number': 0.0}) as bench:
        bench.status(lambda level, text, values: text == 'cannot configure: lens has no f_number')
        assert set_parameter(bench, 'lens.f_number', 2.0).successful
        assert change(bench, Transition.TRANSITION_CONFIGURE) == (True, 'inactive')
        assert change(bench, Transition.TRANSITION_ACTIVATE) == (True, 'active')
        bench.connect()
        bench.status(lambda level, text, values: not text.startswith('cannot configure'))


def test_an_estimator_that_cannot_be_loaded_is_a_failure_in_one_sentence():
    def load(settings):
        raise ImportError('No module named torch')

    with Bench(load=load) as bench:
        bench.status(lambda level, text, values: text == 'cannot configure: ImportError: No module named torch')
        assert change(bench, Transition.TRANSITION_CONFIGURE) == (False, 'unconfigured')


needs_estimator = pytest.mark.skipif(
    not importlib.util.find_spec('dfd_depth_ros.estimation.estimator'), reason='the estimator is not there'
)


@needs_estimator
@pytest.mark.parametrize('case', ['missing', 'truncated', 'foreign'])
def test_bad_weights_leave_the_node_unconfigured(case, tmp_path):
    from dfd_depth_ros.networks.weights import WeightsError

    file = tmp_path / 'weights.safetensors'
    if case == 'truncated':
        whole = resolve_path(WEIGHTS)
        file.write_bytes(whole.read_bytes()[:5000] if whole.exists() else b'\x10\x27\x00\x00\x00\x00\x00\x00{"a":')
    elif case == 'foreign':
        from safetensors.numpy import save_file

        save_file({'weight': np.zeros(3, np.float32)}, file)
    settings = {'weights': str(file), 'device': 'cpu', 'threads': 0, 'images_at_once': 0}
    settings |= {'temporal.filter': 'none', 'cuda_graphs': False}
    with pytest.raises(WeightsError) as error:
        depth_node.load_estimator(settings)
    assert str(file) in str(error.value) and '\n' not in str(error.value)
    parameters = LENS | {'weights': str(file), 'device': 'cpu'}
    with Bench(parameters=parameters, load=depth_node.load_estimator) as bench:
        bench.status(lambda level, text, values: text == f'cannot configure: {error.value}')
        assert call(bench, GetState, 'get_state').current_state.label == 'unconfigured'


@needs_estimator
@pytest.mark.skipif(not resolve_path(WEIGHTS).exists(), reason='the weights are not there')
def test_the_shipped_weights_estimate_depth():
    image = np.random.default_rng(4).integers(0, 256, (96, 128, 3), np.uint8)
    parameters = LENS | {'device': 'cpu', 'threads': 1}
    with Bench(parameters=parameters, load=depth_node.load_estimator).connect(image=image) as bench:
        bench.send(0, image)
        depth = bench.depth(0)
        assert depth.shape == (96, 128) and not (depth == 0).any()
        values = bench.status(lambda level, text, values: values['outputs'] != '0')[2]
        assert len(values['weights_digest']) == 64
        bench.send(1, picture(height=1, width=1))
        wait(lambda: bench.since()['inputs'] == 2)
        bench.settled()
        bench.send(2, image)
        bench.depth(2)


def test_live_parameters_take_effect_with_the_next_image():
    with Bench().connect() as bench:
        assert set_parameter(bench, 'lens.focus_distance_m', 4.0).successful
        bench.send(0)
        bench.depth(0)
        assert bench.estimator.lenses == [Lens(0.05, 2.0, 4e-5, 0.25)]


@pytest.mark.parametrize(
    'name, value, reason',
    [
        ('weights', 'other.safetensors', 'parameter weights can only change while the node is unconfigured'),
        ('lens.focus_distance_m', 0.01, 'focus distance 0.01 m lies inside the focal length 0.05 m'),
        ('lens.policy', 'guess', "parameter lens.policy is 'guess'; it must be one of 'drop', 'hold', 'static'"),
    ],
)
def test_a_refused_parameter_changes_nothing(name, value, reason):
    with Bench().connect() as bench:
        result = set_parameter(bench, name, value)
        assert (result.successful, result.reason) == (False, reason)
        bench.send(0)
        bench.depth(0)
        assert bench.estimator.lenses == [Lens(0.05, 2.0, 4e-5, 0.5)]


def test_simulated_time_that_jumps_back():
    with Bench(parameters=LENS | {'use_sim_time': True}) as bench:
        clock = bench.tester.create_publisher(Clock, '/clock', 10)

        def at(seconds):
            def reached():
                clock.publish(Clock(clock=messages.to_stamp(seconds * 10**9)))
                return bench.node.get_clock().now().nanoseconds == seconds * 10**9

            wait(reached, f'time {seconds}')

        at(2000)
        bench.connect()
        bench.send(500)
        bench.depth(500)
        at(100)
        bench.status(lambda level, text, values: values['outputs'] != '0')
        bench.send(-900)
        bench.depth(-900)
        bench.status(lambda level, text, values: 'image stamp jumped back by 1400.000 s' in text)


def start(*arguments):
    """depth_node in a process of its own."""
    script = 'import sys; from dfd_depth_ros.cli.nodes import depth_node; sys.exit(depth_node())'
    return subprocess.Popen(
        [sys.executable, '-c', script, *arguments],
        env=os.environ | {'PYTHONPATH': str(share_directory())},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.parametrize('signal_number', [signal.SIGINT, signal.SIGTERM])
def test_a_failure_to_configure_keeps_the_process_and_a_signal_ends_it(ros, signal_number):
    node = ros.create_node('watcher')
    process = start('--ros-args', '--params-file', str(share_directory() / 'config' / 'depth.yaml'))
    try:
        wait(lambda: any(name == 'depth_node' for name in node.get_node_names()) or process.poll() is not None)
        seen = []
        subscription = node.create_subscription(
            depth_node.DiagnosticArray, '/diagnostics', lambda message: seen.append(message.status[0].message), 10
        )
        said = 'cannot configure: lens has no focal_length_m, f_number'
        wait(lambda: ros.spin_once(node, timeout_sec=0.1) or any(said in text for text in seen), said)
        assert process.poll() is None and subscription
        started = time.monotonic()
        process.send_signal(signal_number)
        output = process.communicate(timeout=30)[0]
        assert process.returncode == 0, output
        assert time.monotonic() - started < 10
        assert 'cannot configure: lens has no focal_length_m, f_number' in output and 'Traceback' not in output
        wait(lambda: 'depth_node' not in node.get_node_names(), 'its leave')
        assert time.monotonic() - started < GHOST_S, 'the others had to miss it'
    finally:
        process.kill()
        node.destroy_node()


@pytest.mark.parametrize(
    'arguments, sentence',
    [
        (['-p', 'lens.policy:=guess'], "parameter lens.policy is 'guess'; it must be one of 'drop', 'hold', 'static'"),
        (['--params-file', '/no/depth.yaml'], "failed to initialize rcl: Couldn't parse params file"),
    ],
)
def test_bad_arguments_end_the_process_with_one_sentence(ros_domain, arguments, sentence):
    process = start('--ros-args', *arguments)
    output = process.communicate(timeout=60)[0]
    assert process.returncode == 1
    assert output.splitlines()[-1].startswith(f'depth_node: {sentence}') and 'Traceback' not in output


def test_help_needs_no_ros(capsys):
    for main in (nodes.depth_node, nodes.trainer_node, nodes.camera_simulator):
        with pytest.raises(SystemExit) as end:
            main(['--help'])
        assert end.value.code == 0 and '--ros-args' in capsys.readouterr().out


def test_a_missing_ros_is_named(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, 'rclpy', None)
    monkeypatch.delitem(sys.modules, 'dfd_depth_ros.ros.run', raising=False)
    assert nodes.depth_node([]) == 1
    assert capsys.readouterr().err == (
        'depth_node: ROS 2 is missing: source a ROS installation, or install the extra ros-wheels\n'
    )
