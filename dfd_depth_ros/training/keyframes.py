"""The keyframes that online learning remembers: few, unlike each other, some of them never trained on."""

import math
from dataclasses import dataclass, field

import cv2
import numpy as np
import torch

from dfd_depth_ros.networks.depth import lens_state
from dfd_depth_ros.optics.lens import Lens
from dfd_depth_ros.scenes.frame import Intrinsics

THUMBNAIL = (32, 24)
NEW_BLUR_PX, NEW_STOPS, NEW_PARALLAX_PX, NEW_TURN_PX, NEW_CONTENT = 0.35, 0.25, 3.0, 30.0, 0.04
SAME_CONTENT = 0.08  # mean difference of thumbnails under which two pictures without poses show one scene
APART = 0.25  # of the width of the picture, a shift beyond which two pictures have too little in common


@dataclass(frozen=True, eq=False)
class Keyframe:
    """image: (3, H, W) gamma-encoded in 0..1. told: Lens, as the camera says. lens: (5,) its state. pose: (4, 4)
    camera-to-world, or None. thumbnail: (24, 32) grey. stamp: seconds. reading: `Reading` of the accepted weights,
    filled when it is needed."""

    image: torch.Tensor
    told: Lens
    lens: torch.Tensor
    pose: torch.Tensor | None
    thumbnail: np.ndarray
    stamp: float
    reading: dict = field(default_factory=dict)


def to_keyframe(
    image: np.ndarray,
    lens: Lens,
    stamp: float,
    pose: np.ndarray | None = None,
    camera: Intrinsics | None = None,
    device: str = 'cpu',
) -> Keyframe:
    """A keyframe of an (H, W, 3) uint8 RGB picture, its tensors on a device; `camera` gives the principal point and,
    where it is known, fx."""
    height, width = image.shape[:2]
    state = lens_state(lens, height, width, (camera.cx, camera.cy) if camera else None)
    if camera:
        state[2] = camera.fx
    grey = cv2.resize(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), THUMBNAIL, interpolation=cv2.INTER_AREA)
    return Keyframe(
        torch.tensor(np.ascontiguousarray(image), device=device).permute(2, 0, 1).float() / 255,
        lens,
        torch.tensor(state, dtype=torch.float32, device=device),
        None if pose is None else torch.tensor(np.asarray(pose), dtype=torch.float32, device=device),
        grey.astype(np.float32) / 255,
        stamp,
    )


def difference(one: Keyframe, other: Keyframe) -> float:
    """How unlike two keyframes are: the largest of the changes in focus (as CoC), aperture, place and direction (as
    shift of what is in focus) and content, each in units of what makes a keyframe new."""
    gain, focus, _ = one.lens[:3].tolist()
    shift, turn = _shift(one, other)
    return max(
        gain * abs(focus - float(other.lens[1])) / NEW_BLUR_PX,
        abs(math.log2(one.told.f_number / other.told.f_number)) / NEW_STOPS,
        float(abs(one.thumbnail - other.thumbnail).mean()) / NEW_CONTENT,
        shift / NEW_PARALLAX_PX,
        turn / NEW_TURN_PX,
    )


def paired(one: Keyframe, other: Keyframe) -> bool:
    """Whether two keyframes can teach each other: of one size and one side of focus, not alike, and either with poses
    near each other or of one still scene."""
    if one is other or one.image.shape != other.image.shape or one.told.side != other.told.side:
        return False
    if difference(one, other) < 1:
        return False
    if one.pose is None or other.pose is None:
        return float(abs(one.thumbnail - other.thumbnail).mean()) < SAME_CONTENT
    return max(_shift(one, other)) < APART * one.image.shape[-1]


def _shift(one, other) -> tuple[float, float]:
    """Pixels by which what is in focus moves from one pose to the other through translation and through rotation."""
    if one.pose is None or other.pose is None:
        return 0.0, 0.0
    _, focus, fx = one.lens[:3].tolist()
    moved, turned = (float((one.pose[:3, column] - other.pose[:3, column]).norm()) for column in (3, 2))
    return fx * moved * max(focus, 0.1), fx * turned


class Keyframes:
    """At most `capacity` keyframes for training and a third of that for the gate: of six, two that follow each other.
    A frame is kept where it is unlike all of them. When training frames are full, one of the older half leaves by lot,
    so that the past is replayed beside the present; of the held-out frames, too. `training_pairs` and `held_out_pairs`
    are all ordered pairs that can teach each other."""

    def __init__(self, capacity: int = 24, seed: int = 0):
        if capacity < 6:
            raise ValueError(f'capacity of {capacity} keyframes is too small; it must be at least 6')
        self.capacity = capacity
        self._random = np.random.default_rng(seed)
        self.forget()

    def add(self, frame: Keyframe) -> bool:
        """Keep the frame where it is new. Returns whether it was."""
        if any(difference(frame, known) < 1 for known in (*self.training, *self.held_out)):
            return False
        if self.kept % 6 > 3:
            self._keep(frame, self.held_out, self.held_out_pairs, self.capacity // 3)
        else:
            self._keep(frame, self.training, self.training_pairs, self.capacity)
        self.kept += 1
        return True

    def _keep(self, frame, frames, pairs, room):
        if len(frames) == room:
            gone = frames.pop(self._random.integers(room // 2))
            pairs[:] = [pair for pair in pairs if gone not in pair]
        pairs += [pair for known in frames for pair in ((known, frame), (frame, known)) if paired(*pair)]
        frames.append(frame)

    def forget(self):
        """Begin anew."""
        self.training: list[Keyframe] = []
        self.held_out: list[Keyframe] = []
        self.training_pairs: list[tuple[Keyframe, Keyframe]] = []
        self.held_out_pairs: list[tuple[Keyframe, Keyframe]] = []
        self.kept = 0
