"""Pixel-aligned Gaussians: every pixel of a picture as one round splat in the view, as a function of its depth.

Nothing about a Gaussian is free: place, size and order follow from inverse depth, colour is the pixel's. (Free ones
would absorb a loss that should teach depth.) Defocus is a variance added to the footprint of the pixel. Behind the edge
of an occluder lies a second, thin layer, so that a blurred edge has something to show: the nearest pixel that is
clearly farther gives depth and colour, and the layer thins out with the distance from there.

Opacity is a density times the light of a pixel, spread over the splat. The density decides between two errors: sorted
"over" lets the nearer side of a surface count for more, the more so the denser it is, and a thin occluder lets through
what it hides. Measured against a ray-traced lens up to 7.5 pixels of CoC, on slanted planes and on a blurred occluder:
density 0.2 gives 44 and 41 dB, 0.4 gives 43 and 40, 0.8 gives 37 and 35. At 0.4 the second layer is worth 1 dB, and
giving back what the cut at 1/255 takes (`_cut`) 8 dB. What the cut still takes is gradient: the pixels that enter or
leave a splat as it grows are not felt, so gradients to a CoC over 4 pixels have 0.4 to 0.9 of their true size, and less
at lower density: hence 0.4.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F

from dfd_depth_ros.splatting.renderer import NEAR, Picture, View, coc, missing_blur, reproject

FOOTPRINT = 0.35  # standard deviation of a sharp pixel, in pixels of the picture
MOST_BLUR = 8.0  # pixels of CoC; wider splats fall under the alpha that rasterisers cut
FAINTEST = 1 / 255  # alpha that rasterisers cut
FLATTEST, NEWTON = 0.4, 6  # how near to an even disc (0.5) a splat may come; steps of its solution
MOST_OPAQUE = 0.99
DENSITY, EDGE, BEHIND = 0.4, 0.8, 0.2  # of pixels, of those with something behind them, of what is behind the edge
REACH = int(MOST_BLUR / 2)  # pixels around one in which its background is looked for
CLEARLY = 0.8  # inverse depth over that of a pixel, under which something is its background
TINY = 1e-6  # 1/m, so that infinity over infinity is one


@dataclass(frozen=True)
class Gaussians:
    """N round splats in a view. place: (N, 2) x, y in pixels, whole numbers at their centres. inverse_depth: (N,) 1/m.
    colour: (N, 3) linear light. variance: (N,) pixel^2 along each axis. opacity: (N,) alpha in the middle, 0..1."""

    place: torch.Tensor
    inverse_depth: torch.Tensor
    colour: torch.Tensor
    variance: torch.Tensor
    opacity: torch.Tensor

    def __len__(self) -> int:
        return len(self.place)


def to_gaussians(pictures: Sequence[Picture], view: View) -> Gaussians:
    """The pixels of all pictures, and what lies behind their edges, as a view sees them; without those behind the
    camera. Differentiable in colour, inverse depth, lenses, poses and psf_scale.

    Raises ValueError where there is no picture.
    """
    if not pictures:
        raise ValueError('a renderer needs at least one picture')
    parts = []
    for picture in pictures:
        behind, distance = _background(picture)
        parts.append(_splats(picture, view, torch.where(distance > 0, EDGE, DENSITY)))
        parts.append(_splats(behind, view, torch.where(distance > 0, BEHIND / distance**2, 0.0)))
    return Gaussians(*(torch.cat([getattr(part, field.name) for part in parts]) for field in fields(Gaussians)))


def _splats(picture, view, density):
    """The pixels of one picture whose density (1, H, W) is not zero and which lie ahead."""
    place, inverse_depth = reproject(picture, view)
    growth = view.lens[2] / picture.lens[2] * (inverse_depth + TINY) / (picture.inverse_depth + TINY)
    present = None if picture.blur is None else picture.blur * growth
    lacking = missing_blur(view.psf_scale * coc(inverse_depth, view.lens), present).clamp(-MOST_BLUR, MOST_BLUR)
    variance, opacity = _cut((FOOTPRINT * growth) ** 2 + (lacking / 4) ** 2, density.to(growth) * growth**2)
    ahead = (inverse_depth * picture.inverse_depth >= 0) & (inverse_depth.abs() * NEAR <= picture.inverse_depth.abs())
    keep = ((density > 0) & ahead)[0]
    values = (place, inverse_depth[0], picture.colour, variance[0], opacity[0])
    return Gaussians(*(value[..., keep].T if value.ndim == 3 else value[keep] for value in values))


def _cut(variance, light):
    """Variance and opacity of Gaussians that have this variance and this sum of alpha after all alpha under FAINTEST is
    cut off, which narrows them: 18 % in standard deviation at 8 pixels of CoC. With w the new variance in units of
    light / (2 pi FAINTEST), what is left has the variance w - w^2 log(1 + 1 / w) in these units: solved by Newton."""
    unit = light.clamp(min=TINY) / (2 * math.pi * FAINTEST)
    wanted = (variance / unit).clamp(max=FLATTEST)
    w = wanted
    for _ in range(NEWTON):
        log = torch.log1p(1 / w)
        w = w + (wanted - w + w**2 * log) / (1 - 2 * w * log + w / (1 + w))
    return w * unit, (FAINTEST * (1 + 1 / w)).clamp(max=MOST_OPAQUE)


def _background(picture):
    """For each pixel the farthest one around it, taken from as near as one lies clearly behind, as a picture; and from
    how many pixels away (1, H, W), zero where there is none."""
    inverse_depth = picture.inverse_depth.detach()
    source = torch.arange(inverse_depth.numel(), device=inverse_depth.device).view_as(inverse_depth)
    distance = torch.zeros_like(inverse_depth)
    for reach in range(1, REACH + 1):
        far, index = F.max_pool2d(-inverse_depth, 2 * reach + 1, stride=1, padding=reach, return_indices=True)
        fresh = (distance == 0) & (-far < CLEARLY * inverse_depth)
        source, distance = torch.where(fresh, index, source), torch.where(fresh, float(reach), distance)
    colour, farther, blur = (
        None if values is None else values.flatten(1)[:, source.flatten()].view_as(values)
        for values in (picture.colour, picture.inverse_depth, picture.blur)
    )
    return Picture(colour, farther, picture.lens, picture.pose, blur), distance
