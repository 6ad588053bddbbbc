"""What makes an indoor place of an empty box: rooms, corridors and walls close by, what hangs on them, shelves, light.

Corridors and walls at arm's length are where single pictures mislead most: a door at the end of a corridor is as
blurred and as low in the picture as a thing on the floor in front of the camera. Rooms are boxes around the camera,
given by their corners (low, high) in room axes (x right, y down, z ahead), metres.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from dfd_depth_ros.scenes.procedural import random_room
from dfd_depth_ros.scenes.solids import Found, Painter, View, ball, box

AHEAD, LEFT, RIGHT, ABOVE = range(4)  # walls, as boxes and pictures are put on them
Corners = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Place:
    """A kind of place. share: of all places. shelves, desks: share of these places that have some. pieces: number of
    pieces of furniture, from and below. aside: how far a camera looks to the left or right, 1 sigma in radians."""

    share: float
    shelves: float
    desks: float
    pieces: tuple[int, int]
    aside: float


PLACES = {
    'room': Place(share=0.45, shelves=0.1, desks=0.35, pieces=(2, 11), aside=0.5),
    'corridor': Place(share=0.3, shelves=0.05, desks=0.0, pieces=(0, 4), aside=0.25),
    'wall': Place(share=0.25, shelves=0.5, desks=0.35, pieces=(2, 11), aside=0.5),
}


def random_place(rng: np.random.Generator) -> tuple[str, Corners]:
    """What kind of place it is (a key of PLACES), and its corners."""
    kind = rng.choice(list(PLACES), p=[place.share for place in PLACES.values()])
    if kind == 'room':
        return kind, random_room(rng)
    if kind == 'corridor':
        half, depth = rng.uniform(0.55, 1.3), 2 ** rng.uniform(2, 4.2)
    else:
        half, depth = 2 ** rng.uniform(-0.3, 1.6), 2 ** rng.uniform(-0.6, 1.3)
    eye, height, aside = rng.uniform(0.8, 1.8), rng.uniform(2.1, 3.2), rng.uniform(-0.7, 0.7) * half
    return kind, (np.array([aside - half, eye - height, -0.5]), np.array([aside + half, eye, depth]))


def decorated(rng: np.random.Generator, view: View, textures: list[np.ndarray], room: Found, corners: Corners) -> Found:
    """A room with doors, windows, boards, papers, lamps and skirting painted on its walls, lit unevenly along its
    length. textures: see `Painter`."""
    colour, alpha, inverse = room
    points = view.rays / inverse
    wall = _wall(points, corners)
    colour = colour * _light(rng, points[2], corners[1][2])[..., None]
    plain = [_one_colour(rng.uniform(0.05, 0.9) + rng.normal(0, 0.06, 3)) for _ in range(4)]
    kinds = {'plain': plain, 'any': textures, 'bright': [_one_colour(1.0)]}
    painters = {kind: Painter(rng, painted_with, view.fx) for kind, painted_with in kinds.items()}
    for side, across, down, paint in _pictures(rng, corners):
        u = points[2 if side in (LEFT, RIGHT) else 0]
        v = points[2 if side == ABOVE else 1]
        inside = np.minimum(np.minimum(u - across[0], across[1] - u), np.minimum(v - down[0], down[1] - v))
        share = np.clip(inside * inverse * view.fx + 0.5, 0, 1) * (wall == side)
        if not share.any():
            continue
        here = np.ix_(share.any(1), share.any(0))
        painted = painters[paint].paint(u[here], v[here], np.median(1 / inverse[here]))
        colour[here] += (painted - colour[here]) * share[here][..., None]
    return colour.astype(np.float32), alpha, inverse


def shelving(rng: np.random.Generator, view: View, painter: Painter, corners: Corners) -> list[Found]:
    """Shelves along a wall with things on them: first boards and back as one surface, then thing after thing."""
    low, high = corners
    side = rng.choice([AHEAD, LEFT, RIGHT], p=(0.7, 0.15, 0.15))
    first, last = (low[0], high[0]) if side == AHEAD else (max(low[2], 0.3), high[2])
    width = min(rng.uniform(0.7, 2.5), last - first)
    start, deep, thick = rng.uniform(first, max(first, last - width)), rng.uniform(0.25, 0.6), rng.uniform(0.015, 0.04)
    gap, top = rng.uniform(0.25, 0.5), high[1] - rng.uniform(0.9, 2.3)
    heights = np.arange(high[1] - rng.uniform(0.02, 0.3), top, -gap)
    parts = [(start, start + width, level, level + thick, 0.01, deep) for level in heights]
    parts += [(at, at + thick, top, high[1], 0.01, deep) for at in (start, start + width - thick)]
    parts += [(start, start + width, top, high[1], 0.005, 0.01)] if rng.random() < 0.5 else []
    few = Painter(rng, [painter.textures[rng.integers(len(painter.textures))]], view.fx)
    boards = [found for part in parts if (found := box(view, few, *_on_wall(side, corners, part)))]
    things = [thing for level in heights for thing in _row(rng, start, width, level, deep, gap)]
    seen = [_thing(rng, view, painter, side, corners, part) for part in things]
    return ([_merged(boards)] if boards else []) + [found for found in seen if found]


def _pictures(rng, corners) -> Iterator[tuple[int, tuple, tuple, str]]:
    """What is painted on the walls, one over the other: wall, extent across (x; z on the walls aside) and down (y; z on
    the ceiling) in metres, and with what."""
    low, high = corners
    spans = {AHEAD: (low[0], high[0]), LEFT: (0.2, high[2]), RIGHT: (0.2, high[2])}
    if rng.random() < 0.6:
        strip = rng.uniform(0.05, 0.15)
        yield from ((side, span, (high[1] - strip, high[1]), 'plain') for side, span in spans.items())
    for _ in range(rng.integers(1, 10)):
        side = int(rng.choice([AHEAD, LEFT, RIGHT], p=(0.5, 0.25, 0.25)))
        at = rng.uniform(*spans[side])
        if rng.random() < 0.5:
            yield from _door(rng, side, at, high[1])
        else:
            width, height = 2 ** rng.uniform(-2.3, 0.8, 2)
            top = rng.uniform(low[1] + 0.2, max(high[1] - height, low[1] + 0.3))
            paint = rng.choice(['any', 'plain', 'bright'], p=(0.65, 0.2, 0.15))
            yield from _framed(rng, side, (at, at + width), (top, top + height), paint)
    if rng.random() < 0.5:
        middle, half, length = rng.uniform(low[0], high[0]), rng.uniform(0.05, 0.4), rng.uniform(0.2, 1.5)
        for at in np.arange(rng.uniform(0, 2), high[2], rng.uniform(1.5, 4)):
            yield ABOVE, (middle - half, middle + half), (at, at + length), 'bright'


def _door(rng, side, at, floor):
    """A door with its frame, a handle and often a pane."""
    width, top = rng.uniform(0.7, 1.0), floor - rng.uniform(1.9, 2.2)
    yield from _framed(rng, side, (at, at + width), (top, floor), rng.choice(['plain', 'any'], p=(0.75, 0.25)))
    if rng.random() < 0.35:
        left, upper = at + rng.uniform(0.1, 0.4) * width, top + rng.uniform(0.1, 0.4)
        right, lower = left + rng.uniform(0.15, 0.5) * width, upper + rng.uniform(0.3, 1.4)
        yield side, (left, right), (upper, lower), rng.choice(['bright', 'any', 'plain'])
    edge = at + (0.06 if rng.random() < 0.5 else width - 0.18)
    yield side, (edge, edge + 0.12), (floor - 1.05, floor - 1.02), 'plain'


def _framed(rng, side, across, down, paint):
    """Something with a frame around it, as often as not."""
    frame = rng.uniform(0.02, 0.1)
    if rng.random() < 0.5:
        yield side, (across[0] - frame, across[1] + frame), (down[0] - frame, down[1] + frame), 'plain'
    yield side, across, down, paint


def _one_colour(colour):
    return np.full((8, 8, 3), colour, np.float32).clip(0.01, 1)


def _wall(points, corners):
    """Number of the wall that each pixel shows; -1 for floor and back."""
    (left, ceiling, _), (right, _, end) = corners
    sides = {AHEAD: end - points[2], LEFT: points[0] - left, RIGHT: right - points[0], ABOVE: points[1] - ceiling}
    wall = np.full(points.shape[1:], -1)
    for side, away in sides.items():
        wall[np.abs(away) < 1e-3] = side
    return wall


def _light(rng, ahead, depth):
    """Share of the light at each distance ahead: lamps here, darkness there; now and then most of it is off."""
    uneven = rng.uniform(0, 0.7) if rng.random() < 0.6 else 0
    knots = rng.uniform(1 - uneven, 1, 5)
    level = rng.uniform(0.15, 0.6) if rng.random() < 0.25 else 1.0
    return level * np.interp(ahead, np.linspace(0, depth, 5), knots)


def _row(rng, start, width, level, deep, gap):
    """Extents of things that stand on a board."""
    at = start + rng.uniform(0.02, 0.3)
    for _ in range(rng.integers(0, 5)):
        size = rng.uniform(0.04, 0.4), rng.uniform(0.2, 0.9) * gap, rng.uniform(0.3, 0.9) * deep
        back = rng.uniform(0.01, deep - size[2])
        if at + size[0] > start + width:
            return
        yield at, at + size[0], level - size[1], level, back, back + size[2]
        at += size[0] + rng.uniform(0, 0.3)


def _thing(rng, view, painter, side, corners, part):
    low, high = _on_wall(side, corners, part)
    if rng.random() < 0.15:
        radius = min(high - low) / 2
        return ball(view, painter, np.array([(low + high)[0] / 2, high[1] - radius, (low + high)[2] / 2]), radius)
    return box(view, painter, low, high)


def _on_wall(side, corners, part):
    """Corners of a box given along a wall, down and away from it."""
    (left, _, _), (right, _, end) = corners
    first, last, top, bottom, near, far = part
    if side == AHEAD:
        return np.array([first, top, end - far]), np.array([last, bottom, end - near])
    x = sorted((left + near, left + far) if side == LEFT else (right - near, right - far))
    return np.array([x[0], top, first]), np.array([x[1], bottom, last])


def _merged(found):
    """Solids as one surface: of each pixel the nearest, which no soft outline separates."""
    colour, alpha, inverse = (array.copy() for array in found[0])
    for its_colour, its_alpha, its_inverse in found[1:]:
        nearer = (its_alpha > 0.5) & ((alpha < 0.5) | (its_inverse > inverse))
        colour[nearer], alpha[nearer], inverse[nearer] = its_colour[nearer], 1, its_inverse[nearer]
    return colour, alpha, np.where(alpha > 0.5, inverse, np.median(inverse[alpha > 0.5]))
