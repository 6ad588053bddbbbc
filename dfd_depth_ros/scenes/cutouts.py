"""Cutouts: flat things of any outline in front of each other, where only blur tells what is near and what is far.

An outline is blurred as much as the thing that it belongs to, and hides what is behind it. So a sharp edge between
something sharp and something blurred says that the blurred one lies behind; where the edge is soft, and the sharp one
shines through it, that it lies in front. Rooms show this as well, but there it is easier to learn that floors are near
and walls are far, and networks that see nothing else learn nothing else (docs/lessons.md).
"""

import cv2
import numpy as np

from dfd_depth_ros.scenes.procedural import Scene, assemble
from dfd_depth_ros.scenes.solids import Found, Painter, View
from dfd_depth_ros.scenes.textures import Shared

EASY = 0.8  # share of scenes of two even planes
APART = 1.3  # least ratio of their distances
FARTHEST, NEAREST = 0.08, 2.5  # dioptres
FEWEST = 30  # pixels of a thing


class Cutouts:
    """`cutouts[i]` is the same for the same seed and i. size: (H, W) of the window in pixels. photographs: folder of
    pictures to paint with, see `textures.photograph`."""

    def __init__(self, size: tuple[int, int], seed: int = 0, photographs: str = ''):
        self.size, self.seed, self.textures = size, seed, Shared((seed, 9), photographs)

    def __getitem__(self, index: int) -> Scene:
        return cutouts(np.random.default_rng([self.seed, 10, index]), self.size, self.textures[index])


def cutouts(rng: np.random.Generator, size: tuple[int, int], textures: list[np.ndarray]) -> Scene:
    """Two to five sheets, a whole one and cut ones in front of it, seen through a window of `size` (H, W) pixels."""
    view = View.random(rng, size)
    painter = Painter(rng, textures, view.fx)
    easy = rng.random() < EASY
    levels = np.sort(np.exp(rng.uniform(np.log(FARTHEST), np.log(NEAREST), 2 if easy else rng.integers(2, 6))))
    levels[1] = max(levels[1], APART * levels[0]) if easy else levels[1]
    y, x = np.mgrid[: size[0], : size[1]].astype(np.float32)
    found: list[Found] = []
    behind = np.zeros(size, np.float32)
    for level in levels:
        alpha = outline(rng, size) if found else np.ones(size, np.float32)
        if (alpha > 0.5).sum() < FEWEST:
            continue
        slope = np.zeros(2) if easy else rng.normal(0, rng.choice([0.02, 0.15]), 2) / size
        inverse = level * (1 + slope[0] * (y - size[0] / 2) + slope[1] * (x - size[1] / 2))
        behind = np.maximum(inverse.astype(np.float32), 1.01 * behind)
        colour = painter.paint(x / view.fx / level, y / view.fx / level, 1 / level)
        found.append((colour, alpha, behind))
    return assemble(rng, found, view, subjects=tuple(map(float, levels)))


def outline(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """Alpha (H, W) of something cut out. As often as not it is a hole, and on average it covers half of the window:
    what is convex, small or in the middle is no nearer than the rest."""
    away = _OUTLINES[rng.choice(len(_OUTLINES), p=(0.35, 0.35, 0.15, 0.15))](rng, *size)
    return np.clip((away if rng.random() < 0.5 else -away) + 0.5, 0, 1).astype(np.float32)


def _blobs(rng, height, width):
    """Pixels to the edge of blobs, above zero inside, roughly."""
    scale = 2 ** rng.uniform(4, 6.5)
    coarse = rng.normal(size=[int(side / scale) + 4 for side in (height, width)]).astype(np.float32)
    field = cv2.resize(coarse, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    top, left = (int(rng.uniform(scale, have - want)) for have, want in zip(field.shape, (height, width), strict=True))
    field = field[top : top + height, left : left + width] - rng.normal(0, 0.4)
    return field / max(float(np.hypot(*np.gradient(field)).mean()), 1e-3)


def _corner(rng, height, width):
    """Within one to three straight edges, half of them nearly level or upright."""
    y, x = np.mgrid[:height, :width]
    away = []
    for _ in range(rng.integers(1, 4)):
        upright = rng.integers(4) * np.pi / 2 + rng.normal(0, 0.05)
        angle = upright if rng.random() < 0.5 else rng.uniform(0, 2 * np.pi)
        place = rng.uniform(0.1, 0.9, 2) * (height, width)
        away.append((x - place[1]) * np.cos(angle) + (y - place[0]) * np.sin(angle))
    return np.min(away, 0)


def _bars(rng, height, width):
    y, x = np.mgrid[:height, :width]
    angle, period = rng.uniform(0, np.pi), 2 ** rng.uniform(4.5, 7)
    across = (x * np.cos(angle) + y * np.sin(angle) + rng.uniform(0, period)) % period
    return rng.uniform(0.15, 0.85) * period / 2 - np.abs(across - period / 2)


def _plate(rng, height, width):
    """An ellipse or a rectangle."""
    y, x = np.mgrid[:height, :width]
    angle, half = rng.uniform(0, np.pi), 2 ** rng.uniform(3.5, 6.2, 2)
    x, y = x - rng.uniform(0, width), y - rng.uniform(0, height)
    u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    if rng.random() < 0.5:
        return (1 - np.hypot(u / half[0], v / half[1])) * half.min()
    return np.minimum(half[0] - np.abs(u), half[1] - np.abs(v))


_OUTLINES = (_blobs, _corner, _bars, _plate)
