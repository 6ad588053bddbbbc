"""What every renderer takes and gives: pictures with depth in, one defocused view of them out.

A renderer looks at what one or several pictures show from another place, through another lens. All of it is
differentiable in inverse depth, in the lens and in the colours. Depth is never detached: it decides where a pixel goes,
how much it is blurred and what it hides.

The pictures may be all-in-focus, or as a camera saw them: `blur` is the |CoC| that a picture already carries, and a
renderer adds only what is missing (variances of blurs add). Where a picture is blurred more than the view should be, no
renderer can sharpen it: `missing_blur` tells where that is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from dfd_depth_ros.optics import pinhole

SHARP = 1e-3  # pixels, a CoC that is none
EMPTY = 1e-6  # alpha that is none
NEAR = 0.05  # depth in the view over depth in the picture, under which a point counts as behind the camera


@dataclass(frozen=True)
class Picture:
    """One picture that is seen again from elsewhere. colour: (3, H, W) linear light. inverse_depth: (1, H, W) 1/m.
    lens: (5,) state of its camera (`networks.depth.lens_state`; only fx and the principal point matter here). pose:
    (4, 4) camera-to-world, optical frame. blur: (1, H, W) |CoC| in pixels that it already carries, or None where it is
    all-in-focus."""

    colour: torch.Tensor
    inverse_depth: torch.Tensor
    lens: torch.Tensor
    pose: torch.Tensor
    blur: torch.Tensor | None = None


@dataclass(frozen=True)
class View:
    """From where and through what the pictures are seen. lens: (5,) state. pose: (4, 4) camera-to-world. size: (H, W).
    psf_scale: width of the PSF over that of a disc of the CoC, number or tensor."""

    lens: torch.Tensor
    pose: torch.Tensor
    size: tuple[int, int]
    psf_scale: torch.Tensor | float = 1.0


@dataclass(frozen=True)
class Rendered:
    """colour: (3, H, W) linear light, already divided by alpha. alpha: (1, H, W) in 0..1, how much of a pixel is
    covered by anything. inverse_depth: (1, H, W) 1/m of what is seen."""

    colour: torch.Tensor
    alpha: torch.Tensor
    inverse_depth: torch.Tensor


class Renderer(Protocol):
    """Renders one view of one or several pictures of a scene, defocused as the lens of the view would."""

    def __call__(self, pictures: Sequence[Picture], view: View) -> Rendered: ...


def coc(inverse_depth: torch.Tensor, lens: torch.Tensor) -> torch.Tensor:
    """Signed CoC in pixels at inverse depth (1/m) through a lens state (5,)."""
    return lens[0] * (lens[1] - inverse_depth)


def missing_blur(wanted: torch.Tensor, present: torch.Tensor | None) -> torch.Tensor:
    """Signed CoC in pixels that brings a picture from |CoC| `present` to the signed CoC `wanted`; zero where it is
    blurred more than that already. Exact for Gaussians, near enough for discs."""
    if present is None:
        return wanted
    square = wanted**2 - present**2
    return torch.where(square > SHARP**2, wanted.sign() * square.clamp(min=SHARP**2).sqrt(), torch.zeros_like(wanted))


def relative_pose(source: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Rotation (3, 3) and translation (3,) from the source camera to the target camera, of camera-to-world poses."""
    turn = target[:3, :3].T @ source[:3, :3]
    return turn, target[:3, :3].T @ (source[:3, 3] - target[:3, 3])


def rays(lens: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """(3, H, W) directions through the pixels with z = 1."""
    return pinhole.rays(lens[None], height, width)[0]


def reproject(picture: Picture, view: View) -> tuple[torch.Tensor, torch.Tensor]:
    """Where the pixels of a picture land in a view: (2, H, W) pixel x, y and (1, H, W) inverse depth there (below zero
    behind the camera). Works in inverse depth, so points at infinity are finite."""
    motion = pinhole.motion_between(picture.pose[None], view.pose[None])
    place, inverse = pinhole.transfer(picture.inverse_depth[None], picture.lens[None], motion, view.lens[None])
    return place[0], inverse[0]


def merged(views: Sequence[Rendered]) -> Rendered:
    """One view of what several pictures show of it, weighted by how much each covers. Raises ValueError where there is
    none."""
    if not views:
        raise ValueError('a renderer needs at least one picture')
    if len(views) == 1:
        return views[0]
    alpha = torch.stack([view.alpha for view in views])
    share = alpha / alpha.sum(0).clamp(min=EMPTY)
    colour, inverse_depth = (
        (torch.stack([getattr(view, name) for view in views]) * share).sum(0) for name in ('colour', 'inverse_depth')
    )
    return Rendered(colour, alpha.amax(0), inverse_depth)
