"""Offline training: its data, its losses, its loop and its checkpoints."""

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml

from dfd_depth_ros.cli.train import main
from dfd_depth_ros.networks.defocus import Defocus
from dfd_depth_ros.networks.model import DfdModel, Distribution, Prediction
from dfd_depth_ros.networks.posterior import BINS, centres
from dfd_depth_ros.networks.weights import load_weights
from dfd_depth_ros.paths import resolve_path
from dfd_depth_ros.training import losses, offline
from dfd_depth_ros.training.data import Batch, Batches, Pairs, _random_fringe, expose
from dfd_depth_ros.training.offline import TrainConfig, train
from dfd_depth_ros.training.validation import calibrate_sigma, validate

pytestmark = pytest.mark.usefixtures('few_textures')
TINY = {'steps': 4, 'pairs': 2, 'fresh': 1, 'size': 32, 'validation_pairs': 2, 'validate_every': 2, 'workers': 0}


@pytest.fixture(scope='module')
def batch():
    pairs = Pairs(64, seed=1, length=3)
    return expose([pairs[i] for i in range(3)], np.random.default_rng(0))


def perfect(batch: Batch, error=0.0, sigma=0.1) -> Prediction:
    """What a model would read that knows the truth but for this error."""
    coc = batch.coc + error
    quarter = coc[..., 1::4, 1::4]
    defocus = Defocus(quarter, quarter.abs(), quarter, quarter, quarter)
    return Prediction(coc, torch.full_like(coc, sigma), (coc > 0).float(), coc, batch.lens, defocus)


def certain(batch: Batch, error=0.0, width=0.3) -> Distribution:
    """A distribution around the truth but for this error."""
    quarter = (batch.coc + error)[..., 1::4, 1::4]
    logits = -(((centres(quarter) - quarter) / width / (1 + quarter.abs())) ** 2)
    belong = torch.zeros(len(quarter), 9, 16, *quarter.shape[-2:])
    belong[:, 4] = 20  # each pixel to its own cell
    defocus = Defocus(logits, quarter.abs(), quarter, quarter, quarter)
    return Distribution(logits, belong, batch.lens, defocus)


def test_a_seed_names_a_pair():
    one, two = (Pairs(32, seed=7, length=4) for _ in range(2))
    for a, b in zip(one[2], two[2], strict=True):
        assert torch.equal(a, b)
    later = Pairs(32, seed=7, length=2, first=2)
    assert torch.equal(later[0][1], one[2][1])
    with pytest.raises(IndexError):
        later[2]


def test_pairs_show_one_scene_through_one_lens_at_two_settings(batch):
    assert batch.image.shape == (6, 3, 64, 64) and batch.coc.shape == (6, 1, 64, 64) and batch.lens.shape == (6, 5)
    assert float(batch.image.min()) >= 0 and float(batch.image.max()) <= 1
    gain, focus = (batch.lens[:, i, None, None] for i in (0, 1))
    inverse = focus - batch.coc[:, 0] / gain
    torch.testing.assert_close(inverse[0::2], inverse[1::2], atol=1e-4, rtol=1e-4)
    assert float((batch.coc[0::2] - batch.coc[1::2]).abs().mean()) > 0.1


def test_rays_of_a_window_are_those_of_its_scene():
    """Neighbouring columns of a wall that meets the axis at a right angle have one depth: with the rays of the labels,
    each room wall is a plane."""
    pairs, flat = Pairs(64, seed=4, length=6), []
    for i in range(6):
        _, coc, lens = pairs[i]
        gain, focus, fx, x, y = lens[0].tolist()
        inverse = focus - coc[0, 0].double() / gain
        rows, columns = torch.meshgrid(*[torch.arange(64.0)] * 2, indexing='ij')
        rays = torch.stack([(columns - x) / fx, (rows - y) / fx, torch.ones(64, 64)], -1).double()
        window = np.s_[:8, :8]
        plane = torch.linalg.lstsq(rays[window].reshape(-1, 3), inverse[window].reshape(-1, 1))  # n . ray = 1 / depth
        error = rays[window].reshape(-1, 3) @ plane.solution - inverse[window].reshape(-1, 1)
        flat.append(float(error.abs().max()) < 1e-4)
    assert sum(flat) >= 4


def test_a_mirrored_pair_has_a_mirrored_axis():
    pair = Pairs(32, seed=1, length=1)[0]
    batches = [expose([pair], np.random.default_rng(seed)) for seed in range(8)]
    places = {round(float(batch.lens[0, 3]), 3) for batch in batches}
    x = float(pair[2][0, 3])
    assert places == {round(x, 3), round(31 - x, 3)}


def test_blur_in_the_picture_follows_the_label():
    """Of two pictures of a scene, the one with the smaller mean |CoC| has the stronger gradients."""
    pairs, agree = Pairs(64, seed=2, length=16), []
    for i in range(16):
        light, coc, _ = pairs[i]
        sharpness = light.float().diff(dim=-1).square().mean((1, 2, 3))
        blur = coc.abs().mean((1, 2, 3))
        if float((blur[0] - blur[1]).abs()) > 1:
            agree.append(bool((sharpness[0] > sharpness[1]) == (blur[0] < blur[1])))
    assert len(agree) > 4 and np.mean(agree) > 0.8


def test_fringes_are_green_behind_focus():
    fringes = np.array([_random_fringe(np.random.default_rng(seed)) for seed in range(400)])
    red, green, blue = fringes.T
    assert (green == 0).all() and 0.4 < (red == 0).mean() < 0.6
    assert (red[red != 0] < 0).mean() > 0.8 and np.mean(blue[red != 0]) < -0.05 and abs(fringes).max() < 1


def test_batches_go_on_where_they_stopped_and_remember():
    one = list(itertools.islice(Batches(32, 3, count=3, fresh=1, capacity=8), 4))
    assert one[0].image.shape == (6, 3, 32, 32) and one[0].lens.shape == (6, 5)
    again = list(itertools.islice(Batches(32, 3, count=3, fresh=1, capacity=8), 4))
    assert all(torch.equal(a.image, b.image) for a, b in zip(one, again, strict=True))
    later = next(iter(Batches(32, 3, count=3, fresh=1, capacity=8, first=2)))
    assert torch.equal(later.lens[:2, :2], one[2].lens[:2, :2])  # the axis may be mirrored
    fresh = {tuple(batch.lens[0, :2].tolist()) for batch in one}
    assert {tuple(lens.tolist()) for lens in one[3].lens[0::2, :2]} <= fresh


def test_memory_of_batches_is_bounded():
    batches = list(itertools.islice(Batches(32, 3, count=6, fresh=1, capacity=2), 5))
    last = [tuple(batch.lens[0, :2].tolist()) for batch in batches[-2:]]
    assert {tuple(lens.tolist()) for lens in batches[-1].lens[0::2, :2]} <= set(last)


def test_every_loss_prefers_the_truth(batch):
    right, wrong = losses.total(certain(batch), batch), losses.total(certain(batch, error=2.0), batch)
    for name in ('blur', 'coc', 'side', 'outline'):
        assert wrong[name] > right[name] + 0.05


def test_log_depth_of_the_truth_and_of_an_error(batch):
    assert float(losses.log_depth_loss(perfect(batch), batch)) == pytest.approx(0, abs=1e-6)
    assert float(losses.log_depth_loss(perfect(batch, error=1.0), batch)) > 0.01


def test_outline_loss_trains_nothing_but_the_way_to_pixels(batch):
    found = certain(batch)
    found.logits.requires_grad_(True), found.belong.requires_grad_(True)
    losses.outline_loss(found, batch.coc).backward()
    assert found.logits.grad is None and bool(found.belong.grad.any())


def test_siamese_loss_sees_disagreement(batch):
    agree = losses.siamese_loss(certain(batch, width=0.05), batch.lens)
    found = certain(batch, width=0.05)
    logits = found.logits.clone()
    logits[0::2] = logits[0::2].roll(3, 1)
    disagree = losses.siamese_loss(replace(found, logits=logits), batch.lens)
    assert float(disagree) > float(agree) + 0.1
    assert found.logits.shape[1] == BINS


def test_validation_of_the_truth_and_sigma_calibration(batch):
    model = Told(perfect(batch, error=0.0))
    numbers = validate(model, [batch])
    assert numbers['coc_mae'] == 0 and numbers['sign_accuracy'] == 1 and numbers['coverage_1sigma'] == 1
    noise = torch.randn(batch.coc.shape, generator=torch.Generator().manual_seed(0))
    model = Told(perfect(batch, error=0.8 * noise, sigma=0.2))
    scale = calibrate_sigma(model, [batch])
    assert scale == pytest.approx(4.0, rel=0.05)
    model.prediction = replace(model.prediction, sigma=model.prediction.sigma * scale)
    assert validate(model, [batch])['coverage_1sigma'] == pytest.approx(0.683, abs=0.02)


class Told(torch.nn.Module):
    """A model that knows its answer."""

    def __init__(self, prediction):
        super().__init__()
        self.prediction, self.sigma_scale = prediction, torch.ones(())

    def forward(self, image, lens, side='both'):
        """Whatever it sees."""
        return self.prediction


def test_training_runs_stops_resumes_and_writes_weights(tmp_path):
    config = TrainConfig(**TINY)
    train(replace(config, steps=2), tmp_path)
    record = train(config, tmp_path)
    steps = [json.loads(line)['step'] for line in (tmp_path / 'log.jsonl').read_text().splitlines()]
    assert steps == [2, 4]
    model, saved, digest = load_weights(tmp_path / 'best.safetensors')
    assert digest == record['digest'] and saved['config']['size'] == 32
    assert float(model.sigma_scale) > 0
    assert list((tmp_path / 'tensorboard').iterdir())
    with pytest.raises(ValueError, match=r'holds a run with other settings \(seed\); choose another folder'):
        train(replace(config, seed=9), tmp_path)


def test_an_interrupted_training_goes_on_from_its_last_checkpoint(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(offline, 'SAVE_EVERY', 2)
    config = tmp_path / 'config.yaml'
    config.write_text(yaml.safe_dump(TINY | {'steps': 4, 'validate_every': 100}))
    step = offline.train_on

    def interrupted(run, batch):
        if run.step == 3:
            raise KeyboardInterrupt
        return step(run, batch)

    monkeypatch.setattr(offline, 'train_on', interrupted)
    command = ['--config', str(config), '--out', str(tmp_path / 'run')]
    assert main(command) == 130
    assert capsys.readouterr().err.endswith('train: interrupted; the same command goes on from the last checkpoint\n')
    assert torch.load(tmp_path / 'run' / 'last.pt', weights_only=True)['step'] == 2
    monkeypatch.setattr(offline, 'train_on', step)
    assert main(command) == 0
    assert json.loads((tmp_path / 'run' / 'best.json').read_text())['step'] == 4


def test_training_can_start_from_weights(tmp_path):
    config = TrainConfig(**TINY | {'steps': 2})
    train(config, tmp_path / 'first')
    start = str(tmp_path / 'first' / 'best.safetensors')
    train(replace(config, start=start, learning_rate=1e-9), tmp_path / 'second')
    first, second = (load_weights(tmp_path / n / 'best.safetensors')[0] for n in ('first', 'second'))
    for name, value in first.named_parameters():
        torch.testing.assert_close(second.get_parameter(name), value, atol=1e-5, rtol=1e-4)
    with pytest.raises(ValueError, match='none.safetensors cannot be read'):
        train(replace(config, start=str(tmp_path / 'none.safetensors')), tmp_path / 'third')


def test_the_shipped_settings_are_settings():
    for path in sorted(resolve_path('config/train').glob('dfd_*.yaml')):
        TrainConfig(**yaml.safe_load(path.read_text()))


def test_a_seed_names_a_run(tmp_path):
    config = TrainConfig(**TINY | {'steps': 2})
    for name in 'ab':
        train(config, tmp_path / name)
    first, second = (load_weights(tmp_path / name / 'best.safetensors')[0].state_dict() for name in 'ab')
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_training_learns(tmp_path):
    """A few dozen steps on one batch bring the loss well down: gradients reach what they should."""
    torch.manual_seed(0)
    pairs = Pairs(64, seed=3, length=2)
    batch = expose([pairs[0], pairs[1]], np.random.default_rng(0))
    model = DfdModel()
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    course = []
    for _ in range(40):
        loss = sum(losses.total(model.distribution(batch.image, batch.lens), batch).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        course.append(float(loss.detach()))
    assert course[-1] < 0.6 * course[0]


@pytest.mark.parametrize(
    'text, message',
    [
        ('size: 50', 'train: crop size 50 is not a multiple of 32'),
        ('fresh: 9', 'train: fresh is 9; it must lie between 1 and pairs = 6'),
        ('colour: red', 'has unknown settings: colour'),
    ],
)
def test_wrong_settings(tmp_path, capsys, text, message):
    (tmp_path / 'c.yaml').write_text(text)
    assert main(['--config', str(tmp_path / 'c.yaml'), '--out', str(tmp_path / 'run')]) == 2
    assert message in capsys.readouterr().err


def test_missing_settings_file(tmp_path, capsys):
    assert main(['--config', str(tmp_path / 'none.yaml')]) == 2
    assert 'No such file' in capsys.readouterr().err
