"""Other weights for an estimator that is in service: tested before, watched after, and taken back where they fail."""

import collections
from collections.abc import Callable

import cv2
import numpy as np

from dfd_depth_ros.estimation.estimate import Estimate
from dfd_depth_ros.estimation.estimator import DepthEstimator, make_estimator
from dfd_depth_ros.networks.weights import digest, from_bytes
from dfd_depth_ros.optics.lens import Lens

NAME = 'from the topic'  # what messages call weights that came over the air
FLAT_SHARE = 0.05  # of the spread of depth that the present weights see in the test picture
MOST_BROKEN, MOST_SIGMA, PATIENCE = 0.5, 20.0, 3
REMEMBERED = 30  # frames whose sigma says what is usual
_STEP = 4  # every fourth row and column is watched


def candidate_estimator(data: bytes, present: DepthEstimator) -> DepthEstimator:
    """An estimator like `present` from the content of a weights file, of any architecture, that has passed a test: on a
    picture of rising blur its depth and sigma are finite, its sigma is positive, and its depth is not flat beside that
    of `present`. Raises ValueError in one sentence."""
    model, _, sha = from_bytes(data, NAME)
    candidate = make_estimator(model, sha, present.device, present.temporal_filter, present.graphs)
    picture, lens = _test_picture(), Lens(0.05, 2.0, 5e-5, 0.5)
    found = candidate.apart().estimate(picture, lens)
    if not (np.isfinite(found.depth).all() and np.isfinite(found.sigma).all()):
        raise ValueError(f'weights {NAME} fail the self-test: depth or sigma of the test picture is not finite')
    if not (found.sigma > 0).all():
        raise ValueError(f'weights {NAME} fail the self-test: sigma of the test picture is not positive')
    if _spread(found) < FLAT_SHARE * _spread(present.apart().estimate(picture, lens)):
        raise ValueError(f'weights {NAME} fail the self-test: depth of the test picture is flat')
    return candidate


class ReplaceableEstimator:
    """An estimator whose weights may be replaced while none is in work; otherwise used like `DepthEstimator`.

    first: the estimator to begin with. make(data, present) -> estimator: `candidate_estimator`. warn(sentence): called
    when replaced weights fail on live frames and the estimator before them is in service again; their digest is refused
    from then on. They fail where more than half of the pixels are unknown, or the median of sigma in dioptres is above
    20 times what it was, in three frames one after the other that the estimator before them reads well.
    """

    def __init__(self, first, make: Callable = candidate_estimator, warn: Callable[[str], None] = print):
        self.present, self._make, self._warn = first, make, warn
        self._before: DepthEstimator | None = None
        self.source = 'file'
        self._source_before = ''
        self._refused: dict[str, str] = {}
        self._usual: collections.deque = collections.deque(maxlen=REMEMBERED)
        self._limit, self._failures = np.inf, 0

    def __getattr__(self, name):
        return getattr(self.present, name)

    def candidate(self, data: bytes, pin: str = ''):
        """The content of a weights file as an estimator to `take`, None where it is in service already. In any thread,
        also while frames are served. pin: the only SHA-256 that is accepted, empty for any. Raises ValueError in one
        sentence."""
        sha = digest(data)
        if pin and sha != pin.lower():
            raise ValueError(f'weights {NAME} have the digest {sha}; weights_pin allows only {pin}')
        if sha in self._refused:
            raise ValueError(f'weights {NAME} with the digest {sha} are refused: {self._refused[sha]}')
        present = self.present
        return None if sha == present.digest else self._make(data, present)

    def take(self, candidate):
        """Take a candidate into service, between two frames."""
        if candidate.device != self.present.device:  # which has moved since
            candidate = candidate.on(self.present.device)
        self._before, self._source_before = self.present, self.source
        self.present, self.source = candidate, 'topic'
        self._limit = MOST_SIGMA * float(np.median(self._usual)) if self._usual else np.inf
        self._failures = 0

    def estimate(
        self, image: np.ndarray, lens: Lens, stamp: float | None = None, *place, turn: Callable[[], None] = lambda: None
    ) -> Estimate:
        """As `DepthEstimator.estimate`; where replaced weights have failed, it is the estimate of those before."""
        present = self.present
        found = present.estimate(image, lens, stamp, *place, turn=turn)
        if self.present is not present:  # they failed on the frame before, while this one was looked at
            found = self.present.estimate(image, lens, stamp, *place)
        broken, sigma = _health(found)
        reason = self._complaint(broken, sigma)
        if not reason:
            self._failures = 0
            if np.isfinite(sigma):
                self._usual.append(sigma)
            return found
        self._failures += 1
        if self._failures < PATIENCE:
            return found
        self._failures = 0
        self._before.reset()
        other = self._before.estimate(image, lens, stamp, *place)
        if self._complaint(*_health(other)):
            return found  # the picture is to blame, not the weights
        self._go_back(reason)
        return other

    def move(self, device: str):
        """Go on with the present weights on another device. Those before are given up: they lie on the old one."""
        self.present, self._before = self.present.on(device), None

    def reset(self):
        """Forget earlier frames."""
        self.present.reset()

    def _complaint(self, broken, sigma):
        if self._before is None:
            return ''
        if broken > MOST_BROKEN:
            return f'they leave {100 * broken:.0f} % of the pixels unknown'
        if sigma > self._limit:
            return f'their sigma is {MOST_SIGMA * sigma / self._limit:.0f} times that of the weights before'
        return ''

    def _go_back(self, reason):
        sha = self.present.digest
        self._refused[sha] = reason
        self.present, self.source, self._before = self._before, self._source_before, None
        self._limit = np.inf
        self._warn(f'weights {NAME} with the digest {sha} failed in {PATIENCE} frames, {reason}; those before are back')


def _health(estimate: Estimate) -> tuple[float, float]:
    """Share of pixels that are broken, and the median of sigma in dioptres over the others (NaN where there are
    none)."""
    depth, sigma = (array[::_STEP, ::_STEP] for array in (estimate.depth, estimate.sigma))
    known = np.isfinite(depth)
    broken = np.isnan(depth) | (known & ~np.isfinite(sigma))
    good = known & ~broken & (depth > 0)
    return float(broken.mean()), float(np.median(sigma[good] / depth[good] ** 2)) if good.any() else np.nan


def _spread(estimate: Estimate) -> float:
    """Distance in dioptres between the nearest and the farthest twentieth of the pixels."""
    return float(np.ptp(np.quantile(1 / estimate.depth, (0.05, 0.95))))


def _test_picture() -> np.ndarray:
    """(128, 160, 3) uint8: noise of all sizes, sharp at the left and ever softer to the right."""
    rng = np.random.default_rng(0)
    noise = [cv2.resize(rng.random((128 >> n, 160 >> n, 3), np.float32), (160, 128)) for n in range(5)]
    picture = sum(noise) / len(noise)
    share = np.linspace(0, 3, 160)
    soft = [picture, *(cv2.GaussianBlur(picture, (0, 0), sigma) for sigma in (1.5, 3.0, 6.0))]
    weights = [np.clip(1 - abs(share - level), 0, 1)[None, :, None] for level in range(4)]
    mixed = sum(weight * layer for weight, layer in zip(weights, soft, strict=True))
    return (np.clip(mixed, 0, 1) * 255).astype(np.uint8)
