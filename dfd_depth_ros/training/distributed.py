"""Offline training on several devices: `torchrun --nproc-per-node N -m dfd_depth_ros.cli.train ...`.

Each process makes its own scenes and its own gradients; the gradients are averaged before every step, so all processes
hold the same weights at all times. Process 0 alone validates and writes. Without torchrun there is one process, and
nothing here does anything.
"""

import contextlib
import os
from collections.abc import Iterator

import torch
from torch import distributed, nn

SEEDS_APART = 7919  # between the scenes of two processes


def rank() -> int:
    """Number of this process, as torchrun gives it."""
    return int(os.environ.get('RANK', 0))


def count() -> int:
    """How many processes train together."""
    return int(os.environ.get('WORLD_SIZE', 1))


def own_device(device: str) -> str:
    """The device of this process: of several CUDA devices each process of a machine takes one."""
    return f'cuda:{os.environ["LOCAL_RANK"]}' if device == 'cuda' and count() > 1 else device


@contextlib.contextmanager
def together(device: str) -> Iterator[None]:
    """Joins the processes for as long as it lasts: NCCL between CUDA devices, Gloo between CPUs."""
    if count() == 1:
        yield
        return
    if device.startswith('cuda'):
        torch.cuda.set_device(own_device(device))
    distributed.init_process_group('nccl' if device.startswith('cuda') else 'gloo')
    try:
        yield
        distributed.barrier()  # nobody leaves while process 0 still writes
    finally:
        distributed.destroy_process_group()


def average_gradients(model: nn.Module) -> None:
    """The gradients of all processes, averaged, in place. Every process has to call it for the same parameters."""
    if count() == 1:
        return
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    distributed.all_reduce(flat)
    for gradient, part in zip(gradients, flat.split([gradient.numel() for gradient in gradients]), strict=True):
        gradient.copy_(part.view_as(gradient) / count())
