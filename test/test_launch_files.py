"""The launch files: their arguments, what they set, and that depth arrives when they are launched for real."""

import contextlib
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from dfd_depth_ros.networks.model import DfdModel
from dfd_depth_ros.networks.weights import save_weights
from dfd_depth_ros.paths import PathError, share_directory
from dfd_depth_ros.ros.dds import NAME, OLD_NAME, large_image_profile

pytest.importorskip('launch_ros', reason='launch_ros comes with a ROS 2 installation')

from launch import LaunchContext  # noqa: E402
from launch.actions import DeclareLaunchArgument, SetEnvironmentVariable  # noqa: E402
from launch.launch_description_sources import get_launch_description_from_python_launch_file  # noqa: E402
from launch.utilities import perform_substitutions  # noqa: E402

DEPTH_ARGUMENTS = ['namespace', 'lens_file', 'lens_source', 'weights', 'device', 'params_file', 'use_sim_time', 'view']
TRAINER_ARGUMENTS = [*DEPTH_ARGUMENTS, 'trainer_params_file', 'budget', 'state_dir', 'report_dir']
DEMO_ARGUMENTS = ['namespace', 'lens_file', 'weights', 'device', 'view', 'scene', 'rate_hz']


@pytest.fixture
def description(monkeypatch):
    """Reads a launch file as on a machine without a profile of its own."""
    for name in (NAME, OLD_NAME):
        monkeypatch.delenv(name, raising=False)
    return lambda name: get_launch_description_from_python_launch_file(str(share_directory() / 'launch' / name))


@pytest.mark.parametrize(
    ('name', 'names'), [('depth', DEPTH_ARGUMENTS), ('demo', DEMO_ARGUMENTS), ('trainer', TRAINER_ARGUMENTS)]
)
def test_arguments(description, name, names):
    declared = [
        entity for entity in description(f'{name}.launch.py').entities if isinstance(entity, DeclareLaunchArgument)
    ]
    assert [argument.name for argument in declared] == names
    assert all(argument.description and argument.default_value is not None for argument in declared)


def profile_settings(description) -> dict[str, str]:
    """The environment variables that a launch file sets."""
    settings = [entity for entity in description.entities if isinstance(entity, SetEnvironmentVariable)]
    context = LaunchContext()
    return {perform_substitutions(context, s.name): perform_substitutions(context, s.value) for s in settings}


def test_large_image_profile(description):
    assert profile_settings(description('depth.launch.py')) == large_image_profile() != {}


def test_profile_of_the_user_stays(description, monkeypatch):
    monkeypatch.setenv(NAME, '/my/profile.xml')
    assert profile_settings(description('depth.launch.py')) == {}


def test_missing_parameter_file(description):
    context = LaunchContext()
    context.launch_configurations.update(dict.fromkeys(DEPTH_ARGUMENTS, ''), params_file='/no/such.yaml')
    with pytest.raises(PathError) as error:
        description('depth.launch.py').visit(context)[-1].execute(context)
    assert str(error.value) == 'params_file /no/such.yaml does not exist'


@pytest.mark.parametrize(('view', 'executables'), [('none', []), ('rviz', ['rviz2']), ('rerun', ['rerun_view'])])
def test_view(description, view, executables):
    context = LaunchContext()
    context.launch_configurations.update(dict.fromkeys(DEPTH_ARGUMENTS, ''), view=view, use_sim_time='false')
    nodes = description('depth.launch.py').visit(context)[-2].execute(context)
    assert [node.node_executable for node in nodes] == executables


def test_a_view_that_is_not_there(description):
    context = LaunchContext()
    context.launch_configurations.update(dict.fromkeys(DEPTH_ARGUMENTS, ''), view='tv')
    with pytest.raises(ValueError, match="^view is 'tv'; it must be none, rviz or rerun$"):
        description('depth.launch.py').visit(context)[-2].execute(context)


def test_missing_parameter_file_of_the_trainer(description):
    context = LaunchContext()
    context.launch_configurations.update(dict.fromkeys(TRAINER_ARGUMENTS, ''), trainer_params_file='/no/such.yaml')
    with pytest.raises(PathError) as error:
        description('trainer.launch.py').visit(context)[-1].execute(context)
    assert str(error.value) == 'trainer_params_file /no/such.yaml does not exist'


@contextlib.contextmanager
def launched(*arguments, log):
    """`ros2 launch dfd_depth_ros ...` while the block runs; interrupted at its end, as by Ctrl-C."""
    command = ['ros2', 'launch', 'dfd_depth_ros', *arguments]
    with open(log, 'wb') as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def test_demo_gives_depth(ros, tmp_path, monkeypatch):
    if not shutil.which('ros2') or not has_executable('depth_node'):
        pytest.skip('needs the ros2 command and a workspace with this package, built by colcon and sourced')
    from sensor_msgs.msg import Image

    for name in (NAME, OLD_NAME):
        monkeypatch.delenv(name, raising=False)
    save_weights(tmp_path / 'untrained.safetensors', DfdModel(), {})
    node = ros.create_node('listener')
    images, depths = [], []
    node.create_subscription(Image, '/eye/image_raw', images.append, 10)
    node.create_subscription(Image, '/eye/depth/image_rect', depths.append, 10)
    arguments = ('namespace:=eye', f'weights:={tmp_path}/untrained.safetensors', 'device:=cpu', 'rate_hz:=4.0')
    with launched('demo.launch.py', *arguments, log=tmp_path / 'log') as process:
        deadline = time.monotonic() + 120
        while len(depths) < 3 and process.poll() is None and time.monotonic() < deadline:
            ros.spin_once(node, timeout_sec=1)
    node.destroy_node()
    log = (tmp_path / 'log').read_text()
    assert len(depths) >= 3, log
    assert process.returncode == 0, log
    assert {(depth.encoding, depth.width, depth.height) for depth in depths} == {('32FC1', 640, 480)}
    assert {str(depth.header) for depth in depths} <= {str(image.header) for image in images}


def test_trainer_and_depth_node_start_together(ros, tmp_path):
    if not shutil.which('ros2') or not has_executable('trainer_node'):
        pytest.skip('needs the ros2 command and a workspace with this package, built by colcon and sourced')
    from diagnostic_msgs.msg import DiagnosticArray

    save_weights(tmp_path / 'untrained.safetensors', DfdModel(), {})
    node = ros.create_node('listener')
    states, reports = [], []
    node.create_subscription(DiagnosticArray, '/eye/training/state', states.append, 10)
    node.create_subscription(DiagnosticArray, '/diagnostics', reports.append, 10)
    lens = 'lens_file:=config/lenses/simulated_50mm_f1.4.yaml'
    folders = (f'state_dir:={tmp_path}/state', f'weights:={tmp_path}/untrained.safetensors')
    arguments = ('namespace:=eye', 'device:=cpu', 'budget:=0.25', 'lens_source:=joint_state', lens, *folders)
    with launched('trainer.launch.py', *arguments, log=tmp_path / 'log') as process:
        deadline = time.monotonic() + 120
        while not (states and reports) and process.poll() is None and time.monotonic() < deadline:
            ros.spin_once(node, timeout_sec=1)
    node.destroy_node()
    log = (tmp_path / 'log').read_text()
    assert states and reports, log
    assert process.returncode == 0, log
    assert {pair.key: pair.value for pair in states[0].status[0].values}['state_dir'] == f'{tmp_path}/state'


def has_executable(name: str) -> bool:
    """Whether a sourced workspace has the executable where `ros2 run` looks for it."""
    prefixes = os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep)
    return any((Path(prefix) / 'lib' / 'dfd_depth_ros' / name).is_file() for prefix in prefixes)
