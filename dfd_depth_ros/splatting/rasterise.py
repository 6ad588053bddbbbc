"""Readable reference of the rasteriser: depth-sorted round Gaussians, blended "over" each other exactly, in PyTorch.

A Gaussian touches the pixels in which its alpha reaches 1/255. All such pairs are sorted by pixel and, in it, from near
to far; what the nearer ones let through is a cumulative product over the pairs of a pixel, taken as a sum of logarithms
in float64. The fast twin is `splatting.cuda`, and both follow the rules of gsplat.

Source: Kerbl et al., "3D Gaussian Splatting for Real-Time Radiance Field Rendering", SIGGRAPH 2023.
"""

import torch

from dfd_depth_ros.splatting.gaussians import FAINTEST, Gaussians

MOST_ALPHA = 0.999


def rasterise(gaussians: Gaussians, size: tuple[int, int]) -> torch.Tensor:
    """Picture (5, H, W) of Gaussians: premultiplied linear colour, premultiplied inverse depth (1/m), and alpha.
    size: (H, W). Differentiable in everything but the set of pairs; runs where its inputs are."""
    height, width = size
    splat, pixel = _pairs(gaussians, height, width)
    centre = torch.stack([pixel % width, pixel // width], 1)
    square = (gaussians.place[splat] - centre).square().sum(1)
    alpha = gaussians.opacity[splat] * torch.exp(-square / (2 * gaussians.variance[splat]))
    alpha = alpha.clamp(max=MOST_ALPHA)
    share = alpha * _clear(alpha, pixel).to(alpha.dtype)
    ones = torch.ones_like(gaussians.inverse_depth)[:, None]
    content = torch.cat([gaussians.colour, gaussians.inverse_depth[:, None], ones], 1)
    picture = content.new_zeros(height * width, 5).index_add(0, pixel, content[splat] * share[:, None])
    return picture.T.view(5, height, width)


def radii(gaussians: Gaussians) -> torch.Tensor:
    """(N,) pixels from its centre at which the alpha of a Gaussian has fallen to 1/255; 0 where it never gets there."""
    return (2 * gaussians.variance * (gaussians.opacity / FAINTEST).clamp(min=1).log()).sqrt()


@torch.no_grad()
def _pairs(gaussians, height, width):
    """(pairs,) number of the Gaussian and (pairs,) number of the pixel that it touches, sorted by pixel and depth."""
    order = gaussians.inverse_depth.argsort(descending=True, stable=True)
    reach = radii(gaussians)[order]
    corner = gaussians.place[order].round().long()
    steps = reach.ceil().long()
    ranks, pixels = [order[:0]], [order[:0]]
    for step in steps[reach > 0].unique().tolist():
        rank = ((steps == step) & (reach > 0)).nonzero()  # (M, 1)
        offset = torch.arange(-step, step + 1, device=reach.device)
        column, row = corner[rank, 0] + offset, corner[rank, 1] + offset
        x, y = gaussians.place[order[rank]].unbind(-1)
        square = (row - y).square()[:, :, None] + (column - x).square()[:, None]
        inside = ((row >= 0) & (row < height))[:, :, None] & ((column >= 0) & (column < width))[:, None]
        touched = inside & (square <= reach[rank, None] ** 2)
        pixels.append((row[:, :, None] * width + column[:, None])[touched])
        ranks.append(rank[:, :, None].expand_as(touched)[touched])
    count = max(len(gaussians), 1)
    key = (torch.cat(pixels) * count + torch.cat(ranks)).sort().values
    return order[key % count], key // count


def _clear(alpha, pixel):
    """(pairs,) share of light that the nearer Gaussians of the same pixel let through."""
    through = torch.log1p(-alpha.double())
    before = through.cumsum(0) - through
    first = torch.ones_like(pixel, dtype=torch.bool)
    first[1:] = pixel[1:] != pixel[:-1]
    start = before[first]
    return (before - start[first.cumsum(0) - 1]).exp()
