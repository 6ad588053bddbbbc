"""Layered renderer: a picture as a few planes of its own depth, each blurred as a whole. Fast on a CPU; the default.

The planes lie even in inverse depth between the nearest and the farthest point of the picture. Tent masks share out
every pixel between two of them, so depth has gradients; from another pose each plane is seen through the homography
that it induces; each is blurred by a disc of its CoC, and they are laid over each other from near to far. Nothing is
known behind an occluder, so what is seen is divided by how much of it is there.

Against a ray-traced lens 8 planes reach 64 dB on slanted planes, and 43 dB at the edge of an occluder.

Source: Tucker and Snavely, "Single-View View Synthesis with Multiplane Images", CVPR 2020, for the planes and their
homographies; Ikoma et al., "Depth from Defocus with Learned Optics", ICCP 2021, for the coverage of blurred layers.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from dfd_depth_ros.optics.formation import COVERED, over, padding, tents
from dfd_depth_ros.optics.psf import blur
from dfd_depth_ros.splatting.renderer import (
    NEAR,
    Picture,
    Rendered,
    View,
    coc,
    merged,
    missing_blur,
    rays,
    relative_pose,
)

SLACK = 1e-3  # 1/m by which the planes reach beyond the depths of the picture, so that a flat one has gradients too
THIN = 0.1  # share of what lies no nearer, under which a blurred layer thins out


@dataclass(frozen=True)
class LayeredRenderer:
    """A `Renderer` of so many planes. Differentiable in colour, inverse depth, present blur, lenses, poses and
    psf_scale; the places of the planes follow the depths of the picture without a gradient."""

    planes: int = 8

    def __call__(self, pictures: Sequence[Picture], view: View) -> Rendered:
        """See `Renderer`. A CoC beyond the shorter side of the view is cut to it."""
        return merged([self._one(picture, view) for picture in pictures])

    def _one(self, picture: Picture, view: View) -> Rendered:
        levels = self._levels(picture.inverse_depth)
        masks = tents(picture.inverse_depth[0], levels)[:, None]
        turns = _turns(picture, view, levels)
        diameters = _diameters(picture, view, levels, masks, turns)
        edges = padding(int(diameters.detach().abs().max() / 2) + 2, *view.size)
        if _same_geometry(picture, view):
            layers = F.pad(torch.cat([picture.colour * masks, masks], 1), edges, mode='replicate')
            closer = torch.ones_like(layers[:, 3:])
        else:
            layers, closer = _warped(picture, masks, view, turns, edges)
        return _composed(layers, closer * levels[:, None, None, None], diameters, edges, view.size)

    def _levels(self, inverse_depth):
        """(P,) inverse depths of the planes, farthest first."""
        low, high = (float(end) for end in inverse_depth.detach().aminmax())
        like = {'device': inverse_depth.device, 'dtype': inverse_depth.dtype}
        return torch.linspace(low - SLACK, high + SLACK, self.planes, **like)


def _same_geometry(picture, view):
    """Whether every pixel of the view is that pixel of the picture."""
    same = torch.equal(picture.pose, view.pose) and torch.equal(picture.lens[2:], view.lens[2:])
    return same and tuple(picture.colour.shape[-2:]) == tuple(view.size)


def _turns(picture, view, levels):
    """(P, 3, 3) matrices that take the ray (z = 1) through a pixel of the picture to where a plane is hit, in the view,
    in units of the depth in the picture."""
    turn, shift = relative_pose(picture.pose, view.pose)
    ahead = shift.new_tensor([0.0, 0.0, 1.0])
    return turn + levels[:, None, None] * torch.outer(shift, ahead)


def _diameters(picture, view, levels, masks, turns):
    """(P,) signed CoC in pixels of the view that each plane still lacks."""
    share = masks / masks.sum((-2, -1), keepdim=True).clamp(min=COVERED)
    middle = torch.einsum('phw,chw->pc', share[:, 0], rays(picture.lens, *picture.colour.shape[-2:]))
    farther = torch.einsum('pc,pc->p', turns[:, 2], middle)
    seen = farther > NEAR
    farther = torch.where(seen, farther, torch.ones_like(farther))
    wanted = view.psf_scale * coc(levels / farther, view.lens)
    present = None
    if picture.blur is not None:
        present = (share * picture.blur).sum((-3, -2, -1)) * view.lens[2] / (picture.lens[2] * farther)
    return torch.where(seen, missing_blur(wanted, present), 0).clamp(-min(view.size), min(view.size))


def _warped(picture, masks, view, turns, edges):
    """Layers (P, 4, H', W') as the view sees them, with margins, and how many times closer each is there than in the
    picture (P, 1, H', W'). Colours are read cubically: linear interpolation would blur like a CoC of up to 2 pixels."""
    left, right, top, bottom = edges
    lens = view.lens + view.lens.new_tensor([0, 0, 0, left, top])
    looks = rays(lens, top + view.size[0] + bottom, left + view.size[1] + right)
    back = torch.einsum('pij,jhw->pihw', torch.linalg.inv(turns), looks)
    closer = back[:, 2:]
    place = picture.lens[2] * back[:, :2] / closer.clamp(min=1e-6) + picture.lens[3:5, None, None]
    size = place.new_tensor([masks.shape[-1] - 1, masks.shape[-2] - 1])[:, None, None]
    grid = (2 * place / size - 1).permute(0, 2, 3, 1)
    colour = picture.colour.expand(len(masks), -1, -1, -1)
    colour = F.grid_sample(colour, grid, mode='bicubic', padding_mode='border', align_corners=True)
    ahead = (closer > 0) & (closer < 1 / NEAR)
    masks = torch.where(ahead, F.grid_sample(masks, grid, align_corners=True), 0)
    return torch.cat([colour * masks, masks], 1), torch.where(ahead, closer, 0)


def _composed(layers, inverse_depth, diameters, edges, size):
    """The view: layers (P, 4, H', W') and their inverse depths (P, 1, H', W') with margins, farthest first, blurred and
    laid over each other. A layer covers what its blur leaves of it, over what it leaves of all that lies no nearer: so
    the layers of one slanted surface share it, instead of hiding each other's blurred edges."""
    left, _, top, _ = edges
    crop = (..., slice(top, top + size[0]), slice(left, left + size[1]))
    no_nearer = layers[:, 3:].cumsum(0).clamp(max=1)
    spread = blur(torch.cat([layers, no_nearer], 1), diameters[:, None])[crop].flip(0)
    spread = spread[:, :4] / spread[:, 4:].clamp(min=THIN)
    coverage = spread[:, 3:].clamp(0, 1)
    seen = over(torch.cat([spread, coverage * inverse_depth[crop].flip(0)], 1)[None], coverage[None])[0]
    alpha = seen[3:4].clamp(min=COVERED)
    return Rendered(seen[:3] / alpha, seen[3:4].clamp(0, 1), seen[4:] / alpha)
