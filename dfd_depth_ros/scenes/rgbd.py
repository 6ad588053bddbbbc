"""RGB-D pictures as defocused ones: what a camera with a given lens would have seen."""

from dataclasses import replace

import cv2
import numpy as np

from dfd_depth_ros.optics.formation import render_rgbd
from dfd_depth_ros.optics.lens import Lens
from dfd_depth_ros.scenes.frame import Frame


def defocused(frame: Frame, lens: Lens) -> Frame:
    """The frame seen through a lens: `image` rendered from `aif` and `depth`, holes in depth filled for the blur only.
    Raises ValueError where either is missing or no depth is known."""
    if frame.aif is None or frame.depth is None:
        raise ValueError(f'{frame.name}: an all-in-focus picture and depth are needed to render defocus')
    return replace(frame, image=render_rgbd(frame.aif, 1 / filled(frame.depth), lens), lens=lens)


def filled(depth: np.ndarray) -> np.ndarray:
    """(H, W) float32 metres where every unknown pixel has the depth of the nearest known one. Raises ValueError where
    none is known."""
    unknown = ~(depth > 0)
    if unknown.all():
        raise ValueError('depth is unknown everywhere')
    _, labels = cv2.distanceTransformWithLabels(
        unknown.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    nearest = np.zeros(labels.max() + 1, np.float32)
    nearest[labels[~unknown]] = depth[~unknown]
    return nearest[labels]
