"""What the networks are asked for, one small function each. CoC in pixels throughout.

With truth (offline, `total`): likelihood of the true CoC, its side, its outline, and agreement of two pictures. Without
truth (online, `training.rerender`): what was rendered must look like what was seen, two pictures must imply one depth,
and depth, lens and weights must stay plausible.
"""

from collections.abc import Callable, Iterable
from typing import cast

import torch
import torch.nn.functional as F

from dfd_depth_ros.networks import posterior
from dfd_depth_ros.networks.model import Distribution, Prediction, to_pixels
from dfd_depth_ros.networks.peers import Referred, Regression, referred
from dfd_depth_ros.optics.residual import LensResidual
from dfd_depth_ros.training.data import Batch
from dfd_depth_ros.training.reblur import reblur_loss

NEAREST, FARTHEST = 1 / 8.0, 60.0  # metres


def blur_loss(found: Distribution, coc: torch.Tensor) -> torch.Tensor:
    """Likelihood of the signed CoC under what DefocusNet, which knows no lens, reads."""
    return posterior.cross_entropy(found.defocus.logits, coc)


def coc_loss(found: Distribution, coc: torch.Tensor) -> torch.Tensor:
    """Likelihood of the signed CoC under the whole model, a proper score: only the true distribution minimises it
    (Gneiting and Raftery, JASA 2007), so it trains estimate, sigma and side of focus at once."""
    return posterior.cross_entropy(found.logits, coc)


def side_loss(found: Distribution, coc: torch.Tensor) -> torch.Tensor:
    """Cross entropy of near and far alone: the side of focus decides most of the error in depth. Near focus, where it
    means little, cells count less."""
    target = coc[..., 1::4, 1::4]
    far = posterior.far_share(found.logits.softmax(1)).clamp(1e-3, 1 - 1e-3)
    entropy = F.binary_cross_entropy(far, (target > 0).float(), reduction='none')
    return (entropy * target.abs().clamp(max=1)).mean()


def outline_loss(found: Distribution, coc: torch.Tensor) -> torch.Tensor:
    """|CoC error| of single pixels, relative to blur, which trains their share in the cells around them alone."""
    cells, _ = posterior.estimate(found.logits.detach().softmax(1))
    error = to_pixels(cells, found.belong, coc.shape[-2:]) - coc
    return (error.abs() / (1 + coc.abs())).mean()


def log_depth_loss(prediction: Prediction, batch: Batch) -> torch.Tensor:
    """|log depth - log true depth| with depth kept within 0.125 m to 60 m: validation's choice of the best weights."""
    return (_log_inverse(prediction.coc, batch.lens) - _log_inverse(batch.coc, batch.lens)).abs().mean()


def siamese_loss(found: Distribution, lens: torch.Tensor) -> torch.Tensor:
    """Two pictures of one scene imply one inverse depth; the difference of their means, in pixels of the weaker
    lens."""
    probability = found.logits.softmax(1)
    mean = (probability * posterior.centres(probability)).sum(1, keepdim=True)
    inverse = _inverse(mean, lens)
    weaker = lens[:, 0].view(-1, 2).amin(1)[:, None, None, None]
    difference = (inverse[0::2] - inverse[1::2]).abs() * weaker
    return (difference / (1 + 0.2 * difference.detach())).mean()


def total(found: Distribution | Regression, batch: Batch, reblur: float = 0.0) -> dict[str, torch.Tensor]:
    """All terms, weighted, by name. reblur: weight of `reblur_loss`, which is left out at zero."""
    return _TERMS[type(found)](found, batch) | (
        {'reblur': reblur * reblur_loss(cast(Distribution, found), batch)} if reblur else {}
    )


def _own_terms(found: Distribution, batch: Batch) -> dict[str, torch.Tensor]:
    return {
        'blur': 0.5 * blur_loss(found, batch.coc),
        'coc': coc_loss(found, batch.coc),
        'side': 0.5 * side_loss(found, batch.coc),
        'outline': 0.5 * outline_loss(found, batch.coc),
        'siamese': 0.1 * siamese_loss(found, batch.lens),
    }


def _regression_terms(found: Regression, batch: Batch) -> dict[str, torch.Tensor]:
    """Of a network that says inverse depth, and perhaps blur on the way: absolute errors of their logarithms."""
    truth = _inverse(batch.coc, batch.lens).clamp(1 / FARTHEST, 1 / NEAREST)
    terms = {'depth': (found.inverse.clamp(1 / FARTHEST, 1 / NEAREST).log() - truth.log()).abs().mean()}
    if found.blur is not None:
        terms['blur'] = (torch.log1p(found.blur) - torch.log1p(batch.coc[..., 1::4, 1::4].abs())).abs().mean()
    return terms


def _referred_terms(found: Referred, batch: Batch) -> dict[str, torch.Tensor]:
    coc = referred(batch.lens, batch.coc)
    return {
        'coc': coc_loss(found, coc),
        'outline': 0.5 * outline_loss(found, coc),
        'siamese': 0.1 * siamese_loss(found, found.lens),
    }


_TERMS: dict[type, Callable] = {Distribution: _own_terms, Regression: _regression_terms, Referred: _referred_terms}


def photometric_loss(rendered: torch.Tensor, seen: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """`photometric_error` of two pictures (C, H, W), a weighted mean with weight (1, H, W)."""
    return (photometric_error(rendered, seen) * weight).sum() / weight.sum().clamp(min=1)


def photometric_error(rendered: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
    """0.15 L1 + 0.85 D-SSIM of gamma-encoded pictures (..., C, H, W), for each pixel (..., 1, H, W). Source: Godard et
    al., "Unsupervised Monocular Depth Estimation with Left-Right Consistency", CVPR 2017; SSIM: Wang et al., IEEE TIP
    2004, here over 3 x 3 pixels."""
    difference = (rendered - seen).abs().mean(-3, keepdim=True)
    unlike = ((1 - structural_similarity(rendered, seen)) / 2).clamp(0, 1).mean(-3, keepdim=True)
    return 0.15 * difference + 0.85 * unlike


def structural_similarity(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """SSIM of pictures (..., C, H, W) with values in 0..1 over 3 x 3 pixels, of the same shape."""
    together = torch.stack([a, b, a * a, b * b, a * b]).flatten(0, -3)[None]
    means = F.avg_pool2d(F.pad(together, (1, 1, 1, 1), mode='reflect'), 3, 1)[0]
    mean_a, mean_b, square_a, square_b, product = means.view(5, *a.shape)
    variance = square_a - mean_a**2 + square_b - mean_b**2
    covariance = product - mean_a * mean_b
    level = (2 * mean_a * mean_b + 1e-4) / (mean_a**2 + mean_b**2 + 1e-4)
    return level * (2 * covariance + 9e-4) / (variance + 9e-4)


def consistency_loss(one: torch.Tensor, other: torch.Tensor, gain: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Two pictures of one place imply one inverse depth: weighted mean of the difference in pixels of CoC through the
    weaker lens (dioptres times `gain`), soft for large ones. In dioptres alone a lens with more gain would always agree
    better."""
    difference = (one - other).abs() * gain
    return (difference / (1 + 0.2 * difference.detach()) * weight).sum() / weight.sum().clamp(min=1)


def smoothness_loss(inverse_depth: torch.Tensor, picture: torch.Tensor) -> torch.Tensor:
    """Edge-aware smoothness of (..., 1, H, W) inverse depth, divided by its mean, over pictures (..., 3, H, W). Source:
    Godard et al., CVPR 2017."""
    level = inverse_depth / inverse_depth.mean((-2, -1), keepdim=True).clamp(min=1e-3)
    total = level.new_zeros(())
    for dim in (-2, -1):
        steps = picture.diff(dim=dim).abs().mean(-3, keepdim=True)
        total = total + (level.diff(dim=dim).abs() * torch.exp(-10 * steps)).mean()
    return total


def lens_prior(residual: LensResidual, sigma: float = 0.3) -> torch.Tensor:
    """The lens is about as it is told: f-numbers and focus scales are off by tens of per cent, seldom by more. This is
    what keeps metric scale where no pose tells it."""
    return ((residual.log_gain / sigma) ** 2 + (2 * residual.log_focus / sigma) ** 2 + residual.log_psf**2) / 2


def anchor_loss(parameters: Iterable[torch.Tensor], anchors: Iterable[torch.Tensor]) -> torch.Tensor:
    """Mean square distance of weights from those that shipped, relative to the size of each tensor: what was learned
    offline is not forgotten. Source of the idea: Kirkpatrick et al., PNAS 2017, with equal importance for all."""
    terms = [
        ((now - then) ** 2).mean() / (then**2).mean().clamp(min=1e-4)
        for now, then in zip(parameters, anchors, strict=True)
    ]
    return torch.stack(terms).mean() if terms else torch.zeros(())


def _inverse(coc, lens):
    gain, focus = lens[:, :1, None, None], lens[:, 1:2, None, None]
    return focus - coc / gain


def _log_inverse(coc, lens):
    return _inverse(coc, lens).clamp(1 / FARTHEST, 1 / NEAREST).log()
