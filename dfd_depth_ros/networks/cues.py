"""What classical depth from defocus looks at, handed to the network as its first features.

Blur takes fine detail away first, so the ratio of energies in neighbouring octave bands tells it, whatever the
contrast; at a lone edge the ratio of its height to its steepest slope is its width. In logarithms ratios become
differences, which one convolution can form. A network without these maps learns them, but far more slowly.

Source: Pentland, "A New Sense for Depth of Field", PAMI 1987 (bands); Zhuo and Sim, "Defocus map estimation from a
single image", Pattern Recognition 2011 (edges).
"""

import torch
import torch.nn.functional as F

BANDS = 4
CHANNELS = 2 * BANDS + 4
FLOOR = 0.002  # half a grey level: what quantisation leaves


def blur_cues(image: torch.Tensor) -> torch.Tensor:
    """Logarithms of local energies and heights, at a quarter of the resolution.

    image: (B, 3, H, W) gamma-encoded in 0..1, H and W multiples of 8. Returns (B, CHANNELS, H/4, W/4): mean magnitude
    of each octave band near the pixel and around it (36 pixels), then the largest magnitude of the two finest bands
    within 12 pixels and the height of the signal within 12 and 28 pixels.
    """
    grey = image.mean(1, keepdim=True)
    bands = _bands(grey)
    near = torch.cat([_at_quarter(band, level) for level, band in enumerate(bands)], 1)
    around = F.avg_pool2d(near, 9, 1, 4, count_include_pad=False)
    peaks = torch.cat([F.max_pool2d(bands[0], 4), F.max_pool2d(bands[1], 2)], 1)
    high, low = F.max_pool2d(grey, 4), -F.max_pool2d(-grey, 4)
    heights = [_widest(high, size) + _widest(-low, size) for size in (3, 7)]
    return torch.log(torch.cat([near, around, _widest(peaks, 3), *heights], 1) + FLOOR) / 2 + 2


def _bands(grey):
    """Magnitudes of BANDS octave bands, each at its own resolution."""
    bands = []
    for _ in range(BANDS):
        smooth = F.avg_pool2d(F.pad(grey, (1, 1, 1, 1), mode='replicate'), 3, 1)
        bands.append((grey - smooth).abs())
        grey = F.avg_pool2d(grey, 2)
    return bands


def _at_quarter(band, level):
    if level < 2:
        return F.avg_pool2d(band, 4 >> level)
    return F.interpolate(band, scale_factor=2 ** (level - 2), mode='bilinear') if level > 2 else band


def _widest(x, size):
    return F.max_pool2d(x, size, 1, size // 2)
