"""VideoDepthNet: depth from a picture, and as options from packed features, from the frame before, and from defocus.

One small network stands for the systems that the literature compares, so that a comparison tells of their ideas and not
of their sizes. It corrects what is known before it looks: inverse depth is that times the exponential of its output.
Known is, in this order, what defocus reads, what the last frame said, or nothing but a usual distance.
"""

from dataclasses import dataclass
from itertools import product

import torch
import torch.nn.functional as F
from torch import nn

from dfd_depth_ros.networks.blocks import UNet, conv, upsample
from dfd_depth_ros.networks.packing import PackedUNet
from dfd_depth_ros.optics.pinhole import inverse_motion, rays, sampled, transfer

WIDTHS, BLOCKS = (24, 40, 64), (1, 1, 1)  # of the body at 1/4, 1/8 and 1/16
STRIDE = 16
FARTHEST, NEAREST, USUAL = 1 / 60, 8.0, 0.5  # dioptres
OPTIONS = ('packed', 'recurrent', 'defocus')
DEFOCUS_CHANNELS = 7
LEVELS = 9  # parallaxes that are tried around the known one, one pixel of a quarter of the picture apart
FEATURES = 16  # of the pictures, where they enter and where they are matched


@dataclass(frozen=True)
class Sight:
    """What the network is shown. image: (B, 3, H, W) in 0..1. lens: (B, 5) state. reading: (B, 3, H, W) signed CoC and
    its sigma in pixels and the probability of lying behind focus, or None where defocus is not asked."""

    image: torch.Tensor
    lens: torch.Tensor
    reading: torch.Tensor | None = None


@dataclass(frozen=True)
class Past:
    """The frame before: what was seen, its inverse depth (B, 1, H, W), and the motion (B, 4, 4) of the camera from then
    to now."""

    sight: Sight
    inverse_depth: torch.Tensor
    motion: torch.Tensor


class VideoDepthNet(nn.Module):
    """`Sight` to inverse depth (B, 1, H, W) in 1/m, any size. packed: `PackedUNet` (PackNet). recurrent: matches with
    the frame before along parallax levels and knows its depth (M4Depth: Fonder, Ernst and Van Droogenbroeck, "M4Depth:
    Monocular depth estimation for autonomous vehicles in unseen environments", 2021). defocus: sees the reading."""

    def __init__(self, packed: bool = False, recurrent: bool = False, defocus: bool = False):
        super().__init__()
        self.packed, self.recurrent, self.defocus = packed, recurrent, defocus
        self.architecture = _named(packed, recurrent, defocus)
        channels = 3 + 2 + DEFOCUS_CHANNELS * defocus + 2 * recurrent
        self.enter = nn.Sequential(conv(channels, FEATURES, stride=2), conv(FEATURES, WIDTHS[0], stride=2))
        self.body = (PackedUNet if packed else UNet)(WIDTHS, BLOCKS)
        self.head = nn.Conv2d(WIDTHS[0], 1, 3, padding=1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        if recurrent:
            self.features = nn.Sequential(conv(3, FEATURES, stride=2), conv(FEATURES, FEATURES, stride=2))
            self.meet = conv(WIDTHS[0] + LEVELS + 1, WIDTHS[0], kernel=1)

    def forward(self, sight: Sight, past: Past | None = None) -> torch.Tensor:
        height, width = sight.image.shape[-2:]
        sight, past = _padded(sight), past and Past(_padded(past.sight), _even(past.inverse_depth), past.motion)
        maps = [sight.image - 0.5, rays(sight.lens, *sight.image.shape[-2:])[:, :2]]
        known = torch.full_like(sight.image[:, :1], USUAL)
        if self.recurrent:
            carried, valid = carry(past, sight.lens) if past else (known, torch.zeros_like(known))
            known = torch.where(valid > 0, carried, known)
        if self.defocus:
            known, cues = defocus_cues(sight)
            maps += cues
        if self.recurrent:
            maps += [valid, torch.where(valid > 0, carried / known, 1.0).log()]
        entered = self.enter(torch.cat(maps, 1))
        if self.recurrent:
            entered = self.meet(torch.cat([entered, self.matched(sight, past, known)], 1))
        correction = upsample(self.head(self.body(entered)), 4)
        return (known.log() + correction).clamp(_log(FARTHEST), _log(NEAREST)).exp()[..., :height, :width]

    def matched(self, sight: Sight, past: Past | None, known: torch.Tensor) -> torch.Tensor:
        """(B, LEVELS + 1, H/4, W/4): agreement of features with the frame before at LEVELS parallaxes around the known
        one, and as logarithm how many pixels of parallax a dioptre makes. Zeros without a past."""
        small = F.avg_pool2d(known, 4)
        if past is None:
            return torch.zeros_like(small).expand(-1, LEVELS + 1, -1, -1)
        here, there = (F.normalize(self.features(shown.image - 0.5), dim=1) for shown in (sight, past.sight))
        lens, other, back = _quarter(sight.lens), _quarter(past.sight.lens), inverse_motion(past.motion)
        far, near = (transfer(q, lens, back, other)[0] for q in (torch.zeros_like(small), small))
        rate = (near - far).square().sum(1, keepdim=True).clamp(min=1e-6).sqrt() / small
        scores = []
        for level in range(-(LEVELS // 2), LEVELS // 2 + 1):
            tried = (small + level / rate.clamp(min=0.1)).clamp(0, NEAREST)
            seen, inside = sampled(there, transfer(tried, lens, back, other)[0])
            scores.append((here * seen).sum(1, keepdim=True) * inside)
        return torch.cat([*scores, torch.log1p(rate) / 2], 1)


def defocus_cues(sight: Sight) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """The inverse depth (B, 1, H, W) that a reading means through its lens, and DEFOCUS_CHANNELS maps of what is known
    of it: its logarithm, that of the other side of focus, blur, both sigmas, side, and focus."""
    gain, focus = sight.lens[:, :1, None, None], sight.lens[:, 1:2, None, None]
    coc, sigma, far = sight.reading.split(1, 1)
    known, other = ((focus - sign * coc / gain).clamp(FARTHEST, NEAREST) for sign in (1, -1))
    certain = torch.log1p(sigma / gain / known)
    maps = [known.log() / 2, other.log() / 2, coc.abs() / 4, sigma.log1p(), certain, far - 0.5]
    return known, [*maps, torch.log2(focus + 0.05).expand_as(known) / 2]


def carry(past: Past, lens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The inverse depth of the frame before as the camera sees it now, and where it is known (1) or not (0), as
    (B, 1, H, W) each. Every pixel falls on the nearest one and the nearest point wins; holes take it from around them,
    if there is any. Carries no gradient."""
    before = past.inverse_depth.detach()
    place, inverse = transfer(before, past.sight.lens, past.motion, lens)
    batch, _, height, width = inverse.shape
    column, row = place.round().unbind(1)
    seen = (column >= 0) & (column < width) & (row >= 0) & (row < height) & (inverse[:, 0] > 0)
    index = torch.where(seen, row * width + column, torch.zeros_like(row)).long().flatten(1)
    value = torch.where(seen, inverse[:, 0], torch.zeros_like(row)).flatten(1)
    carried = torch.zeros_like(value).scatter_reduce(1, index, value, 'amax').view(batch, 1, height, width)
    carried = torch.where(carried > 0, carried, F.max_pool2d(carried, 3, 1, 1))
    return carried.clamp(FARTHEST, NEAREST), (carried > 0).to(carried.dtype)


def _named(*options):
    return '_'.join(['video', *(name for name, wanted in zip(OPTIONS, options, strict=True) if wanted)])


ARCHITECTURES = {
    _named(*options): dict(zip(OPTIONS, options, strict=True)) for options in product((False, True), repeat=3)
}


def _quarter(lens):
    """Lens state of a picture as it is at a quarter of its size."""
    return lens * lens.new_tensor([1, 1, 0.25, 0.25, 0.25]) + lens.new_tensor([0, 0, 0, -0.375, -0.375])


def _even(field):
    """A field (B, C, H, W) widened to the right and down to multiples of STRIDE."""
    height, width = field.shape[-2:]
    return F.pad(field, (0, -width % STRIDE, 0, -height % STRIDE), mode='replicate')


def _padded(sight):
    return Sight(_even(sight.image), sight.lens, sight.reading if sight.reading is None else _even(sight.reading))


def _log(value):
    return float(torch.tensor(value).log())
