"""The networks as one file for other runtimes, checked against the networks themselves before it may be used.

Formats: `torch` (a program of torch.export, .pt2), `onnx`, and `tensorrt` (an engine for the GPU of this machine). The
lens is an input, so that one file serves every focus; size of picture and side of focus are fixed. `CONTRACT` travels
in the file: in the pt2 as the extra file contract.json, in ONNX as the metadata property `contract`.
"""

import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import nn

from dfd_depth_ros.networks.model import DfdModel

CONTRACT = {
    'image': '(1, 3, height, width) float32, RGB in 0..1 as the camera delivered it (gamma-encoded)',
    'lens': '(1, 5) float32: gain in pixel * metre, focus in 1/m, focal length in pixels, principal point x, y in '
    'pixels; gain = A f s / ((s - f) p) with aperture A = f / N, focus distance s and pixel pitch p in metres',
    'inverse_depth': '(1, 1, height, width) float32, 1/m, never below 0.001; depth is 1 / inverse_depth',
    'sigma': '(1, 1, height, width) float32, 1/m, one standard deviation of inverse_depth; the uncertainty of the '
    'focus is not in it',
    'far_probability': '(1, 1, height, width) float32, probability of lying behind focus',
}
INPUTS, OUTPUTS = ('image', 'lens'), ('inverse_depth', 'sigma', 'far_probability')
NEVER_BEYOND = 1e-3  # 1/m
TOLERANCE = 0.01  # most difference to the networks: of sigma, of sigma itself, of the probability
LENSES = ((12.0, 0.6, 400.0), (60.0, 1.5, 1200.0))  # gain, focus and focal length of the check
EXTRA = 'install the extra export (pip install "dfd_depth_ros[export]")'

Run = Callable[[torch.Tensor, torch.Tensor], tuple[torch.Tensor, ...]]


class ExportError(ValueError):
    """What cannot be exported, or came out different; the message is one sentence."""


class Exported(nn.Module):
    """A model as others call it: image and lens of `CONTRACT` in, its three outputs out."""

    def __init__(self, model: DfdModel, side: str = 'both'):
        super().__init__()
        self.model, self.side = model, side

    def forward(self, image: torch.Tensor, lens: torch.Tensor) -> tuple[torch.Tensor, ...]:
        found = self.model(image, lens, self.side)
        sigma = found.sigma / found.lens[:, :1, None, None]
        return found.inverse_depth().clamp(min=NEVER_BEYOND), sigma, found.far


def export(model: DfdModel, kind: str, size: tuple[int, int], path: Path, about: dict, side: str = 'both') -> dict:
    """Write a model for pictures of (height, width) pixels to a file and check it.

    kind: 'torch', 'onnx' or 'tensorrt'. about: JSON values that join the contract in the file. Returns the largest
    differences to the model over the pictures of the check, see `differences`, and `checked_with`. Raises ExportError
    where a package is missing, where the size is no size, and where a difference is above `TOLERANCE`; a file of such
    a difference is removed.
    """
    if min(size) < 32:
        raise ExportError(f'the size is {size[0]} x {size[1]} pixels; 32 x 32 is the least')
    module = Exported(model.cpu().for_inference(), side).eval()
    example = next(pictures(size))
    contract = {**CONTRACT, 'height': size[0], 'width': size[1], 'side': side, **about}
    path.parent.mkdir(parents=True, exist_ok=True)
    with torch.no_grad():
        program = torch.export.export(module, example)
    run, checked_with = WRITERS[kind](program, json.dumps(contract), path)
    found = [differences(run(*inputs), module(*inputs)) for inputs in pictures(size)]
    worst = {name: max(each[name] for each in found) for name in found[0]}
    if not all(value <= TOLERANCE for value in worst.values()):
        path.unlink()
        told = ', '.join(f'{name} {value:.2g}' for name, value in worst.items())
        raise ExportError(f'the exported networks differ from the networks by more than {TOLERANCE:g}: {told}')
    return {**worst, 'checked_with': checked_with}


@torch.inference_mode()
def differences(found: tuple[torch.Tensor, ...], exact: tuple[torch.Tensor, ...]) -> dict[str, float]:
    """Largest differences over the pixels: of inverse depth in sigmas, of sigma as a share of it, of the probability of
    the far side. Infinite where a value is not finite."""
    parts = [
        (found[0] - exact[0]).abs() / exact[1],
        (found[1] - exact[1]).abs() / exact[1],
        (found[2] - exact[2]).abs(),
    ]
    return {name: float(part.nan_to_num(torch.inf).max()) for name, part in zip(OUTPUTS, parts, strict=True)}


def pictures(size: tuple[int, int]):
    """Inputs of the check: noise of every pixel for itself, and stripes that grow softer to the right over a slope of
    grey; each with two lenses."""
    height, width = size
    noise = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(0))
    x = torch.linspace(0, 1, width)
    stripes = (torch.arange(width) // 6 % 2 - 0.5) * (1 - x) * 0.8 + 0.5
    structured = (stripes * torch.linspace(0.4, 1, height)[:, None]).expand(1, 3, -1, -1).contiguous()
    for image in (noise, structured):
        for lens in LENSES:
            yield image, torch.tensor([[*lens, (width - 1) / 2, (height - 1) / 2]])


def _torch(program, contract: str, path: Path) -> tuple[Run, str]:
    if path.suffix != '.pt2':
        raise ExportError(f'a file of format torch must end in .pt2, which {path} does not')
    torch.export.save(program, path, extra_files={'contract.json': contract})
    return torch.export.load(path).module(), f'torch {torch.__version__}'


def _onnx(program, contract: str, path: Path) -> tuple[Run, str]:
    _need('onnxscript', f'ONNX needs the packages onnx and onnxscript: {EXTRA}')
    _need('onnxruntime', f'the check of ONNX needs the package onnxruntime: {EXTRA}')
    import onnxruntime

    path.write_bytes(_onnx_bytes(program, contract))
    session = onnxruntime.InferenceSession(path, providers=['CPUExecutionProvider'])

    def run(*inputs):
        values = {name: value.numpy() for name, value in zip(INPUTS, inputs, strict=True)}
        return tuple(torch.from_numpy(array) for array in session.run(OUTPUTS, values))

    return run, f'onnxruntime {onnxruntime.__version__}'


def _onnx_bytes(program, contract: str) -> bytes:
    from onnxscript import opset18 as op

    def searchsorted(ordered, values):  # ONNX knows none: as many as lie below
        below = op.Less(op.Unsqueeze(ordered, [-2]), op.Unsqueeze(values, [-1]))
        return op.ReduceSum(op.Cast(below, to=7), [-1], keepdims=0)

    made = torch.onnx.export(
        program,
        dynamo=True,
        input_names=INPUTS,
        output_names=OUTPUTS,
        custom_translation_table={torch.ops.aten.searchsorted.Tensor: searchsorted},
        verbose=False,
    )
    proto = made.model_proto
    entry = proto.metadata_props.add()
    entry.key, entry.value = 'contract', contract
    return proto.SerializeToString()


def _tensorrt(program, contract: str, path: Path) -> tuple[Run, str]:
    """Never run by the authors: no GPU was at hand."""
    _need('tensorrt', 'TensorRT is missing: install NVIDIA TensorRT with its Python package on the machine of the GPU')
    _need('onnxscript', f'TensorRT reads ONNX, which needs the packages onnx and onnxscript: {EXTRA}')
    import tensorrt

    logger = tensorrt.Logger(tensorrt.Logger.WARNING)
    builder = tensorrt.Builder(logger)
    network = builder.create_network(0)
    parser = tensorrt.OnnxParser(network, logger)
    if not parser.parse(_onnx_bytes(program, contract)):
        raise ExportError(f'TensorRT cannot read the networks: {parser.get_error(0).desc()}')
    plan = builder.build_serialized_network(network, builder.create_builder_config())
    if plan is None:
        raise ExportError('TensorRT could not build an engine of the networks')
    path.write_bytes(bytes(plan))
    engine = tensorrt.Runtime(logger).deserialize_cuda_engine(bytes(plan))
    context = engine.create_execution_context()

    def run(*inputs):
        held = {name: value.cuda().contiguous() for name, value in zip(INPUTS, inputs, strict=True)}
        held |= {name: torch.empty(tuple(engine.get_tensor_shape(name)), device='cuda') for name in OUTPUTS}
        for name, value in held.items():
            context.set_tensor_address(name, value.data_ptr())
        context.execute_async_v3(torch.cuda.current_stream().cuda_stream)
        torch.cuda.synchronize()
        return tuple(held[name].cpu() for name in OUTPUTS)

    return run, f'tensorrt {tensorrt.__version__}'


def _need(package: str, sentence: str) -> None:
    if find_spec(package) is None:
        raise ExportError(sentence)


WRITERS = {'torch': _torch, 'onnx': _onnx, 'tensorrt': _tensorrt}
