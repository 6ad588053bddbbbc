"""Depth from two pictures of one scene through two settings of one lens: a classical formula, and networks for stacks.

Both have the estimator's `estimate`; the other picture is put into `other` beforehand.

The formula compares local spectra. A lens multiplies the power of a picture at frequency f by |H(c f)|^2, so the
logarithm of the ratio of two powers is a difference of two curves of CoC, whatever the scene is. Both CoC follow from
one inverse depth; of a row of such depths the one whose differences fit those of all bands of frequency best is taken.
Source: Pentland, "A New Sense for Depth of Field", PAMI 1987, and Subbarao and Surya, "Depth from Defocus: A Spatial
Domain Approach", IJCV 1994, with the transfer function of a disc (`optics.psf`) where they have a Gaussian.
"""

from typing import Any

import cv2
import numpy as np
import torch

from dfd_depth_ros.estimation.estimate import Estimate
from dfd_depth_ros.estimation.estimator import NEVER_BEYOND, to_device
from dfd_depth_ros.networks.depth import lens_state
from dfd_depth_ros.optics.lens import Lens
from dfd_depth_ros.optics.psf import disc
from dfd_depth_ros.optics.tone import from_srgb
from dfd_depth_ros.scenes.frame import Frame

BANDS = (1.0, 2.0, 4.0, 8.0)  # sigma in pixels of the Laplacians of Gaussians that cut out a band of frequencies
NOISE = 2e-5  # power of noise in the band of one pixel, of light over its mean nearby; over sigma^2 in the others
CELL = 4  # pixels on a side of a cell of the result
DEPTHS = np.linspace(1 / 60, 1.0, 65)  # of the row, as shares of the nearest inverse depth
NEAREST = 5.0  # dioptres, if the CoC there is not above MOST
MOST = 30.0  # pixels of CoC
ONE_FOCUS_PX = 0.5  # pixels of CoC by which the focus of two lenses must differ to tell the sides apart
SURROUNDINGS = ((3, 1.0), (9, 1e-1), (41, 1e-2))  # cells, and how much wide ones count where narrow ones are bare


class RelativeBlur:
    """The classical formula as an estimator. other: the second picture with its lens, of the same size."""

    digest, model_name, device, precision = '', 'relative blur', 'cpu', 'float32'

    def __init__(self):
        self.other: Frame | None = None

    def reset(self) -> None:
        """Nothing is remembered: what the estimator's filters ask for, `estimate` takes and leaves alone."""

    def estimate(self, image: np.ndarray, lens: Lens, stamp=None, pose=None, intrinsics=None) -> Estimate:
        """Depth of the first picture. image: (H, W, 3) uint8 RGB. Sigma is NaN: the formula tells none."""
        check_other(image, self.other)
        ratios, trust = log_ratios(_grey(image), _grey(self.other.image))
        inverse = fitted(ratios, trust, lens, self.other.lens)
        return _as_estimate(cv2.resize(inverse, image.shape[1::-1], interpolation=cv2.INTER_LINEAR), lens)


def log_ratios(one: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Logarithm of power of one picture over that of another one, in each band, and how far it can be trusted.
    Pictures: (H, W). Returns two arrays (BANDS, H / CELL, W / CELL)."""
    ratios, trust = [], []
    for sigma in BANDS:
        noise = NOISE / sigma**2
        powers = [_cells(_band(picture, sigma) ** 2) for picture in (one, other)]
        first, second = (np.maximum(power - noise, 0.3 * noise) for power in powers)
        ratios.append(np.log(first / second))
        trust.append((np.minimum(*powers) / (np.minimum(*powers) + 3 * noise)) ** 4)
    return np.stack(ratios), np.stack(trust)


def fitted(ratios: np.ndarray, trust: np.ndarray, one: Lens, other: Lens) -> np.ndarray:
    """Inverse depth in dioptres, (h, w), that explains the ratios of two pictures through these lenses best. With
    lenses of one focus both sides explain them alike: then only what lies behind it counts."""
    nearest = min(NEAREST, min(lens.focus_dioptre + MOST / lens.gain for lens in (one, other)))
    row = nearest * DEPTHS
    if abs(one.focus_dioptre - other.focus_dioptre) * max(one.gain, other.gain) < ONE_FOCUS_PX:
        row = row[row <= max(one.focus_dioptre, row[0])]
    expected = np.stack([attenuation(sigma, one.coc(row)) - attenuation(sigma, other.coc(row)) for sigma in BANDS])
    costs = [(trust * np.abs(ratios - level[:, None, None])).sum(0) for level in expected.T]
    costs = [sum(share * cv2.blur(cost, (size, size)) for size, share in SURROUNDINGS) for cost in costs]
    return row[np.argmin(costs, 0)].astype(np.float32)


def attenuation(sigma: float, coc: np.ndarray) -> np.ndarray:
    """Logarithm of the power that a disc of each CoC in pixels leaves in a band of a scene with a spectrum of 1 / f^2,
    as natural ones have."""
    frequency = np.linspace(0.5 / 256, 0.5, 256)
    weight = (frequency * sigma) ** 4 * np.exp(-((2 * np.pi * sigma * frequency) ** 2)) / frequency
    passed = disc(torch.from_numpy(np.abs(coc)[:, None] * frequency)).numpy() ** 2
    return np.log(passed @ weight / weight.sum())


class StackEstimator:
    """A network that looks at two pictures (`networks.peers.Stack`) as an estimator. other: as of `RelativeBlur`."""

    precision = 'float32'

    def __init__(self, model, device: str = 'cpu', digest: str = ''):
        self.device, self.digest, self.model_name = to_device(device), digest, model.architecture
        self.model = model.to(self.device).for_inference()
        self.other: Any = None

    def reset(self) -> None:
        """Nothing is remembered."""

    @torch.inference_mode()
    def estimate(self, image: np.ndarray, lens: Lens, stamp=None, pose=None, intrinsics=None) -> Estimate:
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


def _cells(power):
    """Mean over cells and a little around them."""
    height, width = power.shape
    return cv2.resize(
        cv2.blur(power, (2 * CELL + 1,) * 2), (width // CELL, height // CELL), interpolation=cv2.INTER_AREA
    )


def _band(picture, sigma):
    return sigma**2 * cv2.Laplacian(cv2.GaussianBlur(picture, (0, 0), sigma), cv2.CV_32F)
