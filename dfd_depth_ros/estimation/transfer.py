"""Pictures to the device of the networks, and results back: one copy each way, none that waits for another."""

import numpy as np
import torch


def to_batch(image: np.ndarray, device: torch.device | str) -> torch.Tensor:
    """(H, W, 3) uint8 as (1, 3, H, W) float in 0..1 on the device, channels last in memory as they came. The bytes
    travel, not the floats; to a CUDA device through page-locked memory, so that the copy does not hold up the
    processor."""
    if torch.device(device).type == 'cuda':
        pixels = torch.empty(image.shape, dtype=torch.uint8, pin_memory=True)
        pixels.numpy()[...] = image
        pixels = pixels.to(device, non_blocking=True)
    else:
        pixels = torch.tensor(image)
    return pixels.permute(2, 0, 1)[None].float().div_(255)


def to_arrays(tensors: tuple[torch.Tensor, ...]) -> list[np.ndarray]:
    """(H, W) maps as float32 arrays. Those on a CUDA device come in one copy and one wait, as views of one buffer."""
    if tensors[0].is_cuda:
        found = torch.stack([tensor.float() for tensor in tensors])
        buffer = torch.empty(found.shape, dtype=found.dtype, pin_memory=True)  # PyTorch keeps these for the next frame
        buffer.copy_(found, non_blocking=True)
        torch.cuda.current_stream(found.device).synchronize()
        tensors = buffer.unbind()
    return [tensor.float().numpy() for tensor in tensors]
