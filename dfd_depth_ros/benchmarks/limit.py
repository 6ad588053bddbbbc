"""Suite `limit`: how near the blur that DefocusNet reads comes to the best that any unbiased reader could do.

A flat picture of a texture is defocused by a known CoC c, and noise of known variance is added. Whoever knew the sharp
texture could read c with a variance of no less than the Cramer-Rao bound 1 / I, with the Fisher information

    I = sum over the pixels of a window of (d picture / d c)^2 / variance of the noise.

The network does not know the texture, so the bound is out of its reach; how far it stays above, and where, is what the
suite tells. Source: Kay, "Fundamentals of Statistical Signal Processing: Estimation Theory", 1993, chapter 3; for depth
from defocus Rajagopalan and Chaudhuri, "Performance Analysis of Maximum Likelihood Estimator for Recovery of Depth from
Defocused Images", IJCV 1998.
"""

import numpy as np
import torch
from tqdm import tqdm

from dfd_depth_ros.networks.precision import mixed
from dfd_depth_ros.optics.psf import blur
from dfd_depth_ros.optics.sensor import Sensor
from dfd_depth_ros.optics.tone import from_srgb, to_srgb
from dfd_depth_ros.scenes.textures import dead_leaves, random_texture

COCS_PX = (1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0)
WINDOW, BORDER = 32, 32  # pixels: of a window, and left out at each side
CAMERA = Sensor(shot_noise=1e-4, read_noise=1e-3)
STRENGTHS = (0.0, 0.01, 0.03, 0.1, 1.0)  # of texture: standard deviation of linear light in a window, ends of bins
DELTA = 0.05  # pixels of CoC, for the derivative
MEDIAN_OF_NORMAL = 0.6745  # median |error| of a normal error of deviation one


def run(estimator, textures: int = 12, seed: int = 0) -> dict:
    """Read every CoC on every texture.

    Returns, over all windows and by CoC and by texture strength, the number of windows, `error_px` (median |error| of
    the mean reading of a window), `bound_px` (median |error| at the bound) and their `ratio`.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for _ in tqdm(range(textures), desc='limit', unit='texture'):
        light = from_srgb(torch.from_numpy(random_texture(rng)).permute(2, 0, 1))
        for coc in COCS_PX:
            picture = CAMERA.expose(defocused(light, coc).permute(1, 2, 0).numpy(), rng)
            error = _means(_read(estimator, picture)[None] - coc)
            rows.append(
                np.stack([np.full(error.shape, coc), _strength(light), error, bound(light, coc)]).reshape(4, -1)
            )
    coc, strength, error, limit = np.concatenate(rows, 1)
    bins = zip(STRENGTHS[:-1], STRENGTHS[1:], strict=True)
    return {
        'window_px': WINDOW,
        **_ratio(error, limit),
        'by_coc': [{'coc_px': value, **_ratio(error[coc == value], limit[coc == value])} for value in COCS_PX],
        'by_texture': [
            {'strength': [low, high], **_ratio(error[inside], limit[inside])}
            for low, high in bins
            for inside in [(strength >= low) & (strength < high)]
        ],
    }


def defocused(light: torch.Tensor, coc: float) -> torch.Tensor:
    """(3, H, W) linear light seen through a disc of `coc` pixels."""
    return blur(light, light.new_tensor(coc)).clamp(0, 1)


def bound(light: torch.Tensor, coc: float, camera: Sensor = CAMERA) -> np.ndarray:
    """Least standard deviation in pixels of CoC for each window of a sharp picture (3, H, W) in linear light. The
    variance is that of the sensor's noise and of 8-bit quantisation."""
    light = light.double()
    here, above, below = (defocused(light, value) for value in (coc, coc + DELTA, coc - DELTA))
    slope = (to_srgb(here + 1e-4) - to_srgb(here)) / 1e-4  # of the tone curve
    variance = camera.shot_noise * here + camera.read_noise**2 + (1 / 255 / slope) ** 2 / 12
    information = _means(((above - below) / (2 * DELTA)) ** 2 / variance) * 3 * WINDOW**2
    return 1 / np.sqrt(np.maximum(information, 1e-9))


def floor_px(cocs, read_noise: float) -> np.ndarray:
    """Least standard deviation in pixels of |CoC| for a window of a painted texture, the median over its windows, at
    each of (N,) CoCs in pixels. read_noise: standard deviation over white."""
    light = from_srgb(torch.from_numpy(dead_leaves(np.random.default_rng(0))).float().permute(2, 0, 1))
    camera = Sensor(shot_noise=CAMERA.shot_noise, read_noise=read_noise)
    at = np.geomspace(0.3, 40, 12)
    return np.interp(cocs, at, [float(np.median(bound(light, coc, camera))) for coc in at])


@torch.inference_mode()
def _read(estimator, picture: np.ndarray) -> torch.Tensor:
    """|CoC| in pixels as DefocusNet reads it, (H, W), each cell repeated over its pixels."""
    image = torch.from_numpy(picture).to(estimator.device).permute(2, 0, 1)[None].float() / 255
    with mixed(estimator.device, estimator.precision == 'bfloat16'):
        found = estimator.model.defocus_net(image)
    return found.magnitude[0, 0].float().cpu().repeat_interleave(4, 0).repeat_interleave(4, 1)


def _strength(light: torch.Tensor) -> np.ndarray:
    return np.sqrt(np.maximum(_means(light**2) - _means(light) ** 2, 0))


def _means(values: torch.Tensor) -> np.ndarray:
    """Means over channels and windows of (C, H, W), without the border."""
    inner = values[:, BORDER:-BORDER, BORDER:-BORDER].mean(0, keepdim=True)
    return torch.nn.functional.avg_pool2d(inner, WINDOW)[0].numpy()


def _ratio(error: np.ndarray, limit: np.ndarray) -> dict:
    if not error.size:
        return {'windows': 0, 'error_px': None, 'bound_px': None, 'ratio': None}
    found, best = float(np.median(np.abs(error))), MEDIAN_OF_NORMAL * float(np.median(limit))
    return {'windows': int(error.size), 'error_px': found, 'bound_px': best, 'ratio': found / best}
