"""Exported networks give what the networks give, say what they want, and are refused where they do not."""

import json
import sys
import types

import pytest
import torch

from dfd_depth_ros.cli import export as command
from dfd_depth_ros.networks import export as exporting
from dfd_depth_ros.networks.export import CONTRACT, Exported, ExportError, differences, export, pictures
from dfd_depth_ros.networks.model import DfdModel
from dfd_depth_ros.networks.weights import save_weights

SIZE = (40, 64)
LENS = torch.tensor([[12.0, 0.6, 400.0, 31.5, 19.5]])


def made():
    """A model with random weights, also where they start at zero."""
    torch.manual_seed(0)
    model = DfdModel().eval()
    torch.nn.init.normal_(model.depth_net.head.weight, std=0.1)
    return model


@pytest.fixture
def weights(tmp_path):
    save_weights(tmp_path / 'random.safetensors', made(), {})
    return str(tmp_path / 'random.safetensors')


def test_inputs_of_the_check_are_noise_and_structure_with_two_lenses():
    images, lenses = zip(*pictures(SIZE), strict=True)
    assert len(images) == 4 and len({tuple(lens.flatten().tolist()) for lens in lenses}) == 2
    assert all(image.shape == (1, 3, *SIZE) and image.min() >= 0 and image.max() <= 1 for image in images)
    left, right = images[2][..., :16].diff(dim=-1).abs().mean(), images[2][..., -16:].diff(dim=-1).abs().mean()
    assert float(left) > 2 * float(right)


def test_differences_by_hand():
    exact = torch.full((1, 1, 2, 2), 0.5), torch.full((1, 1, 2, 2), 0.1), torch.full((1, 1, 2, 2), 0.25)
    found = [value.clone() for value in exact]
    found[0][0, 0, 0, 0], found[1][0, 0, 1, 0], found[2][0, 0, 0, 1] = 0.52, 0.09, 0.5
    worst = differences(tuple(found), exact)
    assert worst == pytest.approx({'inverse_depth': 0.2, 'sigma': 0.1, 'far_probability': 0.25}, rel=1e-5)
    found[0][0, 0, 1, 1] = float('nan')
    assert differences(tuple(found), exact)['inverse_depth'] == float('inf')


@torch.inference_mode()
def test_outputs_are_those_of_the_contract():
    image, model = next(pictures(SIZE))[0], made()
    inverse, sigma, far = Exported(model, 'behind')(image, LENS)
    found = model(image, LENS, 'behind')
    assert inverse.shape == sigma.shape == far.shape == (1, 1, *SIZE)
    torch.testing.assert_close(inverse, (0.6 - found.coc / 12.0).clamp(min=1e-3))
    torch.testing.assert_close(sigma, found.sigma / 12.0)
    assert torch.equal(far, found.far)


def test_a_program_gives_what_the_networks_give(tmp_path):
    path, extra = tmp_path / 'deep' / 'net.pt2', {'contract.json': ''}
    worst = export(made(), 'torch', SIZE, path, {'weights_digest': 'abc'}, 'front')
    assert worst.pop('checked_with') == f'torch {torch.__version__}'
    assert set(worst) == set(exporting.OUTPUTS) and max(worst.values()) < 1e-4
    program = torch.export.load(path, extra_files=extra)
    contract = json.loads(extra['contract.json'])
    assert contract == {**CONTRACT, 'height': 40, 'width': 64, 'side': 'front', 'weights_digest': 'abc'}
    image = torch.rand(1, 3, *SIZE)
    with torch.no_grad():
        expected = Exported(made().for_inference(), 'front')(image, 3 * LENS)
        torch.testing.assert_close(program.module()(image, 3 * LENS), expected, rtol=1e-4, atol=1e-5)


def test_onnx_gives_what_the_networks_give(tmp_path):
    pytest.importorskip('onnxscript', reason='the extra export is not installed')
    runtime = pytest.importorskip('onnxruntime', reason='the extra export is not installed')
    worst = export(made(), 'onnx', SIZE, tmp_path / 'net.onnx', {})
    assert worst.pop('checked_with') == f'onnxruntime {runtime.__version__}' and max(worst.values()) < 1e-3
    session = runtime.InferenceSession(tmp_path / 'net.onnx', providers=['CPUExecutionProvider'])
    contract = json.loads(session.get_modelmeta().custom_metadata_map['contract'])
    assert contract == {**CONTRACT, 'height': 40, 'width': 64, 'side': 'both'}
    assert [value.name for value in session.get_inputs()] == ['image', 'lens']
    assert {value.name: value.shape for value in session.get_outputs()} == dict.fromkeys(
        exporting.OUTPUTS, [1, 1, *SIZE]
    )


@pytest.mark.parametrize('change', [lambda x: x * 1.5, lambda x: x * float('nan')])
def test_what_comes_out_different_is_refused_and_removed(tmp_path, monkeypatch, change):
    def writer(program, contract, path):
        path.write_text('')
        return lambda *inputs: tuple(change(value) for value in program.module()(*inputs)), 'nothing'

    monkeypatch.setitem(exporting.WRITERS, 'torch', writer)
    with pytest.raises(ExportError) as error:
        export(made(), 'torch', SIZE, tmp_path / 'net.pt2', {})
    assert str(error.value).startswith('the exported networks differ from the networks by more than 0.01: inverse_')
    assert not (tmp_path / 'net.pt2').exists()


@pytest.mark.parametrize(
    ('kind', 'size', 'name', 'sentence'),
    [
        ('torch', (16, 64), 'a.pt2', 'the size is 16 x 64 pixels; 32 x 32 is the least'),
        ('torch', SIZE, 'a.bin', 'a file of format torch must end in .pt2, which {path} does not'),
        (
            'onnx',
            SIZE,
            'a.onnx',
            'ONNX needs the packages onnx and onnxscript: install the extra export '
            '(pip install "dfd_depth_ros[export]")',
        ),
        (
            'tensorrt',
            SIZE,
            'a.plan',
            'TensorRT is missing: install NVIDIA TensorRT with its Python package on the machine of the GPU',
        ),
    ],
)
def test_what_cannot_be_exported(tmp_path, monkeypatch, weights, capsys, kind, size, name, sentence):
    monkeypatch.setattr(exporting, 'find_spec', lambda package: None)
    path = tmp_path / name
    arguments = ['--weights', weights, '--format', kind, '--size', *map(str, size), '--out', str(path)]
    assert command.main(arguments) == 1
    assert capsys.readouterr().err == f'export: {sentence.format(path=path)}\n'
    assert not path.exists()


def test_the_command_writes_what_it_prints(tmp_path, weights, capsys):
    path, numbers = tmp_path / 'net.pt2', tmp_path / 'deep' / 'out.json'
    arguments = ['--format', 'torch', '--size', '40', '64', '--out', str(path), '--json', str(numbers)]
    assert command.main(['--weights', weights, *arguments]) == 0
    told = json.loads(numbers.read_text())
    assert told == json.loads(capsys.readouterr().out)
    assert (told['file'], told['format'], told['size']) == (str(path), 'torch', [40, 64])
    assert len(told['weights_digest']) == 64 and told['inverse_depth'] <= exporting.TOLERANCE


def test_weights_that_are_not_there(tmp_path, capsys):
    missing = tmp_path / 'none.safetensors'
    assert command.main(['--weights', str(missing), '--out', str(tmp_path / 'a.onnx')]) == 1
    assert capsys.readouterr().err == f'export: weights {missing} cannot be read: No such file or directory\n'


class FakeTensorRT(types.ModuleType):
    """As much of TensorRT as is called before an engine runs. fault: 'parse' or 'build'."""

    def __init__(self, fault):
        super().__init__('tensorrt')
        self.fault = fault
        self.Logger = type('Logger', (), {'WARNING': 1, '__init__': lambda self, level: None})
        self.Builder, self.OnnxParser = lambda logger: self, lambda network, logger: self

    def create_network(self, flags):
        return self

    def create_builder_config(self):
        return self

    def parse(self, data):
        return self.fault != 'parse'

    def get_error(self, index):
        return types.SimpleNamespace(desc=lambda: 'operator Loop')

    def build_serialized_network(self, network, config):
        return None


@pytest.mark.parametrize(
    ('fault', 'sentence'),
    [
        ('parse', 'TensorRT cannot read the networks: operator Loop'),
        ('build', 'TensorRT could not build an engine of the networks'),
    ],
)
def test_what_tensorrt_refuses(tmp_path, monkeypatch, fault, sentence):
    monkeypatch.setitem(sys.modules, 'tensorrt', FakeTensorRT(fault))
    monkeypatch.setattr(exporting, 'find_spec', lambda package: True)
    monkeypatch.setattr(exporting, '_onnx_bytes', lambda program, contract: b'')
    with pytest.raises(ExportError) as error:
        export(made(), 'tensorrt', SIZE, tmp_path / 'a.plan', {})
    assert str(error.value) == sentence
