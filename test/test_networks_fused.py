"""Convolutions that do what follows them in one pass give what doing it one after the other gives."""

import copy

import pytest
import torch

from dfd_depth_ros.networks import onednn, precision
from dfd_depth_ros.networks.blocks import Residual, conv, halved
from dfd_depth_ros.networks.context import Features
from dfd_depth_ros.networks.fused import fuse

BRICKS = {
    'normalised': lambda: conv(8, 16, stride=2),
    'of even size': lambda: conv(8, 16, stride=2, kernel=6),
    'residual': lambda: torch.nn.Sequential(Residual(8), Residual(8)),
    'alone': lambda: torch.nn.Sequential(torch.nn.Conv2d(8, 4, 1), torch.nn.Conv2d(4, 4, 3, groups=4)),
}


def settled(module):
    """A module in evaluation mode whose normalisation has seen something."""
    with torch.no_grad():
        for _ in range(3):
            module.train()(torch.randn(4, 8, 16, 16) + 0.5)
    return module.eval().requires_grad_(False)


@pytest.fixture(params=BRICKS)
def pair(request):
    """A brick as it is trained, and the same one made ready for inference."""
    torch.manual_seed(3)
    plain = settled(BRICKS[request.param]())
    return plain, fuse(torch.nn.Sequential(copy.deepcopy(plain)))


def test_it_is_at_hand_here():
    assert onednn.AT_HAND  # so that what follows tests it


@torch.inference_mode()
def test_in_full_precision_nothing_changes(pair, monkeypatch):
    plain, ready = pair
    x = torch.randn(2, 8, 12, 20)
    torch.testing.assert_close(ready(x), plain(x), atol=1e-5, rtol=1e-5)
    monkeypatch.setattr(onednn, 'AT_HAND', False)
    torch.testing.assert_close(ready(x), plain(x), atol=1e-5, rtol=1e-5)


@torch.inference_mode()
def test_in_half_precision_only_the_rounding_of_a_sum_differs(pair, monkeypatch):
    _, ready = pair
    x = torch.randn(2, 8, 12, 20).bfloat16()
    precision.stored(ready)
    with precision.mixed('cpu'):
        found = ready(x)
        monkeypatch.setattr(onednn, 'AT_HAND', False)
        expected = ready(x)
    assert found.dtype == expected.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), expected.float(), atol=0.02, rtol=0.02)


@torch.inference_mode()
def test_features_keep_their_margins_and_their_activation():
    torch.manual_seed(5)
    plain = Features().eval()
    with torch.no_grad():
        for part in plain.modules():
            if isinstance(part, torch.nn.Conv2d):
                part.weight.mul_(2.5)  # so that some values are cut off at 6
    ready, x = fuse(copy.deepcopy(plain)), torch.rand(1, 3, 64, 96)
    for found, expected in zip(ready(x), plain(x), strict=True):
        assert float(expected.std()) > 0.01
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_changed_weights_are_arranged_anew():
    ready, x = fuse(torch.nn.Sequential(settled(conv(8, 4)))), torch.randn(1, 8, 8, 8)
    before = ready(x)
    part = next(part for part in ready.modules() if isinstance(part, torch.nn.Conv2d))
    part.weight.data = 2 * part.weight.data
    part.bias.data = 2 * part.bias.data
    torch.testing.assert_close(ready(x), 2 * before)
    part.weight.mul_(0.5)
    part.bias.mul_(0.5)
    torch.testing.assert_close(ready(x), before)
    torch.testing.assert_close(copy.deepcopy(ready)(x), before)


@torch.inference_mode()
def test_weights_in_full_precision_are_cast_where_half_is_asked_for():
    ready, x = fuse(torch.nn.Sequential(settled(conv(8, 4)))), torch.randn(1, 8, 8, 8)
    with precision.mixed('cpu'):
        assert ready(x).dtype == torch.bfloat16  # else a test of half precision would test nothing
    assert ready(x).dtype == torch.float32


def test_gradients_flow_through_it():
    plain = settled(Residual(8))
    ready, x = fuse(torch.nn.Sequential(copy.deepcopy(plain))), torch.randn(1, 8, 8, 8, requires_grad=True)
    found, expected = (torch.autograd.grad(net(x).square().sum(), x)[0] for net in (ready, plain))
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_it_exports_to_plain_operators():
    ready = fuse(torch.nn.Sequential(settled(Residual(8))))
    program = torch.export.export(ready, (torch.randn(1, 8, 8, 8),))
    assert 'mkldnn' not in str(program.graph) and 'conv2d' in str(program.graph)


def test_no_normalisation_and_no_activation_is_left():
    ready = fuse(torch.nn.Sequential(settled(Residual(8))))
    kinds = [type(part) for part in ready.modules()]
    assert kinds.count(torch.nn.Conv2d) == 2 and not {torch.nn.BatchNorm2d, torch.nn.Identity} & set(kinds)
    assert [type(part) for part in fuse(ready).modules()] == kinds  # once more changes nothing


def test_halved_is_the_mean_of_four():
    x = torch.rand(2, 3, 6, 10, dtype=torch.float64)
    torch.testing.assert_close(halved(x), torch.nn.functional.avg_pool2d(x, 2))


@pytest.mark.parametrize('shape', [(1, 5, 7, 3, 64), (2, 6, 64), (4, 64)])
def test_a_product_is_that_of_matrices(shape):
    torch.manual_seed(4)
    x, matrix = torch.randn(shape), torch.randn(64, 23)
    found = onednn.product(x, matrix)
    assert found.shape == (*shape[:-1], 23)
    torch.testing.assert_close(found.double(), x.double() @ matrix.double(), atol=1e-4, rtol=1e-4)


def test_a_product_keeps_gradients_and_precision():
    x, matrix = torch.randn(3, 5, requires_grad=True), torch.randn(5, 2)
    (gradient,) = torch.autograd.grad(onednn.product(x, matrix).sum(), x)
    torch.testing.assert_close(gradient, matrix.sum(1).expand(3, 5))
    assert onednn.product(x.detach().double(), matrix.double()).dtype == torch.float64


@torch.inference_mode()
def test_weights_are_arranged_for_the_size_of_the_picture(capfd):
    """oneDNN tells what it rearranges: no weights, once a picture of that size has been seen, be a small one before."""
    ready = fuse(torch.nn.Sequential(torch.nn.Conv2d(40, 96, 3, 2, 1)).requires_grad_(False))
    x = torch.randn(1, 40, 120, 160).contiguous(memory_format=torch.channels_last)
    ready(x[..., :8, :8])
    ready(x)
    with torch.backends.mkldnn.verbose(torch.backends.mkldnn.VERBOSE_ON):
        ready(x)
    told = capfd.readouterr().out.splitlines()
    assert any('convolution' in line for line in told)
    assert not [line for line in told if 'reorder' in line and '96x40x3x3' in line]
