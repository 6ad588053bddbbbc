"""Image formation: what a lens makes of a sharp scene, in linear light.

A scene is cut into planes of equal CoC by tent masks (a partition of unity, so depth keeps its gradient), each plane is
blurred by its own PSF, and the planes are laid over each other from far to near. Dividing by the accumulated coverage
leaves no dark seams between neighbouring planes.

Two kinds of scene: `form` takes one picture with its CoC map (RGB-D), where nothing is known behind an occluder;
`form_surfaces` takes whole surfaces from back to front, so that a blurred edge lets the true background through.

Source: layered defocus after Ikoma et al., "Depth from Defocus with Learned Optics", ICCP 2021, with coverage
normalisation; thin-lens CoC from `optics.lens`.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from scipy.fft import next_fast_len

from dfd_depth_ros.optics.lens import Lens
from dfd_depth_ros.optics.psf import OTF, Coded, blur, disc, transfer
from dfd_depth_ros.optics.tone import from_srgb, to_srgb

COVERED = 1e-4  # coverage under which a pixel counts as empty


def tents(coc: torch.Tensor, planes: torch.Tensor) -> torch.Tensor:
    """Share of each plane in each pixel. coc: (..., H, W) signed pixels. planes: (P,) ascending.
    Returns (..., P, H, W) that sums to one over P; a CoC outside the planes goes to the nearest one."""
    if len(planes) == 1:
        return torch.ones_like(coc).unsqueeze(-3)
    upper = torch.searchsorted(planes, coc.detach().contiguous()).clamp(1, len(planes) - 1)
    low, high = planes[upper - 1], planes[upper]
    share = ((coc - low) / (high - low)).clamp(0, 1)
    weights = coc.new_zeros(*coc.shape[:-2], len(planes), *coc.shape[-2:])
    weights = weights.scatter(-3, (upper - 1).unsqueeze(-3), (1 - share).unsqueeze(-3))
    return weights.scatter_add(-3, upper.unsqueeze(-3), share.unsqueeze(-3))


def planes_between(low: float, high: float, count: int, device=None, dtype=torch.float32) -> torch.Tensor:
    """`count` CoC planes from low to high, evenly spaced (even in inverse depth too, since CoC is affine in it)."""
    if high - low < 1e-3:
        return torch.tensor([(low + high) / 2], device=device, dtype=dtype)
    return torch.linspace(low, high, count, device=device, dtype=dtype)


def planes_spaced(low: float, high: float, spacing: float, device=None, dtype=torch.float32) -> torch.Tensor:
    """CoC planes from low to high about `spacing` pixels apart near focus and wider with growing blur, where one more
    pixel of CoC changes the picture less."""
    growth = 0.15
    ends = np.sign([low, high]) * np.log1p(growth * np.abs([low, high])) / growth
    count = max(2, int(np.ceil((ends[1] - ends[0]) / spacing)) + 1)
    steps = planes_between(float(ends[0]), float(ends[1]), count, device, dtype)
    return steps.sign() * torch.expm1(growth * steps.abs()) / growth


def over(colour: torch.Tensor, coverage: torch.Tensor) -> torch.Tensor:
    """Lay premultiplied planes over each other. colour: (B, P, C, H, W), coverage: (B, P, 1, H, W), nearest first.
    Returns (B, C, H, W), premultiplied."""
    clear = torch.cumprod(1 - coverage, dim=1)
    visible = torch.cat([torch.ones_like(clear[:, :1]), clear[:, :-1]], dim=1)
    return (colour * visible).sum(1)


def form(image: torch.Tensor, coc: torch.Tensor, planes: torch.Tensor, otf: OTF | Coded = disc) -> torch.Tensor:
    """Defocus one sharp picture. image: (B, 3, H, W) linear light. coc: (B, 1, H, W) signed pixels. planes: (P,)
    ascending signed CoC. Returns (B, 3, H, W). Differentiable in image and coc; runs where its inputs are."""
    height, width = image.shape[-2:]
    margin = int(np.ceil(float(planes.abs().max()) / 2)) + 1
    padded = F.pad(torch.cat([image, coc], 1), padding(margin, height, width), mode='replicate')
    masks = tents(padded[:, 3], planes).unsqueeze(2)
    spread = blur(torch.cat([padded[:, None, :3] * masks, masks], 2), planes[:, None], otf)
    spread = spread[..., margin : margin + height, margin : margin + width]
    seen = over(spread, spread[:, :, 3:].clamp(0, 1))
    return seen[:, :3] / seen[:, 3:].clamp(min=COVERED)


def padding(margin: int, height: int, width: int) -> tuple[int, int, int, int]:
    """Margins (left, right, top, bottom) for F.pad: at least `margin` pixels, so that the border, which wraps around,
    reaches nothing seen, and as many that FFTs like the size."""
    right = next_fast_len(width + 2 * margin, real=True) - width - margin
    bottom = next_fast_len(height + 2 * margin, real=True) - height - margin
    return (margin, right, margin, bottom)


@dataclass(frozen=True)
class Surface:
    """One surface of a scene. colour: (3, H, W) linear light. alpha: (H, W) in 0..1. inverse_depth: (H, W) 1/m."""

    colour: torch.Tensor
    alpha: torch.Tensor
    inverse_depth: torch.Tensor


def form_surfaces(
    surfaces: Iterable[Surface],
    lens: Lens,
    spacing: float = 1.0,
    otf: OTF | Coded = disc,
    colour_shift: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> torch.Tensor:
    """Defocus a scene of surfaces given from back to front. spacing: pixels of CoC between planes. colour_shift: CoC
    added to red, green and blue, in pixels (longitudinal chromatic aberration). Returns (3, H, W) linear light.

    Within one surface the planes add, because they are parts of one sheet; a surface then covers what is behind it.
    Beyond the border there is nothing: give surfaces a margin and crop it.
    """
    picture = None
    for surface in surfaces:
        colour, coverage = _spread(surface, lens, spacing, otf, colour_shift)
        covered = coverage.clamp(0, 1)
        colour = colour / coverage.clamp(min=COVERED)
        picture = colour if picture is None else colour * covered + picture * (1 - covered)
    if picture is None:
        raise ValueError('image formation needs at least one surface')
    return picture.clamp(min=0)


def _spread(surface, lens, spacing, otf, colour_shift):
    """Premultiplied colour and coverage (1 or 3, H, W) of one surface, worked out only where its light can arrive."""
    solid = surface.alpha > 0
    coc = lens.coc(surface.inverse_depth)
    seen = coc[solid] if bool(solid.any()) else coc
    low, high = float(seen.min()), float(seen.max())
    reach = max(abs(low), abs(high)) + max(map(abs, colour_shift))
    frame = _frame(solid, math.ceil(reach) + 2)
    colour, alpha, coc = (F.pad(x, frame) for x in (surface.colour, surface.alpha, coc))
    planes = planes_spaced(low, high, spacing, coc.device, coc.dtype)
    masks = tents(coc, planes) * alpha
    spectra = torch.fft.rfft2(torch.cat([colour * masks[:, None], masks[:, None]], 1))
    shift = planes.new_tensor(colour_shift if any(colour_shift) else [0.0])
    blurs = transfer(otf, planes[:, None] + shift, *coc.shape[-2:])
    if any(colour_shift):
        blurs = blurs[:, [0, 1, 2, 1]]  # coverage spreads as green does
    spread = torch.fft.irfft2((spectra * blurs).sum(0), s=coc.shape[-2:])
    spread = F.pad(spread, tuple(-side for side in frame))
    return spread[:3], spread[3:]


def _frame(solid, reach):
    """Margins (left, right, top, bottom) for F.pad, below zero where they cut, that leave of a picture what a surface
    covers and `reach` pixels around it, beyond the border as well: light that leaves at one side of the picture must
    not come in at the other. The sides get lengths that FFTs like."""
    margins = []
    for dim in (1, 0):
        found = solid.any(1 - dim).nonzero()
        first, last = (int(found[0]), int(found[-1])) if len(found) else (0, solid.shape[dim] - 1)
        size = next_fast_len(last - first + 1 + 2 * reach, real=dim == 1)
        margins += [reach - first, first - reach + size - solid.shape[dim]]
    return tuple(margins)


def render_rgbd(
    image: np.ndarray, inverse_depth: np.ndarray, lens: Lens, planes: int = 24, otf: OTF | Coded = disc
) -> np.ndarray:
    """Defocus a photograph with depth. image: (H, W, 3) uint8 sRGB, sharp. inverse_depth: (H, W) 1/m, without holes.
    Returns (H, W, 3) uint8 sRGB. Raises ValueError where shapes differ or depth has holes."""
    if image.shape[:2] != inverse_depth.shape:
        raise ValueError(f'image {image.shape[:2]} and inverse depth {inverse_depth.shape} differ in size')
    if not np.isfinite(inverse_depth).all():
        raise ValueError('inverse depth has holes; fill them before defocusing')
    coc = torch.from_numpy(np.ascontiguousarray(lens.coc(inverse_depth), dtype=np.float32))
    linear = from_srgb(torch.from_numpy(image.astype(np.float32) / 255)).permute(2, 0, 1)
    levels = planes_between(float(coc.min()), float(coc.max()), planes)
    blurred = form(linear[None], coc[None, None], levels, otf)[0].permute(1, 2, 0)
    return (to_srgb(blurred.clamp(0, 1)) * 255).round().byte().numpy()
