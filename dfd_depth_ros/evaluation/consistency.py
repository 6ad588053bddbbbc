"""What can be said of depth without ground truth: whether two pictures of one scene and the depth read from them agree.

A camera that stands still while its focus moves sees the same scene through two lens states. Two things must then hold.
The depth read from one picture says how the other is blurred (re-blur error), and both pictures give the same depth
(agreement across focus). Both are necessary and neither is sufficient: a lens that is wrong by a constant may pass.
"""

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
from dfd_depth_ros.temporal.motion import SMALLEST_PX, dis_flow

CONSISTENCY_METRICS = ('reblur_levels', 'reblur_ratio', 'focus_disagreement')
WIDTH = 320  # columns at which pictures are rendered again
LEAST_SHIFT_PX = 0.3  # of CoC from one lens state to the other, under which both pictures look alike
STILL_PX = 0.5  # median optical flow of a scene that stands still
FARTHEST, NEAREST = 1 / 60, 8.0  # dioptres
CANNOT_SHARPEN_PX = 0.2  # blur in excess of what the other picture has, beyond which a pixel is not compared


def consistency(before: tuple[Frame, Estimate], after: tuple[Frame, Estimate]) -> dict:
    """Agreement of two neighbouring frames and their estimates; {} where the lens did not move or the scene did.

    reblur_levels: mean absolute difference, in grey levels of 255, between the second picture and the first one blurred
    as the first one's depth says the second should be; only where blur grows, since blur can be added and not removed.
    reblur_ratio: the same over that of the first picture left as it is, so 1 means that depth explains nothing.
    focus_disagreement: median over pixels of |q1 - q2| / mean of both, for inverse depths q.
    """
    (first, one), (second, other) = before, after
    if not _lens_moved(first.lens, second.lens) or not _still(first, second):
        return {}
    q1, q2 = (_inverse(estimate.depth) for estimate in (one, other))
    values = {'focus_disagreement': [float(np.median(2 * np.abs(q1 - q2) / (q1 + q2)))]}
    for source, inverse, target in ((first, q1, second), (second, q2, first)):
        for name, value in _reblur(source, inverse, target).items():
            values.setdefault(name, []).append(value)
    return {name: float(np.mean(value)) for name, value in values.items()}


def _lens_moved(first, second) -> bool:
    """Whether the CoC of anything in reach changes by enough to be seen."""
    ends = np.array([FARTHEST, 1.0])
    return bool(np.abs(first.coc(ends) - second.coc(ends)).max() > LEAST_SHIFT_PX)


def _still(first: Frame, second: Frame) -> bool:
    """By the poses where they are known, else by optical flow of the pictures."""
    if first.pose is not None and second.pose is not None:
        return bool(np.allclose(first.pose, second.pose, atol=1e-6))
    grey = [cv2.resize(cv2.cvtColor(frame.image, cv2.COLOR_RGB2GRAY), _size(frame.image)) for frame in (first, second)]
    if min(grey[0].shape) < SMALLEST_PX:
        return False
    return float(np.median(np.hypot(*dis_flow(*grey)))) < STILL_PX


@torch.inference_mode()
def _reblur(source: Frame, inverse: np.ndarray, target: Frame) -> dict:
    """Both re-blur metrics from one frame (with its inverse depth (H, W)) to another; {} where blur grows nowhere."""
    small = _size(source.image)
    shrink = source.image.shape[1] / small[0]
    inverse = cv2.resize(inverse, small, interpolation=cv2.INTER_AREA)
    images = [cv2.resize(frame.image, small, interpolation=cv2.INTER_AREA) / 255 for frame in (source, target)]
    lenses = [replace(frame.lens, pixel_pitch_m=frame.lens.pixel_pitch_m * shrink) for frame in (source, target)]
    present, wanted = (np.abs(lens.coc(inverse)) for lens in lenses)
    grows = (wanted > present + CANNOT_SHARPEN_PX).astype(np.float32)
    if not grows.any():
        return {}
    states = [torch.tensor(lens_state(lens, *images[0].shape[:2]), dtype=torch.float32) for lens in lenses]
    states[1][2:] = states[0][2:]  # one geometry: focus breathing is left to the optical flow to notice
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
