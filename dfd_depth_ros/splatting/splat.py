"""Renderer of Gaussian splats, and the table of all renderers."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from dfd_depth_ros.splatting import cuda
from dfd_depth_ros.splatting.gaussians import FAINTEST, Gaussians, to_gaussians
from dfd_depth_ros.splatting.layered import LayeredRenderer
from dfd_depth_ros.splatting.rasterise import rasterise
from dfd_depth_ros.splatting.renderer import Picture, Rendered, Renderer, View


@dataclass(frozen=True)
class SplatRenderer:
    """A `Renderer` of pixel-aligned Gaussians. rasterise: Gaussians and (H, W) to premultiplied colour, inverse depth
    and alpha (5, H, W)."""

    rasterise: Callable[[Gaussians, tuple[int, int]], torch.Tensor] = rasterise

    def __call__(self, pictures: Sequence[Picture], view: View) -> Rendered:
        """See `Renderer`. Raises ValueError where there is no picture."""
        seen = self.rasterise(to_gaussians(pictures, view), view.size)
        whole = seen[4:].clamp(min=FAINTEST)
        return Rendered(seen[:3] / whole, seen[4:], seen[3:4] / whole)


def _gsplat() -> SplatRenderer:
    if reason := cuda.missing():
        raise RuntimeError(reason)
    return SplatRenderer(cuda.rasterise)


RENDERERS: dict[str, Callable[[], Renderer]] = {'layered': LayeredRenderer, 'splat': SplatRenderer, 'gsplat': _gsplat}


def make_renderer(name: str) -> Renderer:
    """A renderer by name. Raises ValueError for an unknown one, RuntimeError for one that this machine cannot run."""
    if name not in RENDERERS:
        raise ValueError(f'renderer must be one of {", ".join(RENDERERS)}, not {name!r}')
    return RENDERERS[name]()
