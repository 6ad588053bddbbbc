"""Steadiness of depth over video. Each of these is meaningless alone: a constant depth is perfectly steady, so they are
reported beside abs_rel only. All work on pairs of consecutive frames; depth in metres, nothing rescaled."""

import cv2
import numpy as np
from skimage.metrics import structural_similarity

from dfd_depth_ros.evaluation.metrics import abs_rel, is_depth
from dfd_depth_ros.scenes.frame import Intrinsics
from dfd_depth_ros.temporal.motion import SMALLEST_PX, dis_flow

PAIR_METRICS = ('tae', 'opw', 'tcc', 'tgm', 'flicker')
OPW_ALPHA = 50.0
STILL = 0.05  # relative change of the true depth of a pixel above which something moves through it
SAME_POINT = 0.01  # relative difference of two true depths, one moved into the other's view, of one and the same point


def tae(depths, poses, intrinsics: tuple[Intrinsics, Intrinsics]) -> float:
    """Temporal alignment error of two depth maps: AbsRel between one, moved into the other's view by the true poses,
    and the other, averaged over both directions. Needs no ground truth depth.

    depths: pair of (H, W) metres. poses: pair of (4, 4) camera-to-world. NaN where the views do not overlap.
    Source: Chen et al., "Video Depth Anything", CVPR 2025 (there times 100).
    """
    first, second = depths
    there = _reprojected(first, np.linalg.inv(poses[1]) @ poses[0], intrinsics, second.shape)
    back = _reprojected(second, np.linalg.inv(poses[0]) @ poses[1], intrinsics[::-1], first.shape)
    pairs = [(moved, other, is_depth(moved) & is_depth(other)) for moved, other in ((there, second), (back, first))]
    return float(np.mean([abs_rel(moved[both], other[both]) for moved, other, both in pairs]))


def opw(depths, images) -> float:
    """Optical-flow-based warping error of two depth maps in metres: mean |D1 - warp(D2)|, weighted by
    exp(-50 |I1 - warp(I2)|^2) so that occlusions and wrong flow count little. Flow: DIS, on the pictures.

    depths: pair of (H, W) metres. images: pair of (H, W, 3) uint8. NaN for pictures too small for flow.
    Source: Wang et al., "Neural Video Depth Stabilizer", ICCV 2023, with DIS (Kroeger et al., ECCV 2016) for its flow.
    """
    if min(images[0].shape[:2]) < SMALLEST_PX:
        return float('nan')
    grey = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in images]
    height, width = grey[0].shape
    grid = np.stack(np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)))
    target = grid + dis_flow(*grey)
    warped = cv2.remap(depths[1], *target, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=np.nan)
    picture = cv2.remap(images[1], *target, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    difference = (images[0].astype(np.float32) - picture) / 255
    weight = np.exp(-OPW_ALPHA * (difference**2).sum(-1))
    both = is_depth(depths[0]) & is_depth(warped)
    total = weight[both].sum()
    return float((weight * np.abs(depths[0] - warped))[both].sum() / total) if total > 0 else float('nan')


def tcc(depths, truths) -> float:
    """Temporal change consistency: SSIM of the predicted change |D1 - D2| and the true change |G1 - G2|; 1 is best.

    depths, truths: pairs of (H, W) metres. The dynamic range of SSIM is the largest true depth; pixels unknown in any
    of the four count as unchanged for their neighbours and not at all themselves.
    Source: Zhang et al., "Exploiting temporal consistency for real-time video depth estimation", ICCV 2019.
    """
    known = np.logical_and.reduce([is_depth(array) for array in (*depths, *truths)])
    if not known.any() or min(known.shape) < 7:
        return float('nan')
    with np.errstate(invalid='ignore'):
        changes = [np.where(known, np.abs(first - second), 0.0) for first, second in (depths, truths)]
    largest = float(max(truth[known].max() for truth in truths))
    _, similarity = structural_similarity(*changes, data_range=largest, full=True)
    return float(similarity[known].mean())


def tgm(depths, truths) -> float:
    """Temporal gradient matching: mean of | |D1 - D2| - |G1 - G2| | over |G1|, where the truth of a pixel changes by
    less than STILL of it, so that passing edges do not count. 0 is best.

    depths, truths: pairs of (H, W) metres. NaN where no pixel counts.
    Source: the loss of that name in Chen et al., "Video Depth Anything", CVPR 2025 (there of scaled disparity).
    """
    with np.errstate(invalid='ignore'):
        known = np.logical_and.reduce([is_depth(array) for array in (*depths, *truths)])
        known &= np.abs(truths[0] - truths[1]) < STILL * truths[0]
        changes = [np.abs(first - second)[known] for first, second in (depths, truths)]
    return float(np.mean(np.abs(changes[0] - changes[1]) / truths[0][known])) if known.any() else float('nan')


def flicker(depths, truths, poses, intrinsics: tuple[Intrinsics, Intrinsics]) -> float:
    """How much the relative error of a point of the still world changes from one frame to the next: mean
    |log(D2 / G2) - log(D1 / G1)| over points that true depth and true poses find again. Zero for the truth and for any
    constant multiple of it; unlike opw it asks no optical flow, unlike tae it does not blame a constant bias.

    depths, truths: pairs of (H, W) metres. poses: pair of (4, 4) camera-to-world. NaN where no point is found again.
    """
    there = np.linalg.inv(poses[1]) @ poses[0]
    usable = is_depth(truths[0]) & is_depth(depths[0])
    start, end, z = _landing(np.where(usable, truths[0], np.nan), there, intrinsics, truths[1].shape)
    with np.errstate(invalid='ignore', divide='ignore'):
        same = is_depth(depths[1][end]) & (np.abs(truths[1][end] - z) < SAME_POINT * z)
    start, end = (tuple(axis[same] for axis in place) for place in (start, end))
    errors = [np.log(depth[at] / truth[at]) for depth, truth, at in zip(depths, truths, (start, end), strict=True)]
    return float(np.mean(np.abs(errors[1] - errors[0]))) if same.any() else float('nan')


def pair_metrics(before, after) -> dict:
    """The metrics that two consecutive (frame, depth) pairs of one size allow: opw, tae with poses and intrinsics, tcc
    and tgm with ground truth, flicker with all of these. depth: (H, W) metres."""
    (first, depth1), (second, depth2) = before, after
    depths = (depth1, depth2)
    values = {'opw': opw(depths, (first.image, second.image))}
    placed = all(frame.pose is not None and frame.intrinsics is not None for frame in (first, second))
    poses, intrinsics = (first.pose, second.pose), (first.intrinsics, second.intrinsics)
    if placed:
        values['tae'] = tae(depths, poses, intrinsics)
    if first.depth is not None and second.depth is not None:
        truths = (first.depth, second.depth)
        values |= {'tcc': tcc(depths, truths), 'tgm': tgm(depths, truths)}
        if placed:
            values['flicker'] = flicker(depths, truths, poses, intrinsics)
    return values


def _reprojected(depth, motion, intrinsics, shape) -> np.ndarray:
    """Depth seen from another camera: every pixel as a point, moved, dropped on the nearest pixel; the nearest point
    wins. motion: (4, 4) from the first camera to the second. Returns `shape` metres, NaN where nothing falls."""
    _, end, z = _landing(depth, motion, intrinsics, shape)
    seen = np.full(shape, np.inf)
    np.minimum.at(seen, end, z)
    return np.where(np.isfinite(seen), seen, np.nan)


def _landing(depth, motion, intrinsics, shape):
    """Pixels (rows, columns) of a depth map that fall into another camera, the nearest pixels (rows, columns) there,
    and their depth there in metres, (N,) each."""
    source, target = intrinsics
    rows, columns = np.nonzero(is_depth(depth))
    z = depth[rows, columns].astype(np.float64)
    points = np.stack([(columns - source.cx) / source.fx * z, (rows - source.cy) / source.fy * z, z, np.ones_like(z)])
    x, y, z, _ = motion @ points
    with np.errstate(divide='ignore', invalid='ignore'):
        x, y = target.fx * x / z + target.cx, target.fy * y / z + target.cy
    inside = (z > 0) & (x > -0.5) & (x < shape[1] - 0.5) & (y > -0.5) & (y < shape[0] - 0.5)
    end = np.rint(y[inside]).astype(np.int64), np.rint(x[inside]).astype(np.int64)
    return (rows[inside], columns[inside]), end, z[inside]
