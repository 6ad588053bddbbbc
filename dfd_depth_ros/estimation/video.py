"""VideoEstimator: a VideoDepthNet behind the interface of `DepthEstimator`, so that whoever scores one scores both."""

import numpy as np
import torch

from dfd_depth_ros.estimation.estimate import Estimate
from dfd_depth_ros.estimation.estimator import check_image
from dfd_depth_ros.networks.depth import lens_state
from dfd_depth_ros.networks.model import DfdModel
from dfd_depth_ros.networks.video import Past, Sight, VideoDepthNet
from dfd_depth_ros.networks.weights import VIDEO, WeightsError, load_weights
from dfd_depth_ros.optics.lens import Lens
from dfd_depth_ros.optics.pinhole import motion_between
from dfd_depth_ros.paths import resolve_path
from dfd_depth_ros.scenes.frame import Intrinsics
from dfd_depth_ros.temporal.smoother import PAUSE_S


class VideoEstimator:
    """Depth of frames, one after the other.

    model: trained network. reader: the shipped networks, which read defocus for it. digest: SHA-256 of the weights.
    These networks know no sigma: it comes back NaN, which is unknown.
    """

    precision = 'float32'

    def __init__(self, model: VideoDepthNet, reader: DfdModel, device: str = 'cpu', digest: str = ''):
        self.device, self.digest, self.model_name = device, digest, model.architecture
        self.model, self.reader = model.to(device).eval(), reader.to(device).eval()
        self.reset()

    def reset(self):
        """Forget earlier frames."""
        self._last = None

    @torch.inference_mode()
    def estimate(
        self,
        image: np.ndarray,
        lens: Lens,
        stamp: float | None = None,
        pose: np.ndarray | None = None,
        camera: Intrinsics | None = None,
    ) -> Estimate:
        """Depth of one frame. image: (H, W, 3) uint8 RGB. pose: (4, 4) camera-to-world; without it, after a pause or
        with another size of picture a recurrent network begins anew. camera: intrinsics, worked out from the lens where
        they are not known. Raises ImageError for anything but such a picture."""
        check_image(image)
        pixels = torch.tensor(image, device=self.device).permute(2, 0, 1)[None].float() / 255
        state = lens_and_camera(lens, camera, image.shape[:2])[None].to(self.device)
        reading = read(self.reader, pixels, state, lens.side) if self.model.defocus else None
        sight = Sight(pixels, state, reading)
        inverse = self.model(sight, self._past(sight, stamp, pose))
        self._last = (sight, inverse, stamp, pose)
        depth = (1 / inverse[0, 0]).cpu().numpy()
        coc = lens.coc(1 / depth)
        return Estimate(depth, np.full_like(depth, np.nan), coc, (coc > 0).astype(np.float32))

    def _past(self, sight, stamp, pose):
        if self._last is None:
            return None
        before, inverse, then, there = self._last
        if pose is None or there is None or before.image.shape != sight.image.shape:
            return None
        if stamp is not None and then is not None and not 0 <= stamp - then < PAUSE_S:
            return None
        poses = (torch.tensor(np.asarray(place), dtype=torch.float64)[None] for place in (there, pose))
        return Past(before, inverse, motion_between(*poses).float().to(self.device))


def load_video_estimator(weights: str, reader: str, device: str = 'cpu') -> VideoEstimator:
    """An estimator from weights of `train` with a video configuration, and the weights file of the reader. Raises
    WeightsError, also where it was trained to see what another reader reads."""
    model, record, digest = load_weights(resolve_path(weights), VIDEO)
    network, _, known = load_weights(resolve_path(reader))
    if model.defocus and record.get('reader', known) != known:
        raise WeightsError(f'weights {weights} were trained with another reader than {reader}; train them again')
    return VideoEstimator(model, network, device, digest)


def lens_and_camera(lens: Lens, camera: Intrinsics | None, size: tuple[int, int]) -> torch.Tensor:
    """Lens state (5,) of a picture of (H, W) pixels, with focal length and principal point of its camera."""
    state = lens_state(lens, *size)
    state[2:] = [camera.fx, camera.cx, camera.cy] if camera else state[2:]
    return torch.tensor(state, dtype=torch.float32)


@torch.no_grad()
def read(reader: DfdModel, image: torch.Tensor, lens: torch.Tensor, side: str = 'both') -> torch.Tensor:
    """What the shipped networks read in (N, 3, H, W) pictures in 0..1 through lenses (N, 5): signed CoC and its sigma
    in pixels and the probability of lying behind focus, (N, 3, H, W)."""
    found = reader(image, lens, side)
    return torch.cat([found.coc, found.sigma, found.far], 1)
