"""Scenes cut from RGB-D pictures on disk: windows with depth, to be defocused by made-up lenses.

A window stands where a made-up scene stands (`scenes.procedural.Scene`). It is one sheet: behind what a photograph
shows nothing is known, so blur at an occlusion edge is less true than that of a made-up scene.
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch

from dfd_depth_ros.optics.formation import Surface
from dfd_depth_ros.optics.tone import from_srgb
from dfd_depth_ros.scenes.folders import FramesError, read_frames
from dfd_depth_ros.scenes.frame import Frame
from dfd_depth_ros.scenes.procedural import FARTHEST, NEAREST, Scene
from dfd_depth_ros.scenes.rgbd import filled

FX_PER_WIDTH = 1.1  # focal length over width where intrinsics are not told


class Windows:
    """`windows[i]` is the same for the same seed and i: a random window of a random frame, mirrored half of the time.

    folders: frames folders or .jsonl files whose frames have `aif` and `depth`. size: (H, W) pixels; smaller frames are
    continued in mirror image. Raises FramesError where a frame has no `aif` or no depth is known in it.
    """

    def __init__(self, folders: tuple[str, ...], size: tuple[int, int], seed: int = 0):
        self.folders, self.size, self.seed = [read_frames(folder) for folder in folders], size, seed

    def __getitem__(self, index: int) -> Scene:
        rng = np.random.default_rng([self.seed, 6, index])
        folder = self.folders[rng.integers(len(self.folders))]
        return window(folder[int(rng.integers(len(folder)))], self.size, rng)


def window(frame: Frame, size: tuple[int, int], rng: np.random.Generator) -> Scene:
    """A random window of (H, W) pixels of an RGB-D frame."""
    if frame.aif is None or frame.depth is None or not (frame.depth > 0).any():
        raise FramesError(f'{frame.name}: an all-in-focus picture and depth are needed to train on it')
    height, width = frame.depth.shape
    fx, x, y = (
        (frame.intrinsics.fx, frame.intrinsics.cx, frame.intrinsics.cy)
        if frame.intrinsics
        else (FX_PER_WIDTH * width, (width - 1) / 2, (height - 1) / 2)
    )
    margins = [max(0, wanted - side) for wanted, side in zip(size, (height, width), strict=True)]
    border = (0, margins[0], 0, margins[1], cv2.BORDER_REFLECT)
    light, inverse = (cv2.copyMakeBorder(array, *border) for array in (frame.aif, 1 / filled(frame.depth)))
    top, left = (int(rng.integers(side - wanted + 1)) for side, wanted in zip(inverse.shape, size, strict=True))
    inside = np.s_[top : top + size[0], left : left + size[1]]
    light, inverse, centre = light[inside], inverse[inside].clip(FARTHEST, NEAREST), (x - left, y - top)
    if rng.random() < 0.5:
        light, inverse, centre = light[:, ::-1], inverse[:, ::-1], (size[1] - 1 - centre[0], centre[1])
    colour = from_srgb(torch.from_numpy(light.astype(np.float32) / 255)).permute(2, 0, 1).contiguous()
    depth = torch.from_numpy(np.ascontiguousarray(inverse, dtype=np.float32))
    return Scene([Surface(colour, torch.ones_like(depth), depth)], depth, float(fx), centre)


@dataclass(frozen=True)
class Mixed:
    """Kinds of scenes by turns. kinds: each gives a scene for a number; the first one has a `seed`."""

    kinds: tuple[Any, ...]

    @property
    def seed(self) -> int:
        """That of the first kind."""
        return self.kinds[0].seed

    def __getitem__(self, index: int) -> Scene:
        return self.kinds[index % len(self.kinds)][index // len(self.kinds)]


@dataclass(frozen=True)
class Sprinkled:
    """Scenes with some of another kind among them. share: of the others, 0 to 1, evenly spread."""

    scenes: Any
    others: Any
    share: float

    @property
    def seed(self) -> int:
        """That of the scenes."""
        return self.scenes.seed

    def __getitem__(self, index: int) -> Scene:
        before, then = int(index * self.share), int((index + 1) * self.share)
        return self.others[before] if then > before else self.scenes[index - before]
