"""Rooms furnished with models from disk: chairs, desks, shelves and what lies on them, in metres.

What `scenes.procedural` makes of boxes and cards teaches how blur looks; rooms like these teach where in a room things
stand: tables recede, walls are far and plain, cups are small. Scenes are of the same kind, surfaces from back to front.
"""

import itertools
from dataclasses import dataclass

import cv2
import numpy as np

from dfd_depth_ros.scenes.interiors import PLACES, decorated, random_place, shelving
from dfd_depth_ros.scenes.models import Model, load_model, models_in
from dfd_depth_ros.scenes.procedural import Scene, assemble, random_desk
from dfd_depth_ros.scenes.solids import Found, Painter, View, box
from dfd_depth_ros.scenes.textures import Shared, wall

LOW_M = 0.45  # models that are smaller in every direction lie on others
FINE = 2  # rays a pixel, each way
ENLARGED = 0.3  # texels a ray under which a texture is too coarse to be shown
SHADOW = 0.45  # of the light that furniture keeps from the floor under it


class Furnished:
    """`furnished[i]` is the same for the same seed and i. folder: OBJ models, see `scenes.models`. size: (H, W) of the
    window in pixels. Raises ModelsError for a folder without models."""

    def __init__(self, size: tuple[int, int], folder: str, seed: int = 0, photographs: str = ''):
        self.size, self.seed, self.models = size, seed, models_in(folder)
        self.textures = Shared((seed, 7), photographs)

    def __getitem__(self, index: int) -> Scene:
        rng = np.random.default_rng([self.seed, 8, index])
        return furnished_room(rng, self.size, self.textures[index], self.models)


@dataclass(frozen=True)
class Placed:
    """A model in a room. turn: about the vertical, radians. foot: (3,) metres in room axes."""

    model: Model
    turn: float
    foot: np.ndarray

    @property
    def axes(self) -> np.ndarray:
        """(3, 3) from axes of the model to those of the room."""
        return cv2.Rodrigues(np.array([0.0, self.turn, 0.0]))[0]

    @property
    def radius(self) -> float:
        """Of a circle on the floor about as large as the model, metres."""
        return float(self.model.size[[0, 2]].mean()) / 2


def furnished_room(
    rng: np.random.Generator, size: tuple[int, int], textures: list[np.ndarray], models: tuple[str, ...]
) -> Scene:
    """One room seen through a window of `size` (H, W) pixels."""
    kind, (low, high) = random_place(rng)
    place = PLACES[kind]
    view = View.random(rng, size, place.aside)
    plain = [wall(rng) for _ in range(6)]
    room = box(view, Painter(rng, plain + textures[:2], view.fx), low, high, inside=True)
    pieces = _placed(rng, view, low, high, models, rng.integers(*place.pieces))
    colour = room[0] * _shadows(view, room[2], high[1], pieces)[..., None]
    room = decorated(rng, view, textures, (colour, *room[1:]), (low, high))
    painter = Painter(rng, textures, view.fx)
    things = [look(view, painter, piece) for piece in pieces]
    things += random_desk(rng, view, painter, high) if rng.random() < place.desks else []
    things += shelving(rng, view, painter, (low, high)) if rng.random() < place.shelves else []
    things = [found for found in things if found]
    things = sorted(things, key=lambda found: np.quantile(found[2][found[1] > 0], 0.75))
    return assemble(rng, _uncovered([room, *things]), view)


def look(view: View, painter: Painter, piece: Placed) -> Found | None:
    """What a view sees of a model; None where it is out of sight."""
    window = _window(view, piece)
    if window is None:
        return None
    rows, columns = window
    rays, back = _finer(view, rows, columns), piece.axes  # rows times a rotation are turned back
    met = piece.model.meet(-piece.foot @ back, rays @ back)
    hit = np.isfinite(met.distance) & (met.distance > 0.15)
    if hit.sum() < 12 * FINE**2:
        return None
    inverse = np.where(hit, 1 / np.where(hit, met.distance, 1), 0).astype(np.float32)
    light = _painted(painter, piece, met, hit, view.fx * FINE) * hit[..., None]
    share = _pooled(hit.astype(np.float32))
    covered = np.maximum(share, 1e-6)
    colour, alpha, found = (np.zeros((*view.rays.shape[1:], *tail), np.float32) for tail in ((3,), (), ()))
    alpha[rows, columns] = share
    colour[rows, columns] = _pooled(light) / covered[..., None]
    found[...] = np.median(inverse[hit])
    found[rows, columns] = np.where(share > 0, _pooled(inverse) / covered, found[rows, columns])
    return colour, alpha, found


def _painted(painter, piece, met, hit, fx):
    """sRGB of what was met: colour or texture of each material, changed at random, with some grain, and shaded."""
    rng, colour = painter.rng, np.zeros((*hit.shape, 3), np.float32)
    grain = _grain(painter, met, hit)
    for number in np.unique(met.material[hit]):
        material, here = piece.model.materials[number], hit & (met.material == number)
        tint = np.clip(rng.uniform(0.6, 1.25) + rng.normal(0, 0.12, 3), 0.2, 1.6)
        base = material.colour if rng.random() < 0.7 else rng.uniform(0.05, 0.9) + rng.normal(0, 0.08, 3)
        strength = rng.uniform(0.2, 0.9) if rng.random() < 0.25 else rng.uniform(0, 0.15)
        if material.pyramid:
            texels = met.density[here] * met.distance[here] / fx * max(material.pyramid[0].shape[:2])
            base = _sampled(material.pyramid, met.texels[here], texels)
            if np.median(texels) < ENLARGED:
                base, strength = base.mean(0), rng.uniform(0.2, 0.9)
        colour[here] = np.clip(base, 0.02, 1) * tint * (1 + (grain[here] - 1) * strength)
    lamps = rng.normal(0, 1, (2, 3)) + (0, -1, 0)
    lamps = lamps / np.linalg.norm(lamps, axis=1, keepdims=True) @ piece.axes
    shade = 0.45 + np.maximum(met.normal @ lamps.T, 0) @ rng.uniform(0.1, 0.6, 2)
    return np.clip(colour * shade[..., None], 0.01, 1).astype(np.float32)


def _grain(painter, met, hit):
    """One of the painter's textures around the whole model, about 1 on average; it is as fine as the picture."""
    axis = np.abs(met.normal).argmax(-1)[..., None]
    across, down = (
        np.take_along_axis(met.point, np.array(sides)[axis], -1)[..., 0] for sides in ((2, 0, 0), (1, 2, 1))
    )
    grain = painter.paint(across, down, np.median(met.distance[hit]))
    return grain / max(float(grain[hit].mean()), 0.05)


def _sampled(pyramid, places, texels):
    """Texture at places (N, 2), from the halving in which a ray is about a texel wide. texels: (N,) texels a ray."""
    level = np.ceil(np.log2(np.maximum(texels, 1e-6)) - 0.3).clip(0, len(pyramid) - 1).astype(int)
    colour = np.empty((len(places), 3), np.float32)
    for number in np.unique(level):
        here, texture = level == number, pyramid[number]
        size = np.array(texture.shape[1::-1])
        place = (places[here] % 1 * size - 0.5).astype(np.float32)
        first = np.floor(place).astype(int)
        share, colour[here] = place - first, 0
        for x, y in ((0, 0), (1, 0), (0, 1), (1, 1)):
            column, row = ((first + (x, y)) % size).T
            weight = (share[:, 0] if x else 1 - share[:, 0]) * (share[:, 1] if y else 1 - share[:, 1])
            colour[here] += texture[row, column] * weight[:, None]
    return colour


def _placed(rng, view, low, high, models, wanted):
    """Furniture on the floor, in sight and not inside each other, and small things on top of it."""
    pieces: list[Placed] = []
    for _ in range(4 * wanted):
        model = load_model(models[rng.integers(len(models))])
        if model is None or model.size.max() < LOW_M or len(pieces) >= wanted:
            continue
        row, column = rng.integers(view.rays.shape[1:])
        ray = view.rays[:, row, column]
        reach = 2 ** rng.uniform(np.log2(0.7), np.log2(max(high[2], 1.5)))
        foot = np.array([ray[0] * reach, high[1], ray[2] * reach])
        piece = Placed(model, rng.uniform(0, 2 * np.pi), foot)
        inside = np.all((foot > low + (0.1, 0, 0.2)) & (foot < high + (-0.1, 0.01, -0.1)))
        free = np.hypot(foot[0], foot[2]) > 0.4 + piece.radius and not any(_meet(piece, other) for other in pieces)
        if inside and free:
            pieces.append(piece)
    return pieces + [thing for piece in list(pieces) for thing in _things(rng, piece, models)]


def _things(rng, piece, models):
    """Small models on top of a larger one."""
    found = []
    for _ in range(rng.integers(0, 5)):
        model = load_model(models[rng.integers(len(models))])
        x, z = rng.uniform(piece.model.low[[0, 2]], piece.model.high[[0, 2]])
        if model is None or model.size.max() > LOW_M:
            continue
        top = piece.model.top(x, z)
        if top is not None:
            foot = piece.axes @ np.array([x, top, z]) + piece.foot
            found.append(Placed(model, rng.uniform(0, 2 * np.pi), foot))
    return found


def _meet(piece, other):
    return np.hypot(*(piece.foot - other.foot)[[0, 2]]) < 0.8 * (piece.radius + other.radius)


def _window(view, piece):
    """Rows and columns of the view that can see a model; None where none can."""
    corners = np.array(list(itertools.product(*zip(piece.model.low, piece.model.high, strict=True))))
    start, right, down = _steps(view.rays)
    depth, column, row = np.linalg.solve(np.stack([start, right, down], 1), (corners @ piece.axes.T + piece.foot).T)
    if depth.max() < 0.2:
        return None
    if depth.min() < 0.1:  # it reaches past the camera: any ray may meet it
        return np.s_[:], np.s_[:]
    sides = zip((row / depth, column / depth), view.rays.shape[1:], strict=True)
    spans = [(max(int(place.min()), 0), min(int(place.max()) + 2, side)) for place, side in sides]
    return tuple(slice(*span) for span in spans) if all(first < last for first, last in spans) else None


def _steps(rays):
    """Ray (3,) of the first pixel, and what a step to the right and one down add to it."""
    start, (height, width) = rays[:, 0, 0].astype(float), rays.shape[1:]
    return start, (rays[:, 0, -1] - start) / (width - 1), (rays[:, -1, 0] - start) / (height - 1)


def _finer(view, rows, columns):
    """FINE x FINE rays for each pixel of a window, (h, w, 3)."""
    start, right, down = _steps(view.rays)
    steps = (np.arange(FINE) + 0.5) / FINE - 0.5
    y, x = (
        (np.arange(side)[place][:, None] + steps).ravel()
        for side, place in zip(view.rays.shape[1:], (rows, columns), strict=True)
    )
    return start + y[:, None, None] * down + x[:, None] * right


def _pooled(array):
    height, width = (side // FINE for side in array.shape[:2])
    return array.reshape(height, FINE, width, FINE, *array.shape[2:]).mean((1, 3))


def _shadows(view, inverse, floor, pieces):
    """Share of the light (H, W) that furniture leaves on the floor around it."""
    points = view.rays / inverse
    light = np.ones_like(inverse)
    for piece in pieces:
        if piece.foot[1] < floor - 0.05:
            continue
        away = np.hypot(points[0] - piece.foot[0], points[2] - piece.foot[2]) / max(piece.radius, 0.05)
        light *= 1 - SHADOW * np.exp(-(away**2)) * (points[1] > floor - 0.05)
    return light


def _uncovered(found):
    """Surfaces whose order, from back to front, is wrong in places are cut there, so that the nearer one is seen."""
    nearest, kept = np.zeros_like(found[0][2]), []
    for colour, alpha, inverse in found:
        alpha = np.where(inverse >= nearest * 0.995, alpha, 0)
        nearest = np.where(alpha > 0.5, inverse, nearest)
        kept.append((colour, alpha, inverse))
    return [kept[0], *(each for each in kept[1:] if (each[1] > 0.5).any())]
