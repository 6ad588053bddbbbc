"""Pictures of one flat target at known distances: what their comparison tells of a lens, and what is no target."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from dfd_depth_ros.estimation import flat_target
from dfd_depth_ros.estimation.lens_fit import NAMES, NOTHING, LensFit
from dfd_depth_ros.optics.lens import Lens
from dfd_depth_ros.optics.psf import blur, disc, power
from dfd_depth_ros.optics.sensor import Sensor
from dfd_depth_ros.optics.tone import from_srgb
from dfd_depth_ros.scenes.frame import Frame
from dfd_depth_ros.scenes.simulated import MILD_NOISE, true_lens
from dfd_depth_ros.scenes.textures import dead_leaves

TOLD = Lens.focused_at(1.0, focal_length_m=0.025, f_number=2.8, pixel_pitch_m=1.4e-5)
SIZE, FINER, BORDER = (240, 320), 3, 16
COCS = (-6.0, -4.0, -2.0, 0.5, 2.5, 4.5, 6.5)
MOSAIC = Sensor(base_blur_px=0.4, shot_noise=1e-4, read_noise=0.001, bayer=True)


def pictures(true, psf=disc, sensor=MILD_NOISE, seeds=(0,)):
    """Frames of a target, FINER rays a pixel each way, at the distances where the true CoC is one of COCS. seeds: of
    the target, by turns."""
    frames, rng = [], np.random.default_rng(1)
    distances = [1 / float(true.inverse_depth(coc)) for coc in COCS]
    for number, (coc, metres) in enumerate(zip(COCS, distances, strict=True)):
        leaves = np.random.default_rng(seeds[number % len(seeds)])
        target = np.vstack([np.hstack([dead_leaves(leaves) for _ in range(2)]) for _ in range(2)]) * 0.8
        target = from_srgb(torch.from_numpy(target.astype(np.float32))).numpy()
        size = np.array(SIZE) + 2 * BORDER
        texels = 0.8 * metres / distances[0]
        corner = np.array(target.shape[1::-1]) / 2 - texels * size[::-1] / 2 + rng.uniform(-3, 3, 2)
        step = np.column_stack([np.eye(2) * texels / FINER, corner]).astype(np.float32)
        finer = tuple(int(side) for side in size[::-1] * FINER)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        light = cv2.warpAffine(target, step, finer, flags=flags, borderMode=cv2.BORDER_REFLECT)
        light = cv2.resize(light, tuple(int(side) for side in size[::-1]), interpolation=cv2.INTER_AREA)
        seen = blur(torch.from_numpy(light).permute(2, 0, 1), torch.tensor(abs(coc)), psf).clamp(0, 1)
        seen = seen[:, BORDER:-BORDER, BORDER:-BORDER].permute(1, 2, 0).numpy()
        depth = np.full(SIZE, metres, np.float32)
        frames.append(Frame(f'{number}.png', image=sensor.expose(seen, rng), lens=TOLD, depth=depth))
    return frames


def about(true):
    """What networks might have found: some percent off."""
    values = {'log_gain': np.log(true.gain / TOLD.gain) + 0.08, 'base_px': 0.5}
    values['focus_scale'] = true.focus_dioptre / TOLD.focus_dioptre * 1.005
    return LensFit(NOTHING | values, dict.fromkeys(NAMES, 0.05) | {'focus_offset': 0.0}, 0.5, 2.0, 1.0)


@pytest.mark.parametrize(
    ('exponent', 'sensor', 'slip'), [(0, MILD_NOISE, (-0.2, -0.1)), (5.0, MOSAIC, (0.25, 0.06))], ids=['disc', 'mosaic']
)
def test_gain_focus_and_psf_are_recovered(exponent, sensor, slip):
    true = true_lens(TOLD, *slip)
    found = flat_target.fit(pictures(true, power(exponent) if exponent else disc, sensor), about(true))
    gain = TOLD.gain * np.exp(found.values['log_gain'])
    assert gain == pytest.approx(true.gain, rel=0.03) and found.sigmas['log_gain'] < 0.03
    assert found.focus(TOLD.focus_dioptre) == pytest.approx(true.focus_dioptre, rel=0.015)
    assert found.after < found.before and found.reader < 0.02
    assert abs(found.values['radial']) < 0.1 and found.values['focus_offset'] == 0
    if exponent:
        assert found.values['psf_exponent'] == pytest.approx(exponent, rel=0.35)
    else:
        assert found.values['psf_exponent'] > 12


@pytest.fixture(scope='module')
def frames():
    return pictures(true_lens(TOLD, 0, 0))


def slanted(frame):
    return replace(frame, depth=frame.depth * np.linspace(0.9, 1.1, SIZE[1], dtype=np.float32))


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda frames: pictures(TOLD, seeds=(0, 1)), 'do not show the same target: they correlate by'),
        (
            lambda frames: [slanted(frame) for frame in frames],
            '0.png shows no flat target that faces the camera and fills the picture',
        ),
        (lambda frames: [replace(frames[0], depth=None)], '0.png has no depth'),
        (
            lambda frames: frames[:3],
            '3 pairs of pictures were taken from like distances (1 to 1.6), 4 are the least',
        ),
        (
            lambda frames: [replace(f, image=f.image[:100], depth=f.depth[:100]) for f in frames],
            'the pictures have fewer than 144 rows or columns',
        ),
    ],
    ids=['two targets', 'slanted', 'no depth', 'too few', 'too small'],
)
def test_no_target(frames, change, message):
    with pytest.raises(flat_target.NoTargetError) as error:
        flat_target.fit(change(frames), about(TOLD))
    assert message in str(error.value)


def test_white_pictures_are_no_target(frames):
    white = [replace(frame, image=np.minimum(frame.image.astype(int) * 4, 255).astype(np.uint8)) for frame in frames]
    with pytest.raises(flat_target.NoTargetError, match='too few places of the target'):
        flat_target.fit(white, about(TOLD))
