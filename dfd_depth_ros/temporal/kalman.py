"""Kalman filter of every pixel in dioptres, honest about errors that last, with two hypotheses about the side of focus.

A network makes the same mistake on the same texture, frame after frame: the errors of its readings z = x + e have a
correlation phi from one frame to the next. The gain g is that of a Kalman filter with fading memory, which averages
readings as if their errors were independent; the sigma that is published is not. Of the errors of x and z the filter
carries variance V and covariance D, which are exact for e' = phi e + noise of variance (1 - phi^2) sigma^2:

    P <- MEMORY P + Q     g = P / (P + sigma^2)     x <- x + g (z - x)     P <- (1 - g) P
    C = phi D     V <- (1 - g)^2 (V + Q) + g^2 sigma^2 + 2 g (1 - g) C     D <- (1 - g) C + g sigma^2

With phi = 0, V is P. With phi near one V stays near sigma^2: thirty frames of the same view hardly know more than one.
A moving focus shows the same point with another blur, phi falls, and frames count again. (The gain that makes V least
follows every new reading halfway, for a V that is less by a few per cent only: it was tried, and flickers.)

Two hypotheses. A symmetric blur reads c or -c: x is kept for the near and for the far side. When focus moves from s0
to s1 (dioptres), the point stays, and its blur m = |c| / K becomes |s1 - x|: what lies behind blurs more as the focus
comes nearer. The log likelihood ratio of the two predictions is added to the log odds of the far side. What the network
itself says about the side is averaged, not added, because it repeats itself. Where the focal plane passes the
hypothesis that is believed, near and far change their names; the past of the point stays. Depth is that of the far side
only where it is the likelier one by CAUTION, since near taken as far is the worse mistake of the two; the probability
that is published knows no caution.
"""

import torch

from dfd_depth_ros.temporal.reading import Change, Reading, Steady

FRAME_CORRELATION = 0.97  # of the errors of neighbouring frames at one focus (docs/video.md: how it was measured)
BLUR_MEMORY_PX = 4.5  # change of CoC that takes the correlation of errors to 1/e
MEMORY = 1.1  # growth of P from frame to frame: about ten frames are remembered
DEPTH_NOISE = 0.5  # process noise: share of `Change.speed` by which inverse depth changes
GATE = 9.0  # chi-square of one innovation, 3 sigma, beyond which a hypothesis begins anew
LEAK = 0.05  # of the probability of a side that the other one has at least: the network may be over-sure
OPINION = 0.1  # share of the newest frame in the averaged opinion of the network about the side
SURE = 6.0  # log odds that evidence from focus may reach
STEEPNESS = 12.0  # of the way from one hypothesis to the other over the log odds: nothing is where both would meet
CAUTION = 0.4  # log odds by which the far side must be the likelier one to be shown
NEVER_BEYOND = 1e-3  # dioptres, 1 km
NEVER = 1e-6  # probability
SMALLEST, UNKNOWN = 1e-4, 1e3  # dioptres, of a sigma
CHANNELS = 11


def kalman(reading: Reading, past: torch.Tensor | None, change: Change | None) -> Steady:
    """One step, as `reading.Step`. State: x, P, V, D of (near, far) each, opinion and evidence as log odds, blur m."""
    z, opinion, blur = _modes(reading)
    read = reading.inverse_depth.isfinite() & reading.sigma.isfinite()
    noise = torch.where(read, reading.sigma.clamp(SMALLEST, UNKNOWN), UNKNOWN) ** 2
    if past is None or change is None:
        past, change = (
            z.new_full((CHANNELS, *blur.shape), torch.nan),
            Change(0.0, reading.focus, torch.zeros_like(blur)),
        )
    evidence = _evidence(past[9], past[10], blur, noise, reading, change)
    passed = _passed(past, evidence, reading.focus)
    x, p, v, d = torch.where(passed, past[:8].view(4, 2, *blur.shape).flip(1), past[:8].view(4, 2, *blur.shape))
    before, evidence = (torch.where(passed, -odds, odds) for odds in (past[8], evidence))
    q = (DEPTH_NOISE * change.speed * x) ** 2
    p, v, common = MEMORY * p + q, v + q, correlation(change.blur) * d
    z = torch.where(read, z, x)
    kept = (z - x) ** 2 < GATE * (v + noise)  # false where x is unknown
    gain = torch.where(kept, p / (p + noise), torch.ones_like(p))
    x, p, v, common = (torch.where(kept, past_value, torch.zeros_like(z)) for past_value in (x, p, v, common))
    x = torch.lerp(x, z, gain)
    p = torch.where(kept, (1 - gain) * p, noise)
    v = (1 - gain) ** 2 * v + gain**2 * noise + 2 * gain * (1 - gain) * common
    d = (1 - gain) * common + gain * noise
    averaged = torch.lerp(before, opinion, OPINION)
    opinion = torch.where(read, torch.where(averaged.isfinite(), averaged, opinion), before)
    weight = torch.sigmoid(STEEPNESS * (opinion + evidence - CAUTION))
    mean, variance = torch.lerp(x[0], x[1], weight), torch.lerp(v[0], v[1], weight)
    state = torch.cat([x, p, v, d, torch.stack([opinion, evidence, blur])])
    return Steady(mean, variance.sqrt(), torch.sigmoid(opinion + evidence), state)


def correlation(blur: float) -> float:
    """Correlation of the errors of two neighbouring frames between which the CoC changed by `blur` pixels."""
    return FRAME_CORRELATION * float(torch.exp(torch.tensor(-abs(blur) / BLUR_MEMORY_PX)))


def _modes(reading):
    """Inverse depth of both sides (2, h, w), log odds of the far side, and the blur in dioptres (h, w). On the side
    that the reading itself takes, it is the reading; on the other side, what the network says there or, where it says
    next to nothing, the mirror image."""
    sides, focus = reading.sides, reading.focus
    leak = LEAK * (sides.share.min(0).values > 0)  # a lens that allows one side only has no other hypothesis
    share = (1 - leak) * sides.share + leak * sides.share.flip(0)
    own = torch.lerp(
        2 * focus - sides.inverse_depth.flip(0), sides.inverse_depth, (1 - leak) * sides.share / share.clamp(min=NEVER)
    )
    is_far = reading.inverse_depth < focus
    z = torch.where(torch.stack([~is_far, is_far]), reading.inverse_depth, own.clamp(min=NEVER_BEYOND))
    odds = share.clamp(min=NEVER).log()
    return z, odds[1] - odds[0], (share * (own - focus).abs()).sum(0)


def _evidence(evidence, before, blur, noise, reading, change):
    """Log odds of the far side from what moving focus did to the blur."""
    evidence = torch.nan_to_num(evidence)
    if abs(change.blur) < 0.02:
        return evidence
    moved = reading.focus - change.focus
    near, far = ((moved + sign * before).abs() for sign in (-1, 1))
    ratio = ((blur - near) ** 2 - (blur - far) ** 2) / (4 * (1 - correlation(change.blur)) * noise)
    return (evidence + torch.nan_to_num(ratio)).clamp(-SURE, SURE)


def _passed(past, evidence, focus):
    """Where focus has passed the hypothesis that is believed, so that near and far change their names."""
    far = past[8] + evidence > 0
    return torch.where(far, past[1] > focus, past[0] < focus)
