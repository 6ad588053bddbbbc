"""What others need for a frame on this machine: Depth Anything V2 Small, timed, not run for its depth."""

import time
from importlib.util import find_spec

import numpy as np
import torch
from tqdm import tqdm

SIZE = 518  # pixels on each side: what its authors run it at
WARM_UP = 1


def depth_anything(device: str, frames: int = 5, size: int = SIZE) -> dict | None:
    """Time of a frame of Depth Anything V2 Small (Yang et al., NeurIPS 2024) as `transformers` has it, with random
    weights: nothing is fetched, and time does not depend on them. Without its preparation of the picture.

    Returns `p50_ms`, `fps`, size and threads; None where the extra benchmark is not installed.
    """
    if find_spec('transformers') is None:
        return None
    from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation

    model = DepthAnythingForDepthEstimation(DepthAnythingConfig()).eval().to(device)  # the default is Small
    picture, times = torch.rand(1, 3, size, size, device=device), []
    with torch.inference_mode():
        for _ in tqdm(range(WARM_UP + frames), desc='Depth Anything V2 Small', unit='frame'):
            start = time.perf_counter()
            model(picture).predicted_depth.sum().item()  # waits for the device
            times.append(time.perf_counter() - start)
    middle = float(np.median(times[WARM_UP:]))
    return {'p50_ms': 1000 * middle, 'fps': 1 / middle, 'size': [size, size], 'threads': torch.get_num_threads()}
