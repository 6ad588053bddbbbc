"""Both networks and their weights on disk."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from dfd_depth_ros.networks.cues import LocalSpectrum
from dfd_depth_ros.networks.defocus import CameraSummary, Defocus
from dfd_depth_ros.networks.depth import _rays, lens_state
from dfd_depth_ros.networks.model import ARCHITECTURES, DfdModel, to_pixels
from dfd_depth_ros.networks.weights import WeightsError, load_weights, save_weights
from dfd_depth_ros.optics.lens import Lens
from dfd_depth_ros.optics.psf import blur

LENS = torch.tensor([[12.4, 0.6, 80.0, 31.5, 31.5]])


@pytest.fixture(scope='module')
def model():
    """Random weights, also in the head that starts at zero."""
    torch.manual_seed(0)
    model = DfdModel().eval()
    torch.nn.init.normal_(model.depth_net.head.weight, std=0.1)
    return model


@pytest.fixture
def weights(tmp_path, model):
    save_weights(tmp_path / 'small.safetensors', model, {'steps': 3})
    return tmp_path / 'small.safetensors'


@pytest.mark.parametrize('name', ARCHITECTURES)
def test_at_most_five_million_parameters(name):
    assert sum(p.numel() for p in DfdModel(name).parameters()) <= 5_000_000


@pytest.mark.parametrize('size', [(1, 1), (7, 50), (64, 96), (100, 75)])
def test_any_size_gives_maps_of_that_size(model, size):
    with torch.inference_mode():
        out = model(torch.rand(2, 3, *size), LENS.expand(2, -1))
    for value in (out.coc, out.sigma, out.far):
        assert value.shape == (2, 1, *size) and bool(value.isfinite().all())
    assert bool((out.sigma > 0).all()) and bool((out.defocus.magnitude >= 0).all())
    assert bool((out.far >= 0).all()) and bool((out.far <= 1).all())


def test_the_lens_matters_to_depth_and_not_to_blur(model):
    image = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        one, other = model(image, LENS), model(image, torch.tensor([[40.0, 0.2, 80.0, 31.5, 31.5]]))
    assert torch.equal(one.defocus.magnitude, other.defocus.magnitude)
    assert not torch.allclose(one.coc, other.coc)


def test_rays_are_tangents_of_the_angles_to_the_axis():
    lens = Lens.focused_at(2.0, focal_length_m=0.05, f_number=2.0, pixel_pitch_m=1e-4)  # 500 pixels
    state = torch.tensor([lens_state(lens, 40, 64)])
    assert state[0].tolist() == pytest.approx([lens.gain, 0.5, 500.0, 31.5, 19.5], rel=1e-5)
    cells = torch.zeros(1, 1, 10, 16)
    right, down = _rays(Defocus(cells, cells, cells, cells, cells), state)
    assert float(right[..., 0]) == pytest.approx((1.5 - 31.5) / 500) and float(right[..., -1]) == -float(right[..., 0])
    assert down.shape == (1, 1, 10, 1) and float(down[..., 9, 0]) == pytest.approx((37.5 - 19.5) / 500)
    assert lens_state(lens, 40, 64, (3.0, 4.0))[3:] == [3.0, 4.0]


def test_folding_normalisation_changes_nothing():
    torch.manual_seed(1)
    model = DfdModel()
    for _ in range(2):  # so that running statistics differ from their start
        model.train()(torch.rand(2, 3, 64, 64), LENS.expand(2, -1))
    image = torch.rand(1, 3, 64, 96)
    with torch.inference_mode():
        before = model.eval()(image, LENS).coc
        after = model.for_inference()(image, LENS).coc
    torch.testing.assert_close(before, after, atol=1e-4, rtol=1e-4)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in model.modules())


def test_every_parameter_gets_a_gradient(model):
    out = model(torch.rand(2, 3, 64, 64), LENS.expand(2, -1))
    (out.coc.sum() + out.sigma.log().sum() + out.far.sum() + out.defocus.log_sigma.sum()).backward()
    learned = [p for p in model.parameters() if p.requires_grad]
    others = {name.split('.')[0] for name, p in model.named_parameters() if not p.requires_grad}
    assert others == {'residual', 'context_net'}  # for online learning; and the features, which stay as they are
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) and bool(p.grad.any()) for p in learned)
    model.zero_grad(set_to_none=True)


def test_what_the_camera_does_is_told_to_every_place():
    """Sharpness in one corner is heard in the other, far beyond what convolutions reach, and scales and shifts it."""
    torch.manual_seed(0)
    summary, x = CameraSummary(4), torch.rand(2, 4, 60, 80)
    with torch.no_grad():
        torch.testing.assert_close(summary(x), x, atol=0.02, rtol=0)  # begins as next to nothing
        summary.tell.weight.normal_()
        before = summary(x)
        sharper = x.clone()
        sharper[0, :, 0, 0] = 5.0
        after = summary(sharper)
        whole = torch.cat([sharper.mean((2, 3)), sharper.amax((2, 3))], 1)
        scale, shift = summary.tell(summary.read(whole)).chunk(2, 1)
    assert not torch.allclose(after[0, :, 59, 79], before[0, :, 59, 79], atol=0.01)
    assert torch.equal(after[1], before[1])  # another picture, another camera
    torch.testing.assert_close(after[0, :, 30, 40], sharper[0, :, 30, 40] * (1 + scale[0]) + shift[0])


def test_pixels_are_mixtures_of_the_cells_around_them():
    generator = torch.Generator().manual_seed(0)
    cells = torch.rand(1, 2, 3, 5, generator=generator)
    belong = torch.randn(1, 9, 16, 3, 5, generator=generator)
    pixels = to_pixels(cells, belong, (10, 17))
    assert pixels.shape == (1, 2, 10, 17)
    for row, column in ((0, 0), (5, 9), (9, 16), (7, 3)):
        i, j = row // 4, column // 4
        share = belong[0, :, 4 * (row % 4) + column % 4, i, j].softmax(0)
        around = [(min(max(i + di, 0), 2), min(max(j + dj, 0), 4)) for di in (-1, 0, 1) for dj in (-1, 0, 1)]
        expected = sum(w * cells[0, :, y, x] for w, (y, x) in zip(share, around, strict=True))
        torch.testing.assert_close(pixels[0, :, row, column], expected)
    only_own = torch.full_like(belong, -1e4)
    only_own[:, 4] = 0
    torch.testing.assert_close(
        to_pixels(cells, only_own, (12, 20)), cells.repeat_interleave(4, 2).repeat_interleave(4, 3)
    )


def test_unknown_architecture():
    with pytest.raises(ValueError, match="unknown architecture 'huge'; there are dfd_small, dfd_base"):
        DfdModel('huge')


def test_weights_and_back(weights, model):
    again, record, digest = load_weights(weights)
    assert record == {'steps': 3} and len(digest) == 64
    for name, value in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], value)
    assert not list(weights.parent.glob('*.part'))


def test_missing_weights(tmp_path):
    with pytest.raises(WeightsError) as error:
        load_weights(tmp_path / 'no.safetensors')
    assert str(error.value) == f'weights {tmp_path}/no.safetensors cannot be read: No such file or directory'


@pytest.mark.parametrize(
    'damage', [lambda d: d[: len(d) // 2], lambda d: d[:5], lambda d: b'', lambda d: b'\x80\x04' + d]
)
def test_truncated_or_foreign_bytes(weights, damage):
    weights.write_bytes(damage(weights.read_bytes()))
    with pytest.raises(WeightsError, match='are truncated or not a safetensors file$'):
        load_weights(weights)


def test_safetensors_of_somebody_else(tmp_path):
    save_file({'a': torch.zeros(2)}, tmp_path / 'other.safetensors')
    with pytest.raises(WeightsError, match="are not of this package: format is None, not 'dfd_depth_ros/1'"):
        load_weights(tmp_path / 'other.safetensors')


def rewritten(weights, change, **metadata):
    state = load_file(weights)
    change(state)
    table = {'format': 'dfd_depth_ros/1', 'architecture': 'dfd_small', 'record': json.dumps({})} | metadata
    save_file(state, weights, table)


@pytest.mark.parametrize(
    'change, metadata, message',
    [
        (lambda s: s, {'architecture': 'huge'}, "have the unknown architecture 'huge'"),
        (lambda s: s.popitem(), {}, 'do not fit dfd_small: '),
        (lambda s: s.update({'depth_net.head.bias': torch.zeros(7)}), {}, 'do not fit dfd_small: '),
        (lambda s: s['depth_net.head.bias'].fill_(torch.nan), {}, 'not finite, first in depth_net.head.bias'),
        (lambda s: s, {'record': '{'}, 'do not fit dfd_small: '),
    ],
)
def test_weights_that_do_not_fit(weights, change, metadata, message):
    rewritten(weights, change, **metadata)
    with pytest.raises(WeightsError, match=message):
        load_weights(weights)


def test_spectrum_against_the_transform_of_scipy():
    from scipy.fft import dctn

    spectrum = LocalSpectrum()
    block = torch.rand(8, 8, generator=torch.Generator().manual_seed(0))
    ours = block.flatten() @ spectrum.filters
    torch.testing.assert_close(ours, torch.from_numpy(dctn(block.numpy(), norm='ortho').flatten()[1:]))
    assert torch.allclose(spectrum.groups.sum(0), torch.ones(spectrum.groups.shape[1]))


def test_spectrum_tells_blur_and_not_contrast():
    """The fall of energy from a coarse ring to a fine one grows with blur and ignores the contrast of the texture."""
    noise = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    spectrum = LocalSpectrum()

    def fall(image):
        cues = spectrum(image)
        assert cues.shape == (1, spectrum.channels, 8, 8) and bool(cues.isfinite().all())
        return float((cues[:, 0] - cues[:, spectrum.groups.shape[1] // 2]).mean())

    falls = [fall(blur(noise, torch.tensor(diameter))) for diameter in (0.0, 2.0, 4.0)]
    assert falls[0] < falls[1] - 0.1 < falls[2] - 0.2
    assert fall(0.5 + 0.5 * (noise - 0.5)) == pytest.approx(falls[0], abs=0.05)
