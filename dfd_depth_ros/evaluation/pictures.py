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


class Scale(NamedTuple):
    """How a quantity becomes colour: its title, unit, colour map and range."""

    title: str
    unit: str
    colours: str
    norm: Normalize

    def paint(self, values: np.ndarray) -> str:
        """Values (H, W) as a PNG data URI; grey where they are not known."""
        rgb = mpl.colormaps[self.colours](np.ma.masked_invalid(self.norm(values)))[..., :3]
        pixels = np.where(np.isfinite(values)[..., None], (rgb * 255).round(), UNKNOWN).astype(np.uint8)
        return data_uri(pixels)

    def gradient(self) -> str:
        """The colour bar as CSS."""
        colours = mpl.colormaps[self.colours](np.linspace(0, 1, STOPS))
        return f'linear-gradient(90deg, {", ".join(mpl.colors.to_hex(colour) for colour in colours)})'

    def ticks(self) -> tuple[str, str, str]:
        """Labels of the left end, the middle and the right end of the colour bar."""
        return tuple(f'{float(self.norm.inverse(place)):.2g}' for place in (0, 0.5, 1))


def data_uri(pixels: np.ndarray) -> str:
    """(H, W, 3) uint8 RGB as a PNG data URI."""
    encoded = cv2.imencode('.png', cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_PNG_COMPRESSION, 9])[1]
    return f'data:image/png;base64,{base64.b64encode(encoded).decode()}'


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


def panels(picture: Picture, by_name: dict[str, Scale]) -> list[tuple[str, str]]:
    """(caption, data URI) of everything known about a frame."""
    found = [
        ('Input', data_uri(picture.image)),
        ('CoC', by_name['coc'].paint(picture.coc)),
        ('Depth', by_name['depth'].paint(_finite(picture.depth))),
    ]
    if picture.truth is not None:
        found += [
            ('Ground truth', by_name['depth'].paint(_finite(picture.truth))),
            ('Error', by_name['error'].paint(100 * relative_error(picture))),
        ]
    return [*found, ('Sigma', by_name['sigma'].paint(_finite(picture.sigma)))]


def _percentiles(arrays: list[np.ndarray], shares: tuple, default: tuple) -> tuple:
    known = np.concatenate([array[np.isfinite(array)] for array in arrays])
    return tuple(np.maximum(np.percentile(known, shares), 1e-3)) if known.size else default


def _finite(array: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(array), array, np.nan)
