"""Suite `camera`: what noise, compression and the like cost the networks.

The same made-up scenes, which no training saw, are photographed by a perfect camera and by cameras with one fault each,
and read by the same weights. What a fault costs is the difference to the first row.
"""

import numpy as np
import torch
from tqdm import tqdm

from dfd_depth_ros.networks.precision import as_stored
from dfd_depth_ros.optics.sensor import Sensor
from dfd_depth_ros.training.data import Batch, Pairs
from dfd_depth_ros.training.validation import validate

SEED = 90_002  # no training run has it
SIZE = 256
CAMERAS = {
    'perfect': Sensor(),
    'JPEG 90': Sensor(jpeg_quality=90),
    'JPEG 75': Sensor(jpeg_quality=75),
    'JPEG 60': Sensor(jpeg_quality=60),
    'JPEG 75, 4:2:2': Sensor(jpeg_quality=75, jpeg_sampling='4:2:2'),
    'JPEG 75, cropped afterwards': Sensor(jpeg_quality=75, jpeg_offset=(4, 4)),
    'noise of 1 %': Sensor(read_noise=0.01),
    'mosaic': Sensor(bayer=True),
    'base blur of 0.6 px': Sensor(base_blur_px=0.6),
    'sharpening by half': Sensor(sharpening=0.5),
    'contrast': Sensor(contrast=0.8),
    'half the light': Sensor(exposure=0.5),
    'motion of 4 px': Sensor(motion_px=4.0),
}
SHOWN = ('blur_mae', 'coc_mae', 'sign_accuracy', 'log_depth')


def run(estimator, scenes: int = 40) -> dict:
    """Read `scenes` pairs of pictures through every camera of `CAMERAS`.

    Returns `cameras`, by name `blur_mae` (px, of |CoC| as DefocusNet reads it), `coc_mae` (px, signed, of both
    networks), `sign_accuracy` and `log_depth` (mean |log of estimated over true depth|) as in `training.validation`;
    and `seed`, `size`, `scenes`.
    """
    source = Pairs(SIZE, SEED, scenes)
    pairs = [source[index] for index in tqdm(range(scenes), desc='scenes', unit='pair')]
    rows = {name: _read(estimator, pairs, sensor) for name, sensor in tqdm(CAMERAS.items(), desc='camera')}
    return {'seed': SEED, 'size': SIZE, 'scenes': scenes, 'cameras': rows}


def _read(estimator, pairs, sensor) -> dict:
    rng = np.random.default_rng(SEED)  # the same noise for all
    batches = [
        Batch(torch.stack([_seen(sensor, light, rng) for light in pair]), coc, lens) for pair, coc, lens in pairs
    ]
    with as_stored(estimator.model):
        found = validate(estimator.model, batches, estimator.device)
    return {name: found[name] for name in SHOWN}


def _seen(sensor, light, rng) -> torch.Tensor:
    """(3, H, W) in 0..1 of linear light (3, H, W)."""
    picture = sensor.expose(light.float().permute(1, 2, 0).numpy(), rng)
    return torch.from_numpy(picture).permute(2, 0, 1) / 255.0
