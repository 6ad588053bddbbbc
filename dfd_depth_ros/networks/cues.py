"""What classical depth from defocus looks at, handed to the network as ready features: local power spectra.

Blur multiplies the spectrum of a picture by the transfer function of the lens, so in logarithms it is a difference
between frequencies, whatever the contrast, and one convolution can form it. Each 8 x 8 block is taken apart by the
discrete cosine transform, on the picture itself (each colour, since colour fringes tell the side of focus), on its half
and on its quarter, where a wide blur leaves something to read. A network without these maps learns them, but far more
slowly.

Source: Pentland, "A New Sense for Depth of Field", PAMI 1987 (spectral ratios); Ahmed, Natarajan and Rao, "Discrete
Cosine Transform", IEEE Trans. Computers 1974.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

from dfd_depth_ros.networks.blocks import halved
from dfd_depth_ros.networks.onednn import product

BLOCK = 8
FLOOR = 1e-6  # energy that quantisation to 8 bits leaves in a coefficient


class LocalSpectrum(nn.Module):
    """(B, 3, H, W) gamma-encoded picture in 0..1, H and W multiples of 8, to (B, `channels`, H/8, W/8): log energies of
    rings of frequency in three directions, of a block itself and of the mean over its neighbours."""

    filters: torch.Tensor
    groups: torch.Tensor

    def __init__(self):
        super().__init__()
        filters, groups = _filters(), _groups()
        self.register_buffer('filters', filters, persistent=False)
        self.register_buffer('groups', groups, persistent=False)
        self.channels = 2 * 5 * groups.shape[1]  # three colours, half and quarter size

    @torch.no_grad()
    def forward(self, image: torch.Tensor) -> torch.Tensor:
        half = halved(image).mean(1, keepdim=True)
        with torch.autocast(image.device.type, enabled=False):  # halves of precision would drown the finest detail
            scales = [self._energy(image, 8), self._energy(half, 4), self._energy(halved(half), 2)]
        energy = torch.cat(scales, 1).contiguous(memory_format=torch.channels_last)
        around = F.avg_pool2d(energy, 3, 1, 1, count_include_pad=False)
        return torch.cat([energy, around], 1).add_(FLOOR).log_().div_(4).add_(1.5)

    def _energy(self, channels, stride):
        """Blocks around the centres of cells `stride` pixels wide, as rows of a matrix: several times faster on a
        processor than convolutions of one channel."""
        margin = (BLOCK - stride) // 2
        channels = F.pad(channels, (margin,) * 4, mode='replicate') if margin else channels
        blocks = channels.unfold(2, BLOCK, stride).unfold(3, BLOCK, stride).permute(0, 2, 3, 1, 4, 5)
        energy = product(product(blocks.flatten(-2), self.filters).square_(), self.groups)
        return energy.flatten(-2).movedim(-1, 1)


def _frequencies():
    """Vertical and horizontal frequency of each coefficient but the mean, (63,) each."""
    row, column = torch.meshgrid(torch.arange(BLOCK), torch.arange(BLOCK), indexing='ij')
    return row.flatten()[1:].float(), column.flatten()[1:].float()


def _filters():
    """(64, 63) orthonormal basis functions of the two-dimensional DCT-II without the mean, one a column."""
    frequency, place = torch.arange(BLOCK)[:, None], torch.arange(BLOCK)[None]
    waves = torch.cos(math.pi * (place + 0.5) * frequency / BLOCK) * (2 / BLOCK) ** 0.5
    waves[0] /= 2**0.5
    return torch.einsum('ai,bj->ijab', waves, waves).reshape(BLOCK**2, BLOCK**2)[:, 1:].contiguous()


def _groups():
    """(63, G) means over coefficients of about one frequency and one direction of three."""
    row, column = _frequencies()
    ring = torch.hypot(row, column).round().clamp(max=BLOCK) - 1
    third = (torch.atan2(row, column) / (math.pi / 2) * 2.999).floor()
    number = (3 * ring + third).long()
    member = torch.stack([(number == group).float() for group in number.unique()], 1)
    return member / member.sum(0)
