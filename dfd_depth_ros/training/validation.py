"""How good a model is on batches with known CoC, and how far its sigma can be believed."""

import torch

from dfd_depth_ros.networks.model import DfdModel
from dfd_depth_ros.training.data import Batch
from dfd_depth_ros.training.losses import log_depth_loss


@torch.inference_mode()
def validate(model: DfdModel, batches: list[Batch], device='cpu') -> dict[str, float]:
    """Means over pixels: `coc_mae` and `blur_mae` (px, signed and unsigned), `sign_accuracy` where |CoC| > 0.5 px,
    `log_depth`, and the share of pixels within one and two sigma."""
    sums: dict[str, float] = {}
    model = model.eval()
    for batch in (b.to(device) for b in batches):
        prediction = model(batch.image, batch.lens)
        error = (prediction.coc - batch.coc).abs()
        known = batch.coc.abs() > 0.5
        sides = ((prediction.far > 0.5) == (batch.coc > 0))[known].float()
        blur = prediction.defocus.magnitude - batch.coc[..., 1::4, 1::4].abs()
        numbers = {
            'coc_mae': error.mean(),
            'blur_mae': blur.abs().mean(),
            'sign_accuracy': sides.mean() if known.any() else error.new_tensor(1.0),
            'log_depth': log_depth_loss(prediction, batch),
            'coverage_1sigma': (error < prediction.sigma).float().mean(),
            'coverage_2sigma': (error < 2 * prediction.sigma).float().mean(),
        }
        for name, value in numbers.items():
            sums[name] = sums.get(name, 0.0) + float(value) / len(batches)
    return sums


@torch.inference_mode()
def calibrate_sigma(model: DfdModel, batches: list[Batch], device='cpu', share: float = 0.6827) -> float:
    """The factor on sigma with which `share` of the errors lie within one sigma."""
    ratios = []
    for batch in (b.to(device) for b in batches):
        prediction = model.eval()(batch.image, batch.lens)
        sigma = prediction.sigma / model.sigma_scale
        ratios.append(((prediction.coc - batch.coc).abs() / sigma).flatten()[::7])
    return float(torch.cat(ratios).quantile(share))
