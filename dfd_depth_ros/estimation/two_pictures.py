"""Depth from two pictures of one scene through two settings of one lens: a classical formula, and networks for stacks.

Both have the estimator's `estimate`; the other picture is put into `other` beforehand.

The formula compares local spectra. Blur by a PSF of variance v (per axis, px^2) multiplies the power at frequency f by
about exp(-4 pi^2 f^2 v), so the ratio of two powers tells v1 - v2 whatever the scene is; CoC and variance are tied by
v = (c / 4)^2, CoC and inverse depth by the lens, and what is left is a quadratic equation for inverse depth.
Source: Pentland, "A New Sense for Depth of Field", PAMI 1987; Subbarao and Surya, "Depth from Defocus: A Spatial Domain
Approach", IJCV 1994; the lens by `optics.lens`.
"""

import cv2
import numpy as np
import torch

from dfd_depth_ros.estimation.estimate import Estimate
from dfd_depth_ros.estimation.estimator import NEVER_BEYOND, to_device
from dfd_depth_ros.networks.depth import lens_state
from dfd_depth_ros.optics.lens import Lens
from dfd_depth_ros.optics.tone import from_srgb
from dfd_depth_ros.scenes.frame import Frame

BANDS = (1.0, 2.0, 4.0)  # sigma in pixels of the Laplacians of Gaussians that cut out a band of frequencies
FLOOR = 1e-7  # power of noise in a band, of linear light squared
WINDOWS = ((11, 1.0), (41, 1e-2), (161, 1e-4))  # pixels, and how much a wide one counts where a narrow one is bare
NEAREST, FARTHEST = 8.0, 1 / 60  # dioptres


class RelativeBlur:
    """The classical formula as an estimator. other: the second picture with its lens, of the same size."""

    digest, model_name, device, precision = '', 'relative blur', 'cpu', 'float32'

    def __init__(self):
        self.other: Frame | None = None

    def reset(self) -> None:
        """Nothing is remembered."""

    def estimate(self, image: np.ndarray, lens: Lens, stamp: float | None = None) -> Estimate:
        """Depth of the first picture. image: (H, W, 3) uint8 RGB. Sigma is NaN: the formula tells none."""
        check_other(image, self.other)
        difference = blur_difference(_grey(image), _grey(self.other.image))
        return _as_estimate(solved(difference, lens, self.other.lens), lens)


def blur_difference(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """v1 - v2 in px^2, (H, W), of two pictures (H, W) in linear light: the mean over bands of frequency, weighed by how
    far each stands out of the noise."""
    total, weight = 0.0, 0.0
    for sigma in BANDS:
        powers = [cv2.GaussianBlur(_band(picture, sigma) ** 2, (0, 0), 2 * sigma + 1) for picture in (one, other)]
        clear = np.minimum(*powers)
        trust = (clear / (clear + FLOOR)) ** 2 / sigma**4
        ratio = np.log((powers[0] + FLOOR) / (powers[1] + FLOOR))
        total, weight = total - trust * ratio * sigma**2 / 2, weight + trust  # 4 pi^2 f^2 = 2 / sigma^2 in the middle
    mean = sum(share * cv2.blur(total, (size,) * 2, borderType=cv2.BORDER_REFLECT) for size, share in WINDOWS)
    return mean / sum(share * cv2.blur(weight, (size,) * 2, borderType=cv2.BORDER_REFLECT) for size, share in WINDOWS)


def solved(difference: np.ndarray, one: Lens, other: Lens) -> np.ndarray:
    """Inverse depth in dioptres at which two lenses differ by so much variance of blur, (H, W) px^2. Of two answers the
    one within 1/60 and 8 dioptres counts; of two such, the farther one. Where none is exact it is the nearest."""
    k1, k2, s1, s2 = one.gain**2, other.gain**2, one.focus_dioptre, other.focus_dioptre
    a, b = k1 - k2, k2 * s2 - k1 * s1
    c = k1 * s1**2 - k2 * s2**2 - 16 * difference
    if abs(a) < 1e-3 * k1:
        return np.clip(-c / (2 * b if b else np.inf), FARTHEST, NEAREST)
    root = np.sqrt(np.maximum(b * b - a * c, 0))
    low, high = np.sort([(-b - root) / a, (-b + root) / a], axis=0)
    return np.clip(np.where(low >= FARTHEST, low, high), FARTHEST, NEAREST)


class StackEstimator:
    """A network that looks at two pictures (`networks.peers.Stack`) as an estimator. other: as of `RelativeBlur`."""

    precision = 'float32'

    def __init__(self, model, device: str = 'cpu', digest: str = ''):
        self.device, self.digest, self.model_name = to_device(device), digest, model.architecture
        self.model, self.other = model.to(self.device).for_inference(), None

    def reset(self) -> None:
        """Nothing is remembered."""

    @torch.inference_mode()
    def estimate(self, image: np.ndarray, lens: Lens, stamp: float | None = None) -> Estimate:
        """Depth of the first picture, without a sigma. image: (H, W, 3) uint8 RGB."""
        check_other(image, self.other)
        pictures = torch.from_numpy(np.stack([image, self.other.image])).to(self.device).permute(0, 3, 1, 2) / 255
        states = [lens_state(each, *image.shape[:2]) for each in (lens, self.other.lens)]
        found = self.model.distribution(pictures, torch.tensor(states, dtype=torch.float32, device=self.device))
        return _as_estimate(found.inverse[0, 0].cpu().numpy(), lens)


def check_other(image: np.ndarray, other: Frame | None) -> None:
    """Raises ValueError where there is no second picture of the same size with a lens."""
    if other is None or other.image is None or other.lens is None:
        raise ValueError('depth from two pictures needs a second picture with its lens')
    if other.image.shape != image.shape:
        raise ValueError(f'the two pictures differ in size: {image.shape[:2]} and {other.image.shape[:2]}')


def _as_estimate(inverse, lens):
    inverse = np.maximum(inverse, NEVER_BEYOND).astype(np.float32)
    coc = lens.coc(inverse).astype(np.float32)
    return Estimate(1 / inverse, np.full_like(inverse, np.nan), coc, (coc > 0).astype(np.float32))


def _grey(image):
    """(H, W) linear light in units of its own mean nearby, so that exposure does not count."""
    light = from_srgb(torch.from_numpy(image.astype(np.float32) / 255)).mean(-1).numpy()
    return light / (cv2.GaussianBlur(light, (0, 0), 32) + 1e-2)


def _band(picture, sigma):
    return sigma**2 * cv2.Laplacian(cv2.GaussianBlur(picture, (0, 0), sigma), cv2.CV_32F)
