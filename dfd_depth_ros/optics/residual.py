"""What the lens as it is told leaves out: rounded f-numbers, a focus scale that is off, blur that was there before.

Four numbers for one camera, all zero at first. They are part of the weights, so that a camera's weights bring its lens
along; offline training leaves them alone, online learning fits them before anything else.
"""

import torch
from torch import nn


class LensResidual(nn.Module):
    """log_gain, log_focus: natural logarithm of true over told gain and focus in dioptres. base_variance: square of the
    CoC in pixels that the pictures show at perfect focus beyond what the networks expect. log_psf: natural logarithm of
    the PSF's width over that of a disc with the CoC that is read, for renderers."""

    log_gain: nn.Parameter
    log_focus: nn.Parameter
    base_variance: nn.Parameter
    log_psf: nn.Parameter

    def __init__(self):
        super().__init__()
        for name in ('log_gain', 'log_focus', 'base_variance', 'log_psf'):
            self.register_parameter(name, nn.Parameter(torch.zeros(()), requires_grad=False))

    def forward(self, lens: torch.Tensor) -> torch.Tensor:
        """The true lens state of a told one, (B, 5) each, see `networks.depth.lens_state`."""
        gain, focus, rest = lens.split((1, 1, 3), -1)
        return torch.cat([gain * self.log_gain.exp(), focus * self.log_focus.exp(), rest], -1)

    def without_base_blur(self, coc: torch.Tensor) -> torch.Tensor:
        """Signed CoC in pixels of the lens alone, from what was read: variances of blurs add."""
        square = coc**2 - self.base_variance.clamp(min=0)
        return torch.where(square > 0, coc.sign() * (square.clamp(min=1e-6)).sqrt(), torch.zeros_like(coc))

    def psf_scale(self) -> torch.Tensor:
        """Width of the PSF over that of a disc of the CoC."""
        return self.log_psf.exp()
