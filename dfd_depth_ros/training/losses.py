"""What the networks are asked for in supervised training, one small function each. CoC in pixels throughout."""

import torch
import torch.nn.functional as F

from dfd_depth_ros.networks import posterior
from dfd_depth_ros.networks.model import Distribution, Prediction, to_pixels
from dfd_depth_ros.training.data import Batch

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


def total(found: Distribution, batch: Batch) -> dict[str, torch.Tensor]:
    """All terms, weighted, by name."""
    return {
        'blur': 0.5 * blur_loss(found, batch.coc),
        'coc': coc_loss(found, batch.coc),
        'side': 0.5 * side_loss(found, batch.coc),
        'outline': 0.5 * outline_loss(found, batch.coc),
        'siamese': 0.1 * siamese_loss(found, batch.lens),
    }


def _inverse(coc, lens):
    gain, focus = lens[:, :1, None, None], lens[:, 1:2, None, None]
    return focus - coc / gain


def _log_inverse(coc, lens):
    return _inverse(coc, lens).clamp(1 / FARTHEST, 1 / NEAREST).log()
