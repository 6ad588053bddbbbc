"""Self-supervision between two pictures of one scene at two settings of a lens: the sharper one, blurred by what it
lacks of the blur of the other one, must be the other one.

What is missing is a difference of two variances, each (CoC / 4)^2, so the reading of both pictures is trained and no
truth is needed. Source: the relative blur of Pentland, "A New Sense for Depth of Field", PAMI 1987, and of Subbarao and
Surya, "Depth from Defocus: A Spatial Domain Approach", IJCV 1994. The online learner's renderers do the same with depth
in between (`splatting.renderer.missing_blur`).
"""

import math

import torch
import torch.nn.functional as F

from dfd_depth_ros.networks import posterior
from dfd_depth_ros.networks.model import Distribution, to_pixels
from dfd_depth_ros.optics.tone import from_srgb
from dfd_depth_ros.training.data import Batch

VARIANCES = (0.0, 0.25, 1.0, 4.0, 9.0, 16.0)  # px^2 of the Gaussians between which `blurred` interpolates


def reblur_loss(found: Distribution, batch: Batch) -> torch.Tensor:
    """Mean difference of each pixel to what it must become, in linear light, over the contrast that is there: where
    blurring changes nothing, nothing is told. Rows 2i and 2i + 1 of the batch show one scene."""
    magnitude, _ = posterior.magnitude(found.logits.softmax(1))
    variance = to_pixels(magnitude**2 / 16, found.belong, batch.coc.shape[-2:])
    light = from_srgb(batch.image)
    missing = _swapped(variance) - variance
    sharper = (missing >= 0).float()  # of two that are blurred alike both: they must be alike
    error = (blurred(light, missing.clamp(min=0)) - _swapped(light)).abs().mean(1, keepdim=True)
    contrast = (light - gaussian(light, VARIANCES[3])).abs().mean(1, keepdim=True)
    return (error * sharper).sum() / ((contrast + 1e-3) * sharper).sum().clamp(min=1e-6)


def blurred(light: torch.Tensor, variance: torch.Tensor) -> torch.Tensor:
    """(B, C, H, W) through Gaussians of variance (B, 1, H, W) in px^2, up to the last of VARIANCES. Linear between
    these, so it has a gradient in the variance, also where that is zero."""
    levels = torch.stack([light, *(gaussian(light, value) for value in VARIANCES[1:])])
    known = variance.new_tensor(VARIANCES)
    variance = variance.clamp(max=VARIANCES[-1])
    upper = torch.searchsorted(known, variance.detach().contiguous()).clamp(1, len(known) - 1)
    share = (variance - known[upper - 1]) / (known[upper] - known[upper - 1])
    low, high = (levels.gather(0, index.expand_as(light)[None])[0] for index in (upper - 1, upper))
    return low + (high - low) * share


def gaussian(light: torch.Tensor, variance: float) -> torch.Tensor:
    """(B, C, H, W) through a separable Gaussian; the border is repeated."""
    reach = math.ceil(3 * variance**0.5)
    place = torch.arange(-reach, reach + 1, device=light.device, dtype=light.dtype)
    kernel = torch.exp(-(place**2) / (2 * variance))
    kernel = (kernel / kernel.sum()).expand(light.shape[1], 1, -1)
    padded = F.pad(light, (reach,) * 4, mode='replicate')
    rows = F.conv2d(padded, kernel[..., None, :], groups=light.shape[1])
    return F.conv2d(rows, kernel[..., None], groups=light.shape[1])


def _swapped(values):
    """The two pictures of each pair in each other's place."""
    return values.unflatten(0, (-1, 2)).flip(1).flatten(0, 1)
