"""One picture with all that is known about it: the coin that every room of the package trades in."""

from dataclasses import dataclass

import numpy as np

from dfd_depth_ros.optics.lens import Lens


@dataclass(frozen=True)
class Intrinsics:
    """Pinhole camera in pixels of the image as processed."""

    fx: float
    fy: float
    cx: float
    cy: float


@dataclass(frozen=True)
class Frame:
    """A picture and its circumstances; whatever is not known is None.

    name: where it came from, for reports. image: (H, W, 3) uint8 RGB as the camera delivered it (gamma encoded); None
    in an RGB-D source whose defocus is still to be synthesised. lens: its state. depth: (H, W) float32 metres along Z,
    NaN unknown. aif: all-in-focus (H, W, 3) uint8. coc: (H, W) float32 signed pixels. stamp: seconds. pose: (4, 4)
    camera-to-world, optical frame.
    """

    name: str
    image: np.ndarray | None = None
    lens: Lens | None = None
    depth: np.ndarray | None = None
    aif: np.ndarray | None = None
    coc: np.ndarray | None = None
    intrinsics: Intrinsics | None = None
    pose: np.ndarray | None = None
    stamp: float | None = None
    sequence: str = ''
