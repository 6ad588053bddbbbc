"""What a calibration says about an image: binning, region of interest and resizing, in the focal length, in the centre
and in the size of a pixel.

A CameraInfo describes the full image of the sensor. The driver may have cut a region out of it (`roi`, in pixels of the
full image), may have joined `binning_x` by `binning_y` pixels into one, and somebody may have resized what came out.
Pixels of the centre are scaled as image_geometry and image_proc do it, without the half pixel by which the middle of
the first pixel moves.
"""

import math
from dataclasses import dataclass

from dfd_depth_ros.optics.distortion import Distortion
from dfd_depth_ros.scenes.frame import Intrinsics


class CalibrationError(ValueError):
    """A camera info that does not fit the image, or without which no ray can be drawn; the message says why."""


@dataclass(frozen=True)
class Reduction:
    """How an image came out of the full one. binning: pixels of the full image in one of the sent one, across and
    down. resize: size of the image relative to the one sent. offset: (x, y) of its corner in the full image."""

    binning: tuple[int, int] = (1, 1)
    resize: tuple[float, float] = (1.0, 1.0)
    offset: tuple[int, int] = (0, 0)

    @property
    def pixels(self) -> float:
        """Pixels of the full image in one pixel of this one, across: the factor of the pixel pitch."""
        return self.binning[0] / self.resize[0]


def reduction(info, height: int, width: int) -> Reduction:
    """How an image of this size came out of the full one that a CameraInfo (of rclpy or rosbags) describes. Raises
    CalibrationError where no resizing that keeps the shape explains the size."""
    binning, offset = (info.binning_x or 1, info.binning_y or 1), (info.roi.x_offset, info.roi.y_offset)
    if not (info.width and info.height):
        return Reduction(binning, offset=offset)
    sent = ((info.roi.width or info.width) // binning[0], (info.roi.height or info.height) // binning[1])
    if sent == (width, height):
        return Reduction(binning, offset=offset)
    resize = (width / max(sent[0], 1), height / max(sent[1], 1))
    # Whoever resizes rounds the smaller side to whole pixels, so the two factors agree up to one pixel of it.
    if abs(sent[0] * resize[1] - width) >= 1 and abs(sent[1] * resize[0] - height) >= 1:
        raise CalibrationError(
            f'camera_info is for {sent[0]}x{sent[1]} pixels; the image has {width}x{height}, which is no resizing of it'
        )
    return Reduction(binning, resize, offset)


def intrinsics(info, height: int, width: int, is_rectified: bool = False) -> Intrinsics:
    """Pinhole camera of an image of this size: K of a raw image, P of a rectified one and of a camera without
    distortion. Raises CalibrationError where the camera is uncalibrated (K[0] is 0) or made for another image."""
    if not (math.isfinite(info.k[0]) and info.k[0] > 0):
        raise CalibrationError(f'camera_info is uncalibrated: K[0] is {info.k[0]:g}')
    has_projection = info.p[0] > 0 and (is_rectified or not any(info.d))
    fx, _, cx, _, fy, cy = (*info.p[:3], *info.p[4:7]) if has_projection else info.k[:6]
    made = reduction(info, height, width)
    scale = [resize / binning for resize, binning in zip(made.resize, made.binning, strict=True)]
    return Intrinsics(
        fx=float(fx * scale[0]),
        fy=float(fy * scale[1]),
        cx=float((cx - made.offset[0]) * scale[0]),
        cy=float((cy - made.offset[1]) * scale[1]),
    )


def distortion(info, is_rectified: bool = False) -> Distortion | None:
    """The distortion of an image, None where there is none. Raises DistortionError for a model that is not known."""
    if is_rectified or not any(info.d):
        return None
    return Distortion(info.distortion_model, tuple(float(value) for value in info.d))
