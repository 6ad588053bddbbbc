"""What surfaces are painted with: photographs, dead leaves, noise, text, patterns and nearly nothing.

Every texture is (SIZE, SIZE, 3) float32 sRGB in 0..1 and is drawn from a NumPy generator, so a seed names it.
Dead leaves (overlapping shapes with power-law sizes) have the edges and the scale invariance of natural images:
Lee, Mumford and Huang, "Occlusion models for natural images", IJCV 2001.
"""

import string
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

SIZE = 384
BLOCK, COUNT = 256, 48  # scenes that share textures, and how many
PICTURES, LARGEST = ('.jpg', '.jpeg', '.png', '.tif', '.tiff', '.webp'), 1024  # of a folder; longest side, pixels
PHOTOGRAPHS = (
    *('astronaut', 'chelsea', 'coffee', 'rocket', 'camera', 'brick', 'grass'),
    *('gravel', 'coins', 'page', 'text', 'immunohistochemistry', 'retina'),
)


def random_texture(rng: np.random.Generator, photographs: str = '') -> np.ndarray:
    """One texture of a random kind, jittered in colour and contrast. photographs: see `photograph`."""
    kinds, weights = zip(*_KINDS.items(), strict=True)
    kind = kinds[rng.choice(len(kinds), p=np.array(weights) / sum(weights))]
    texture = photograph(rng, photographs) if kind is photograph else kind(rng)
    if rng.random() < 0.25:
        texture = texture + _noise(rng, rng.uniform(0.2, 1.2)) * rng.uniform(0.02, 0.15)
    contrast = rng.uniform(0.25, 1.1) if rng.random() < 0.8 else rng.uniform(0.03, 0.25)
    mean = texture.mean((0, 1))
    tint = rng.uniform(0.75, 1.25, 3) * rng.uniform(0.5, 1.3)
    return np.clip((mean + (texture - mean) * contrast) * tint, 0.01, 1).astype(np.float32)


class Shared:
    """`shared[i]` is the list of textures to paint scene i with, the same for the same key and i. A block of scenes
    shares one list, because painting costs more than looking. key: seed of the scenes, and a number for their kind."""

    def __init__(self, key: tuple[int, int], photographs: str = ''):
        self.key, self.photographs, self.count = key, photographs, COUNT
        self._painted: tuple[int | None, list[np.ndarray]] = (None, [])

    def __getitem__(self, index: int) -> list[np.ndarray]:
        block = index // BLOCK
        if self._painted[0] != block:
            rng = np.random.default_rng([*self.key, block])
            self._painted = (block, [random_texture(rng, self.photographs) for _ in range(self.count)])
        return self._painted[1]


def photograph(rng: np.random.Generator, folder: str = '') -> np.ndarray:
    """A window of one of the photographs that scikit-image ships or of those in a folder, a little reduced and never
    enlarged, which would blur it; small ones are repeated in mirror image. Raises ValueError for a folder without
    photographs."""
    names = photographs_in(folder) if folder else PHOTOGRAPHS
    image = (_from_file if folder else _photograph)(names[rng.integers(len(names))])
    scale = rng.uniform(0.5, 0.9)
    image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    wanting = [max(0, SIZE - side) for side in image.shape[:2]]
    image = np.pad(image, [(0, wanting[0]), (0, wanting[1]), (0, 0)], mode='symmetric')
    y, x = (rng.integers(side - SIZE + 1) for side in image.shape[:2])
    return image[y : y + SIZE, x : x + SIZE][:, :: rng.choice([-1, 1])]


def dead_leaves(rng: np.random.Generator) -> np.ndarray:
    """Shapes over shapes, sizes by a power law, colours from a small palette, some shaded."""
    palette = _palette(rng)
    canvas = np.full((SIZE, SIZE, 3), palette[0] * 255, np.uint8)
    smallest = rng.uniform(1.5, 8)
    for _ in range(int(rng.uniform(150, 900))):
        size = min(smallest * rng.random() ** -0.5, SIZE / 3)
        colour = np.clip(palette[rng.integers(len(palette))] + rng.normal(0, 0.05, 3), 0, 1) * 255
        _leaf(canvas, rng, rng.uniform(0, SIZE, 2), size, tuple(map(float, colour)))
    return canvas / np.float32(255)


def pattern(rng: np.random.Generator) -> np.ndarray:
    """Stripes, checks or grids with hard edges, bent a little."""
    y, x = np.mgrid[:SIZE, :SIZE].astype(np.float32)
    bend = _noise(rng, 2.5)[..., 0] * rng.uniform(0, 60)
    angle = rng.uniform(0, np.pi)
    along = x * np.cos(angle) + y * np.sin(angle) + bend
    across = y * np.cos(angle) - x * np.sin(angle) + bend
    period = 2 ** rng.uniform(2, 6)
    waves = [np.sin(2 * np.pi * along / period), np.sin(2 * np.pi * across / (period * rng.uniform(0.5, 4)))]
    mix = [waves[0], waves[0] * waves[1], np.maximum(*waves)][rng.integers(3)]
    mix = np.clip((mix - rng.uniform(-0.5, 0.5)) * period, -1, 1)  # an edge is about half a texel wide
    dark, light = _palette(rng)[:2]
    return (dark + (light - dark) * (mix[..., None] + 1) / 2).astype(np.float32)


def writing(rng: np.random.Generator) -> np.ndarray:
    """Lines of letters on paper, posters or book spines."""
    paper, ink, *others = _palette(rng)
    canvas = np.full((SIZE, SIZE, 3), paper, np.float32)
    letters = np.zeros((SIZE, SIZE), np.uint8)
    if rng.random() < 0.5:
        edges = np.sort(rng.integers(0, SIZE, rng.integers(3, 16)))
        for left, right in zip(edges[:-1], edges[1:], strict=True):
            canvas[:, left:right] = others[rng.integers(len(others))] * rng.uniform(0.6, 1.3)
    scale, y = rng.uniform(0.3, 2.2), 0
    while y < SIZE:
        y += int(scale * rng.uniform(26, 40))
        words = ''.join(rng.choice(list(string.ascii_letters + string.digits + '   .,'), 60))
        place, font = (int(rng.integers(-20, 40)), y), int(rng.integers(0, 8))
        cv2.putText(letters, words, place, font, scale, 255, max(1, int(scale * rng.uniform(0.8, 3))), cv2.LINE_AA)
    canvas += (ink - canvas) * (letters[..., None] / 255)
    return np.ascontiguousarray(np.rot90(canvas, int(rng.integers(4))))


def noise(rng: np.random.Generator) -> np.ndarray:
    """1/f^a noise, in one colour direction or in three."""
    field = _noise(rng, rng.uniform(0.2, 1.2))
    if rng.random() < 0.6:
        field = field[..., :1] * rng.uniform(0.3, 1, 3)
    return (0.5 + 0.2 * field + rng.normal(0, 0.1, 3)).astype(np.float32)


def wall(rng: np.random.Generator) -> np.ndarray:
    """Paint: a colour, a slow gradient and almost no texture."""
    slow = _noise(rng, 2.8)[..., :1] * rng.uniform(0, 0.06)
    fine = _noise(rng, rng.uniform(0, 1))[..., :1] * rng.uniform(0, 0.012)
    return (np.clip(rng.uniform(0.3, 0.95) + rng.normal(0, 0.06, 3), 0, 1) + slow + fine).astype(np.float32)


_KINDS = {photograph: 6, dead_leaves: 6, pattern: 2, writing: 3, noise: 1, wall: 9}


@lru_cache
def photographs_in(folder: str) -> tuple[str, ...]:
    """Files of a folder, and of those below it, that are named like pictures, in order. Raises ValueError for none."""
    found = tuple(sorted(str(path) for path in Path(folder).rglob('*') if path.suffix.lower() in PICTURES))
    if not found:
        raise ValueError(f'{folder} has no photographs ({", ".join(PICTURES)})')
    return found


@lru_cache(maxsize=64)
def _from_file(path: str) -> np.ndarray:
    image = cv2.imread(path, cv2.IMREAD_COLOR)
    if image is None:
        raise ValueError(f'photograph {path} is not a readable picture')
    shrink = min(1.0, LARGEST / max(image.shape[:2]))
    image = cv2.resize(image, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
    return image[..., ::-1].astype(np.float32) / 255


@lru_cache
def _photograph(name: str) -> np.ndarray:
    from skimage import data

    image = np.asarray(getattr(data, name)())
    image = image if image.ndim == 3 else np.repeat(image[..., None], 3, 2)
    return image[..., :3].astype(np.float32) / 255


def _noise(rng, slope):
    spectrum = np.fft.rfft2(rng.standard_normal((3, SIZE, SIZE), dtype=np.float32))
    radius = np.hypot(np.fft.fftfreq(SIZE)[:, None], np.fft.rfftfreq(SIZE)[None])
    field = np.fft.irfft2(spectrum / np.maximum(radius, 1 / SIZE) ** slope, s=(SIZE, SIZE))
    return (field / field.std((1, 2), keepdims=True)).transpose(1, 2, 0).astype(np.float32)


def _palette(rng):
    """Eight colours: from a photograph half of the time, else random and mostly dull."""
    if rng.random() < 0.5:
        pixels = _photograph(PHOTOGRAPHS[rng.integers(len(PHOTOGRAPHS))]).reshape(-1, 3)
        return pixels[rng.integers(len(pixels), size=8)]
    grey = rng.random((8, 1))
    return np.clip(grey + rng.normal(0, rng.uniform(0.02, 0.3), (8, 3)), 0, 1)


def _leaf(canvas, rng, centre, size, colour):
    kind, centre = rng.integers(3), tuple(map(int, centre))
    if kind == 0:
        axes = (max(1, int(size)), max(1, int(size * rng.uniform(0.3, 1))))
        cv2.ellipse(canvas, centre, axes, float(rng.uniform(0, 180)), 0, 360, colour, -1, cv2.LINE_AA)
    elif kind == 1:
        angles = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(3, 7)))
        corners = centre + size * np.stack([np.cos(angles), np.sin(angles)], 1)
        cv2.fillPoly(canvas, [corners.astype(np.int32)], colour, cv2.LINE_AA)
    else:
        end = tuple(map(int, np.add(centre, rng.normal(0, size * 3, 2))))
        cv2.line(canvas, centre, end, colour, max(1, int(size / 4)), cv2.LINE_AA)
