"""Point spread functions of a defocused lens, by their optical transfer functions (OTF).

A PSF is named by the diameter c of its circle of confusion in pixels. All families here have the per-axis variance of a
uniform disc of that diameter, (c / 4)^2, so that changing the family changes the shape of the blur and not its amount.
Each is radially symmetric and scales with c, so its OTF is one curve H(c * |frequency|) with H(0) = 1. It is called
with a signed c, below zero in front of focus, where an aberrated lens has another blur than behind it.
Working with that curve keeps a CoC of zero exact (no blur) and needs no rasterised kernel.

disc        the aperture of an ideal lens: H(x) = 2 J1(pi x) / (pi x)
gaussian    sigma = c / 4
power(p)    h(r) ~ exp(-(r / a)^p): 2 is the Gaussian, large p the disc; between them a disc with soft edges.
            Source of the family: Claxton and Staunton, "Measurement of the point-spread function of a noisy imaging
            system", JOSA A 2008.
spherical(a) a disc with a bright rim behind focus and a bright core in front of it (a > 0), or the other way round:
            h(r) ~ 1 + a (2 r^2 / R^2 - 1), third-order spherical aberration to first order. Source of the shape: Smith,
            "Modern Optical Engineering", on the blur at either side of best focus.
"""

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
from scipy.special import gamma, j0

from dfd_depth_ros.optics.aperture import Aperture
from dfd_depth_ros.optics.wavefront import PhaseMask, PsfStack

OTF = Callable[[torch.Tensor], torch.Tensor]  # radially symmetric and one curve for all CoC; what is not, is `Coded`
Coded = Aperture | PhaseMask | PsfStack


class _BesselJ1(torch.autograd.Function):
    """J1 with its derivative; torch.special.bessel_j1 has none and breaks the graph in silence."""

    @staticmethod
    def forward(ctx, z):
        ctx.save_for_backward(z)
        return torch.special.bessel_j1(z)

    @staticmethod
    def backward(ctx, grad):
        (z,) = ctx.saved_tensors
        return grad * (torch.special.bessel_j0(z) - torch.special.bessel_j1(z) / z)


def disc(x: torch.Tensor) -> torch.Tensor:
    """OTF of a uniform disc at x = CoC diameter times frequency (pixels * cycles per pixel)."""
    argument = math.pi * x
    small = argument.abs() < 1e-3
    safe = torch.where(small, torch.ones_like(argument), argument)
    return torch.where(small, 1 - argument**2 / 8, 2 * _BesselJ1.apply(safe) / safe)


def gaussian(x: torch.Tensor) -> torch.Tensor:
    """OTF of the Gaussian with the variance of a disc, sigma = c / 4."""
    return torch.exp(-2 * (math.pi * x / 4) ** 2)


def spherical(amount: float) -> OTF:
    """OTF of a defocused disc with spherical aberration. amount: -1..1, see above. Raises ValueError beyond."""
    if not abs(amount) <= 1:
        raise ValueError(f'spherical aberration must lie within -1 and 1, not {amount}')

    def otf(x: torch.Tensor) -> torch.Tensor:
        rim = amount * x.sign()
        z = math.pi * x.abs() / (1 + rim / 3).sqrt()  # of equal variance whatever the rim
        safe = z.clamp(min=0.5)
        flat = 2 * torch.special.bessel_j1(safe) / safe
        curved = 8 * (flat - torch.special.bessel_j0(safe)) / safe**2
        flat = torch.where(z < 0.5, 1 - z**2 / 8 + z**4 / 192, flat)
        curved = torch.where(z < 0.5, 1 - z**2 / 12 + z**4 / 384, curved)
        return flat + rim * (flat - curved)

    return otf


def power(exponent: float) -> OTF:
    """OTF of the power-exponential h(r) ~ exp(-(r / a)^exponent), a chosen for the variance of a disc.
    exponent: 1 and above. Raises ValueError below."""
    if not exponent >= 1:
        raise ValueError(f'power-exponential PSF needs an exponent of 1 or more, not {exponent}')
    table = _power_table(round(float(exponent), 3))

    def otf(x: torch.Tensor) -> torch.Tensor:
        values = torch.as_tensor(table, dtype=x.dtype, device=x.device)
        position = (x.abs() * _TABLE_DENSITY).clamp(max=len(table) - 1.001)
        index = position.long()
        fraction = position - index
        return values[index] * (1 - fraction) + values[index + 1] * fraction

    return otf


_TABLE_DENSITY, _TABLE_END = 32, 24


@lru_cache(maxsize=256)
def _power_table(exponent: float) -> np.ndarray:
    """H at x = 0, 1/32 ... 24 by quadrature of the Hankel transform, for c = 1."""
    scale = 0.25 * math.sqrt(2 * gamma(2 / exponent) / gamma(4 / exponent))
    edge = scale * min(40 ** (1 / exponent), 12.0)
    r = (np.arange(1024) + 0.5) / 1024 * edge
    weight = np.exp(-((r / scale) ** exponent)) * r
    x = np.arange(_TABLE_END * _TABLE_DENSITY + 1) / _TABLE_DENSITY
    return (j0(2 * np.pi * x[:, None] * r[None]) @ weight) / weight.sum()


def transfer(otf: OTF | Coded, diameters: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """OTF of each signed CoC diameter in pixels on the grid of `torch.fft.rfft2`: (..., height, width // 2 + 1)."""
    like = {'device': diameters.device, 'dtype': diameters.dtype}
    vertical, horizontal = torch.fft.fftfreq(height, **like)[:, None], torch.fft.rfftfreq(width, **like)[None]
    if isinstance(otf, PhaseMask | PsfStack):
        return otf.at(diameters, vertical, horizontal)
    diameters = diameters[..., None, None]
    if isinstance(otf, Aperture):
        return otf(diameters * vertical, diameters * horizontal)
    above = otf(diameters * torch.hypot(vertical[: height // 2 + 1], horizontal))
    return torch.cat([above, above[..., 1 : (height + 1) // 2, :].flip(-2)], -2)  # the other rows mirror these


def blur(images: torch.Tensor, diameters: torch.Tensor, otf: OTF | Coded = disc) -> torch.Tensor:
    """Blur images (..., H, W) by signed CoC diameters in pixels, broadcast against (...); the border wraps, so pad
    by half the largest diameter where that matters. Differentiable in images and, through the OTF, in diameters."""
    height, width = images.shape[-2:]
    return torch.fft.irfft2(torch.fft.rfft2(images) * transfer(otf, diameters, height, width), s=(height, width))
