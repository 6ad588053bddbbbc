"""ContextNet: its features are those of EfficientNet-Lite0 and stay as they are, and DepthNet hears of them."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn.functional import conv2d, pad

from dfd_depth_ros.networks.context import STAGES, ContextNet, Features
from dfd_depth_ros.networks.depth import lens_state
from dfd_depth_ros.networks.model import DfdModel
from dfd_depth_ros.networks.weights import WeightsError, load_weights, save_weights
from dfd_depth_ros.optics.lens import Lens
from dfd_depth_ros.training.offline import CAMERA, CONTEXT, Run, TrainConfig

LENS = Lens(0.05, 2.0, 5e-5, 0.5)


def layers():
    """Shape of the weight, stride and groups of each convolution, in order, and what becomes of its result: 'clip' at 0
    and 6, 'keep' as it is, 'add' what entered the block."""
    yield (32, 3, 3, 3), 2, 1, 'clip'
    inputs = 32
    for count, kernel, stride, expansion, outputs in STAGES:
        for number in range(count):
            wide, step = inputs * expansion, stride if number == 0 else 1
            if expansion > 1:
                yield (wide, inputs, 1, 1), 1, 1, 'clip'
            yield (wide, 1, kernel, kernel), step, wide, 'clip'
            yield (outputs, wide, 1, 1), 1, 1, 'add' if step == 1 and inputs == outputs else 'keep'
            inputs = outputs


def random_state() -> dict[str, torch.Tensor]:
    """Weights in the order of the file that `make context` brings."""
    generator, state = torch.Generator().manual_seed(3), {}
    for number, (shape, *_) in enumerate(layers()):
        width, fan = shape[0], shape[1] * shape[2] * shape[3]
        state[f'{number}.weight'] = torch.randn(shape, generator=generator) * (2 / fan) ** 0.5
        for name, low in (('scale', 0.5), ('shift', -0.3), ('mean', -0.5), ('variance', 0.5)):
            state[f'{number}.{name}'] = low + torch.rand(width, generator=generator)
        state[f'{number}.num_batches_tracked'] = torch.tensor(7)
    state['head.weight'] = torch.zeros(1280, 320, 1, 1)
    return state


def read_plainly(image: torch.Tensor, state: dict[str, torch.Tensor]) -> dict[int, torch.Tensor]:
    """The features by their number of channels: each convolution padded like TensorFlow's SAME, then normalised."""
    x, entered, found = (image - 0.498) / 0.502, image, {}
    for number, (shape, stride, groups, then) in enumerate(layers()):
        if shape[2:] == (1, 1) and then == 'clip':
            entered = x
        total = max(shape[2] - stride, 0)
        x = pad(x, (total // 2, total - total // 2) * 2)
        x = conv2d(x, state[f'{number}.weight'], stride=stride, groups=groups)
        scale, shift, mean, variance = (
            state[f'{number}.{name}'][:, None, None] for name in ('scale', 'shift', 'mean', 'variance')
        )
        x = (x - mean) / (variance + 1e-3).sqrt() * scale + shift
        if then == 'clip':
            x = x.clamp(0, 6)
        if then == 'add':
            x = x + entered
        if then != 'clip':
            found[shape[0]] = x
    return found


def test_features_are_those_of_efficientnet_lite0():
    state = random_state()
    features = Features()
    features.adopt(state)
    image = torch.rand(1, 3, 32, 64)
    with torch.no_grad():
        finer, coarser = features(image)
    expected = read_plainly(image, state)
    assert finer.shape == (1, 112, 2, 4) and coarser.shape == (1, 192, 1, 2)
    torch.testing.assert_close(finer, expected[112], rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(coarser, expected[192], rtol=1e-3, atol=1e-3)


def test_foreign_weights_are_named():
    with pytest.raises(ValueError) as error:
        Features().adopt(random_state() | {'0.weight': torch.zeros(16, 3, 3, 3)})
    assert str(error.value) == 'these are no weights of EfficientNet-Lite0: (16, 3, 3, 3) in place of (32, 3, 3, 3)'
    with pytest.raises(ValueError) as error:
        Features().adopt({name: value for name, value in random_state().items() if name[:2] in ('0.', '1.')})
    assert str(error.value) == 'these are no weights of EfficientNet-Lite0: 2 convolutions in place of 45'


def test_only_what_is_made_of_the_features_learns():
    net = ContextNet(8)
    net(torch.rand(2, 3, 64, 64)).square().sum().backward()
    assert all(value.grad is None for value in net.features.parameters())
    assert all(bool(value.grad.abs().sum() > 0) for value in net.narrow.parameters() if value.ndim == 4)


@pytest.fixture
def model():
    torch.manual_seed(0)
    model = DfdModel().eval()
    nn.init.normal_(model.depth_net.head.weight, std=0.1)
    return model


@pytest.mark.parametrize('size', [(1, 1), (33, 65), (64, 96), (97, 31)])
def test_depth_net_hears_of_it_at_any_size(model, size):
    image, state = torch.rand(1, 3, *size), torch.tensor([lens_state(LENS, *size)])
    with torch.no_grad():
        told = model.distribution(image, state).logits
        for part in model.depth_net.told:
            part.weight.zero_()
        other = model.distribution(image, state).logits
    assert told.shape == other.shape and bool(told.isfinite().all())
    assert not torch.allclose(told, other)


def saved_without(parts, model, file):
    """A weights file from before there were some parts of the model. Returns all that the model holds."""
    whole = model.state_dict()
    model.state_dict = lambda: {name: value for name, value in whole.items() if not name.startswith(parts)}
    save_weights(file, model, {})
    with pytest.raises(WeightsError, match='Missing key'):
        load_weights(file)
    return whole


def test_weights_without_a_summary_of_the_camera_may_begin_a_training(model, tmp_path):
    file = tmp_path / 'before.safetensors'
    whole = saved_without(CAMERA, model, file)
    begun = Run(TrainConfig(start=str(file)), tmp_path, torch.device('cpu')).model
    for name, value in begun.state_dict().items():
        assert name.startswith(CAMERA) or torch.equal(value, whole[name])
    assert float(begun.defocus_net.camera.tell.weight.abs().max()) < 0.01  # next to nothing


def test_weights_from_before_may_begin_a_training(model, tmp_path):
    file = tmp_path / 'before.safetensors'
    saved_without(CONTEXT, model, file)
    lite0 = random_state()
    torn = tmp_path / 'torn.pth'
    torn.write_bytes(b'hello')
    torch.save(lite0, tmp_path / 'lite0.pth')
    config = TrainConfig(start=str(file), context=str(tmp_path / 'lite0.pth'), frozen=('defocus_net',))
    begun = Run(config, tmp_path, torch.device('cpu')).model
    assert torch.equal(begun.depth_net.head.weight, model.depth_net.head.weight)
    expected = Features()
    expected.adopt(lite0)
    for name, value in expected.state_dict().items():
        assert torch.equal(value, begun.context_net.features.state_dict()[name])
    learns = {name.split('.')[0] for name, value in begun.named_parameters() if value.requires_grad}
    assert learns == {'context_net', 'depth_net', 'trust'}
    for change, message in (
        ({'architecture': 'dfd_base', 'start': ''}, '^dfd_base has no ContextNet; leave `context` out$'),
        ({'context': str(tmp_path / 'none.pth')}, f'^context {tmp_path}/none.pth cannot be read: '),
        ({'context': str(torn)}, f'^context {torn} cannot be read: '),
    ):
        with pytest.raises(ValueError, match=message):
            Run(replace(config, **change), tmp_path, torch.device('cpu'))
    with pytest.raises(ValueError, match='^frozen names lens_net; the model has defocus_net, context_net, depth_net'):
        Run(replace(config, frozen=('lens_net',)), tmp_path, torch.device('cpu'))
