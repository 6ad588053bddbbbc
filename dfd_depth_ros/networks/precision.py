"""Half precision, where the hardware gains by it and the networks lose nothing that matters."""

import torch

from dfd_depth_ros.networks.model import DfdModel, Prediction

_INSTRUCTIONS = ('_is_amx_tile_supported', '_is_avx512_bf16_supported')
TOLERANCE = 0.25  # of sigma: how far half precision may move the CoC of 95 % of the pixels


def pays(device: torch.device | str) -> bool:
    """Whether bfloat16 is faster: on a CUDA device, and on processors with instructions for it, in matrices (AMX) or in
    vectors (AVX-512 BF16)."""
    tells = [getattr(torch.cpu, name, bool) for name in _INSTRUCTIONS]  # older releases of PyTorch cannot tell: no
    return torch.device(device).type == 'cuda' or any(tell() for tell in tells)


def mixed(device: torch.device | str, wanted: bool = True) -> torch.autocast:
    """Context in which convolutions run in bfloat16."""
    return torch.autocast(torch.device(device).type, torch.bfloat16, enabled=wanted)


def stored(model: DfdModel) -> DfdModel:
    """The model with its convolutions stored in bfloat16, in place: what `mixed` computes, without casting every
    weight at every call (and, where `fused` adds in one pass, rounded once less). It then runs under `mixed` alone."""
    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.to(torch.bfloat16)
    return model


def as_stored(model: DfdModel) -> torch.autocast:
    """Context in which a model runs, or a part of it, in the precision that its convolutions are stored in."""
    weights = next(module.weight for module in model.modules() if isinstance(module, torch.nn.Conv2d))
    return mixed(weights.device, weights.dtype == torch.bfloat16)


@torch.inference_mode()
def can_be_trusted(model: DfdModel, device: torch.device | str) -> bool:
    """Whether bfloat16 gives what float32 gives on a test picture, to within TOLERANCE; a model of NaN cannot."""
    image, lens = _test_picture().to(device), torch.tensor([[12.0, 0.6, 400.0, 127.5, 95.5]], device=device)
    exact = model(image, lens)
    with mixed(device):
        fast = model(image, lens)
    return moved(fast, exact) <= TOLERANCE


def moved(fast: Prediction, exact: Prediction) -> float:
    """How far the CoC of 95 % of the pixels moved at most, in sigmas of the exact prediction; NaN where it is NaN."""
    return float(((fast.coc - exact.coc).abs() / exact.sigma).flatten().float().quantile(0.95))


def _test_picture() -> torch.Tensor:
    """(1, 3, 192, 256): noise of all sizes, sharp at the left and ever softer to the right."""
    generator = torch.Generator().manual_seed(0)
    picture, share = torch.zeros(1, 3, 192, 256), torch.linspace(0, 3.999, 256)
    for level in range(5):
        noise = torch.rand(1, 3, 192 >> level, 256 >> level, generator=generator)
        picture += torch.nn.functional.interpolate(noise, (192, 256), mode='bilinear') * (share < level + 1)
    return (picture / 5).contiguous(memory_format=torch.channels_last)
