"""Made-up rooms with exact depth: walls, furniture, curved things, cards and rods, in metres.

A scene is a list of surfaces from back to front (`optics.formation.Surface`), each with all of its colour and depth,
also where something hides it. It is seen through a window of a larger virtual picture, so that perspective, floor and
horizon lie where a real camera has them. Everything is drawn from one NumPy generator: a seed names a scene.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import torch

from dfd_depth_ros.optics.formation import Surface
from dfd_depth_ros.optics.lens import Lens
from dfd_depth_ros.optics.tone import from_srgb
from dfd_depth_ros.scenes.textures import SIZE, random_texture

BLOCK, TEXTURES = 256, 48  # scenes that share textures, and how many
FARTHEST, NEAREST = 1 / 60, 8.0  # dioptres between which every scene lies


@dataclass(frozen=True)
class Scene:
    """surfaces: back to front. inverse_depth: (H, W) 1/m of what is seen. fx: focal length in pixels."""

    surfaces: list[Surface]
    inverse_depth: torch.Tensor
    fx: float


class Scenes:
    """An endless supply of scenes: `scenes[i]` is the same for the same seed and i, whoever asks and in what order.

    size: (H, W) of the window in pixels. A block of scenes shares its textures, because painting costs more than
    looking.
    """

    def __init__(self, size: tuple[int, int], seed: int = 0):
        self.size, self.seed, self.textures = size, seed, TEXTURES
        self._painted = (None, [])

    def __getitem__(self, index: int) -> Scene:
        number = index // BLOCK
        if self._painted[0] != number:
            rng = np.random.default_rng([self.seed, 1, number])
            self._painted = (number, [random_texture(rng) for _ in range(self.textures)])
        return random_scene(np.random.default_rng([self.seed, 2, index]), self.size, self._painted[1])


def random_scene(rng: np.random.Generator, size: tuple[int, int], textures: list[np.ndarray]) -> Scene:
    """One scene seen through a window of `size` (H, W) pixels, painted with the given textures."""
    view = _View.random(rng, size)
    painter = _Painter(rng, textures, view.fx)
    low, high = _room(rng)
    scale = 2 ** rng.uniform(-3, 0.5) if rng.random() < 0.35 else 1.0
    surfaces = [_hit_box(view, painter, low, high, inside=True)]
    for _ in range(rng.integers(0, 8)):
        surfaces.append(_hit_box(view, painter, *_furniture(rng, view, low, high)))
    for _ in range(rng.integers(0, 4)):
        surfaces.append(_hit_sphere(view, painter, rng.uniform(low, high), 2 ** rng.uniform(-4, -1)))
    nearest = 0.3 * low[2] + 0.7 * high[2]
    for _ in range(rng.integers(0, 5)):
        surfaces.append(_card(view, painter, 1 / rng.uniform(0.6, nearest)))
    found = [(colour, alpha, inverse / scale) for colour, alpha, inverse in filter(None, surfaces)]
    order = np.argsort([np.median(inverse[alpha > 0.5]) for _, alpha, inverse in found[1:]])
    return _assemble(rng, [found[0], *(found[i + 1] for i in order)], view.fx)


def random_lens(rng: np.random.Generator, scene: Scene, focal_length_m: float | None = None) -> Lens:
    """A lens focused somewhere near the scene, mostly in its nearer part, as people focus; its aperture is chosen for
    a largest CoC between 2 and 22 pixels, log-uniform. With `focal_length_m` given, only focus and aperture vary."""
    near, far = np.quantile(scene.inverse_depth[::4, ::4], (0.995, 0.02)).tolist()
    share = rng.beta(1.0, 4.0) if rng.random() < 0.85 else rng.uniform(-0.4, 1.3)
    focus = max(near - share * (near - far), 0.0)
    focus = min(focus, 0.5 / focal_length_m) if focal_length_m else focus  # no nearer than two focal lengths
    gain = 2 ** rng.uniform(1, 4.5) / max(abs(near - focus), abs(far - focus), 0.05)
    aperture = gain / scene.fx
    focal = focal_length_m or min(aperture * 2 ** rng.uniform(0.3, 4), 0.3 / max(focus, 0.1))
    return Lens(focal, focal / (aperture * (1 - focal * focus)), focal / scene.fx, focus)


@dataclass(frozen=True)
class _View:
    """Rays of a window: origin at the camera, in room axes (x right, y down, z into the room). rays: (H, W, 3) with
    unit depth along the optical axis, so that a multiple of a ray is a depth."""

    rays: np.ndarray
    fx: float

    @classmethod
    def random(cls, rng, size):
        width = int(2 ** rng.uniform(8.3, 10))
        whole = np.array([width * 3 // 4, width])
        fx = width / (2 * np.tan(np.radians(rng.uniform(22, 75)) / 2))
        corner = rng.uniform(np.minimum(whole - size, 0) / 2, np.maximum(whole - size, 0))
        y, x = np.mgrid[: size[0], : size[1]].astype(np.float32)
        rays = np.stack([x + corner[1] - width / 2, y + corner[0] - whole[0] / 2, np.full_like(x, fx)], 2) / fx
        yaw, pitch, roll = rng.normal(0, 0.5), rng.normal(0.08, 0.15), rng.normal(0, 0.03)
        turn = cv2.Rodrigues(np.array([0, yaw, 0]))[0] @ cv2.Rodrigues(np.array([-pitch, 0, 0]))[0]
        turn = turn @ cv2.Rodrigues(np.array([0, 0, roll]))[0]
        return cls((rays @ turn.T).astype(np.float32), fx)


class _Painter:
    def __init__(self, rng, textures, fx):
        self.rng, self.textures, self.fx = rng, textures, fx

    def paint(self, u, v, distance):
        """Colour (H, W, 3) at surface coordinates u, v in metres. At `distance` a texel is smaller than a pixel,
        because an enlarged texture would be blurred before the lens has touched it."""
        texture = self.textures[self.rng.integers(len(self.textures))]
        texels = self.fx / distance / self.rng.uniform(0.3, 0.95)
        angle = self.rng.uniform(0, 2 * np.pi) if self.rng.random() < 0.3 else 0.0
        cos, sin = np.cos(angle) * texels, np.sin(angle) * texels
        shift = self.rng.uniform(0, SIZE, 2)
        across = (u * cos - v * sin + shift[0]).astype(np.float32)
        down = (u * sin + v * cos + shift[1]).astype(np.float32)
        colour = cv2.remap(texture, _mirrored(across), _mirrored(down), cv2.INTER_CUBIC)
        return colour * self.rng.uniform(0.5, 1.15)


def _mirrored(position):
    """Texture coordinates that go to and fro, so that a texture has no seams."""
    return (SIZE - 1) - np.abs(position % (2 * (SIZE - 1)) - (SIZE - 1))


def _room(rng):
    """Corners (low, high) of a room around the camera, metres."""
    depth = 2 ** rng.uniform(1.0, 3.3)
    half = depth * rng.uniform(0.35, 0.9)
    eye, height = rng.uniform(0.6, 1.8), rng.uniform(2.2, 3.4)
    aside = rng.uniform(-0.6, 0.6) * half
    return np.array([-half + aside, eye - height, -0.5]), np.array([half + aside, eye, depth])


def _furniture(rng, view, low, high):
    """Corners of a box in sight that mostly stands on the floor, sometimes hangs or floats."""
    ray = view.rays[tuple(rng.integers(view.rays.shape[:2]))]
    size = (high - low) * rng.uniform(0.03, 0.35, 3) * (1, rng.uniform(0.3, 1.6), 0.6)
    place = np.clip(ray * rng.uniform(0.25, 1.0) * high[2] - size / 2, low + (0, 0, 0.9), high - size)
    top = high[1] if rng.random() < 0.75 else place[1] + size[1]
    return place, np.array([place[0] + size[0], top, place[2] + size[2]])


def _hit_box(view, painter, low, high, inside=False):
    """Surface of an axis-aligned box seen from outside or, for the room, from inside. None where out of sight."""
    with np.errstate(divide='ignore', invalid='ignore'):
        first, last = np.minimum(low / view.rays, high / view.rays), np.maximum(low / view.rays, high / view.rays)
    enter, leave = first.max(2), last.min(2)
    distance, axis = (leave, last.argmin(2)) if inside else (enter, first.argmax(2))
    alpha = (np.ones_like(distance) if inside else (enter < leave) & (enter > 0.15)).astype(np.float32)
    if not _worth(alpha):
        return None
    distance = np.where(alpha > 0, distance, np.median(distance[alpha > 0]))
    points = view.rays * distance[..., None]
    face = axis * 2 + (np.take_along_axis(view.rays, axis[..., None], 2)[..., 0] > 0)
    colour = np.zeros_like(points)
    for number in np.unique(face):
        u, v = points[..., _ACROSS[number // 2]], points[..., _DOWN[number // 2]]
        here = face == number
        colour = np.where(here[..., None], painter.paint(u, v, np.quantile(distance[here], 0.2)), colour)
    return colour, alpha, 1 / distance


_ACROSS, _DOWN = (2, 0, 0), (1, 2, 1)  # surface coordinates of a face, by the axis of its normal


def _hit_sphere(view, painter, centre, radius):
    square = (view.rays**2).sum(2)
    along = (view.rays @ centre) / square
    inner = along**2 - ((centre**2).sum() - radius**2) / square
    distance = along - np.sqrt(np.maximum(inner, 0))
    alpha = ((inner > 0) & (distance > 0.15)).astype(np.float32)
    if not _worth(alpha):
        return None
    distance = np.where(alpha > 0, distance, np.median(distance[alpha > 0]))
    points = view.rays * distance[..., None] - centre
    shade = 0.75 + 0.25 * (points @ painter.rng.normal(0, 0.6, 3)) / radius
    colour = painter.paint(points[..., 0], points[..., 1], np.median(distance)) * shade[..., None]
    return colour, alpha, 1 / distance


def _card(view, painter, inverse):
    """A slanted flat thing of any outline: leaf, sign, fence, rod."""
    rng, (height, width) = painter.rng, view.rays.shape[:2]
    y, x = np.mgrid[:height, :width].astype(np.float32)
    alpha = _outline(rng, height, width)
    if not _worth(alpha):
        return None
    slope = rng.normal(0, 0.15, 2) / max(height, width)
    centre = rng.uniform(0, (height, width))
    tilted = inverse * np.clip(1 + slope[0] * (y - centre[0]) + slope[1] * (x - centre[1]), 0.5, 2)
    return painter.paint(x / view.fx / inverse, y / view.fx / inverse, 1 / inverse), alpha, tilted


def _outline(rng, height, width):
    alpha = np.zeros((height, width), np.uint8)
    centre, size = rng.uniform(0, (width, height)), 2 ** rng.uniform(3, 7)
    kind = rng.integers(5)
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
        coarse = rng.standard_normal((int(rng.integers(3, 9)),) * 2).astype(np.float32)
        field = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
        alpha = np.clip((field - rng.uniform(0.3, 1.2)) * 20, 0, 1) * 255
    else:
        cv2.putText(
            alpha, chr(rng.integers(33, 123)), tuple(map(int, centre)), 2, size / 12, 255, max(2, int(size / 6))
        )
    return alpha / np.float32(255)


def _worth(alpha):
    return (alpha > 0.5).sum() > 20


def _assemble(rng, found, fx):
    seen, light = found[0][2], found[0][0]
    for colour, alpha, inverse in found[1:]:
        seen = np.where(alpha > 0.5, inverse, seen)
        light = np.where(alpha[..., None] > 0.5, colour, light)
    exposure = rng.uniform(0.06, 0.4) / max(float(_linear(light).mean()), 0.02)
    surfaces = []
    for number, (colour, alpha, inverse) in enumerate(found):
        lit = _linear(colour) * torch.from_numpy(_illumination(rng, alpha.shape)) * exposure
        soft = cv2.GaussianBlur(alpha, (3, 3), 0.5) if number else alpha
        surfaces.append(Surface(lit.contiguous(), _tensor(soft), _tensor(inverse.clip(FARTHEST, NEAREST))))
    return Scene(surfaces, _tensor(seen.clip(FARTHEST, NEAREST)), fx)


def _illumination(rng, shape):
    """Light that changes slowly over a surface, with now and then a lamp or a glint far above white."""
    coarse = rng.uniform(1 - rng.uniform(0, 0.6), 1, (3, 3)).astype(np.float32)
    light = cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_CUBIC)
    if rng.random() < 0.12:
        for _ in range(rng.integers(1, 12)):
            spot = np.zeros(shape, np.uint8)
            centre = tuple(int(rng.integers(size)) for size in shape[::-1])
            cv2.circle(spot, centre, int(rng.integers(1, 4)), 255, -1, cv2.LINE_AA)
            light = light + spot / np.float32(255) * 2 ** rng.uniform(1, 6)
    return light


def _linear(colour):
    return from_srgb(_tensor(np.clip(colour, 0, 1))).permute(2, 0, 1)


def _tensor(array):
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.float32))
