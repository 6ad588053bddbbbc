"""What can be said of depth without ground truth: whether two pictures of one scene and the depth read from them agree.

A camera that stands still while its focus moves sees the same scene through two lens states. Two things must then hold.
The depth read from one picture says how the other is blurred (re-blur error), and both pictures give the same depth
(agreement across focus). Both are necessary and neither is sufficient: a lens that is wrong by a constant may pass.
"""

import math
from collections import Counter
from dataclasses import replace

import cv2
import numpy as np
import torch

from dfd_depth_ros.estimation.estimate import Estimate
from dfd_depth_ros.networks.depth import lens_state
from dfd_depth_ros.optics.tone import from_srgb, to_srgb
from dfd_depth_ros.scenes.frame import Frame
from dfd_depth_ros.splatting.layered import LayeredRenderer
from dfd_depth_ros.splatting.renderer import Picture, View
from dfd_depth_ros.temporal.motion import SMALLEST_PX, dis_flow, registered, registration

CONSISTENCY_METRICS = ('reblur_levels', 'reblur_ratio', 'focus_disagreement')
WIDTH = 320  # columns at which pictures are rendered again
LEAST_SHIFT_PX = 0.3  # of CoC from one lens state to the other, under which both pictures look alike
STILL_PX = 0.5  # median optical flow of a scene that stands still
MOST_AWAY = 0.03  # of the width, that focus breathing and turns may move the corners of a picture
STANDS, MOVES, SHARPENS = REASONS = 'the lens stands still', 'the camera or the scene moves', 'blur grows nowhere'
FARTHEST, NEAREST = 1 / 60, 8.0  # dioptres
CANNOT_SHARPEN_PX = 0.2  # blur in excess of what the other picture has, beyond which a pixel is not compared


def consistency(before: tuple[Frame, Estimate], after: tuple[Frame, Estimate]) -> dict:
    """Agreement of two neighbouring frames and their estimates. Focus breathing and small turns of the camera are taken
    out first; where poses are known they must be equal instead.

    reblur_levels: mean absolute difference, in grey levels of 255, between the second picture and the first one blurred
    as the first one's depth says the second should be; only where blur grows, since blur can be added and not removed.
    reblur_ratio: the same over that of the first picture left as it is, so 1 means that depth explains nothing.
    focus_disagreement: median over pixels of |q1 - q2| / mean of both, for inverse depths q.
    no_reblur: why the first two are absent, one of REASONS.
    """
    (first, one), (second, other) = before, after
    if not _lens_moved(first.lens, second.lens):
        return {'no_reblur': STANDS}
    seen = _aligned(first, second, *(_inverse(estimate.depth) for estimate in (one, other)))
    if seen is None:
        return {'no_reblur': MOVES}
    (_, q1), (_, q2) = seen
    values = {'focus_disagreement': [float(np.median(2 * np.abs(q1 - q2) / (q1 + q2)))]}
    lenses = first.lens, second.lens
    for step in (1, -1):
        for name, value in _reblur(*seen[::step], *lenses[::step]).items():
            values.setdefault(name, []).append(value)
    means = {name: float(np.mean(value)) for name, value in values.items()}
    return means if 'reblur_ratio' in means else means | {'no_reblur': SHARPENS}


def missing(rows: list[dict]) -> list[str]:
    """One sentence on why no pair of frames has a re-blur error; none where one has it, or where there are no pairs.
    rows: of frames, with what `consistency` found."""
    if any('reblur_ratio' in row for row in rows):
        return []
    counts = Counter(row['no_reblur'] for row in rows if 'no_reblur' in row)
    reasons = ', '.join(f'{reason} ({count} of {counts.total()} pairs of frames)' for reason, count in counts.items())
    return [f'there is no re-blur error: {reasons}'] if reasons else []


def _lens_moved(first, second) -> bool:
    """Whether the CoC of anything in reach changes by enough to be seen."""
    ends = np.array([FARTHEST, 1.0])
    return bool(np.abs(first.coc(ends) - second.coc(ends)).max() > LEAST_SHIFT_PX)


def _aligned(first: Frame, second: Frame, q1, q2):
    """Both pictures, each with its inverse depth, as one camera that stands still would see them, the second ones moved
    onto the first ones where that takes little, and cut to what both see; None where that is not enough."""
    pair = (first.image, q1), (second.image, q2)
    if first.pose is not None and second.pose is not None:
        return pair if np.allclose(first.pose, second.pose, atol=1e-6) else None
    small = _grey(first.image), _grey(second.image)
    if min(small[0].shape) < SMALLEST_PX:
        return None
    if _still(*small):
        return pair
    found = registration(small[1], small[0])
    if found is None:
        return None
    warp = found[0]
    height, width = q1.shape
    warp[:, 2] *= width / small[0].shape[1]
    corners = np.array([[x, y] for x in (0, width - 1) for y in (0, height - 1)])
    margin = math.ceil(np.abs(corners @ warp[:, :2].T + warp[:, 2] - corners).max())
    if margin > MOST_AWAY * width:
        return None
    inside = np.s_[margin : height - margin, margin : width - margin]
    own, moved = [array[inside] for array in pair[0]], [registered(array, warp)[inside] for array in pair[1]]
    return (own, moved) if _still(_grey(own[0]), _grey(moved[0])) else None


def _still(first: np.ndarray, second: np.ndarray) -> bool:
    return float(np.median(np.hypot(*dis_flow(first, second)))) < STILL_PX


def _grey(image: np.ndarray) -> np.ndarray:
    return cv2.resize(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), _size(image))


@torch.inference_mode()
def _reblur(source, target, *lenses_of_frames) -> dict:
    """Both re-blur metrics from one picture to another, each with its inverse depth (H, W); {} where blur grows
    nowhere."""
    small = _size(source[0])
    shrink = source[0].shape[1] / small[0]
    inverse = cv2.resize(source[1], small, interpolation=cv2.INTER_AREA)
    images = [cv2.resize(image, small, interpolation=cv2.INTER_AREA) / 255 for image, _ in (source, target)]
    lenses = [replace(lens, pixel_pitch_m=lens.pixel_pitch_m * shrink) for lens in lenses_of_frames]
    present, wanted = (np.abs(lens.coc(inverse)) for lens in lenses)
    grows = (wanted > present + CANNOT_SHARPEN_PX).astype(np.float32)
    if not grows.any():
        return {}
    states = [torch.tensor(lens_state(lens, *images[0].shape[:2]), dtype=torch.float32) for lens in lenses]
    states[1][2:] = states[0][2:]  # one geometry: focus breathing is taken out of the pictures
    light = from_srgb(torch.tensor(images[0], dtype=torch.float32).permute(2, 0, 1))
    planes = [torch.tensor(array, dtype=torch.float32)[None] for array in (inverse, present)]
    picture = Picture(light, planes[0], states[0], torch.eye(4), planes[1])
    rendered = LayeredRenderer()([picture], View(states[1], torch.eye(4), images[0].shape[:2]))
    redone = to_srgb(rendered.colour.clamp(1e-4, 1)).permute(1, 2, 0).numpy()
    error, nothing = (_levels(image, images[1], grows) for image in (redone, images[0]))
    return {'reblur_levels': error, 'reblur_ratio': error / nothing if nothing > 0 else float('nan')}


def _levels(image: np.ndarray, other: np.ndarray, weight: np.ndarray) -> float:
    return float(255 * (np.abs(image - other).mean(2) * weight).sum() / weight.sum())


def _inverse(depth: np.ndarray) -> np.ndarray:
    with np.errstate(divide='ignore', invalid='ignore'):
        return np.clip(np.nan_to_num(1 / depth, nan=FARTHEST), FARTHEST, NEAREST).astype(np.float32)


def _size(image: np.ndarray) -> tuple[int, int]:
    """(width, height) with at most WIDTH columns."""
    height, width = image.shape[:2]
    shrink = max(1.0, width / WIDTH)
    return max(1, round(width / shrink)), max(1, round(height / shrink))
