"""Training over video: its data, two steps of every configuration, resuming, and bad input."""

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
import yaml

from dfd_depth_ros.cli.train import main
from dfd_depth_ros.networks.model import DfdModel
from dfd_depth_ros.networks.weights import VIDEO, load_weights, save_weights
from dfd_depth_ros.paths import resolve_path
from dfd_depth_ros.scenes import textures
from dfd_depth_ros.training import video
from dfd_depth_ros.training.schedule import rate
from dfd_depth_ros.training.video import SYSTEMS, VideoConfig, VideoRun, batches, depths, losses, settle, train_video
from dfd_depth_ros.training.video_data import Video, kept_video, make_video

SHIPPED = sorted(resolve_path('config/train').glob('video_*.yaml'))
SIZE = (32, 48)


@pytest.fixture(scope='module')
def place(tmp_path_factory):
    """A folder with a small reader and two small clips; all tests share them."""
    folder = tmp_path_factory.mktemp('video')
    torch.manual_seed(0)
    reader = DfdModel()
    save_weights(folder / 'reader.safetensors', reader, {})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(textures, 'COUNT', 6)
        kept_video(folder / 'clips.pt', reader, SIZE, 3, 2, 0)
    return folder


@pytest.fixture(scope='module')
def clips(place):
    return Video(**torch.load(place / 'clips.pt', weights_only=True)['video'])


def tiny(place, **values) -> VideoConfig:
    fixed = {'size': SIZE, 'frames': 3, 'clips': 2, 'batch': 2, 'steps': 2, 'warmup': 1, 'save_every': 1}
    files = {'data': str(place / 'clips.pt'), 'reader': str(place / 'reader.safetensors')}
    return VideoConfig(**fixed | files | values)


def test_data_have_the_shapes_that_they_claim(clips):
    shapes = {name: tuple(getattr(clips, name).shape) for name in asdict(clips)}
    assert shapes == {
        'image': (2, 3, 3, *SIZE),
        'inverse_depth': (2, 3, 1, *SIZE),
        'lens': (2, 3, 5),
        'pose': (2, 3, 4, 4),
        'reading': (2, 3, 3, *SIZE),
    }
    chosen = clips.chosen(torch.tensor([1]), torch.tensor([2, 0]))
    assert len(clips) == 2 and len(chosen) == 1
    assert torch.equal(chosen.image[0, 0], clips.image[1, 2].float() / 255) and chosen.reading.dtype == torch.float32
    assert torch.equal(chosen.pose[0, 1], clips.pose[1, 0])


def test_kept_clips_are_those_that_were_made(place, clips, monkeypatch):
    monkeypatch.setattr('dfd_depth_ros.training.video_data.make_video', lambda *_: pytest.fail('made again'))
    again = kept_video(place / 'clips.pt', DfdModel(), SIZE, 3, 2, 0)
    assert torch.equal(again.image, clips.image)


def test_clips_of_another_kind_are_refused(place):
    with pytest.raises(ValueError) as error:
        kept_video(place / 'clips.pt', DfdModel(), SIZE, 3, 5, 0)
    about = "{'size': [32, 48], 'frames': 3, 'count': %d, 'seed': 0}"
    path = place / 'clips.pt'
    assert str(error.value) == f'{path} holds clips of {about % 2}, not of {about % 5}; choose another file'


def test_the_same_seed_makes_the_same_clips(place, clips, monkeypatch):
    monkeypatch.setattr(textures, 'COUNT', 6)
    reader = load_weights(place / 'reader.safetensors')[0]
    again = make_video(reader, SIZE, 3, 1, 0)
    assert torch.equal(again.image[0], clips.image[0]) and torch.equal(again.reading[0], clips.reading[0])


@pytest.mark.parametrize('defocus', [False, True])
@pytest.mark.parametrize('system', SYSTEMS)
def test_two_steps_of_every_system(place, tmp_path, system, defocus):
    record = train_video(tiny(place, system=system, defocus=defocus), tmp_path / 'run')
    assert record['step'] == 2 and all(np.isfinite(value) for value in record['losses'].values())
    assert {name for name, _ in SYSTEMS[system].weights} == set(record['losses'])
    model, kept, digest = load_weights(tmp_path / 'run' / 'best.safetensors', VIDEO)
    assert (model.defocus, model.packed, model.recurrent) == (defocus, system == 'packnet', system == 'm4depth')
    assert digest == record['digest'] and kept['config']['system'] == system
    assert float(model.head.weight.detach().abs().max()) > 0  # it has learned something
    assert len((tmp_path / 'run' / 'log.jsonl').read_text().splitlines()) == 2


def test_gradients_reach_depth_and_where_it_is_learned_the_pose(place, tmp_path, clips):
    video_batch = clips.chosen(torch.tensor([0, 1]), torch.arange(3))
    for system, learned in (('monodepth2', False), ('packnet', True)):
        run = VideoRun(tiny(place, system=system), tmp_path, torch.device('cpu'))
        torch.nn.init.ones_(run.pose_net.head.bias)  # a camera at rest says nothing of depth
        sum(losses(run, video_batch).values()).backward()
        assert (run.pose_net.head.weight.grad is not None) == learned
        assert float(run.model.head.weight.grad.abs().max()) > 0


def test_no_loss_sees_true_depth(place, tmp_path, clips):
    batch = clips.chosen(torch.tensor([0, 1]), torch.arange(3))
    blind = replace(batch, inverse_depth=torch.full_like(batch.inverse_depth, torch.nan))
    for system in SYSTEMS:
        run = VideoRun(tiny(place, system=system, defocus=True), tmp_path, torch.device('cpu'))
        run.model.eval(), run.pose_net.eval()
        one, other = losses(run, batch), losses(run, blind)
        assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_recurrent_model_sees_frames_in_their_order(place, tmp_path, clips):
    run = VideoRun(tiny(place, system='m4depth'), tmp_path, torch.device('cpu'))
    torch.nn.init.normal_(run.model.head.weight, std=0.1)
    model, batch = run.model.eval(), clips.chosen(torch.tensor([0]), torch.arange(3))
    motions = {(t, t + 1): torch.eye(4)[None] for t in range(2)}
    whole = depths(model, batch, motions)
    assert torch.allclose(whole[:, :2], depths(model, clips.chosen(torch.tensor([0]), torch.arange(2)), motions))
    assert whole.shape == (1, 3, 1, *SIZE)


def test_normalisation_settles_on_the_mean_of_several_batches(place, tmp_path, clips, monkeypatch):
    monkeypatch.setattr(video, 'SETTLING', 3)
    config = tiny(place, system='m4depth', batch=1)
    run = VideoRun(config, tmp_path, torch.device('cpu'))
    convolution, normalisation = run.model.features[0][:2]
    run.model.train()
    means = []
    handle = convolution.register_forward_hook(lambda *arguments: means.append(arguments[2].mean((0, 2, 3)).detach()))
    settle(run, clips)
    handle.remove()
    assert len(means) == 3 * 2 * 2  # batches, frames with a past, and features of both pictures
    assert torch.allclose(normalisation.running_mean, torch.stack(means).mean(0), atol=1e-6)
    before = normalisation.running_mean.clone()
    settle(run, clips)
    assert torch.equal(normalisation.running_mean, before)


def test_every_system_gets_the_same_batches(place, clips):
    one, other = (next(batches(clips, tiny(place, system=name), 7)) for name in ('monodepth2', 'm4depth'))
    assert torch.equal(one.image, other.image) and torch.equal(one.pose, other.pose)
    order = [next(batches(clips, tiny(place), step)).pose[0, 0, 0, 3].item() for step in range(12)]
    assert len(set(order)) > 1  # clips and directions of time differ


def test_a_run_goes_on_where_it_stopped(place, tmp_path, monkeypatch):
    whole = train_video(tiny(place, steps=3), tmp_path / 'whole')
    config, torn = tiny(place, steps=3), iter(range(2))

    def cut(*arguments):
        for batch in batches(*arguments):
            if next(torn, None) is None:
                raise KeyboardInterrupt
            yield batch

    with monkeypatch.context() as patch:
        patch.setattr(video, 'batches', cut)
        with pytest.raises(KeyboardInterrupt):
            train_video(config, tmp_path / 'cut')
    assert train_video(config, tmp_path / 'cut')['losses'] == whole['losses']
    assert (
        train_video(config, tmp_path / 'cut')['digest']
        == json.loads((tmp_path / 'cut' / 'best.json').read_text())['digest']
    )


def test_a_folder_with_another_run_is_refused(place, tmp_path):
    train_video(tiny(place), tmp_path)
    with pytest.raises(ValueError) as error:
        train_video(tiny(place, learning_rate=0.5), tmp_path)
    assert str(error.value) == f'{tmp_path} holds a run with other settings; choose another folder'


@pytest.mark.parametrize(
    ('values', 'sentence'),
    [
        ({'system': 'midas'}, "unknown video system 'midas'; there are monodepth2, packnet, sc_depth, m4depth"),
        ({'size': (30, 48)}, 'clip size (30, 48) is not two multiples of 16'),
        ({'size': (32,)}, 'clip size (32,) is not two multiples of 16'),
        ({'frames': 1}, 'clips of 1 frames were asked for; depth over video needs at least two'),
        ({'batch': 3}, 'batch is 3; it must lie between 1 and clips = 2'),
    ],
)
def test_wrong_settings_are_refused(place, values, sentence):
    with pytest.raises(ValueError) as error:
        tiny(place, **values)
    assert str(error.value) == sentence


def test_train_takes_a_video_configuration(place, tmp_path, capsys):
    config = tmp_path / 'video.yaml'
    values = asdict(tiny(place, defocus=True))
    config.write_text(yaml.safe_dump(values | {'size': list(values['size'])}))
    arguments = ['--config', str(config), '--out', str(tmp_path / 'run'), '--json', str(tmp_path / 'out.json')]
    assert main([*arguments, '--steps', '1']) == 0
    assert json.loads((tmp_path / 'out.json').read_text())['step'] == 1
    config.write_text('system: monodepth2\nepochs: 3\n')
    assert main(arguments) == 2
    assert capsys.readouterr().err.endswith(f'train: {config} has unknown settings: epochs\n')


@pytest.mark.parametrize('path', SHIPPED, ids=lambda path: path.stem)
def test_the_shipped_settings_are_settings(path):
    config = VideoConfig(**yaml.safe_load(path.read_text()))
    assert path.stem == f'video_{config.system}' + ('_defocus' if config.defocus else '')
    assert replace(config, system='monodepth2', defocus=False) == VideoConfig(steps=400)


def test_every_system_has_both_settings():
    assert len(SHIPPED) == 2 * len(SYSTEMS)


def test_the_rate_warms_up_and_falls():
    assert rate(0, 100, 10) == pytest.approx(0.1) and rate(9, 100, 10) > 0.95
    assert rate(50, 100, 10) == pytest.approx(0.51) and rate(100, 100, 10) == pytest.approx(0.02)
