"""Suite `coded`: what its patches hold, what its masks may do, and its picture."""

import json

import numpy as np
import pytest
import torch

from dfd_depth_ros.benchmarks import coded
from dfd_depth_ros.benchmarks.coded import CAMERA, EACH, LEVELS, PATCH, all_optics, patches, without_focus
from dfd_depth_ros.cli import benchmark
from dfd_depth_ros.networks.model import DfdModel
from dfd_depth_ros.networks.weights import save_weights
from dfd_depth_ros.optics.aperture import Aperture
from dfd_depth_ros.optics.wavefront import PhaseMask


@pytest.fixture(scope='module')
def light():
    return torch.rand(3, coded.SIZE, coded.SIZE, generator=torch.Generator().manual_seed(0)) * 0.5


@pytest.mark.parametrize('name', all_optics())
def test_patches_are_balanced_and_the_same_for_a_seed(name, light):
    optics = all_optics()[name]
    one, two = (patches(optics, light, np.random.default_rng(3)) for _ in range(2))
    assert one[0].shape == (LEVELS * EACH, 1, PATCH, PATCH) and float(one[1].mean()) == 0.5
    assert torch.equal(one[0], two[0]) and bool(one[0].isfinite().all())


def test_all_optics_see_the_same_places_and_sides(light):
    seen = [patches(optics, light, np.random.default_rng(5)) for optics in all_optics().values()]
    means = [picture.mean((1, 2, 3)).detach() for picture, _ in seen]
    for mean, (_, far) in zip(means, seen, strict=True):
        assert torch.equal(far, seen[0][1]) and float((mean - means[0]).abs().max()) < 0.03


def test_an_open_disc_shows_the_two_sides_alike_and_a_lopsided_one_turned():
    optics = all_optics()
    near, far = (coded._spread(optics['open disc'].lens(None), coc) for coc in (-6.0, 6.0))
    torch.testing.assert_close(near, far)
    near, far = (coded._spread(optics["cat's eye"].lens(None), coc) for coc in (-6.0, 6.0))
    assert float((near - far).abs().sum()) > 0.1
    turned = far.flip(0, 1).roll((1, 1), (0, 1))  # about the point, which is no middle of 24 pixels
    torch.testing.assert_close(near, turned, atol=2e-3, rtol=0)


def test_less_light_means_more_noise():
    flat = torch.full((1, coded.SIZE, coded.SIZE), 0.2)
    optics = all_optics()
    spreads = {name: float(patches(optics[name], flat, np.random.default_rng(0))[0].std()) for name in optics}
    assert spreads["cat's eye"] > 1.15 * spreads['open disc'] > 0
    assert spreads['learned phase'] == pytest.approx(spreads['open disc'], rel=0.1)
    assert float(optics["cat's eye"].light(None)) == pytest.approx(0.62, abs=0.02)


def test_phases_that_are_learned_do_not_move_the_focus():
    radius = (torch.arange(8) + 0.5) / 8
    for moved in (radius.square() * 9, torch.full((8,), 2.0)):
        torch.testing.assert_close(without_focus(moved), torch.zeros(8), atol=1e-4, rtol=0)
    bent = torch.randn(8, generator=torch.Generator().manual_seed(1))
    kept = without_focus(bent)
    for basis in (torch.ones(8), radius.square()):
        assert float((kept * basis * radius).sum()) == pytest.approx(0, abs=1e-5)
    torch.testing.assert_close(without_focus(kept), kept, atol=1e-5, rtol=0)
    assert float(kept.abs().max()) > 0.1


@pytest.mark.parametrize(('name', 'kind'), [('learned amplitude', Aperture), ('learned phase', PhaseMask)])
def test_gradients_reach_the_mask(name, kind, light):
    optics = all_optics()[name]
    optics.values.requires_grad_(True)
    assert isinstance(optics.lens(optics.values), kind)
    seen, far = patches(optics, light, np.random.default_rng(0))
    (seen * (far[:, None, None, None] - 0.5)).var().backward()
    assert float(optics.values.grad.abs().max()) > 0


def test_training_moves_masks_and_a_spherical_wavefront_is_told_from_its_mirror(light):
    """Two steps move what is learned; the two sides of a lens with strong spherical aberration blur so differently that
    the contrast of a patch alone tells them apart."""
    optics = all_optics()['learned phase']
    before = optics.values.clone()
    coded._trained(optics, light, 2, 0)
    assert not torch.equal(before, optics.values) and not optics.values.requires_grad
    optics.values = 12 * ((torch.arange(8) + 0.5) / 8) ** 4
    near, far = (coded._spread(optics.lens(optics.values), coc) for coc in (-6.0, 6.0))
    assert abs(float(near.max()) / float(far.max()) - 1) > 0.3


def test_the_suite_counts_and_draws(tmp_path, monkeypatch, capsys):
    weights = tmp_path / 'a.safetensors'
    save_weights(weights, DfdModel(), {})
    monkeypatch.setattr(coded, '_textures', lambda rng, count: torch.rand(2, coded.SIZE, coded.SIZE) * 0.5)
    figure, numbers = tmp_path / 'out' / 'a.png', tmp_path / 'a.json'
    arguments = ['coded', '--weights', str(weights), '--device', 'cpu', '--steps', '2']
    assert benchmark.main([*arguments, '--figure', str(figure), '--json', str(numbers)]) == 0
    found = json.loads(numbers.read_text())
    assert set(found['optics']) == set(all_optics()) and found['steps'] == 2 and found['f_number'] == CAMERA['f_number']
    for row in found['optics'].values():
        assert 0 <= row['sign_accuracy'] <= 1 and 0 < row['light'] <= 1
        assert row['patches'] == 32 * LEVELS * EACH and row['sigma'] <= 0.5 / row['patches'] ** 0.5 + 1e-9
    assert figure.read_bytes()[:4] == b'\x89PNG'
