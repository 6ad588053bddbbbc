"""A thin lens by brute force, in float64 and without any other optics of the package: the oracle of image formation.

Each pixel looks through many points of the aperture. In pixels, the ray of pixel x through aperture point a
meets a surface of signed CoC c at x + a * c, with a on a disc of diameter one.
"""

import numpy as np


def aperture_points(count: int = 256) -> np.ndarray:
    """(count, 2) points that fill a disc of diameter one evenly (sunflower)."""
    turn = np.arange(count) * np.pi * (3 - 5**0.5)
    radius = 0.5 * np.sqrt((np.arange(count) + 0.5) / count)
    return np.stack([radius * np.cos(turn), radius * np.sin(turn)], 1)


def gather(surfaces, height: int, width: int, count: int = 256) -> np.ndarray:
    """Picture (height, width, 3) of surfaces from front to back. A surface is three functions of pixel position (x, y)
    in float64: colour (..., 3), alpha in 0..1 and signed CoC in pixels."""
    y, x = np.mgrid[:height, :width].astype(np.float64)
    picture = np.zeros((height, width, 3))
    for a in aperture_points(count):
        clear = np.ones((height, width))
        for colour, alpha, coc in surfaces:
            hit_x, hit_y = x, y
            for _ in range(20):  # where the ray meets the surface: a fixed point, since c depends on the place
                c = coc(hit_x, hit_y)
                hit_x, hit_y = x + a[0] * c, y + a[1] * c
            opacity = alpha(hit_x, hit_y)
            picture += (clear * opacity)[..., None] * colour(hit_x, hit_y)
            clear = clear * (1 - opacity)
    return picture / count


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    """Peak signal to noise ratio in dB for values in 0..1."""
    return float(-10 * np.log10(np.mean((np.asarray(a) - np.asarray(b)) ** 2)))
