"""DepthEstimator: frame and lens state in, depth with its sigma and CoC out. The one call that everything else uses."""

import copy
from collections.abc import Callable

import numpy as np
import torch

from dfd_depth_ros.estimation.estimate import Estimate
from dfd_depth_ros.estimation.memory import keep_pages
from dfd_depth_ros.estimation.transfer import to_arrays, to_batch
from dfd_depth_ros.networks.depth import lens_state
from dfd_depth_ros.networks.graphs import Graphed
from dfd_depth_ros.networks.model import DfdModel
from dfd_depth_ros.networks.precision import can_be_trusted, mixed, pays, stored
from dfd_depth_ros.networks.weights import load_weights
from dfd_depth_ros.optics.lens import Lens
from dfd_depth_ros.paths import resolve_path
from dfd_depth_ros.scenes.frame import Intrinsics
from dfd_depth_ros.temporal.filters import FILTERS
from dfd_depth_ros.temporal.reading import Reading, Sides, mirrored
from dfd_depth_ros.temporal.smoother import Smoother

LITTLE_BLUR_PX, MUCH_BLUR_PX = 0.3, 30.0
NEVER_BEYOND = 1e-3  # dioptres, 1 km


class ImageError(ValueError):
    """A picture that cannot be looked at; the message names its shape or type."""


class DepthEstimator:
    """Reads depth from defocused frames, one after the other.

    model: trained networks (changed in place for inference). device: 'cpu', 'cuda' or 'auto'. temporal_filter: a name
    of `temporal.filters.FILTERS`. digest: SHA-256 of the weights, for reports. half: run convolutions in bfloat16.
    graphs: replay the networks as CUDA graphs, on a CUDA device, where they pass their test. `at_once`, an attribute:
    how many threads may call `estimate` at once, see `turn` there.
    Raises ValueError for an unknown filter or a device that is not there.
    """

    at_once = 1

    def __init__(
        self,
        model: DfdModel,
        device: str = 'auto',
        temporal_filter: str = 'none',
        digest: str = '',
        half: bool = False,
        graphs: bool = False,
    ):
        if temporal_filter not in FILTERS:
            raise ValueError(f'unknown temporal filter {temporal_filter!r}; there are {", ".join(FILTERS)}')
        self.device = to_device(device)
        self.digest, self.model_name = digest, model.architecture
        self.precision = 'bfloat16' if half else 'float32'
        self.model = model.to(self.device).for_inference()
        if half:
            stored(self.model)
        self.graphs = graphs and self.device.startswith('cuda')
        self._predict = Graphed(self._networks) if self.graphs else self._networks
        self.temporal_filter = temporal_filter
        self.reset()

    def reset(self):
        """Forget earlier frames."""
        self._smoother = Smoother(self.temporal_filter)

    @torch.inference_mode()
    def estimate(
        self,
        image: np.ndarray,
        lens: Lens,
        stamp: float | None = None,
        pose: np.ndarray | None = None,
        camera: Intrinsics | None = None,
        turn: Callable[[], None] = lambda: None,
    ) -> Estimate:
        """Depth of one frame. image: (H, W, 3) uint8 RGB as the camera delivered it. For the temporal filter alone:
        stamp in seconds, to notice pauses; pose (4, 4) camera-to-world and camera, both or none, to know how far it
        moved ahead. turn: on a CPU several threads may look at frames at once; it is called between networks and filter
        and has to wait until every frame before this one is done. Raises ImageError for anything but such a picture."""
        check_image(image)
        batch = to_batch(image, self.device)
        height, width = image.shape[:2]
        state = torch.tensor([lens_state(lens, height, width)], dtype=torch.float32, device=self.device)
        prediction = self._predict(batch, state, lens.side)
        gain, focus = prediction.lens[0, :2]
        reading = self._reading(prediction, lens)
        picture = torch.tensor(image, device=self.device)
        turn()
        inverse, sigma, far = self._smoother(picture, lens, reading, stamp, pose, camera)
        inverse = inverse.clamp(min=NEVER_BEYOND)
        depth = 1 / inverse
        arrays = (depth, depth**2 * sigma, gain * (focus - inverse), far)
        depth_m, sigma_m, coc_px, far_share = to_arrays(arrays)
        return Estimate(depth_m, sigma_m, coc_px, far_share, _notes(prediction.defocus.magnitude))

    def _networks(self, image, lens, side):
        with mixed(self.device, self.precision == 'bfloat16'):
            return self.model(image, lens, side)

    def on(self, device: str) -> 'DepthEstimator':
        """The same networks on another device, without a past; this one must not be used any more."""
        model = self.model.float()  # half precision is for the new device to decide on
        return make_estimator(model, self.digest, to_device(device), self.temporal_filter, self.graphs)

    def apart(self) -> 'DepthEstimator':
        """The same networks without a past and without graphs, to be tried in another thread."""
        other = copy.copy(self)
        other._predict = other._networks
        other.reset()
        return other

    def _reading(self, prediction, lens) -> Reading:
        """A prediction in dioptres, as filters want it."""
        gain, focus = (float(value) for value in prediction.lens[0, :2])
        inverse = prediction.inverse_depth()[0, 0].clamp(min=NEVER_BEYOND)
        sigma = torch.hypot(prediction.sigma[0, 0] / gain, inverse.new_tensor(lens.focus_dioptre_sigma))
        sigma = torch.hypot(sigma, (focus - inverse) * lens.gain_sigma)
        far = prediction.far[0, 0]
        if self.temporal_filter == 'none' or prediction.probability is None:
            sides = mirrored(inverse, sigma, far, focus)
        else:
            share, coc, spread = (part[0] for part in self.model.sides(prediction))
            sides = Sides(share, focus - coc / gain, spread / gain)
        return Reading(inverse, sigma, far, gain, focus, sides)


def divided(threads: int, at_once: int, device: str) -> tuple[int, int]:
    """How many frames to look at at once, and with how many threads each. threads: for all of them. at_once: 0 for two
    where there are threads for two. On a GPU it is one frame at a time, since it is all taken by one."""
    if device.startswith('cuda'):
        return 1, threads
    at_once = min(at_once or 2, threads)
    return at_once, threads // at_once


def load_estimator(
    weights: str, device: str = 'auto', temporal_filter: str = 'none', graphs: bool = False
) -> DepthEstimator:
    """An estimator from a weights file (package://, absolute or share-relative path), in half precision where that is
    faster and gives the same. Raises WeightsError."""
    model, _, digest = load_weights(resolve_path(weights))
    return make_estimator(model, digest, to_device(device), temporal_filter, graphs)


def make_estimator(
    model: DfdModel, digest: str, device: str, temporal_filter: str, graphs: bool = False
) -> DepthEstimator:
    """An estimator from a model, in half precision where that is faster and gives the same."""
    keep_pages()
    half = pays(device) and can_be_trusted(model.to(device).eval(), device)
    return DepthEstimator(model, device, temporal_filter, digest, half, graphs)


def to_device(name: str) -> str:
    """The device that auto, cpu, cuda or cuda:N means on this machine. Raises ValueError where it is not there."""
    if name == 'auto':
        return 'cuda' if torch.cuda.is_available() else 'cpu'
    if name.startswith('cuda') and not torch.cuda.is_available():
        raise ValueError(f'device {name!r} was asked for, but there is no CUDA device')
    if name.partition(':')[0] not in ('cpu', 'cuda'):
        raise ValueError(f'unknown device {name!r}; there are auto, cpu and cuda')
    return name


def check_image(image: np.ndarray):
    """Raises ImageError for anything but a picture (H, W, 3) uint8 with pixels in it."""
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        kind = f'{image.dtype} {image.shape}' if isinstance(image, np.ndarray) else type(image).__name__
        raise ImageError(f'the picture must be (H, W, 3) uint8 RGB, not {kind}')
    if 0 in image.shape:
        raise ImageError(f'the picture is empty: {image.shape[1]} x {image.shape[0]} pixels')


def _notes(magnitude):
    typical = float(magnitude.float().flatten()[::4].quantile(0.9))
    if typical < LITTLE_BLUR_PX:
        return ('little blur to read',)
    return ('blur beyond range',) if typical > MUCH_BLUR_PX else ()
