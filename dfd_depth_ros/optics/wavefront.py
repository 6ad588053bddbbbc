"""Blur of a lens with a phase mask in its pupil, by Fourier optics: the PSF is the squared transform of the pupil.

A mask delays the light by a phase that depends on the distance from the axis; defocus adds one that grows with the
square of it. In front of focus and behind it the two add up differently, so such a lens blurs the two sides of focus
differently although everything about it is round. With no mask and much defocus the PSF is the disc of geometric
optics; in focus it is the Airy disc.

Defocus of W waves at the edge of the pupil is a CoC of 8 N lambda W (transverse ray aberration 2 N dW/drho; Goodman,
"Introduction to Fourier Optics", chapter 6). Learned masks: Wu et al., "PhaseCam3D", ICCP 2019; rotationally symmetric
ones: Ikoma et al., "Depth from Defocus with Learned Optics", ICCP 2021.
"""

import math

import torch

PUPIL, PLANE = 64, 256  # samples across the pupil, and of the square that it is transformed in
GREEN_M = 550e-9


class PsfStack:
    """PSFs that are known at some CoC, as of a measured or coded lens: between two levels their light is mixed.

    levels: (P,) signed CoC in pixels, ascending. psfs: (P, N, N) intensities, middle at [N // 2, N // 2]; each is taken
    to sum to one. pitch: pixels between their samples. Differentiable in the PSFs. Raises ValueError where they do not
    fit together or a PSF holds no light.
    """

    def __init__(self, levels: torch.Tensor, psfs: torch.Tensor, pitch: float = 1.0):
        if psfs.ndim != 3 or psfs.shape[1] != psfs.shape[2] or levels.shape != psfs.shape[:1]:
            raise ValueError(f'{tuple(levels.shape)} levels do not fit PSFs of shape {tuple(psfs.shape)}')
        if len(levels) < 2 or not bool((levels.diff() > 0).all()):
            raise ValueError('a stack of PSFs needs two levels or more, in ascending order')
        light = psfs.sum((1, 2), keepdim=True)
        if not bool((light > 0).all()):
            raise ValueError('a PSF holds no light')
        self.levels, self.pitch = levels, pitch
        self.psfs = torch.fft.ifftshift(psfs / light, (1, 2))

    def at(self, coc: torch.Tensor, vertical: torch.Tensor, horizontal: torch.Tensor) -> torch.Tensor:
        """As `PhaseMask.at`; a CoC outside the levels is that of the nearest one."""
        upper = torch.searchsorted(self.levels, coc.detach().contiguous()).clamp(1, len(self.levels) - 1)
        low, high = self.levels[upper - 1], self.levels[upper]
        share = ((coc - low) / (high - low)).clamp(0, 1)[..., None, None]
        known = spectrum(self.psfs, self.pitch, vertical, horizontal)
        return (1 - share) * known[upper - 1] + share * known[upper]


class PhaseMask:
    """PSFs of a lens with a rotationally symmetric phase mask, for `optics.formation` and `optics.psf.blur`.

    rings: (K,) phase in radians of rings of equal width from the axis to the edge, between whose middles it is linear.
    f_number, pixel_pitch_m, wavelength_m: of lens, sensor and light; together they say how far diffraction blurs.
    phase: of the mask over the pupil, (PUPIL, PUPIL) radians. Differentiable in the rings. Raises ValueError for rings
    that are none.
    """

    def __init__(self, rings: torch.Tensor, f_number: float, pixel_pitch_m: float, wavelength_m: float = GREEN_M):
        if rings.ndim != 1 or len(rings) < 2:
            raise ValueError(
                f'a phase mask is a row of two phases or more, one for each ring, not {tuple(rings.shape)}'
            )
        self.unit = f_number * wavelength_m / pixel_pitch_m  # lambda N in pixels
        self.pitch = self.unit * PUPIL / PLANE  # pixels between samples of a PSF
        place = (torch.arange(PUPIL, device=rings.device, dtype=rings.dtype) + 0.5) / PUPIL * 2 - 1
        radius = torch.hypot(place[:, None], place[None])
        ring = (radius * len(rings) - 0.5).clamp(0, len(rings) - 1)
        lower = ring.long().clamp(max=len(rings) - 2)
        self.phase = rings[lower] + (rings[lower + 1] - rings[lower]) * (ring - lower)
        self._inside, self._square = ((1 - radius) * PUPIL / 2 + 0.5).clamp(0, 1), radius.square()

    @property
    def most_px(self) -> float:
        """Largest |CoC| in pixels: beyond it the wavefront turns by more than half a wave from sample to sample of the
        pupil, and the PSF by geometric optics is wider than what is computed of it. A tenth is kept in reserve."""
        return 0.9 * self.unit * PUPIL

    def psf(self, coc: torch.Tensor) -> torch.Tensor:
        """(..., PLANE, PLANE) intensities that sum to one, middle at [0, 0] as FFTs have it, for signed CoC (...) in
        pixels; `pitch` pixels lie between samples. Raises ValueError for a CoC beyond `most_px`."""
        if bool((coc.abs() > self.most_px).any()):
            raise ValueError(
                f'a CoC of {float(coc.abs().max()):.3g} px is beyond the {self.most_px:.3g} px of this mask'
            )
        waves = coc[..., None, None] / (8 * self.unit)
        phase = self.phase + 2 * math.pi * waves * self._square
        field = torch.fft.fft2(torch.polar(self._inside.expand_as(phase), phase), s=(PLANE, PLANE))
        power = field.abs().square()
        return power / power.sum((-2, -1), keepdim=True)

    def at(self, coc: torch.Tensor, vertical: torch.Tensor, horizontal: torch.Tensor) -> torch.Tensor:
        """OTF for signed CoC (...) in pixels at frequencies (h, 1) and (1, w) in cycles per pixel, (..., h, w)."""
        return spectrum(self.psf(coc), self.pitch, vertical, horizontal)


def spectrum(psf: torch.Tensor, pitch: float, vertical: torch.Tensor, horizontal: torch.Tensor) -> torch.Tensor:
    """Fourier transform of PSFs (..., N, N), middle at [0, 0] as FFTs have it and `pitch` pixels between samples, at
    frequencies (h, 1) and (1, w) in cycles per pixel: (..., h, w) complex. Exact, with no grid to interpolate."""
    count = psf.shape[-1]
    place = torch.fft.fftfreq(count, 1 / (count * pitch), device=psf.device, dtype=psf.dtype)
    rows, columns = (torch.exp(-2j * math.pi * f.reshape(-1, 1) * place) for f in (vertical, horizontal))
    return rows @ psf.to(rows.dtype) @ columns.T
