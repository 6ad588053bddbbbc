"""Geometry-aware filter: a weighted mean along flow tracks over the last frames, where depths agree in space.

x = sum_k w_k z_k / sum_k w_k over the newest WINDOW frames, with w_k = exp(-LAMBDA * max(z_k / z, z / z_k)), z the
newest. Causal form of the filter in Kopf, Rong and Huang, "Robust Consistent Video Depth Estimation", CVPR 2021 (there
over four frames on both sides, in depth; here in inverse depth, whose ratios are the same).
"""

import torch

from dfd_depth_ros.temporal.reading import Change, Reading, Steady

WINDOW, LAMBDA = 5, 3.0


def geometry(reading: Reading, past: torch.Tensor | None, change: Change | None) -> Steady:
    """One step, as `reading.Step`. State: the inverse depths of the last frames, then their sigmas."""
    z, sigma = reading.inverse_depth, reading.sigma
    if past is None:
        past = torch.full((2 * WINDOW, *z.shape), torch.nan, device=z.device, dtype=z.dtype)
    depths = torch.cat([z[None], past[: WINDOW - 1]])
    sigmas = torch.cat([sigma[None], past[WINDOW : 2 * WINDOW - 1]])
    newest = torch.where(z.isfinite(), z, past[0])
    ratio = depths / newest
    weight = torch.nan_to_num(torch.exp(-LAMBDA * torch.maximum(ratio, 1 / ratio)))
    total = weight.sum(0)
    mean, spread = ((weight * torch.nan_to_num(field)).sum(0) / total for field in (depths, sigmas))
    return Steady(mean, spread, reading.far, torch.cat([depths, sigmas]))
