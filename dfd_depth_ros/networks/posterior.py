"""A distribution over signed CoC for each pixel: what both networks give, and how it is read.

One number with one sigma cannot say "3 px behind focus or 3 px in front of it", which is what a symmetric blur tells.
So the networks give the logits of BINS classes of signed CoC. The classes are even in log(1 + |CoC|): fine near focus
and coarse where blur is large and one more pixel changes the picture less. Point estimate, sigma and probability of the
far side are all read from that one distribution, and what is known beforehand (nothing lies behind infinity; the scene
lies on one side of focus) is a mask over its classes.

Between the centres of two classes the cumulative distribution is taken as linear, so that a CoC split over its two
neighbouring classes (`cross_entropy`) is found again exactly (`quantile`).

Source: regression by classification as in Fu et al., "Deep Ordinal Regression Network", CVPR 2018.
"""

import torch
from torch.nn.functional import log_softmax

from dfd_depth_ros.networks.onednn import product

BINS, MAX_COC = 64, 32.0  # classes, and the |CoC| in pixels of the outermost ones
_REACH = float(torch.tensor(MAX_COC).log1p())
_STEP = 2 * _REACH / (BINS - 1)
_SAMPLES = ((0, 1), (1, 3), (2, 0), (3, 2))  # of the 4 x 4 pixels of a cell: one in each row and column
_NEVER = -1e4  # logit of what cannot be
LEAN = 0.5  # power of inverse depth by which an estimate prefers what is near
RESOLVE = 3.0  # power of the odds of the two sides of focus: what lies between them is seldom true
_FARTHEST = 1 / 60  # dioptres, where made-up scenes end


def symlog(coc: torch.Tensor) -> torch.Tensor:
    """Signed logarithm sign(c) log(1 + |c|)."""
    return coc.sign() * coc.abs().log1p()


def symexp(level: torch.Tensor) -> torch.Tensor:
    """Inverse of `symlog`."""
    return level.sign() * level.abs().expm1()


def centres(like: torch.Tensor) -> torch.Tensor:
    """Signed CoC in pixels of the classes, ascending, (BINS, 1, 1) of the kind of `like`."""
    return symexp(torch.linspace(-_REACH, _REACH, BINS, device=like.device, dtype=like.dtype))[:, None, None]


def impossible(at_infinity: torch.Tensor, side: str = 'both') -> torch.Tensor:
    """Logits, to be added, that rule out what cannot be. at_infinity: (B,) CoC in pixels of a point at infinity. side:
    `Lens.side`. Returns (B, BINS, 1, 1): zero for what can be, with the class just above infinity, which shares in a
    CoC of nearly that."""
    index = torch.arange(BINS, device=at_infinity.device)
    below = index <= torch.ceil((symlog(at_infinity)[:, None] + _REACH) / _STEP).clamp(max=BINS - 1)
    half = {'both': index >= 0, 'behind': index >= BINS // 2, 'front': index < BINS // 2}[side]
    return (_NEVER * ~(below & half))[..., None, None]


def shares(logits: torch.Tensor) -> torch.Tensor:
    """Probabilities of (B, BINS, H, W) logits. The classes of a pixel lie side by side in memory, as convolutions in
    channels_last leave them: softmax, sums and quantiles over them are then several times faster on a processor."""
    return logits.movedim(1, -1).softmax(-1).movedim(-1, 1)


def cross_entropy(logits: torch.Tensor, coc: torch.Tensor) -> torch.Tensor:
    """Mean negative log likelihood of the true CoC. logits: (B, BINS, H/4, W/4). coc: (B, 1, H, W) signed pixels; four
    of the 16 pixels of a cell speak for it, each split over its two neighbouring classes. At an edge the best answer is
    therefore a distribution with two modes."""
    likelihood = log_softmax(logits.float(), 1)
    loss = likelihood.new_zeros(())
    place = ((symlog(coc).clamp(-_REACH, _REACH) + _REACH) / _STEP).clamp(max=BINS - 1.001)
    for row, column in _SAMPLES:
        here = place[..., row::4, column::4]
        lower = here.long()
        share = here - lower
        loss = loss - ((1 - share) * likelihood.gather(1, lower) + share * likelihood.gather(1, lower + 1)).mean()
    return loss / len(_SAMPLES)


def quantile(probability: torch.Tensor, *shares: float) -> tuple[torch.Tensor, ...]:
    """CoC in pixels, (B, 1, H, W) for each share, below which that share of the (B, BINS, H, W) distribution lies; its
    sum need not be one. Differentiable in the probabilities."""
    mass = probability.movedim(1, -1)
    cumulative = mass.cumsum(-1)
    wanted = cumulative[..., -1:] * torch.cat([mass.new_full((1,), share) for share in shares])
    return _reached(mass, cumulative, wanted)


def _reached(mass, cumulative, wanted):
    """CoC in pixels, (B, 1, H, W) for each of (B, H, W, N) masses wanted, below which so much of the (B, H, W, BINS)
    mass lies. cumulative: its running sum, which is used up."""
    cumulative = cumulative.sub_(mass, alpha=0.5).contiguous()
    upper = torch.searchsorted(cumulative.detach(), wanted.contiguous()).clamp(1, BINS - 1)
    below, above = cumulative.gather(-1, upper - 1), cumulative.gather(-1, upper)
    place = upper - 1 + ((wanted - below) / (above - below).clamp(min=1e-9)).clamp(0, 1)
    return symexp(place * _STEP - _REACH).movedim(-1, 1).split(1, 1)


def estimate(probability: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """CoC and its sigma in pixels, (B, 1, H, W) each: the median, since CoC, inverse depth and depth have it in common,
    and a sigma wide enough for 68 % of the distribution and, at twice the width, for 95 %."""
    low, lower, middle, upper, high = quantile(probability, 0.0228, 0.1587, 0.5, 0.8413, 0.9772)
    return middle, torch.maximum((upper - lower) / 2, (high - low) / 4)


def decided(probability: torch.Tensor, gain: torch.Tensor, focus: torch.Tensor) -> torch.Tensor:
    """CoC in pixels, (B, 1, H, W), that a user loses least with. Near taken as far is an error of several times the
    true depth, far taken as near one of less than it: classes count depth^-LEAN times. And the median of two sides as
    likely as each other lies between them, where nothing is: the odds of the sides are taken to the power RESOLVE.
    gain: K in pixel * metre, focus: 1/s in dioptres, (B,) each. docs/lessons.md tells how both numbers were chosen."""
    inverse_depth = focus[:, None, None, None] - centres(probability) / gain[:, None, None, None]
    mass = (probability * inverse_depth.detach().clamp(min=_FARTHEST) ** LEAN).movedim(1, -1)
    cumulative = mass.cumsum(-1)
    near, both = (cumulative[..., last : last + 1].clone() for last in (BINS // 2 - 1, BINS - 1))
    far = both - near
    counts, other = ((side / both).clamp(min=1e-6) ** (RESOLVE - 1) for side in (near, far))  # a unit of mass of a side
    middle = (counts * near + other * far) / 2
    beyond = middle - counts * near
    wanted = torch.where(beyond < 0, middle / counts, near + beyond / other)  # no mass need be multiplied one by one
    return _reached(mass, cumulative, wanted)[0]


def far_share(probability: torch.Tensor) -> torch.Tensor:
    """Probability of lying behind the focal plane, (B, 1, H, W)."""
    return probability[:, BINS // 2 :].sum(1, keepdim=True)


def magnitude(probability: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """|CoC| in pixels and the standard deviation of its log(1 + |CoC|), (B, 1, H, W) each."""
    level = centres(probability).abs().log1p().flatten()
    with torch.autocast(probability.device.type, enabled=False):
        moments = product(probability.movedim(1, -1), torch.stack([level, level**2], 1))
    mean, square = moments.movedim(-1, 1).split(1, 1)
    return mean.expm1(), ((square - mean**2).clamp(min=0) + 1e-4).sqrt()


def sides(probability: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The near and the far half of the distribution, each by itself: probability, signed CoC and its sigma in pixels,
    (B, 2, H, W) each, near first. Mean and deviation are those of log(1 + |CoC|), which is skewed least."""
    level = symlog(centres(probability)).flatten()
    half = torch.arange(BINS, device=level.device)[:, None] // (BINS // 2) == torch.arange(2, device=level.device)
    weights = torch.cat([half * level[:, None] ** power for power in (0, 1, 2)], 1)  # sums over each half, as a product
    share, mean, square = product(probability.movedim(1, -1), weights).movedim(-1, 1).split(2, 1)
    mean, square = (moment / share.clamp(min=1e-12) for moment in (mean, square))
    coc = symexp(mean)
    return share, coc, (1 + coc.abs()) * (square - mean**2 + (_STEP / 4) ** 2).clamp(min=0).sqrt()
