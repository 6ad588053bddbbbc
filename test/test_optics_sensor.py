"""The sensor, step by step."""

import numpy as np
import pytest
import torch

from dfd_depth_ros.optics.sensor import Sensor, random_sensor
from dfd_depth_ros.optics.tone import from_srgb, to_srgb


def rng():
    return np.random.default_rng(0)


def flat(value, size=64):
    return np.full((size, size, 3), value, np.float32)


def test_tone_curve_and_back():
    values = torch.linspace(0, 1, 1001, dtype=torch.float64)
    torch.testing.assert_close(from_srgb(to_srgb(values)), values, atol=1e-9, rtol=0)
    assert float(to_srgb(torch.tensor(0.18))) == pytest.approx(0.4614, abs=1e-3)  # 18 % grey


def test_a_perfect_sensor_only_encodes():
    picture = Sensor().expose(flat(0.18), rng())
    assert picture.dtype == np.uint8 and (picture == 118).all()


def test_highlights_clip_and_exposure_scales():
    assert (Sensor().expose(flat(7.0), rng()) == 255).all()
    assert (Sensor(exposure=2.0).expose(flat(0.09), rng()) == 118).all()


def test_noise_has_the_variance_that_it_says():
    sensor = Sensor(shot_noise=1e-3, read_noise=0.02)
    picture = sensor.expose(flat(0.3, 400), rng()).astype(np.float64) / 255
    light = from_srgb(torch.from_numpy(picture)).numpy()
    assert light.var() == pytest.approx(1e-3 * 0.3 + 0.02**2, rel=0.03)


def test_mosaic_keeps_colours_apart():
    light = flat(0.0)
    light[..., 0], light[..., 2] = 0.6, 0.2
    picture = Sensor(bayer=True).expose(light, rng())[8:-8, 8:-8]
    expected = Sensor().expose(light, rng())[0, 0]
    assert np.abs(picture.astype(int) - expected).max() <= 1


def test_base_blur_softens_and_sharpening_overshoots():
    edge = flat(0.1)
    edge[:, 32:] = 0.5
    plain, soft, sharp = (
        s.expose(edge, rng())[32, :, 0].astype(int)
        for s in (Sensor(), Sensor(base_blur_px=1.5), Sensor(sharpening=1.0))
    )
    assert np.abs(np.diff(soft)).max() < np.abs(np.diff(plain)).max()
    assert sharp.max() > plain.max() and sharp.min() < plain.min()


def test_jpeg_loses_more_at_lower_quality():
    noise = rng().random((64, 64, 3)).astype(np.float32)
    clean = Sensor().expose(noise, rng()).astype(int)
    errors = [np.abs(Sensor(jpeg_quality=q).expose(noise, rng()) - clean).mean() for q in (98, 60)]
    assert 0 < errors[0] < errors[1]


@pytest.mark.parametrize('offset', [(0, 0), (3, 5)])
def test_blocks_of_jpeg_begin_where_the_picture_was_cut_off(offset):
    noise = np.random.default_rng(1).random((64, 64, 3)).astype(np.float32)
    picture = Sensor(jpeg_quality=20, jpeg_offset=offset).expose(noise, rng()).astype(int)
    assert picture.shape == noise.shape
    for axis in (0, 1):
        steps = np.abs(np.diff(picture, axis=axis)).mean((1 - axis, 2))
        by_phase = [steps[phase::8].mean() for phase in range(8)]  # a step at `phase` leads to row `phase + 1`
        assert np.argmax(by_phase) == (7 - offset[axis]) % 8


def test_jpeg_keeps_more_of_colours_with_finer_sampling():
    colours = np.random.default_rng(1).random((64, 64, 3)).astype(np.float32)
    clean = Sensor().expose(colours, rng()).astype(int)
    errors = [
        np.abs(Sensor(jpeg_quality=95, jpeg_sampling=sampling).expose(colours, rng()) - clean).mean()
        for sampling in ('4:2:0', '4:2:2', '4:4:4')
    ]
    assert errors[0] > errors[1] > errors[2]


def test_a_seed_names_a_camera_and_its_noise():
    light = rng().random((32, 32, 3)).astype(np.float32)
    first, second = (random_sensor(np.random.default_rng(5)) for _ in range(2))
    assert first == second and first != random_sensor(np.random.default_rng(6))
    assert np.array_equal(first.expose(light, rng()), second.expose(light, rng()))


@pytest.mark.parametrize('angle', [0.0, np.pi / 2, 0.7])
def test_motion_spreads_light_along_its_path(angle):
    """A point becomes a path of the given length: variance length^2 / 12 along it, about a pixel's own across it."""
    light = flat(0.0)
    light[32, 32] = 1.0
    picture = Sensor(motion_px=9.0, motion_angle=angle).expose(light, rng())[..., 0]
    weight = from_srgb(torch.from_numpy(picture / 255)).numpy()
    y, x = np.mgrid[:64, :64] - 32
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    assert (weight * along**2).sum() / weight.sum() == pytest.approx(81 / 12, rel=0.12)
    assert (weight * across**2).sum() / weight.sum() < 0.5


def test_most_random_cameras_are_good_ones():
    cameras = [random_sensor(np.random.default_rng(seed)) for seed in range(400)]
    noise = np.array([np.sqrt(camera.shot_noise * 0.2 + camera.read_noise**2) for camera in cameras])
    assert np.median(noise) < 0.004 and 0.01 < noise.max() < 0.1
    assert 0.02 < np.mean([camera.motion_px > 0 for camera in cameras]) < 0.12
    qualities = np.array([camera.jpeg_quality for camera in cameras])
    assert {camera.jpeg_sampling for camera in cameras} == {'4:2:0', '4:2:2', '4:4:4'}
    assert 0.4 < np.mean([camera.jpeg_offset != (0, 0) for camera in cameras]) < 0.6
    assert all(quality == 0 or 55 <= quality <= 98 for quality in qualities)
    assert 0.1 < np.mean((qualities > 0) & (qualities <= 75)) < 0.4  # 75: what much software writes by default
