"""Half precision is used where it gives the same, and refused where it does not."""

import copy

import pytest
import torch

from dfd_depth_ros.networks import onednn, precision
from dfd_depth_ros.networks.model import DfdModel
from dfd_depth_ros.networks.weights import load_weights
from dfd_depth_ros.paths import resolve_path


@pytest.fixture(scope='module')
def shipped():
    return load_weights(resolve_path('models/dfd_small.safetensors'))[0].for_inference()


def test_shipped_weights_can_be_trusted(shipped):
    assert precision.can_be_trusted(shipped, 'cpu')


def test_weights_that_half_precision_changes_are_refused(shipped, monkeypatch):
    monkeypatch.setattr(precision, 'TOLERANCE', 1e-6)
    assert not precision.can_be_trusted(shipped, 'cpu')


def test_weights_of_nan_are_refused():
    model = DfdModel().eval()
    torch.nn.init.constant_(model.depth_net.head.bias, float('nan'))
    assert not precision.can_be_trusted(model, 'cpu')


def test_test_picture_has_blur_to_read():
    picture = precision._test_picture()
    sharp, soft = (part.diff(dim=-1).abs().mean() for part in (picture[..., :64], picture[..., -64:]))
    assert picture.shape == (1, 3, 192, 256) and float(picture.min()) >= 0 and float(picture.max()) <= 1
    assert float(sharp) > 2 * float(soft)
    assert torch.equal(picture, precision._test_picture())


def test_a_pytorch_that_cannot_tell_has_no_fast_path(monkeypatch):
    for name in precision._INSTRUCTIONS:
        monkeypatch.delattr(torch.cpu, name)
    assert not precision.pays('cpu') and precision.pays('cuda')


@pytest.mark.parametrize('told', precision._INSTRUCTIONS)
def test_any_instructions_for_bfloat16_are_enough(monkeypatch, told):
    for name in precision._INSTRUCTIONS:
        monkeypatch.setattr(torch.cpu, name, lambda name=name: name == told)
    assert precision.pays('cpu')
    monkeypatch.setattr(torch.cpu, told, lambda: False)
    assert not precision.pays('cpu')


def test_mixed_runs_convolutions_in_bfloat16_only_where_wanted():
    layer, x = torch.nn.Conv2d(3, 4, 3), torch.rand(1, 3, 8, 8)
    for wanted, kind in ((True, torch.bfloat16), (False, torch.float32)):
        with precision.mixed('cpu', wanted):
            assert layer(x).dtype == kind


@torch.inference_mode()
def test_weights_stored_in_half_give_bit_for_bit_what_casting_gives(shipped, monkeypatch):
    monkeypatch.setattr(onednn, 'AT_HAND', False)  # where it adds a shortcut in one pass it rounds once less
    image, lens = precision._test_picture(), torch.tensor([[12.0, 0.6, 400.0, 127.5, 95.5]])
    copied = precision.stored(copy.deepcopy(shipped))
    kinds = {module.weight.dtype for module in copied.modules() if isinstance(module, torch.nn.Conv2d)}
    with precision.mixed('cpu'):
        cast, held = shipped(image, lens), copied(image, lens)
    assert kinds == {torch.bfloat16}
    assert torch.equal(cast.coc, held.coc) and torch.equal(cast.sigma, held.sigma) and torch.equal(cast.far, held.far)
