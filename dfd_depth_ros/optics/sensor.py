"""From light on the sensor to the picture that a driver publishes: base blur, noise, Bayer, tone, sharpening, JPEG.

Blur happens in linear light and before all of this. What the sensor adds looks like defocus (base blur, denoising) or
like its absence (sharpening, noise), so a network that is to read real photographs must see it in training.
Source of the order of steps: Brooks et al., "Unprocessing Images for Learned Raw Denoising", CVPR 2019.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import torch

from dfd_depth_ros.optics.tone import to_srgb


@dataclass(frozen=True)
class Sensor:
    """A camera behind the lens. The default is a perfect one.

    base_blur_px: sigma of the blur that is there at perfect focus. motion_px, motion_angle: length in pixels and
    direction in radians of the straight path that the picture took during exposure. exposure: gain on linear light.
    shot_noise, read_noise: variance = shot * light + read^2, light in 0..1. bayer: sample and demosaic a mosaic.
    contrast: 0 = plain sRGB curve, 1 = smoothstep on top. sharpening: strength of an unsharp mask of
    `sharpening_px` sigma. jpeg_quality: 1..100, 0 = no JPEG. jpeg_sampling: of its colours, a key of `SAMPLINGS`.
    jpeg_offset: rows and columns, 0..7, that were cut off above and left of the picture after it was compressed.
    """

    base_blur_px: float = 0.0
    motion_px: float = 0.0
    motion_angle: float = 0.0
    exposure: float = 1.0
    shot_noise: float = 0.0
    read_noise: float = 0.0
    bayer: bool = False
    contrast: float = 0.0
    sharpening: float = 0.0
    sharpening_px: float = 1.0
    jpeg_quality: int = 0
    jpeg_sampling: str = '4:2:0'
    jpeg_offset: tuple[int, int] = (0, 0)

    def expose(self, light: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """light: (H, W, 3) float32 linear, 0..1 with highlights above. Returns (H, W, 3) uint8 as a driver would."""
        light = _moved(_gaussian(light.astype(np.float32), self.base_blur_px), self.motion_px, self.motion_angle)
        light = np.clip(light * self.exposure, 0, 1)
        light = self._through_mosaic(light, rng) if self.bayer else self._noisy(light, rng)
        encoded = to_srgb(torch.from_numpy(np.clip(light, 0, 1))).numpy()
        encoded += self.contrast * (encoded * encoded * (3 - 2 * encoded) - encoded)
        if self.sharpening:
            encoded = encoded + self.sharpening * (encoded - _gaussian(encoded, self.sharpening_px))
        picture = np.round(np.clip(encoded, 0, 1) * 255).astype(np.uint8)
        return self._through_jpeg(picture) if self.jpeg_quality else picture

    def _noisy(self, light, rng):
        if not (self.shot_noise or self.read_noise):
            return light
        sigma = np.sqrt(self.shot_noise * light + self.read_noise**2)
        return light + sigma * rng.standard_normal(light.shape, dtype=np.float32)

    def _through_mosaic(self, light, rng):
        mosaic = np.empty(light.shape[:2], np.float32)
        for (y, x), channel in _RGGB.items():
            mosaic[y::2, x::2] = light[y::2, x::2, channel]
        counts = np.round(np.clip(self._noisy(mosaic, rng), 0, 1) * 65535).astype(np.uint16)
        return cv2.cvtColor(counts, cv2.COLOR_BayerRGGB2RGB).astype(np.float32) / 65535

    def _through_jpeg(self, picture):
        above, left = self.jpeg_offset
        whole = cv2.copyMakeBorder(picture, above, 0, left, 0, cv2.BORDER_REPLICATE)
        options = [cv2.IMWRITE_JPEG_QUALITY, self.jpeg_quality]
        options += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, SAMPLINGS[self.jpeg_sampling]]
        done, data = cv2.imencode('.jpg', whole[..., ::-1], options)
        if not done:
            raise ValueError(f'JPEG encoding failed at quality {self.jpeg_quality}')
        return cv2.imdecode(data, cv2.IMREAD_COLOR)[above:, left:, ::-1].copy()


_RGGB = {(0, 0): 0, (0, 1): 1, (1, 0): 1, (1, 1): 2}


MOTION_SHARE = 0.06
SAMPLINGS = {  # how many colours a JPEG keeps of four pixels in two rows: few, as web cameras do, all
    '4:2:0': cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420,
    '4:2:2': cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422,
    '4:4:4': cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
}


def random_sensor(rng: np.random.Generator, motion: float = MOTION_SHARE) -> Sensor:
    """A camera drawn from those that people use: mostly a good one, now and then a noisy webcam. motion: share of them
    that a shaken hand holds."""
    poor = rng.beta(1, 2.5)
    return Sensor(
        base_blur_px=rng.uniform(0.1, 0.4 + 0.4 * poor),
        motion_px=rng.uniform(1, 8) if rng.random() < motion else 0.0,
        motion_angle=rng.uniform(0, np.pi),
        exposure=2 ** rng.uniform(-1, 1.3),
        shot_noise=10 ** (rng.uniform(-6, -4.5) + 2.2 * poor),
        read_noise=10 ** (rng.uniform(-4.2, -3.4) + 1.2 * poor),
        bayer=rng.random() < 0.4,
        contrast=rng.uniform(0, 0.8),
        sharpening=rng.uniform(0, 1.0) if rng.random() < 0.5 else 0.0,
        sharpening_px=rng.uniform(0.6, 1.4),
        jpeg_quality=int(rng.uniform(70, 98) - 15 * poor) if rng.random() < 0.7 else 0,
        jpeg_sampling=str(rng.choice(list(SAMPLINGS), p=[0.6, 0.2, 0.2])),
        jpeg_offset=_random_offset(rng) if rng.random() < 0.5 else (0, 0),
    )


def _random_offset(rng):
    """Of the blocks of a JPEG, 8 pixels wide."""
    return int(rng.integers(8)), int(rng.integers(8))


def _gaussian(image, sigma):
    return cv2.GaussianBlur(image, (0, 0), sigma) if sigma > 0.05 else image


def _moved(image, length, angle):
    """Mean along a straight path, sampled twice a pixel."""
    if length <= 0:
        return image
    count = int(np.ceil(2 * length))
    steps = ((np.arange(count) + 0.5) / count - 0.5) * length
    side = 2 * int(np.ceil(length / 2)) + 3
    kernel = np.zeros((side, side), np.float32)
    for x, y in zip(steps * np.cos(angle) + side // 2, steps * np.sin(angle) + side // 2, strict=True):
        column, row = int(x), int(y)
        right, down = x - column, y - row
        kernel[row : row + 2, column : column + 2] += np.outer((1 - down, down), (1 - right, right))
    return cv2.filter2D(image, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT)
