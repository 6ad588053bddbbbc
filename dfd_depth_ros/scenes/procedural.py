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
from dfd_depth_ros.scenes.solids import Found, Painter, View, ball, box, card
from dfd_depth_ros.scenes.textures import Shared

FARTHEST, NEAREST = 1 / 60, 8.0  # dioptres between which every scene lies
ON_SUBJECT = 0.85  # share of lenses that focus on a subject, where there is one


@dataclass(frozen=True)
class Scene:
    """surfaces: back to front. inverse_depth: (H, W) 1/m of what is seen. fx, centre: focal length and principal point
    (x, y) in pixels. subjects: dioptres on one of which people would focus, where there are such."""

    surfaces: list[Surface]
    inverse_depth: torch.Tensor
    fx: float
    centre: tuple[float, float]
    subjects: tuple[float, ...] = ()


class Scenes:
    """An endless supply of scenes: `scenes[i]` is the same for the same seed and i, whoever asks and in what order.

    size: (H, W) of the window in pixels. photographs: folder of pictures to paint with, see `textures.photograph`.
    """

    def __init__(self, size: tuple[int, int], seed: int = 0, photographs: str = ''):
        self.size, self.seed, self.textures = size, seed, Shared((seed, 1), photographs)

    def __getitem__(self, index: int) -> Scene:
        return random_scene(np.random.default_rng([self.seed, 2, index]), self.size, self.textures[index])


def random_scene(rng: np.random.Generator, size: tuple[int, int], textures: list[np.ndarray]) -> Scene:
    """One scene seen through a window of `size` (H, W) pixels, painted with the given textures."""
    view = View.random(rng, size)
    painter = Painter(rng, textures, view.fx)
    low, high = random_room(rng)
    scale = 2 ** rng.uniform(-3, 0.5) if rng.random() < 0.35 else 1.0
    room = box(view, painter, low, high, inside=True)
    nearest = 0.3 * low[2] + 0.7 * high[2]
    things = [[box(view, painter, *_furniture(rng, view, low, high))] for _ in range(rng.integers(0, 8))]
    things += [random_desk(rng, view, painter, high) for _ in range(rng.choice(3, p=(0.5, 0.35, 0.15)))]
    things += [
        [ball(view, painter, rng.uniform(low, high), 2 ** rng.uniform(-4, -1))] for _ in range(rng.integers(0, 4))
    ]
    things += [[card(view, painter, 1 / rng.uniform(0.6, nearest))] for _ in range(rng.integers(0, 5))]
    seen = [[part for part in thing if part is not None] for thing in things]
    seen = sorted(filter(None, seen), key=lambda thing: _nearness(thing[0]))
    found = [(colour, alpha, inverse / scale) for colour, alpha, inverse in [room, *sum(seen, [])]]
    return assemble(rng, found, view)


def random_lens(
    rng: np.random.Generator, scene: Scene, focal_length_m: float | None = None, fixed: float = 0.0
) -> Lens:
    """A lens focused somewhere near the scene, mostly in its nearer half, as people focus; its aperture is chosen for
    a largest CoC between 2 and 22 pixels, log-uniform. With `focal_length_m` given, only focus and aperture vary.
    Where a scene has subjects, most lenses focus on one of them. fixed: share of lenses whose focus was set once and
    for all, 0.5 to 8 m, whatever they look at now."""
    near, far = np.quantile(scene.inverse_depth[::4, ::4], (0.995, 0.02)).tolist()
    if fixed and rng.random() < fixed:
        focus = 2 ** rng.uniform(-3, 1)
    elif scene.subjects and rng.random() < ON_SUBJECT:
        focus = float(rng.choice(scene.subjects))
    else:
        share = rng.beta(1.2, 2.0) if rng.random() < 0.85 else rng.uniform(-0.4, 1.3)
        focus = max(near - share * (near - far), 0.0)
    focus = min(focus, 0.5 / focal_length_m) if focal_length_m else focus  # no nearer than two focal lengths
    gain = 2 ** rng.uniform(1, 4.5) / max(abs(near - focus), abs(far - focus), 0.05)
    aperture = gain / scene.fx
    focal = focal_length_m or min(aperture * 2 ** rng.uniform(0.3, 4), 0.3 / max(focus, 0.1))
    return Lens(focal, focal / (aperture * (1 - focal * focus)), focal / scene.fx, focus)


def random_room(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Corners (low, high), (3,) each, of a room around the camera, metres."""
    depth = 2 ** rng.uniform(1.0, 3.3)
    half = depth * rng.uniform(0.35, 0.9)
    eye, height = rng.uniform(0.6, 1.8), rng.uniform(2.2, 3.4)
    aside = rng.uniform(-0.6, 0.6) * half
    return np.array([-half + aside, eye - height, -0.5]), np.array([half + aside, eye, depth])


def _furniture(rng, view, low, high):
    """Corners of a box in sight that mostly stands on the floor, sometimes hangs or floats."""
    row, column = rng.integers(view.rays.shape[1:])
    ray = view.rays[:, row, column]
    size = (high - low) * rng.uniform(0.03, 0.35, 3) * (1, rng.uniform(0.3, 1.6), 0.6)
    place = np.clip(ray * rng.uniform(0.25, 1.0) * high[2] - size / 2, low + (0, 0, 0.9), high - size)
    top = high[1] if rng.random() < 0.75 else place[1] + size[1]
    return place, np.array([place[0] + size[0], top, place[2] + size[2]])


def random_desk(rng: np.random.Generator, view: View, painter: Painter, high: np.ndarray) -> list[Found | None]:
    """A table top below the eye, near enough to fill the foreground, with a few things on it, from back to front."""
    top, reach = rng.uniform(0.12, 0.75) * high[1], rng.uniform(0.35, 0.7) * high[2]
    low = np.array([rng.uniform(-1.2, 0.4), top, rng.uniform(0.3, 0.8) * reach])
    size = np.array([rng.uniform(0.6, 2.0), rng.uniform(0.02, 0.06), rng.uniform(0.4, 1.2)])
    parts = [box(view, painter, low, low + size)]
    for away in np.sort(rng.uniform(0, 1, rng.integers(0, 7)))[::-1]:
        extent = 2 ** rng.uniform(-4.5, -1.2, 3) * (1, rng.uniform(0.3, 1.5), 0.7)
        foot = low + (size - extent) * (rng.uniform(0, 1), 0, away)
        if rng.random() < 0.25:
            radius = extent[0] / 2
            parts.append(ball(view, painter, foot + (0, -radius, 0), radius))
        else:
            parts.append(box(view, painter, foot - (0, extent[1], 0), foot + (extent[0], 0, extent[2])))
    return parts


def _nearness(found):
    _, alpha, inverse = found
    return np.median(inverse[alpha > 0.5])


def assemble(rng: np.random.Generator, found: list[Found], view: View, subjects: tuple[float, ...] = ()) -> Scene:
    """A scene of what was found, given from back to front, exposed and lit at random. subjects: see `Scene`."""
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
    return Scene(surfaces, _tensor(seen.clip(FARTHEST, NEAREST)), view.fx, view.centre, subjects)


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
