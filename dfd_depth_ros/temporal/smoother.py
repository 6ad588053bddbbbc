"""A filter over video: carries its state along with the picture, and knows when the past is over.

The filter works on cells of some pixels, CELLS along a picture; what it changes is brought back to the pixels of the
newest frame, whose edges stay where they are. The past is forgotten after a pause, when time jumps back, when the
picture gets another size or the lens another focal length, aperture, pitch or side, and after a cut: when most of a
picture cannot be found in the one before, as when it goes black. A pixel without a reading holds what the filter knows
of it. A repeated frame is one more frame without motion, whose errors are taken as common.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from dfd_depth_ros.optics.lens import Lens
from dfd_depth_ros.temporal.filters import FILTERS
from dfd_depth_ros.temporal.motion import backward_flow, enlarged, matched, sample
from dfd_depth_ros.temporal.pose import carried
from dfd_depth_ros.temporal.reading import Change, Reading, on_grid

CELLS = 160  # along the longer side of a picture, about: what a filter costs hardly grows with the picture
FOCUS_JUMP_DIOPTRE, PAUSE_S = 0.2, 1.0  # beyond these the past says nothing about the present
SAME_SCENE = 0.4  # share of the picture that must be found in the one before


@dataclass(frozen=True)
class _Past:
    """The frame before, on the grid: grey (h, w) 0..255, |CoC| (h, w) in its pixels, and what the filter remembers."""

    lens: Lens
    stamp: float | None
    place: tuple | None
    size: tuple
    grey: torch.Tensor
    blur: torch.Tensor
    state: torch.Tensor
    focus: float


class Smoother:
    """A temporal filter with its state. name: one of `filters.FILTERS`. Used by one thread at a time."""

    def __init__(self, name: str):
        self._filter = FILTERS[name]
        self.reset()

    def reset(self):
        """Forget earlier frames."""
        self._past = None

    def __call__(self, image: torch.Tensor, lens: Lens, reading: Reading, stamp=None, pose=None, camera=None):
        """Steadier (H, W) inverse depth, sigma in dioptres and far probability. image: (H, W, 3) uint8. stamp: seconds
        or None. pose: (4, 4) camera-to-world, camera: `Intrinsics`, None where they are not known."""
        if self._filter.step is None:
            return reading.inverse_depth, reading.sigma, reading.far
        step = max(1, round(max(image.shape[:2]) / CELLS))
        small, grey = on_grid(reading, step), _grey(image, step)
        past = self._past if self._continues(lens, stamp, image.shape) else None
        blur = torch.nan_to_num(reading.gain / step * (small.inverse_depth - reading.focus).abs())
        place = (pose, camera) if pose is not None and camera is not None else None
        state, change = self._moved(past, lens, small, grey, blur, place, step) if past else (None, None)
        steady = self._filter.step(small, state, change)
        self._past = _Past(lens, stamp, place, image.shape, grey, blur, steady.state, reading.focus)
        return _on_pixels(reading, small, steady, step)

    def _continues(self, lens, stamp, size) -> bool:
        past = self._past
        if past is None or past.size != size:
            return False
        fixed = [(one.focal_length_m, one.f_number, one.pixel_pitch_m, one.side) for one in (past.lens, lens)]
        if fixed[0] != fixed[1]:
            return False
        if abs(past.lens.focus_dioptre - lens.focus_dioptre) > FOCUS_JUMP_DIOPTRE and not self._filter.refocus:
            return False
        return stamp is None or past.stamp is None or 0 <= stamp - past.stamp < PAUSE_S

    def _moved(self, past, lens, small, grey, blur, place, step):
        """The state where the picture is now, and what changed; None, None after a cut."""
        shift = small.gain * (small.focus - past.focus)
        pictures = (grey, past.grey)
        if abs(shift) > 0.5:
            pictures = matched(grey, past.grey, blur, past.blur)
        flow, seen = backward_flow(*pictures)
        if float(seen.float().mean()) < SAME_SCENE:
            return None, None
        state = torch.where(seen, sample(past.state, flow), past.state.new_tensor(torch.nan))
        focal_px = lens.focal_length_m / lens.pixel_pitch_m / step
        if place and past.place:
            depths = carried(state[: self._filter.depths], flow, place, past.place, step)
            state = torch.cat([depths, state[self._filter.depths :]])
        return state, Change(shift, past.focus, flow.norm(dim=0) / focal_px)


def _grey(image: torch.Tensor, step: int) -> torch.Tensor:
    """(H, W, 3) uint8 to (h, w) grey 0..255 on the grid: green, of which a Bayer sensor has most."""
    return F.avg_pool2d(image[..., 1].float()[None, None], step, ceil_mode=True)[0, 0]


def _on_pixels(reading: Reading, small: Reading, steady, step: int):
    """What the filter changed, added to the reading of every pixel; what it holds, where there is no reading."""
    height, width = reading.far.shape

    def large(*fields):
        return [enlarged(field, step)[:height, :width] for field in fields]

    inverse, added, ratio, further = large(
        steady.inverse_depth,
        steady.inverse_depth - small.inverse_depth,
        steady.sigma / small.sigma,
        steady.far - small.far,
    )
    farthest = torch.minimum(reading.inverse_depth, inverse)  # where a cell is near and far at once, sums lead astray
    moved = torch.maximum(reading.inverse_depth + added, farthest)
    fresh = (moved, reading.sigma * ratio, (reading.far + further).clamp(0, 1))
    if bool(moved.sum().isfinite()):
        return fresh
    held = inverse, *large(steady.sigma, steady.far)
    return tuple(torch.where(new.isfinite(), new, old) for new, old in zip(fresh, held, strict=True))
