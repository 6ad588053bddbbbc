"""Blur of an aperture of any shape: the blades of an iris, the cat's eye off the axis, a coded mask.

Out of focus a lens draws the picture of its aperture, as large as the CoC and, in front of focus, turned by half a
turn. That is all there is to it in geometric optics, so one mask of transmissions stands for every such PSF. A mask
that differs from itself turned by half a turn tells the two sides of focus apart.

Source: Levin et al., "Image and Depth from a Conventional Camera with a Coded Aperture", SIGGRAPH 2007; Sellent and
Favaro, "Which Side of the Focal Plane are You on?", ICCP 2014 (asymmetric masks).
"""

import numpy as np
import torch
import torch.nn.functional as F

SAMPLES = 64  # of a mask across the aperture
_DENSITY, _REACH = 16, 16  # table of the OTF: points for one cycle across the CoC, and cycles that it goes to


class Aperture:
    """OTF of a mask. mask: (N, N) transmission, 0 and above, over the square around the full aperture; small ones are
    taken as blocks. scale: factor on the CoC, see `matched`. Raises ValueError where nothing passes.

    Called with vertical and horizontal frequency in cycles across the signed CoC, broadcast against each other; gives
    complex numbers, 1 at frequency zero. Differentiable in the mask, so that an aperture can be learned.
    """

    def __init__(self, mask: torch.Tensor, scale: float = 1.0):
        mask = _sampled(mask)
        count = len(mask)
        centred = F.pad(mask, (0, (_DENSITY - 1) * count) * 2).roll((-(count // 2),) * 2, (0, 1))
        spectrum = torch.fft.fftshift(torch.fft.fft2(centred))
        points = torch.arange(-_DENSITY * _REACH, _DENSITY * _REACH + 1, device=mask.device)
        rows = points + spectrum.shape[0] // 2
        between = 0.0 if count % 2 else 0.5  # of an even number of samples none lies on the axis
        turn = torch.exp(-2j * torch.pi * points * between / (_DENSITY * count))
        self._table = torch.view_as_real(spectrum[rows][:, rows] * turn[:, None] * turn).permute(2, 0, 1)[None]
        self._scale = scale / _REACH

    def __call__(self, vertical: torch.Tensor, horizontal: torch.Tensor) -> torch.Tensor:
        vertical, horizontal = torch.broadcast_tensors(vertical, horizontal)
        place = torch.stack([horizontal, vertical], -1) * self._scale
        table = self._table.to(vertical.dtype)
        values = F.grid_sample(table, place.flatten(0, -3)[None], align_corners=True)[0]
        return torch.complex(*values).view(vertical.shape)


def polygon(blades: int, turn: float = 0.0) -> torch.Tensor:
    """Mask of an iris of so many straight blades, turned by `turn` radians, whose corners touch the full aperture."""
    y, x = _positions()
    angle = np.arctan2(y, x) + turn
    side = np.cos(np.pi / blades) / np.cos((angle % (2 * np.pi / blades)) - np.pi / blades)
    return _soft(side - np.hypot(x, y))


def cats_eye(shift: float, direction: float = 0.0) -> torch.Tensor:
    """Mask of a disc cut by another one, `shift` radii away in a direction in radians: mechanical vignetting."""
    y, x = _positions()
    other = np.hypot(x - shift * np.cos(direction), y - shift * np.sin(direction))
    return _soft(1 - np.maximum(np.hypot(x, y), other))


def matched(mask: torch.Tensor) -> float:
    """Factor on the CoC with which a mask blurs as much as a full disc: of equal mean variance along both axes."""
    weight = _sampled(mask)
    y, x = (torch.from_numpy(position) for position in _positions(len(weight)))
    variance = (weight * (x**2 + y**2)).sum() - (weight * x).sum() ** 2 - (weight * y).sum() ** 2
    return float((0.5 / variance).sqrt())


def _sampled(mask):
    """The mask as at least SAMPLES x SAMPLES samples that sum to one."""
    known = mask.detach()
    if mask.ndim != 2 or mask.shape[0] != mask.shape[1] or bool((known < 0).any()) or not float(known.sum()) > 0:
        raise ValueError('an aperture is a square mask of transmissions, 0 and above, that lets something pass')
    block = -(-SAMPLES // len(mask))
    return (mask / mask.sum()).repeat_interleave(block, 0).repeat_interleave(block, 1) / block**2


def _positions(count: int = SAMPLES):
    """(N, N) vertical and horizontal places of the samples of a mask, in radii of the aperture."""
    place = (np.arange(count) + 0.5) / count * 2 - 1
    return np.meshgrid(place, place, indexing='ij')


def _soft(inside):
    """Mask with an edge as wide as a sample."""
    return torch.from_numpy(np.clip(inside * SAMPLES / 2 + 0.5, 0, 1))
