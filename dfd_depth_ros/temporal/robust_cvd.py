"""Test-time optimisation over a clip: poses and a coarse stretching of depth, until the frames agree in space.

Every frame gets a grid of few depth scales, interpolated between them, and a small correction of its pose. Points that
optical flow follows from one frame to another must then land where flow found them, and at the depth that is read
there. What moves by itself, and wrong flow, count less and less the worse they fit.

Given poses (odometry) keep their scale by a prior, and with them the depth becomes metric: in the source, which knows
no poses, scale stays free.

Source: Kopf, Rong and Huang, "Robust Consistent Video Depth Estimation", CVPR 2021 (there Ceres, here Adam; its
segmentation of people is left out).
"""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from tqdm import tqdm

from dfd_depth_ros.optics.pinhole import motion_between, rigid, sampled, transfer
from dfd_depth_ros.temporal.motion import dis_flow

GRID = (3, 4)  # depth scales of a frame
SPACINGS = (1, 2, 4)  # frames between those of a pair
STRIDE = 12  # pixels between the points that are followed
ROUND_TRIP_PX = 1.0  # by which flow there and back may miss
ROBUST_PX, ROBUST_LOG = 1.0, 0.1  # errors beyond which a point counts less
POSE_SIGMA = (0.002, 0.005)  # of given poses: radians, and share of the way between neighbouring frames
WEIGHTS = {'spatial': 1.0, 'ratio': 1.0, 'smooth': 0.5, 'prior': 0.01, 'pose': 0.01}
LEARNING_RATE = 0.02


@dataclass(frozen=True)
class Tracks:
    """Points on a grid of the first frames of P pairs, and where flow finds them in the second ones. first, second:
    (P,) numbers of the frames. size: (H, W) of a frame. place: (P, 2, h, w) pixels x, y in the second frame. weight:
    (P, 1, h, w) whether flow there and back agree. here, there: (P, 1, h, w) inverse depth as read in both frames."""

    first: torch.Tensor
    second: torch.Tensor
    size: tuple[int, int]
    place: torch.Tensor
    weight: torch.Tensor
    here: torch.Tensor
    there: torch.Tensor


def optimise(
    images: np.ndarray,
    inverse_depth: torch.Tensor,
    lens: torch.Tensor,
    pose: torch.Tensor,
    steps: int = 150,
    progress: bool = False,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Make a clip agree with itself. images: (T, H, W, 3) uint8. inverse_depth: (T, 1, H, W) 1/m. lens: (T, 5) state.
    pose: (T, 4, 4) camera-to-world. Returns inverse depth and poses of the same shapes. Raises ValueError for a single
    frame, or where shapes differ."""
    if len(images) < 2:
        raise ValueError(f'a clip of {len(images)} frames cannot be made consistent; it needs at least two')
    if tuple(images.shape[:3]) != (len(inverse_depth), *inverse_depth.shape[-2:]):
        raise ValueError(f'pictures {images.shape[:3]} and inverse depth {tuple(inverse_depth.shape)} do not fit')
    tracks = follow(images, inverse_depth)
    stretch = torch.zeros(len(images), 1, *GRID, requires_grad=True)
    turn = torch.zeros(len(images), 6, requires_grad=True)
    pace = motion_between(pose[:-1], pose[1:])[:, :3, 3].norm(dim=1).mean().clamp(min=1e-4)
    unit = torch.tensor([POSE_SIGMA[0]] * 3 + [POSE_SIGMA[1]] * 3) * torch.cat([torch.ones(3), pace.expand(3)])
    rates: list[dict] = [{'params': [stretch]}, {'params': [turn], 'lr': 0.1}]
    optimizer = torch.optim.Adam(rates, LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in tqdm(range(steps), desc='clip', disable=not progress):
        terms = misfit(tracks, stretch, lens, pose @ rigid(turn * unit))
        terms |= {'smooth': _roughness(stretch), 'prior': stretch.square().mean(), 'pose': turn.square().mean()}
        optimizer.zero_grad()
        sum(WEIGHTS[name] * value for name, value in terms.items()).backward()
        optimizer.step()
        schedule.step()
    return stretched(inverse_depth, stretch).detach(), (pose @ rigid(turn * unit)).detach()


def stretched(inverse_depth: torch.Tensor, stretch: torch.Tensor) -> torch.Tensor:
    """Inverse depth (T, 1, H, W) times the exponential of a coarse grid (T, 1, h, w), bilinear between its corners."""
    fine = F.interpolate(stretch, inverse_depth.shape[-2:], mode='bilinear', align_corners=True)
    return inverse_depth * fine.exp()


def misfit(tracks: Tracks, stretch: torch.Tensor, lens: torch.Tensor, pose: torch.Tensor) -> dict:
    """How far points of the first frames of all pairs land from where flow found them (`spatial`, in units of
    ROBUST_PX), and how far their depth there is from what the second frames say (`ratio`, of logarithms), once depth is
    stretched by a grid (T, 1, h, w)."""
    first, second, start = tracks.first, tracks.second, STRIDE // 2
    height, width = tracks.place.shape[-2:]
    begin = torch.stack(torch.meshgrid(torch.arange(width), torch.arange(height), indexing='xy')) * STRIDE + start
    here = tracks.here * _at(stretch[first], begin.expand_as(tracks.place), tracks.size).exp()
    found = tracks.there * _at(stretch[second], tracks.place, tracks.size).exp()
    coarse = lens * lens.new_tensor([1, 1, 1 / STRIDE, 1 / STRIDE, 1 / STRIDE])
    coarse = coarse - lens.new_tensor([0, 0, 0, start / STRIDE, start / STRIDE])  # the grid as a picture of its own
    place, implied = transfer(here, coarse[first], motion_between(pose[first], pose[second]), lens[second])
    weight = tracks.weight * (implied > 0)
    apart = (place - tracks.place).square().sum(1, keepdim=True) / ROBUST_PX**2
    ratio = (implied.clamp(min=1e-3) / found.clamp(min=1e-3)).log().square() / ROBUST_LOG**2
    total = weight.sum().clamp(min=1)
    return {name: (torch.log1p(x) * weight).sum() / total for name, x in (('spatial', apart), ('ratio', ratio))}


def follow(images: np.ndarray, inverse_depth: torch.Tensor) -> Tracks:
    """Optical flow (DIS) between the frames of all pairs of SPACINGS, at points on a grid. images: (T, H, W, 3) uint8.
    inverse_depth: (T, 1, H, W) 1/m."""
    grey = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in images]
    pairs = [(t, t + step) for step in SPACINGS for t in range(len(grey) - step)]
    height, width = grey[0].shape
    grid = np.stack(np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)))
    places, weights, points = [], [], np.s_[..., STRIDE // 2 :: STRIDE, STRIDE // 2 :: STRIDE]
    for pair in pairs:
        there, back = (dis_flow(grey[a], grey[b]) for a, b in (pair, pair[::-1]))
        place = grid + there
        returned = np.stack([cv2.remap(part, *place, cv2.INTER_LINEAR, borderValue=1e6) for part in back])
        agrees = np.hypot(*(there + returned)) < ROUND_TRIP_PX
        places.append(torch.from_numpy(place[points].copy()))
        weights.append(torch.from_numpy(agrees[None][points]).float())
    first, second = torch.tensor(pairs).T
    place = torch.stack(places)
    found = [sampled(inverse_depth[number, None], where[None])[0] for number, where in zip(second, place, strict=True)]
    return Tracks(
        first, second, (height, width), place, torch.stack(weights), inverse_depth[points][first], torch.cat(found)
    )


def _at(stretch, place, size):
    """A grid of scales (P, 1, h, w) at pixels x, y (P, 2, ...), as `stretched` has it there."""
    scale = [(grid - 1) / (pixels - 1) for grid, pixels in zip(stretch.shape[-2:], size, strict=True)]
    return sampled(stretch, place * stretch.new_tensor(scale[::-1])[:, None, None])[0]


def _roughness(stretch):
    return sum(stretch.diff(dim=dim).square().mean() for dim in (2, 3))
