"""Suites of `benchmark`: what they count is what happened, and every JSON says where."""

import json
import time

import cv2
import numpy as np
import pytest
import torch

from dfd_depth_ros.benchmarks import camera, data, limit, machine, network, render
from dfd_depth_ros.cli import benchmark
from dfd_depth_ros.estimation.estimator import DepthEstimator, divided, load_estimator
from dfd_depth_ros.networks.model import ARCHITECTURES, DfdModel
from dfd_depth_ros.networks.weights import save_weights
from dfd_depth_ros.optics.lens import Lens
from dfd_depth_ros.training.data import Pairs, expose
from dfd_depth_ros.training.offline import TrainConfig

LENS = Lens.focused_at(2.0, focal_length_m=0.05, f_number=1.4, pixel_pitch_m=5e-5)


@pytest.fixture(scope='module')
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp('weights') / 'untrained.safetensors'
    save_weights(path, DfdModel(next(iter(ARCHITECTURES))), {})
    return path


def test_machine_names_itself():
    about = machine.machine()
    assert about['cpu'] and about['cores'] >= 1 and about['torch_threads'] >= 1
    assert {'python', 'torch', 'numpy'} <= set(about['versions'])


def test_machine_has_no_commit_outside_of_a_checkout(monkeypatch, tmp_path):
    monkeypatch.setattr(machine, '__file__', str(tmp_path / 'machine.py'))
    monkeypatch.setenv('GIT_CEILING_DIRECTORIES', str(tmp_path.parent))
    assert machine.machine()['commit'] is None


def test_network_counts_frames_and_parameters(monkeypatch):
    monkeypatch.setattr(network, 'depth_anything', lambda device: {'fps': 2.0})
    model = DfdModel(next(iter(ARCHITECTURES)))
    numbers = network.run(DepthEstimator(model, 'cpu'), LENS, size=(64, 48), frames=4)
    assert (numbers['size'], numbers['frames']) == ([64, 48], 4)
    assert 0 < numbers['parameters'] <= 5_000_000
    assert 0 < numbers['latency_ms']['p50'] <= numbers['latency_ms']['p95'] <= numbers['latency_ms']['p99']
    assert numbers['fps'] > 0 and numbers['ratio_to_depth_anything_v2_small'] == numbers['fps'] / 2.0


def test_network_looks_at_as_many_frames_at_once_as_it_is_told(monkeypatch):
    class Slow:
        device, precision, graphs, model = 'cpu', 'float32', False, torch.nn.Conv2d(1, 1, 1)
        now, most, threads = 0, 0, set()

        def estimate(self, image, lens):
            self.now += 1
            self.most, self.threads = max(self.most, self.now), self.threads | {torch.get_num_threads()}
            time.sleep(0.01)
            self.now -= 1

    monkeypatch.setattr(network, 'depth_anything', lambda device: None)
    threads = torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        for at_once, each in ((0, 2), (1, 4), (4, 1)):
            slow = Slow()
            numbers = network.run(slow, LENS, frames=12, at_once=at_once)
            assert slow.most == numbers['at_once'] == 4 // each and slow.threads == {each}
            assert torch.get_num_threads() == numbers['threads'] == 4
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize(
    'threads, at_once, device, shared',
    [
        (8, 0, 'cpu', (2, 4)),
        (1, 0, 'cpu', (1, 1)),
        (2, 3, 'cpu', (2, 1)),
        (8, 3, 'cpu', (3, 2)),
        (8, 4, 'cuda', (1, 8)),
    ],
)
def test_threads_are_shared_out(threads, at_once, device, shared):
    assert divided(threads, at_once, device) == shared


def test_data_counts_scenes():
    config = TrainConfig(pairs=2, fresh=1, size=32, replay=4)
    numbers = data.run(config, batches=2)
    assert numbers['pairs_per_second'] == pytest.approx(1 / numbers['batch_s'])
    assert 0 < numbers['data_share'] < 1 and numbers['step_s'] > 0


def test_data_shows_pairs_and_the_side_of_their_blur(tmp_path):
    config = TrainConfig(pairs=2, fresh=1, size=32, replay=4, motion=0.0)
    data.draw(tmp_path / 'below' / 'pairs.png', config)
    shown = cv2.imread(str(tmp_path / 'below' / 'pairs.png'))[..., ::-1].astype(int)
    assert shown.shape == (3 * 32, data.SHOWN * 32, 3)
    batch = expose([Pairs(32, config.seed, 1)[0]], np.random.default_rng(config.seed), 0.0)
    for row, picture in enumerate(batch.image):
        assert np.abs(shown[row * 32 : row * 32 + 32, :32] - picture.permute(1, 2, 0).numpy() * 255).max() <= 0.5
    red, coc = shown[64:, :32, 0] - shown[64:, :32, 2], batch.coc[0, 0].numpy()
    assert (np.sign(red) == np.sign(coc))[np.abs(coc) > 0.5].all()
    with pytest.raises((OSError, ValueError)):
        data.draw(tmp_path / 'below', config)


def test_data_is_that_of_a_training(tmp_path, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(benchmark.data, 'run', lambda config, *_, **options: asked.append(config) or {})
    (tmp_path / 'pairs.yaml').write_text('size: 64\nstart: not/there.safetensors\nphotographs: runs/surfaces\n')
    assert benchmark.main(['data', '--config', str(tmp_path / 'pairs.yaml')]) == 0
    assert asked == [TrainConfig(size=64, photographs='runs/surfaces')]
    (tmp_path / 'video.yaml').write_text('system: m4depth\n')
    assert benchmark.main(['data', '--config', str(tmp_path / 'video.yaml')]) == 1
    assert capsys.readouterr().err.endswith('video.yaml is no training on pairs of pictures\n')


def test_the_bound_is_what_the_best_reader_reaches():
    """Maximum likelihood with the sharp texture known has the deviation of the Cramer-Rao bound."""
    rng = np.random.default_rng(0)
    light = torch.from_numpy(rng.uniform(0.1, 0.6, (3, 96, 96)).astype(np.float32))
    coc, grid = 3.0, np.linspace(2.9, 3.1, 201)
    inner = np.s_[:, 32:64, 32:64]
    pictures = torch.stack([limit.defocused(light, value) for value in grid]).double().numpy()[(slice(None), *inner)]
    true = limit.defocused(light, coc).double().numpy()[inner]
    variance = limit.CAMERA.shot_noise * true + limit.CAMERA.read_noise**2
    read = []
    for _ in range(300):
        seen = true + rng.normal(size=true.shape) * np.sqrt(variance)
        read.append(grid[((seen - pictures) ** 2 / variance).sum((1, 2, 3)).argmin()])
    assert np.mean(read) == pytest.approx(coc, abs=0.005)
    assert np.std(read) == pytest.approx(float(limit.bound(light, coc)[0, 0]), rel=0.15)


def test_limit_compares_errors_with_the_bound(weights):
    numbers = limit.run(load_estimator(str(weights), 'cpu'), textures=1)
    assert numbers['windows'] == sum(row['windows'] for row in numbers['by_coc'])
    assert numbers['windows'] == sum(row['windows'] for row in numbers['by_texture']) > 0
    assert numbers['ratio'] == pytest.approx(numbers['error_px'] / numbers['bound_px'])
    assert numbers['by_coc'][0]['coc_px'] == 1.0 and numbers['by_coc'][0]['bound_px'] > 0


def test_camera_compares_cameras_on_the_same_scenes(monkeypatch):
    kinds = ('perfect', 'noise of 1 %')
    monkeypatch.setattr(camera, 'CAMERAS', {name: camera.CAMERAS[name] for name in kinds})
    monkeypatch.setattr(camera, 'SIZE', 96)
    numbers = camera.run(load_estimator('models/dfd_small.safetensors', 'cpu'), scenes=2)
    clean, noisy = (numbers['cameras'][name] for name in kinds)
    assert list(clean) == list(camera.SHOWN) and numbers['scenes'] == 2
    assert clean['blur_mae'] < noisy['blur_mae'] and 0 <= clean['sign_accuracy'] <= 1
    assert camera.run(load_estimator('models/dfd_small.safetensors', 'cpu'), scenes=2) == numbers


def test_a_camera_of_the_suite_differs_from_the_perfect_one_in_what_it_is_called_by():
    light = torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(0))
    seen = {name: camera._seen(sensor, light, np.random.default_rng(0)) for name, sensor in camera.CAMERAS.items()}
    assert all(picture.shape == (3, 64, 64) and 0 <= picture.min() <= picture.max() <= 1 for picture in seen.values())
    assert all(not torch.equal(picture, seen['perfect']) for name, picture in seen.items() if name != 'perfect')


def test_render_measures_what_this_machine_can_run(monkeypatch):
    monkeypatch.setattr(render, 'SCENES', {'occluder in focus': render.SCENES['occluder in focus']})
    numbers = render.run('cpu', sizes=[(32, 24)], repeats=2)
    assert list(numbers['renderers']) == ['layered', 'splat'] and list(numbers['skipped']) == ['gsplat']
    layered, splat = numbers['renderers'].values()
    assert layered['psnr_db']['occluder in focus'] > splat['psnr_db']['occluder in focus'] > 40
    assert layered['times'][0]['size'] == [32, 24] and layered['times'][0]['ms'] > 0
    assert splat['times'][0]['gaussians'] >= 32 * 24 and 'gaussians' not in layered['times'][0]


def test_command_writes_what_it_prints(weights, tmp_path, capsys):
    path = tmp_path / 'deep' / 'out.json'
    arguments = ['network', '--weights', str(weights), '--size', '64', '48', '--frames', '2', '--json', str(path)]
    assert benchmark.main(arguments) == 0
    numbers = json.loads(path.read_text())
    assert numbers == json.loads(capsys.readouterr().out)
    assert numbers['suite'] == 'network' and len(numbers['weights_digest']) == 64 and numbers['machine']['cores'] >= 1


def test_command_names_what_is_missing(tmp_path, capsys, monkeypatch):
    missing = tmp_path / 'none.safetensors'
    assert benchmark.main(['network', '--weights', str(missing)]) == 1
    assert capsys.readouterr().err == f'benchmark: weights {missing} cannot be read: No such file or directory\n'
    monkeypatch.setattr(benchmark, 'find_spec', lambda name: None)
    assert benchmark.main(['node']) == 1
    sentence = 'benchmark: ROS 2 is missing: source a ROS installation, or install the extra ros-wheels\n'
    assert capsys.readouterr().err == sentence
