"""Options of the offline training: parts left out, re-blurring, motion, photographs and RGB-D folders."""

import itertools
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml

from dfd_depth_ros.cli.train import main
from dfd_depth_ros.networks.model import DfdModel, Distribution
from dfd_depth_ros.networks.posterior import centres
from dfd_depth_ros.optics.psf import blur
from dfd_depth_ros.optics.sensor import random_sensor
from dfd_depth_ros.optics.tone import from_srgb, to_srgb
from dfd_depth_ros.scenes import textures
from dfd_depth_ros.scenes.folders import write_frames
from dfd_depth_ros.scenes.frame import Frame
from dfd_depth_ros.training.ablation import LOSSES, PARTS, kept, take_out
from dfd_depth_ros.training.data import Batch, Batches, Pairs, Source, expose
from dfd_depth_ros.training.offline import Run, TrainConfig, train, train_on
from dfd_depth_ros.training.reblur import VARIANCES, blurred, gaussian, reblur_loss

pytestmark = pytest.mark.usefixtures('few_textures')
TINY = {'steps': 2, 'pairs': 2, 'fresh': 1, 'size': 32, 'validation_pairs': 2, 'validate_every': 2, 'workers': 0}


@pytest.fixture(scope='module')
def batch():
    pairs = Pairs(32, seed=1, length=2)
    return expose([pairs[i] for i in range(2)], np.random.default_rng(0))


@pytest.mark.parametrize('part', PARTS)
def test_training_goes_on_without_each_part(part, batch, tmp_path):
    run = Run(TrainConfig(**TINY, without=part), tmp_path, torch.device('cpu'))
    terms = train_on(run, batch)
    assert (
        set(terms) == {'blur', 'coc', 'side', 'outline', 'siamese'} - {part} and np.isfinite(list(terms.values())).all()
    )
    assert set(LOSSES) < set(PARTS) and kept({'a': 1, 'b': 2}, 'a') == {'b': 2}


def test_without_the_second_look_it_is_never_trusted(batch, tmp_path):
    run = Run(TrainConfig(**TINY, without='half size'), tmp_path, torch.device('cpu'))
    for _ in range(2):
        train_on(run, batch)
    assert run.model.trust.tolist() == [1.0, 0.0] and run.average.module.trust.tolist() == [1.0, 0.0]
    whole = Run(TrainConfig(**TINY), tmp_path, torch.device('cpu'))
    train_on(whole, batch)
    assert whole.model.trust.tolist() != [0.5, 0.5]


def test_without_the_lens_depth_net_reads_the_same_whatever_it_is_told(batch, tmp_path):
    """Only what lies beyond infinity still knows the lens, so logits are compared where both allow a class."""
    run = Run(TrainConfig(**TINY, learning_rate=0.05, warmup=1, without='lens'), tmp_path, torch.device('cpu'))
    whole = Run(TrainConfig(**TINY, learning_rate=0.05, warmup=1), tmp_path, torch.device('cpu'))
    other = batch.lens * torch.tensor([1.0, 1.5, 0.7, 1, 1])
    for each, alike in ((run, True), (whole, False)):
        for _ in range(2):
            train_on(each, batch)
        model = each.model.eval()
        with torch.no_grad():
            defocus = model.defocus_net(batch.image)
            one, two = (model.depth_net(defocus, lens)[0] for lens in (batch.lens, other))
        assert torch.allclose(one, two, atol=1e-4) == alike


def test_pictures_without_fringe_have_none():
    """Red, green and blue of a grey scene are blurred alike without it, and not with it."""
    fringed, plain = (list(Pairs(32, 5, 12, source=Source(fringe=fringe))) for fringe in (True, False))
    changed = [not torch.equal(fringed[i][0], plain[i][0]) for i in range(12)]
    assert 1 <= sum(changed) <= 11  # half of the lenses have fringes
    for i in range(12):
        torch.testing.assert_close(fringed[i][1], plain[i][1])
        green = fringed[i][0][:, 1].float(), plain[i][0][:, 1].float()
        torch.testing.assert_close(*green, atol=2e-2, rtol=2e-2)


def test_an_unknown_part_is_refused(tmp_path, capsys):
    config = tmp_path / 'a.yaml'
    config.write_text('without: everything\n')
    assert main(['--config', str(config), '--out', str(tmp_path / 'run')]) == 2
    names = 'siamese, side, blur, outline, half size, fringe, lens'
    assert capsys.readouterr().err == f"train: training without 'everything' is not known; there are {names}\n"


def read_as(coc: torch.Tensor, batch: Batch) -> Distribution:
    """A distribution that is sure of a CoC (B, 1, H, W)."""
    quarter = coc[..., 1::4, 1::4]
    logits = -(((centres(quarter) - quarter) / 0.15 / (1 + quarter.abs())) ** 2)
    belong = torch.zeros(len(quarter), 9, 16, *quarter.shape[-2:])
    belong[:, 4] = 20
    return Distribution(logits, belong, batch.lens, None)


@pytest.fixture
def flat():
    """One texture at CoC 2 and at CoC 5, as Gaussians."""
    light = from_srgb(torch.from_numpy(textures.random_texture(np.random.default_rng(4))[:64, :64]).permute(2, 0, 1))
    pictures = torch.stack([gaussian(light[None], (c / 4) ** 2)[0] for c in (2.0, 5.0)])
    coc = torch.tensor([2.0, -5.0])[:, None, None, None].expand(2, 1, 64, 64)
    return Batch(to_srgb(pictures.clamp(0, 1)), coc, torch.ones(2, 5))


def test_reblurring_prefers_the_truth(flat):
    right = float(reblur_loss(read_as(flat.coc, flat), flat))
    for wrong in ((1.0, 1.0), (5.0, 2.0), (2.0, 9.0), (2.0, 2.5)):
        coc = torch.tensor(wrong)[:, None, None, None].expand(2, 1, 64, 64)
        assert float(reblur_loss(read_as(coc, flat), flat)) > 1.2 * right


def test_reblurring_has_a_gradient_towards_the_truth(flat):
    coc = torch.tensor([2.0, 3.0])[:, None, None, None].expand(2, 1, 64, 64).clone().requires_grad_(True)
    (slope,) = torch.autograd.grad(reblur_loss(read_as(coc, flat), flat), coc)
    assert float(slope[1].sum()) < 0 < float(slope[0].sum())  # more blur in the second picture, less in the first


def test_blur_by_pixel_is_that_of_gaussians():
    torch.manual_seed(0)
    light = torch.rand(1, 2, 40, 40)
    for variance in VARIANCES[1:]:
        wanted = gaussian(light, variance)
        torch.testing.assert_close(blurred(light, torch.full((1, 1, 40, 40), variance)), wanted)
        kernel = np.exp(-(np.arange(-20, 21) ** 2) / (2 * variance))
        kernel = (kernel / kernel.sum()).astype(np.float32)
        slow = cv2.sepFilter2D(light[0, 0].numpy(), -1, kernel, kernel, borderType=cv2.BORDER_REPLICATE)
        np.testing.assert_allclose(wanted[0, 0].numpy(), slow, atol=3e-3)
    torch.testing.assert_close(blurred(light, torch.zeros(1, 1, 40, 40)), light)
    torch.testing.assert_close(
        blurred(light, torch.full((1, 1, 40, 40), 99.0)), gaussian(light, VARIANCES[-1]), atol=1e-5, rtol=1e-4
    )


def test_the_term_of_reblurring_is_there_when_asked_for(batch, tmp_path):
    run = Run(TrainConfig(**TINY, reblur=0.5), tmp_path, torch.device('cpu'))
    assert 'reblur' in train_on(run, batch)


def test_the_share_of_motion_is_what_was_asked_for():
    for share in (0.0, 0.3, 1.0):
        sensors = [random_sensor(np.random.default_rng(seed), share) for seed in range(300)]
        moved = [sensor.motion_px for sensor in sensors if sensor.motion_px]
        assert len(moved) / 300 == pytest.approx(share, abs=0.08)
        assert not moved or (min(moved) >= 1 and max(moved) <= 8 and 3.5 < np.mean(moved) < 5.5)


def test_motion_smears_pictures_and_leaves_the_label():
    pair = Pairs(32, 2, 4)[2]  # one with texture; on a bare wall noise decides
    still, moved = (expose([pair] * 16, np.random.default_rng(0), share) for share in (0.0, 1.0))
    labels = [batch.coc.abs().sum((1, 2, 3)).sort().values for batch in (still, moved)]
    torch.testing.assert_close(*labels)  # some are mirrored, and sums know the order
    assert float(moved.image.diff(dim=-1).abs().mean()) < 0.95 * float(still.image.diff(dim=-1).abs().mean())


def test_motion_reaches_the_batches():
    supply = [next(iter(Batches(32, 3, 4, 2, 8, source=Source(motion=share)))) for share in (0.0, 1.0)]
    assert not torch.equal(supply[0].image, supply[1].image)
    with pytest.raises(ValueError) as error:
        TrainConfig(motion=1.5)
    assert str(error.value) == 'motion is 1.5; it must lie between 0 and 1'
    with pytest.raises(ValueError, match='fixed is -0.1; it must lie between 0 and 1'):
        TrainConfig(fixed=-0.1)


def test_lenses_of_fixed_focus_are_only_there_where_asked_for():
    plain, none, all_fixed = (Pairs(32, 2, 6, source=source) for source in (Source(), Source(fixed=0), Source(fixed=1)))
    focus = [[pairs[i][2][:, 1] for i in range(6)] for pairs in (plain, none, all_fixed)]
    assert all(torch.equal(one, two) for one, two in zip(focus[0], focus[1], strict=True))
    assert not any(torch.equal(one, two) for one, two in zip(focus[0], focus[2], strict=True))


def test_photographs_of_a_folder_are_painted_with(tmp_path):
    (tmp_path / 'below').mkdir()
    for name, colour in (('a.png', (0, 0, 255)), ('below/b.JPG', (0, 0, 250))):
        cv2.imwrite(str(tmp_path / name), np.full((500, 450, 3), colour, np.uint8))
    (tmp_path / 'notes.txt').write_text('no picture')
    assert len(textures.photographs_in(str(tmp_path))) == 2
    painted = textures.photograph(np.random.default_rng(0), str(tmp_path))
    assert (
        painted.shape == (textures.SIZE, textures.SIZE, 3)
        and painted[..., 0].min() > 0.9
        and painted[..., 2].max() < 0.1
    )
    ours, theirs = (Pairs(32, 6, 2, source=Source(photographs=folder))[0][0] for folder in ('', str(tmp_path)))
    assert not torch.equal(ours, theirs)


def test_folders_without_photographs_are_refused(tmp_path, capsys):
    config = tmp_path / 'a.yaml'
    config.write_text(f'photographs: {tmp_path}\nworkers: 0\nsteps: 1\nsize: 32\nvalidation_pairs: 1\n')
    assert main(['--config', str(config), '--out', str(tmp_path / 'run')]) == 2
    kinds = '.jpg, .jpeg, .png, .tif, .tiff, .webp'
    assert capsys.readouterr().err.splitlines()[-1] == f'train: {tmp_path} has no photographs ({kinds})'
    (tmp_path / 'broken.png').write_text('no picture')
    with pytest.raises(ValueError) as error:
        textures.photograph(np.random.default_rng(0), str(tmp_path))
    assert str(error.value) == f'photograph {tmp_path / "broken.png"} is not a readable picture'


def test_training_on_an_rgbd_folder(tmp_path):
    rng = np.random.default_rng(0)
    depth = np.full((70, 80), 2.0, np.float32)
    depth[:, 40:] = 4.0
    write_frames(tmp_path / 'rgbd', [Frame('a', aif=rng.integers(0, 255, (70, 80, 3), dtype=np.uint8), depth=depth)])
    source = TrainConfig(**TINY, rgbd=(str(tmp_path / 'rgbd'),)).source()
    pairs = Pairs(32, 1, 8, source=source)
    light, coc, lens = pairs[1]
    inverse = lens[:, 1, None, None, None] - coc / lens[:, 0, None, None, None]
    levels = inverse.flatten().unique()
    assert all(min(abs(value - 0.5), abs(value - 0.25)) < 1e-3 for value in levels.tolist()) and light.isfinite().all()
    made_up = Pairs(32, 1, 8)
    torch.testing.assert_close(pairs[0][1].shape, made_up[0][1].shape)
    record = train(TrainConfig(**TINY, rgbd=(str(tmp_path / 'rgbd'),)), tmp_path / 'run')
    assert record['config']['rgbd'] == [str(tmp_path / 'rgbd')] and np.isfinite(record['validation']['log_depth'])
    again = train(TrainConfig(**{**TINY, 'steps': 4}, rgbd=(str(tmp_path / 'rgbd'),)), tmp_path / 'run')
    assert again['config']['rgbd'] == [str(tmp_path / 'rgbd')]


def test_runs_on_the_same_batches_learn_the_same(tmp_path):
    batches = list(itertools.islice(Batches(32, 3, 2, 1, 8), 2))
    one, two = (train(TrainConfig(**TINY), tmp_path / name, batches=batches) for name in 'ab')
    assert one['digest'] != '' and one['validation'] == two['validation']
    made = train(TrainConfig(**TINY, seed=3), tmp_path / 'c')
    assert made['validation'] != one['validation']


def test_what_is_taken_out_is_taken_out_of_any_model():
    model = DfdModel()
    take_out(model, '')
    assert model.trust.requires_grad and model.trust.tolist() == [0.5, 0.5]
    picture = torch.rand(1, 32, 32)
    torch.testing.assert_close(blur(picture, torch.tensor([0.0])), picture, atol=1e-6, rtol=0)


def by_part(path: Path) -> tuple[str, int]:
    """Name of the network and number of the part, 10 after 9."""
    name, number = re.match(r'(dfd_[a-z]+)_(\d+)_', path.name).groups()
    return name, int(number)


def test_committed_configurations_follow_each_other():
    """Each part of a training starts from what the part before it wrote, as the command in its first lines says."""
    files = sorted(Path(__file__).parents[1].glob('config/train/dfd_*.yaml'), key=by_part)
    written = {''}
    for path in files:
        config = TrainConfig(**yaml.safe_load(path.read_text()))
        out = re.search(rf'train --config config/train/{path.name} --out (runs/\S+)', path.read_text())[1]
        assert config.start in written and config.architecture == path.stem[: len('dfd_small')].rstrip('_')
        written.add(f'{out}/best.safetensors')
    assert len(files) >= 7


def test_a_folder_without_models_is_refused(tmp_path, capsys):
    pytest.importorskip('embreex')
    config = tmp_path / 'a.yaml'
    config.write_text(f'models: {tmp_path}\nworkers: 0\nsteps: 1\nsize: 32\nvalidation_pairs: 1\n')
    assert main(['--config', str(config), '--out', str(tmp_path / 'run')]) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith(f'train: {tmp_path} has no models (.obj) of')
