"""Pictures of a report: arrays in colour as data URIs, on scales that all frames share."""

import base64
from collections.abc import Iterable
from typing import NamedTuple

import cv2
import matplotlib as mpl
import numpy as np
from matplotlib.colors import LogNorm, Normalize

from dfd_depth_ros.evaluation.gallery import Picture

UNKNOWN = (128, 128, 128)
STOPS = 12
SMALL = 360  # columns of the pictures that one steps through
GRID = 32  # columns of the values that the cursor reads out


class Scale(NamedTuple):
    """How a quantity becomes colour: its title, unit, colour map and range."""

    title: str
    unit: str
    colours: str
    norm: Normalize

    def paint(self, values: np.ndarray) -> np.ndarray:
        """Values (H, W) as (H, W, 3) uint8 RGB; grey where they are not known."""
        rgb = mpl.colormaps[self.colours](np.ma.masked_invalid(self.norm(values)))[..., :3]
        return np.where(np.isfinite(values)[..., None], (rgb * 255).round(), UNKNOWN).astype(np.uint8)

    def gradient(self) -> str:
        """The colour bar as CSS."""
        colours = mpl.colormaps[self.colours](np.linspace(0, 1, STOPS))
        return f'linear-gradient(90deg, {", ".join(mpl.colors.to_hex(colour) for colour in colours)})'

    def ticks(self) -> tuple[str, ...]:
        """Labels of the left end, the middle and the right end of the colour bar."""
        return tuple(f'{float(self.norm.inverse(place)):.2g}' for place in (0, 0.5, 1))


def data_uri(pixels: np.ndarray) -> str:
    """(H, W, 3) uint8 RGB as a PNG data URI."""
    encoded = cv2.imencode('.png', cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_PNG_COMPRESSION, 9])[1]
    return f'data:image/png;base64,{base64.b64encode(encoded).decode()}'


def small_uri(pixels: np.ndarray) -> str:
    """(H, W, 3) uint8 RGB as a WebP data URI of at most SMALL columns: a look at it, not a record."""
    shrink = max(1.0, pixels.shape[1] / SMALL)
    size = tuple(max(1, round(side / shrink)) for side in pixels.shape[1::-1])
    small = cv2.cvtColor(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2BGR)
    encoded = cv2.imencode('.webp', small, [cv2.IMWRITE_WEBP_QUALITY, 82])[1]
    return f'data:image/webp;base64,{base64.b64encode(encoded).decode()}'


def relative_error(picture: Picture) -> np.ndarray | None:
    """(H, W) signed error over true depth, NaN where either is unknown; None without ground truth."""
    return None if picture.truth is None else (_finite(picture.depth) - picture.truth) / picture.truth


def scales(pictures: Iterable[Picture]) -> dict[str, Scale]:
    """Name -> scale for the quantities of these pictures."""
    pictures = list(pictures)
    near, far = _percentiles([_finite(p.depth if p.truth is None else p.truth) for p in pictures], (1, 99), (1.0, 10.0))
    blur = max(1.0, *_percentiles([np.abs(p.coc) for p in pictures], (99,), (1.0,)))
    sigma = _percentiles([p.sigma for p in pictures], (95,), (1.0,))[0]
    return {
        'coc': Scale('CoC', 'px, + behind focus', 'RdBu_r', Normalize(-blur, blur)),
        'depth': Scale('Depth and ground truth', 'm', 'viridis_r', LogNorm(near, max(far, 1.01 * near), clip=True)),
        'error': Scale('Error', '% of true depth, + too far', 'PuOr_r', Normalize(-50, 50)),
        'sigma': Scale('Sigma', 'm', 'magma', Normalize(0, sigma)),
    }


def fields(picture: Picture) -> dict[str, tuple[str, np.ndarray]]:
    """Caption -> (name of its scale, values (H, W)) of everything known about a frame but its picture."""
    found = {'CoC': ('coc', picture.coc), 'Depth': ('depth', _finite(picture.depth))}
    if picture.truth is not None:
        found['Ground truth'] = ('depth', _finite(picture.truth))
        found['Error'] = ('error', 100 * relative_error(picture))
    return found | {'Sigma': ('sigma', _finite(picture.sigma))}


def panels(picture: Picture, by_name: dict[str, Scale], encode=data_uri) -> list[tuple[str, str]]:
    """(caption, data URI) of everything known about a frame."""
    painted = {caption: by_name[name].paint(values) for caption, (name, values) in fields(picture).items()}
    return [(caption, encode(pixels)) for caption, pixels in {'Input': picture.image, **painted}.items()]


def values_at(picture: Picture) -> dict[str, list]:
    """Caption -> rows of values on a grid of at most GRID columns, None unknown: what a cursor reads out."""
    height, width = picture.image.shape[:2]
    columns = min(GRID, width)
    rows = max(1, round(columns * height / width))
    place = np.ix_(
        ((np.arange(rows) + 0.5) * height / rows).astype(int), np.linspace(0, width - 1, columns).astype(int)
    )
    return {
        caption: [[float(f'{value:.3g}') if np.isfinite(value) else None for value in row] for row in values[place]]
        for caption, (_, values) in fields(picture).items()
    }


def _percentiles(arrays: list[np.ndarray], shares: tuple, default: tuple) -> tuple:
    known = np.concatenate([array[np.isfinite(array)] for array in arrays])
    return tuple(np.maximum(np.percentile(known, shares), 1e-3)) if known.size else default


def _finite(array: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(array), array, np.nan)
