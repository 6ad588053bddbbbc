"""What made-up scenes are built of: boxes, balls and cards, seen by a camera and painted.

Each is found where the rays of a view meet it and comes back as a `Found`: colour (H, W, 3) sRGB, alpha (H, W) in 0..1
and inverse depth (H, W) in 1/m, all of it, also where something else hides it; None where it is out of sight.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from dfd_depth_ros.scenes.textures import SIZE

Found = tuple[np.ndarray, np.ndarray, np.ndarray]
SOFT = 0.15  # share of surfaces whose own picture is soft: prints, photographs, worn things


@dataclass(frozen=True)
class View:
    """Rays of a window: origin at the camera, in room axes (x right, y down, z into the room). rays: (3, H, W) with
    unit depth along the optical axis, so that a multiple of a ray is a depth. fx: focal length in pixels. centre:
    principal point (x, y) in pixels of the window."""

    rays: np.ndarray
    fx: float
    centre: tuple[float, float]

    @classmethod
    def random(cls, rng: np.random.Generator, size: tuple[int, int], aside: float = 0.5) -> 'View':
        """A window of (H, W) pixels of a camera of 22 to 75 degrees, at the height of an eye. aside: how far it looks
        to the left or right, 1 sigma in radians."""
        width = int(2 ** rng.uniform(8.1, 10))
        whole = np.array([width * 3 // 4, width])
        fx = width / (2 * np.tan(np.radians(rng.uniform(22, 75)) / 2))
        corner = rng.uniform(np.minimum(whole - size, 0) / 2, np.maximum(whole - size, 0))
        y, x = np.mgrid[: size[0], : size[1]].astype(np.float32)
        centre = (width / 2 - corner[1], whole[0] / 2 - corner[0])
        rays = np.stack([x - centre[0], y - centre[1], np.full_like(x, fx)]) / fx
        yaw, pitch, roll = rng.normal(0, aside), rng.normal(0.1, 0.18), rng.normal(0, 0.03)
        turn = cv2.Rodrigues(np.array([0, yaw, 0]))[0] @ cv2.Rodrigues(np.array([-pitch, 0, 0]))[0]
        turn = turn @ cv2.Rodrigues(np.array([0, 0, roll]))[0]
        return cls(np.einsum('ij,jyx->iyx', turn, rays).astype(np.float32), fx, centre)


class Painter:
    """Paints surfaces with some of the textures, (SIZE, SIZE, 3) sRGB each. fx: focal length in pixels."""

    def __init__(self, rng, textures, fx):
        self.rng, self.textures, self.fx = rng, textures, fx

    def paint(self, u, v, distance):
        """Colour (H, W, 3) at surface coordinates u, v in metres. At `distance` the texture mostly has as many texels
        as there are pixels: reduced as a camera would, since an enlarged one is blurred before the lens has touched it
        and one that is merely skipped through is sharper than anything that a camera sees. A few are enlarged."""
        texture = self.textures[self.rng.integers(len(self.textures))]
        pixels = self.rng.uniform(1, 2.5) if self.rng.random() < SOFT else self.rng.uniform(0.3, 0.95)
        reduced = min(pixels, 1.0)
        if reduced < 1:
            texture = cv2.resize(texture, None, fx=reduced, fy=reduced, interpolation=cv2.INTER_AREA)
        texels = self.fx / distance / pixels * reduced
        angle = self.rng.uniform(0, 2 * np.pi) if self.rng.random() < 0.3 else 0.0
        cos, sin = np.cos(angle) * texels, np.sin(angle) * texels
        shift = self.rng.uniform(0, SIZE, 2)
        across = (u * cos - v * sin + shift[0]).astype(np.float32)
        down = (u * sin + v * cos + shift[1]).astype(np.float32)
        size = len(texture)
        colour = cv2.remap(
            texture, _mirrored(across, size), _mirrored(down, size), cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101
        )
        return colour * self.rng.uniform(0.5, 1.15)


def _mirrored(position, size):
    """Texture coordinates that go to and fro, so that a texture has no seams."""
    return (size - 1) - np.abs(position % (2 * (size - 1)) - (size - 1))


def box(view: View, painter: Painter, low: np.ndarray, high: np.ndarray, inside: bool = False) -> Found | None:
    """Surface of an axis-aligned box seen from outside or, for the room, from inside. None where out of sight."""
    low, high = (corner.astype(np.float32)[:, None, None] for corner in (low, high))
    with np.errstate(divide='ignore', invalid='ignore'):
        one, other = low / view.rays, high / view.rays
    first, last = np.minimum(one, other), np.maximum(one, other)
    enter, leave = first.max(0), last.min(0)
    distance, axis = (leave, last.argmin(0)) if inside else (enter, first.argmax(0))
    alpha = (np.ones_like(distance) if inside else (enter < leave) & (enter > 0.15)).astype(np.float32)
    if not _worth(alpha):
        return None
    distance = np.where(alpha > 0, distance, np.median(distance[alpha > 0]))
    points = view.rays * distance
    face = axis * 2 + (np.take_along_axis(view.rays, axis[None], 0)[0] > 0)
    colour = np.zeros((*distance.shape, 3), np.float32)
    for number in np.unique(face[alpha > 0]):
        u, v = points[_ACROSS[number // 2]], points[_DOWN[number // 2]]
        here = (face == number) & (alpha > 0)
        colour[here] = painter.paint(u, v, np.quantile(distance[here], 0.2))[here]
    return colour, alpha, 1 / distance


_ACROSS, _DOWN = (2, 0, 0), (1, 2, 1)  # surface coordinates of a face, by the axis of its normal


def ball(view: View, painter: Painter, centre: np.ndarray, radius: float) -> Found | None:
    """A ball, shaded. centre (3,) and radius in metres."""
    square = (view.rays**2).sum(0)
    along = np.einsum('i,iyx->yx', centre.astype(np.float32), view.rays) / square
    inner = along**2 - ((centre**2).sum() - radius**2) / square
    distance = along - np.sqrt(np.maximum(inner, 0))
    alpha = ((inner > 0) & (distance > 0.15)).astype(np.float32)
    if not _worth(alpha):
        return None
    distance = np.where(alpha > 0, distance, np.median(distance[alpha > 0]))
    points = view.rays * distance - centre.astype(np.float32)[:, None, None]
    shade = 0.75 + 0.25 * np.einsum('i,iyx->yx', painter.rng.normal(0, 0.6, 3), points) / radius
    colour = painter.paint(points[0], points[1], np.median(distance)) * shade[..., None]
    return colour, alpha, 1 / distance


def card(view: View, painter: Painter, inverse: float) -> Found | None:
    """A slanted, sometimes bent thing of any outline: leaf, sign, fence, rod."""
    rng, (height, width) = painter.rng, view.rays.shape[1:]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    alpha = _outline(rng, height, width)
    if not _worth(alpha):
        return None
    slope = rng.normal(0, 0.15, 2) / max(height, width)
    centre = rng.uniform(0, (height, width))
    relief = 1 + slope[0] * (y - centre[0]) + slope[1] * (x - centre[1])
    if rng.random() < 0.4:
        relief += _smooth(rng, height, width) * rng.uniform(0, 0.06)
    tilted = inverse * np.clip(relief, 0.5, 2)
    return painter.paint(x / view.fx / inverse, y / view.fx / inverse, 1 / inverse), alpha, tilted


def _outline(rng, height, width):
    alpha = np.zeros((height, width), np.uint8)
    centre, size = rng.uniform(0, (width, height)), 2 ** rng.uniform(3, 7)
    kind = rng.integers(6)
    if kind == 0:
        axes = tuple(map(int, size * rng.uniform(0.3, 1, 2) + 1))
        cv2.ellipse(alpha, tuple(map(int, centre)), axes, float(rng.uniform(0, 180)), 0, 360, 255, -1, cv2.LINE_AA)
    elif kind == 1:
        angles = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(3, 9)))
        reach = size * rng.uniform(0.3, 1, len(angles))
        corners = centre + np.stack([np.cos(angles), np.sin(angles)], 1) * reach[:, None]
        cv2.fillPoly(alpha, [corners.astype(np.int32)], 255, cv2.LINE_AA)
    elif kind == 2:
        for _ in range(rng.integers(1, 6)):
            ends = rng.uniform(-0.3, 1.3, (2, 2)) * (width, height)
            start, end = (tuple(map(int, point)) for point in ends)
            cv2.line(alpha, start, end, 255, int(2 ** rng.uniform(0, 3.5)), cv2.LINE_AA)
    elif kind == 3:
        alpha = np.clip((_smooth(rng, height, width) - rng.uniform(0.3, 1.2)) * 20, 0, 1) * 255
    elif kind == 4:
        across, along = size * rng.uniform(0.15, 0.6), rng.uniform(0.2, 1.2) * height
        thick, slant = int(2 ** rng.uniform(0, 3)), rng.normal(0, 0.15) * along
        for x in np.arange(centre[0] - 4 * across, centre[0] + 4 * across, across):
            ends = (int(x), int(centre[1] - along / 2)), (int(x + slant), int(centre[1] + along / 2))
            cv2.line(alpha, *ends, 255, thick, cv2.LINE_AA)
    else:
        cv2.putText(
            alpha, chr(rng.integers(33, 123)), tuple(map(int, centre)), 2, size / 12, 255, max(2, int(size / 6))
        )
    return alpha / np.float32(255)


def _smooth(rng, height, width):
    coarse = rng.standard_normal((int(rng.integers(3, 9)),) * 2).astype(np.float32)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def _worth(alpha):
    return (alpha > 0.5).sum() > 20
