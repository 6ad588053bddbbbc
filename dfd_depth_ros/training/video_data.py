"""Clips as tensors for training over video, made once and kept in a file, so that all systems see the same ones."""

import os
from dataclasses import dataclass, fields
from pathlib import Path

import torch
from tqdm import tqdm

from dfd_depth_ros.estimation.video import lens_and_camera, read
from dfd_depth_ros.networks.model import DfdModel
from dfd_depth_ros.scenes.clips import Clips
from dfd_depth_ros.scenes.frame import Frame


@dataclass(frozen=True)
class Video:
    """B clips of T frames. image: (B, T, 3, H, W) gamma-encoded, uint8 as kept and 0..1 as `chosen`. inverse_depth:
    (B, T, 1, H, W) 1/m, for checks only: no loss sees it. lens: (B, T, 5) state. pose: (B, T, 4, 4) camera-to-world.
    reading: (B, T, 3, H, W) what the frozen shipped networks read: signed CoC and its sigma in pixels, and the
    probability of lying behind focus."""

    image: torch.Tensor
    inverse_depth: torch.Tensor
    lens: torch.Tensor
    pose: torch.Tensor
    reading: torch.Tensor

    def __len__(self):
        return len(self.image)

    def chosen(self, clips: torch.Tensor, frames: torch.Tensor) -> 'Video':
        """Some clips, with frames in the given order, as floats."""
        parts = {field.name: getattr(self, field.name)[clips][:, frames].float() for field in fields(self)}
        return Video(**parts | {'image': parts['image'] / 255})

    def to(self, device) -> 'Video':
        """The same on a device."""
        return Video(*(getattr(self, field.name).to(device) for field in fields(self)))


def make_video(model: DfdModel, size: tuple[int, int], frames: int, count: int, seed: int) -> Video:
    """The first `count` clips of a seed, read by a model."""
    clips, model = Clips(size, frames, seed), model.eval()
    parts = [_tensors(clips[i], model) for i in tqdm(range(count), desc='clips', unit='clip')]
    return Video(*map(torch.stack, zip(*parts, strict=True)))


def kept_video(path: Path, model: DfdModel, size: tuple[int, int], frames: int, count: int, seed: int) -> Video:
    """`make_video`, from `path` if it was made before. Raises ValueError where the file holds other clips."""
    wanted = {'size': list(size), 'frames': frames, 'count': count, 'seed': seed}
    if path.exists():
        state = torch.load(path, weights_only=True)
        if state['about'] != wanted:
            raise ValueError(f'{path} holds clips of {state["about"]}, not of {wanted}; choose another file')
        return Video(**state['video'])
    video = make_video(model, size, frames, count, seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix('.part')
    torch.save({'about': wanted, 'video': {field.name: getattr(video, field.name) for field in fields(Video)}}, beside)
    os.replace(beside, path)
    return video


def _tensors(frames: list[Frame], model: DfdModel):
    """The five parts of one clip, (T, ...) each."""
    image = torch.stack([torch.from_numpy(frame.image).permute(2, 0, 1) for frame in frames])
    inverse = torch.stack([1 / torch.from_numpy(frame.depth)[None] for frame in frames]).half()
    lens = torch.stack([lens_and_camera(frame.lens, frame.intrinsics, frame.depth.shape) for frame in frames])
    pose = torch.stack([torch.from_numpy(frame.pose).float() for frame in frames])
    return image, inverse, lens, pose, read(model, image.float() / 255, lens).half()
