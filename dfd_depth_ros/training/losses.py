"""What the networks are asked for in supervised training, one small function each. CoC in pixels throughout."""

import torch
import torch.nn.functional as F

from dfd_depth_ros.networks.model import Prediction
from dfd_depth_ros.training.data import Batch

NEAREST, FARTHEST = 1 / 8.0, 60.0  # metres


def laplace_nll(error: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """Negative log likelihood of an error under a Laplace distribution of that standard deviation, less a constant
    (Kendall and Gal, "What Uncertainties Do We Need", NeurIPS 2017)."""
    return (error.abs() * (2**0.5) / sigma + sigma.log()).mean()


def blur_loss(prediction: Prediction, coc: torch.Tensor) -> torch.Tensor:
    """|CoC| as DefocusNet alone reads it, at a quarter of the resolution."""
    target, read = _quarter(coc).abs(), prediction.defocus.magnitude
    nll = laplace_nll((read - target).detach(), prediction.defocus.log_sigma.exp())
    return (target.log1p() - read.log1p()).abs().mean() + 0.2 * nll


def side_loss(logit: torch.Tensor, coc: torch.Tensor) -> torch.Tensor:
    """Cross entropy of near and far; pixels near focus, where the side means little, count less."""
    weight = (coc.abs() / 1.0).clamp(max=1)
    return (F.binary_cross_entropy_with_logits(logit, (coc > 0).float(), reduction='none') * weight).mean()


def coc_loss(prediction: Prediction, coc: torch.Tensor) -> torch.Tensor:
    """Signed CoC, as ratios where blur is large and as differences near focus, and its sigma. The error is detached in
    the likelihood: else a network that is unsure of large blur would stop learning it (Seitzer et al., "On the
    Pitfalls of Heteroscedastic Uncertainty Estimation", ICLR 2022)."""
    nll = laplace_nll((prediction.coc - coc).detach(), prediction.sigma)
    return (_symlog(prediction.coc) - _symlog(coc)).abs().mean() + 0.2 * nll


def log_depth_loss(prediction: Prediction, batch: Batch) -> torch.Tensor:
    """|log depth - log true depth|, what AbsRel sees, with depth kept within 0.125 m to 60 m."""
    return (_log_inverse(prediction.coc, batch.lens) - _log_inverse(batch.coc, batch.lens)).abs().mean()


def siamese_loss(prediction: Prediction, batch: Batch) -> torch.Tensor:
    """Two pictures of one scene imply one inverse depth; their difference, in pixels of the weaker lens."""
    inverse = _inverse(prediction.coc, batch.lens)
    weaker = batch.lens[:, 0].view(-1, 2).amin(1)[:, None, None, None]
    difference = (inverse[0::2] - inverse[1::2]).abs() * weaker
    return (difference / (1 + 0.2 * difference.detach())).mean()


def total(prediction: Prediction, batch: Batch) -> dict[str, torch.Tensor]:
    """All terms, weighted, by name."""
    return {
        'blur': blur_loss(prediction, batch.coc),
        'blur_side': 0.5 * side_loss(prediction.defocus.far_logit, _quarter(batch.coc)),
        'coc': coc_loss(prediction, batch.coc),
        'side': 0.5 * side_loss(prediction.far_logit, batch.coc),
        'log_depth': log_depth_loss(prediction, batch),
        'siamese': 0.1 * siamese_loss(prediction, batch),
    }


def _symlog(x):
    return x.sign() * x.abs().log1p()


def _quarter(coc):
    return coc[..., 1::4, 1::4]


def _inverse(coc, lens):
    gain, focus = lens[:, :1, None, None], lens[:, 1:, None, None]
    return focus - coc / gain


def _log_inverse(coc, lens):
    return _inverse(coc, lens).clamp(1 / FARTHEST, 1 / NEAREST).log()
