"""What SECURITY.md promises: nothing is unpickled, no path of a message is followed, what is too large is refused."""

import ast
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from test_layers import imported_names, modules

from dfd_depth_ros.networks.weights import WeightsError, from_bytes, load_weights
from dfd_depth_ros.paths import share_directory

UNSAFE_MODULES = {'pickle', 'cPickle', 'dill', 'cloudpickle', 'joblib', 'shelve', 'marshal', 'jsonpickle'}
# A call of this name must have this argument.
SAFE_BY = {'torch.load': ('weights_only', True), 'np.load': ('allow_pickle', False)}
UNSAFE_CALLS = {'eval', 'exec', 'os.system', 'yaml.load', 'yaml.unsafe_load', 'yaml.full_load', 'torch.jit.load'}


def dangers(source: str) -> list[str]:
    """One sentence for every import or call that could run what a file or message brings."""
    tree = ast.parse(source)
    found = [
        f'{line}: imports {name}' for line, name in imported_names(tree, ()) if name.split('.')[0] in UNSAFE_MODULES
    ]
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        if name in UNSAFE_CALLS or any(ast.unparse(word) == 'shell=True' for word in node.keywords):
            found.append(f'{node.lineno}: calls {name}')
        if name in SAFE_BY:
            key, value = SAFE_BY[name]
            given = {word.arg: word.value for word in node.keywords}
            if not (isinstance(given.get(key), ast.Constant) and given[key].value is value):
                found.append(f'{node.lineno}: {name} without {key}={value}')
    return found


@pytest.mark.parametrize(('path', 'source'), [pytest.param(*module, id=module[0]) for module in modules()])
def test_nothing_that_comes_from_outside_is_run(path, source):
    assert dangers(source) == []


@pytest.mark.parametrize(
    ('source', 'complaint'),
    [
        ('import pickle', '1: imports pickle'),
        ('from joblib import load', '1: imports joblib.load'),
        ("torch.load('a.pt')", '1: torch.load without weights_only=True'),
        ("torch.load('a.pt', weights_only=safe)", '1: torch.load without weights_only=True'),
        ("np.load('a.npy', allow_pickle=True)", '1: np.load without allow_pickle=False'),
        ('yaml.load(text)', '1: calls yaml.load'),
        ("subprocess.run('ls', shell=True)", '1: calls subprocess.run'),
    ],
)
def test_what_could_run_it_is_found(source, complaint):
    assert dangers(source) == [complaint]


class Trap:
    """Unpickled, it makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize('protocol', range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickle_is_no_weights_file(tmp_path, protocol):
    data = pickle.dumps(Trap(tmp_path / 'sprung'), protocol)
    (tmp_path / 'weights.safetensors').write_bytes(data)
    with pytest.raises(WeightsError) as error:
        load_weights(tmp_path / 'weights.safetensors')
    assert str(error.value) == f'weights {tmp_path}/weights.safetensors are truncated or not a safetensors file'
    with pytest.raises(WeightsError, match='^weights from the topic are truncated or not a safetensors file$'):
        from_bytes(data, 'from the topic')
    assert not (tmp_path / 'sprung').exists()
    pickle.loads(data)
    assert (tmp_path / 'sprung').exists(), 'the trap would not have sprung'


def test_a_torch_file_is_no_weights_file(tmp_path):
    torch = pytest.importorskip('torch')
    torch.save({'a': torch.zeros(3)}, tmp_path / 'weights.safetensors')
    with pytest.raises(WeightsError, match='are truncated or not a safetensors file$'):
        load_weights(tmp_path / 'weights.safetensors')


SERVE = """
import sys
opened, is_watching = [], []
sys.addaudithook(lambda name, given: is_watching and name in ('open', 'os.listdir') and opened.append(str(given[0])))
import numpy as np
import rclpy
from rclpy.parameter import Parameter
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, JointState
from node_bench import LENS, FakeEstimator, wait
from hostile import to_weights_message
from dfd_depth_ros.ros import messages
from dfd_depth_ros.ros.depth_node import DepthNode

rclpy.init()
values = LENS | {'lens.source': 'joint_state', 'lens.wait_s': 0.0, 'lens.policy': 'static'}
node = DepthNode(
    load=lambda settings: FakeEstimator(),
    parameter_overrides=[Parameter(name, value=value) for name, value in values.items()],
)
canary = sys.argv[1]
header = messages.to_header(0, canary)
images = [
    messages.to_image(np.zeros((8, 8, 3), np.uint8), header),
    Image(header=header, encoding=canary, height=1, width=1, step=1, data=b'x'),
    CompressedImage(header=header, format=canary, data=canary.encode()),
]
is_watching.append(True)
node._inputs.on_camera_info(CameraInfo(header=header, distortion_model=canary))
node._inputs.on_lens(JointState(header=header, name=[canary, 'focus_dioptre'], position=[1.0, 0.5]))
node._hot_swap._store(to_weights_message(canary.encode()))
for image in images:
    node._on_image(image)
    wait(lambda: not node.monitor.counts()['pending'])
open(sys.argv[2]).close()
is_watching.clear()
print([path for path in opened if path in sys.argv[1:]])
node.destroy_node()
rclpy.shutdown()
"""


def test_no_path_of_a_message_is_followed(ros_domain, tmp_path):
    canary, seen = tmp_path / 'canary', tmp_path / 'seen'
    canary.write_text('sing')
    seen.write_text('opened by the test itself, so that the watch is known to work')
    path = os.pathsep.join([str(share_directory()), str(Path(__file__).parent)])
    command = [sys.executable, '-c', SERVE, str(canary), str(seen)]
    done = subprocess.run(command, env=os.environ | {'PYTHONPATH': path}, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert ast.literal_eval(done.stdout.splitlines()[-1]) == [str(seen)]


def test_weights_that_are_too_large_are_not_even_kept(ros, monkeypatch):
    from hostile import to_weights_message
    from node_bench import Bench

    from dfd_depth_ros.ros import depth_node, hot_swap

    monkeypatch.setattr(depth_node, 'REPORT_PERIOD_S', 0.05)
    monkeypatch.setattr(hot_swap, 'MOST_BYTES', 1000)
    with Bench() as bench:
        bench.node._hot_swap._store(to_weights_message(bytes(1001)))
        sentence = 'weights on the topic have 1001 bytes; 1000 is the most'
        bench.status(lambda level, text, values: values['last_error'] == sentence)
        assert not bench.node._hot_swap.is_testing()
        bench.node._hot_swap._store(to_weights_message(bytes(1000)))
        sentence = 'weights from the topic are truncated or not a safetensors file'
        bench.status(lambda level, text, values: values['last_error'] == sentence)


def test_the_promises_stand_in_the_document():
    text = (Path(__file__).parents[1] / 'SECURITY.md').read_text()
    for word in ('config/security/policy.xml', 'weights_topic', 'weights_pin', 'max_pixels', 'ros2 security'):
        assert word in text
