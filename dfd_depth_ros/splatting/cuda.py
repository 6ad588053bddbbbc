"""The fast twin of `splatting.rasterise`, on the public operations of gsplat. Needs CUDA and the extra `gpu`.

gsplat has no blur for each Gaussian, so the variance with the CoC in it is given as the projected covariance, and only
sorting into tiles and blending are left to it. Its blending stops where less than 1e-4 of the light is left.

Source: Ye et al., "gsplat: An Open-Source Library for Gaussian Splatting", JMLR 2025.
"""

from importlib.util import find_spec

import torch

from dfd_depth_ros.splatting.gaussians import Gaussians
from dfd_depth_ros.splatting.rasterise import radii

TILE = 16  # pixels
NEAREST = 1e-6  # 1/m, so that what lies at infinity has a depth to be sorted by


def missing() -> str | None:
    """Why this machine cannot rasterise with gsplat, as one sentence; None where it can."""
    if not torch.cuda.is_available():
        return 'renderer gsplat needs a CUDA device, and PyTorch finds none'
    if find_spec('gsplat') is None:
        return 'renderer gsplat needs the package gsplat: install the extra gpu'
    return None


def rasterise(gaussians: Gaussians, size: tuple[int, int]) -> torch.Tensor:
    """Picture (5, H, W) of float32 Gaussians on a CUDA device: premultiplied linear colour, premultiplied inverse depth
    (1/m), and alpha. size: (H, W). Differentiable in everything but the order. Only where nothing is `missing`."""
    from gsplat import isect_offset_encode, isect_tiles, rasterize_to_pixels

    height, width = size
    tiles = -(-width // TILE), -(-height // TILE)
    place = gaussians.place[None] + 0.5  # its pixels have whole numbers at their corners
    reach = radii(gaussians).detach().ceil().int()[None, :, None].expand(-1, -1, 2)
    depth = 1 / gaussians.inverse_depth.detach().clamp(min=NEAREST)[None]
    _, keys, ids = isect_tiles(place, reach, depth, TILE, *tiles)
    offsets = isect_offset_encode(keys, 1, *tiles)
    precision = 1 / gaussians.variance
    conics = torch.stack([precision, torch.zeros_like(precision), precision], 1)[None]
    content = torch.cat([gaussians.colour, gaussians.inverse_depth[:, None]], 1)[None]
    seen, alpha = rasterize_to_pixels(
        place, conics, content, gaussians.opacity[None], width, height, TILE, offsets, ids
    )
    return torch.cat([seen, alpha], -1)[0].permute(2, 0, 1)
