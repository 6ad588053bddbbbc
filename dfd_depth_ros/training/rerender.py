"""Supervision without truth: what one keyframe shows, seen again as another keyframe's camera and lens saw it.

A window of one keyframe, its inverse depth as read, and the blur it already carries go through a renderer to the place
and lens of another keyframe. Where depth, lens and blur are right, the outcome looks like the other keyframe. Two
effects speak: parallax, where the camera moved by a known way, and the change of blur, where focus or aperture changed.
And both keyframes, read on their own, must imply one depth (Siamese).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import grid_sample

from dfd_depth_ros.networks.model import DfdModel
from dfd_depth_ros.networks.precision import mixed
from dfd_depth_ros.optics.tone import from_srgb, to_srgb
from dfd_depth_ros.splatting.renderer import Picture, Renderer, View, reproject
from dfd_depth_ros.training import losses
from dfd_depth_ros.training.keyframes import Keyframe

FARTHEST, NEAREST = 1 / 60, 8.0  # dioptres
CANNOT_SHARPEN_PX = 0.4  # blur in excess of what the view should have, beyond which a pixel is not compared
SAME_SURFACE = 0.15  # relative difference of inverse depth beyond which two pixels are not of one surface
WEIGHTS = {'photometric': 1.0, 'consistency': 0.03, 'smoothness': 0.002, 'lens': 0.002}
COVERED = 0.3  # alpha under which too little is known of a pixel


@dataclass(frozen=True)
class Look:
    """A window of a keyframe as the networks read it. image: (3, h, w) gamma-encoded. lens: (5,) state with the
    residual, of the window. pose: (4, 4). coc: (1, h, w) signed pixels of the lens alone. inverse_depth: (1, h, w)."""

    image: torch.Tensor
    lens: torch.Tensor
    pose: torch.Tensor
    coc: torch.Tensor
    inverse_depth: torch.Tensor


@torch.no_grad()
def known(model: DfdModel, frame: Keyframe) -> torch.Tensor:
    """(1, H, W) signed CoC that the networks see in a whole keyframe, base blur included; read once and kept in
    `frame.reading` until that is cleared."""
    if 'seen' not in frame.reading:
        frame.reading['seen'] = model(frame.image[None], frame.lens[None], frame.told.side, decide=False).seen[0]
    return frame.reading['seen']


def looks(
    model: DfdModel,
    frames: Sequence[Keyframe],
    corner: tuple[int, int],
    size: tuple[int, int],
    reader: DfdModel | None = None,
) -> list[Look]:
    """Read one window of `size` (h, w) at `corner` (row, column) of several keyframes of one camera, in one pass of the
    networks. reader: a model whose readings of whole keyframes (`known`) stand in for them; then only the residual of
    the lens is differentiable."""
    row, column = corner
    place = np.s_[:, row : row + size[0], column : column + size[1]]
    image = torch.stack([frame.image[place] for frame in frames])
    told = torch.stack([frame.lens for frame in frames]) - image.new_tensor([0, 0, 0, column, row])
    if reader is None:
        with mixed(image.device, image.is_cuda):
            prediction = model(image, told, frames[0].told.side, decide=False)
        coc, lens = prediction.coc, prediction.lens
    else:
        seen = torch.stack([known(reader, frame)[place] for frame in frames])
        coc, lens = model.residual.without_base_blur(seen), model.residual(told)
    inverse = (lens[:, 1, None, None, None] - coc / lens[:, 0, None, None, None]).clamp(FARTHEST, NEAREST)
    poses = [torch.eye(4, device=image.device) if frame.pose is None else frame.pose for frame in frames]
    return [Look(*parts) for parts in zip(image, lens, poses, coc, inverse, strict=True)]


def rerendering(renderer: Renderer, one: Look, other: Look, psf_scale: torch.Tensor) -> tuple[torch.Tensor, dict]:
    """`one` seen as `other` was: the gamma-encoded picture (3, h, w), and the terms of the loss by name."""
    height, width = other.image.shape[-2:]
    view = View(other.lens, other.pose, (height, width), psf_scale)
    picture = Picture(from_srgb(one.image), one.inverse_depth, one.lens, one.pose, one.coc.abs() * psf_scale)
    rendered = renderer([picture], view)
    there, inside, implied = _found_in(one, other)
    sharp_enough = there[1:].abs() < other.coc.abs() + CANNOT_SHARPEN_PX
    weight = (inside & sharp_enough & (rendered.alpha > COVERED)).float().detach()
    light = rendered.colour * _brightness(rendered.colour, from_srgb(other.image), weight)
    redone = to_srgb(light.clamp(1e-4, 1))
    weaker = torch.minimum(one.lens[0], other.lens[0])
    same = inside & ((implied - there[:1]).abs() < SAME_SURFACE * (implied + there[:1]))
    return redone, {
        'photometric': losses.photometric_loss(redone, other.image, weight),
        'consistency': losses.consistency_loss(implied, there[:1], weaker, same.float().detach()),
        'smoothness': losses.smoothness_loss(one.inverse_depth, one.image),
    }


def total(terms: dict, model: DfdModel) -> torch.Tensor:
    """The weighted sum of the terms and of the lens prior."""
    terms = terms | {'lens': losses.lens_prior(model.residual)}
    return sum(WEIGHTS[name] * value for name, value in terms.items())


def _found_in(one, other):
    """For each pixel of `other`: inverse depth and CoC read in `one` at the place where it shows the same point
    (2, h, w); whether that lies inside; and the inverse depth that `other` implies there."""
    size = one.image.shape[-2:]
    picture = Picture(other.image, other.inverse_depth, other.lens, other.pose)
    place, implied = reproject(picture, View(one.lens, one.pose, size))
    scale = place.new_tensor([size[1] - 1, size[0] - 1])[:, None, None]
    grid = (2 * place / scale - 1).permute(1, 2, 0)[None]
    there = grid_sample(torch.cat([one.inverse_depth, one.coc])[None], grid, align_corners=True)[0]
    return there, (grid.abs() < 1).all(-1), implied


def _brightness(light, seen, weight):
    """Gain that makes both equally bright on the whole: cameras change exposure with the aperture."""
    return ((seen * weight).sum() / (light * weight).sum().clamp(min=1e-3)).clamp(0.25, 4).detach()
