"""`demo` from command line to table, over real DDS with small images, and what it says when something is missing."""

import json
import math
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from dfd_depth_ros.cli import demo, demo_training
from dfd_depth_ros.networks.model import ARCHITECTURES, DfdModel
from dfd_depth_ros.networks.weights import save_weights
from dfd_depth_ros.scenes.bags import BagWriter, Recording, read_bag
from dfd_depth_ros.scenes.frame import Frame
from dfd_depth_ros.scenes.lens_files import read_lens

SMALL = ['--size', '96', '72', '--loop-frames', '3', '--seconds', '3']
TOPICS = {
    '/image_raw',
    '/camera_info',
    '/lens',
    '/ground_truth/depth',
    '/pose',
    '/depth/image_rect',
    '/depth/camera_info',
    '/depth/sigma',
    '/coc/image',
    '/lens_model',
    '/lens_used',
    '/diagnostics',
}


@pytest.fixture(scope='module')
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp('weights') / 'untrained.safetensors'
    save_weights(path, DfdModel(next(iter(ARCHITECTURES))), {})
    return str(path)


@pytest.fixture(scope='module')
def graph(ros_domain):
    """Demos of this module run in the domain of the tests."""
    from dfd_depth_ros.ros import graph
    from dfd_depth_ros.ros.processes import graph_environment

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(graph, 'graph_environment', partial(graph_environment, ros_domain))
        yield


@pytest.fixture(scope='module')
def shown(graph, weights, tmp_path_factory):
    """Folder of a demo that ran to its end."""
    out = tmp_path_factory.mktemp('demo')
    assert demo.main(['--weights', weights, '--out', str(out), '--json', str(out / 'demo.json'), *SMALL]) == 0
    return out


def test_demo_records_everything_and_scores_it(shown):
    numbers = json.loads((shown / 'demo.json').read_text())
    assert {message.topic for message in Recording(shown / 'bag').messages()} == TOPICS
    assert numbers['frames'] == numbers['frames_with_truth'] >= 5
    assert numbers['abs_rel'] > 0 and 0 <= numbers['coverage_1sigma'] <= numbers['coverage_2sigma'] <= 1
    recorded = numbers['recorded']
    assert recorded['images'] == recorded['depths'] + recorded['drops'] and recorded['unmatched'] == 0
    assert recorded['latency_from'] == 'stamp' and 0 < recorded['latency_ms']['p50'] <= recorded['latency_ms']['p99']
    assert numbers['published_difference'] <= demo.TOLERANCE
    assert numbers['machine']['cores'] >= 1 and len(numbers['weights_digest']) == 64


def test_demo_leaves_report_and_picture(shown):
    assert '<html' in (shown / 'report' / 'index.html').read_text()
    assert (shown / 'demo.png').read_bytes()[:8] == b'\x89PNG\r\n\x1a\n'


def without(bag, path, *topics):
    """The same bag with these topics left out."""
    with BagWriter(path) as writer:
        for message in Recording(bag).messages(TOPICS - set(topics)):
            writer.write(message.topic, message.msgtype, message.data, message.receive_ns)
    return str(path)


def test_a_demo_too_short_to_learn_says_so(graph, weights, tmp_path, capsys):
    """In two seconds nothing can be learned, but camera, node and trainer ran, and curve and picture are there."""
    size = ['--size', '128', '96', '--loop-frames', '3', '--seconds', '2', '--rate', '5']
    assert demo.main(['--train', '--weights', weights, '--out', str(tmp_path), *size]) == 1
    assert f'nothing was learned; {tmp_path / "trainer_node.log"} may say why' in capsys.readouterr().err
    topics = {message.topic for message in Recording(tmp_path / 'bag').messages()}
    assert {'/pose', '/depth/image_rect'} <= topics
    assert (tmp_path / 'healing.png').exists() and (tmp_path / 'before_after.png').exists()
    assert (tmp_path / 'trainer_node.log').exists()


def test_demo_plays_a_bag_of_which_only_the_camera_is_known(graph, shown, weights, tmp_path, capsys):
    bag = without(shown / 'bag', tmp_path / 'user', '/ground_truth/depth', '/camera_info', '/depth/image_rect')
    out = tmp_path / 'out'
    arguments = ['--bag', bag, '--lens', demo.SIMULATED_LENS, '--weights', weights, '--out', str(out)]
    assert demo.main([*arguments, '--json', str(out / 'demo.json')]) == 0
    numbers = json.loads((out / 'demo.json').read_text())
    before, after = (read_bag(path, read_lens(demo.SIMULATED_LENS)) for path in (bag, out / 'bag'))
    assert numbers['frames'] == len(before) == len(after) and numbers['frames_with_truth'] == 0
    np.testing.assert_array_equal(next(iter(before)).image, next(iter(after)).image)
    assert numbers['recorded']['depths'] >= 1 and numbers['published_difference'] <= demo.TOLERANCE
    assert 'Recorded latency' in capsys.readouterr().out
    assert (out / 'demo.png').is_file() and (out / 'report' / 'index.html').is_file()


def test_demo_with_a_bag_asks_for_the_lens_that_it_lacks(shown, weights, tmp_path, capsys):
    bag = without(shown / 'bag', tmp_path / 'no_lens', '/lens', '/lens_used')
    assert demo.main(['--bag', bag, '--weights', weights, '--out', str(tmp_path / 'out')]) == 1
    assert capsys.readouterr().err.endswith(f'demo: {bag} has no lens topic; name the lens with --lens FILE\n')


def test_demo_without_ros(monkeypatch, capsys):
    monkeypatch.setattr(demo, 'find_spec', lambda name: None)
    assert demo.main([]) == 1
    sentence = 'demo: ROS 2 is missing: source a ROS installation, or use `make demo`, which builds one\n'
    assert capsys.readouterr().err == sentence


def test_demo_without_weights(tmp_path, capsys):
    missing = tmp_path / 'none.safetensors'
    assert demo.main(['--weights', str(missing), '--out', str(tmp_path)]) == 1
    assert capsys.readouterr().err == f'demo: weights {missing} cannot be read: No such file or directory\n'


def test_published_depth_that_differs_is_noticed():
    depth = np.array([[1.0, 2.0], [np.inf, np.nan]], np.float32)
    assert demo._difference(depth, depth) == 0
    assert demo._difference(depth * 1.01, depth) == pytest.approx(0.01, rel=1e-3)
    assert math.isinf(demo._difference(np.full_like(depth, 1.0), depth))


def test_images_whose_truth_did_not_come_are_left_out(weights, monkeypatch):
    class Frames(list):
        times, topics = {'depth': None}, {'depth': 'depth/image_rect'}

    lens = read_lens(demo.SIMULATED_LENS)
    picture, truth = np.full((48, 64, 3), 90, np.uint8), np.full((48, 64), 2.0, np.float32)
    frames = Frames(Frame('bag', lens=lens, image=picture, depth=truth, stamp=float(i)) for i in range(3))
    frames[0], frames[2] = (replace(frame, depth=None) for frame in (frames[0], frames[2]))
    published = [Frame('bag', lens=lens, depth=np.full((48, 64), 2.2, np.float32), stamp=float(i)) for i in range(3)]
    monkeypatch.setattr(demo_training, 'read_bag', lambda bag, lens, topics=None: published if topics else frames)
    stamps, errors, known, (last, *_) = demo_training._scored(None, demo.SIMULATED_LENS, weights)
    assert stamps.tolist() == [0.0] and errors == pytest.approx([0.1]) and known > 0 and last.stamp == 1.0
    frames.pop(1)
    with pytest.raises(RuntimeError, match='no published depth has its ground truth'):
        demo_training._scored(None, demo.SIMULATED_LENS, weights)
