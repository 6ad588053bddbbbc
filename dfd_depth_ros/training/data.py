"""Training data without end: pairs of pictures of one made-up scene through two settings of one lens.

A pair is named by (seed, index) alone, so workers, resumes and machines agree on it.
"""

import itertools
import sys
from collections import deque
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.data import Dataset, IterableDataset, get_worker_info

from dfd_depth_ros.networks.depth import lens_state
from dfd_depth_ros.optics.aperture import Aperture, cats_eye, matched, polygon
from dfd_depth_ros.optics.formation import form_surfaces
from dfd_depth_ros.optics.psf import power, spherical
from dfd_depth_ros.optics.sensor import MOTION_SHARE, random_sensor
from dfd_depth_ros.scenes.cutouts import Cutouts
from dfd_depth_ros.scenes.furnished import Furnished
from dfd_depth_ros.scenes.procedural import Scenes, random_lens
from dfd_depth_ros.scenes.windows import Mixed, Sprinkled, Windows

MARGIN = 16  # pixels around the crop that blur may reach into
FRINGE_PX = 0.4  # largest longitudinal chromatic aberration, pixels of CoC between green and red
EXPONENTS = np.geomspace(2, 32, 17)  # of the PSF: from Gaussian to disc


@dataclass(frozen=True)
class Batch:
    """image: (N, 3, H, W) 0..1 gamma-encoded. coc: (N, 1, H, W) signed pixels. lens: (N, 5), see
    `networks.depth.lens_state`. Rows 2i and 2i + 1 show one scene."""

    image: torch.Tensor
    coc: torch.Tensor
    lens: torch.Tensor

    def to(self, device) -> 'Batch':
        """The same batch on a device."""
        return Batch(self.image.to(device), self.coc.to(device), self.lens.to(device))


@dataclass(frozen=True)
class Source:
    """What pictures are made of. photographs: folder of pictures to paint with; empty: those that scikit-image ships.
    rgbd: frames folders with `aif` and `depth`. models: folder of furniture, see `scenes.models`. Made-up scenes, RGB-D
    pictures and furnished rooms come by turns, one as often as another. fringe: whether colours focus apart. motion:
    share of the pictures that motion smears. fixed: share of lenses of fixed focus, see `random_lens`. cutouts: share
    of scenes that are cutouts (`scenes.cutouts`), 0 to 1."""

    photographs: str = ''
    rgbd: tuple[str, ...] = ()
    models: str = ''
    fringe: bool = True
    motion: float = MOTION_SHARE
    fixed: float = 0.0
    cutouts: float = 0.0

    def scenes(self, size: tuple[int, int], seed: int):
        """`scenes[i]` for every i, with their `seed`."""
        kinds: list = [Scenes(size, seed, self.photographs)]
        kinds += [Windows(self.rgbd, size, seed)] if self.rgbd else []
        kinds += [Furnished(size, self.models, seed, self.photographs)] if self.models else []
        scenes = Mixed(tuple(kinds)) if len(kinds) > 1 else kinds[0]
        return Sprinkled(scenes, Cutouts(size, seed, self.photographs), self.cutouts) if self.cutouts else scenes


MADE_UP = Source()


class Pairs(Dataset):
    """`pairs[i]`: linear light (2, 3, size, size) half floats, signed CoC (2, 1, size, size) and lens (2, 5).
    Pictures are still without a sensor: `expose` gives them one, another each time."""

    def __init__(self, size: int, seed: int, length: int, first: int = 0, source: Source = MADE_UP):
        self.scenes = source.scenes((size + 2 * MARGIN,) * 2, seed)
        self.length, self.first, self.fringe, self.fixed = length, first, source.fringe, source.fixed

    def __len__(self):
        return self.length

    def __getitem__(self, index: int):
        if not 0 <= index < self.length:
            raise IndexError(index)
        index += self.first
        rng = np.random.default_rng([self.scenes.seed, 3, index])
        scene = self.scenes[index]
        otf = _random_psf(rng)
        shift = tuple(self.fringe * coc for coc in _random_fringe(rng))
        first = random_lens(rng, scene, fixed=self.fixed)
        lenses = (first, random_lens(rng, scene, first.focal_length_m, self.fixed))
        light = [_crop(form_surfaces(scene.surfaces, lens, 0.75, otf, shift)) for lens in lenses]
        coc = [_crop(lens.coc(scene.inverse_depth))[None] for lens in lenses]
        x, y = (place - MARGIN for place in scene.centre)
        height, width = coc[0].shape[-2:]
        state = torch.tensor([lens_state(lens, height, width, (x, y)) for lens in lenses], dtype=torch.float32)
        return torch.stack(light).half(), torch.stack(coc), state


def expose(pairs: list, rng: np.random.Generator, motion: float = MOTION_SHARE) -> Batch:
    """Photograph pairs, each with one random sensor, some mirrored, a few in black and white, a share of them smeared
    by motion, which is no blur of the lens: the CoC stays what it was."""
    images, cocs, lenses = [], [], []
    for light, coc, lens in pairs:
        sensor, flip, grey = random_sensor(rng, motion), rng.random() < 0.5, rng.random() < 0.08
        for picture, blur in zip(light.float(), coc, strict=True):
            image = torch.from_numpy(sensor.expose(picture.permute(1, 2, 0).numpy(), rng)).permute(2, 0, 1) / 255.0
            image = image.mean(0, keepdim=True).expand(3, -1, -1) if grey else image
            images.append(image.flip(-1) if flip else image)
            cocs.append(blur.flip(-1) if flip else blur)
        lenses.append(_mirrored(lens, coc.shape[-1]) if flip else lens)
    return Batch(torch.stack(images), torch.stack(cocs), torch.cat(lenses))


class Batches(IterableDataset):
    """Batches without end from step `first` on, made in the processes of a DataLoader (batch_size=None).

    Scenes cost more than steps: of the `count` pairs of a batch `fresh` are new, and the others come from a memory of
    the last `capacity`. All get a new sensor.
    """

    def __init__(
        self, size: int, seed: int, count: int, fresh: int, capacity: int, first: int = 0, source: Source = MADE_UP
    ):
        self.size, self.seed, self.count, self.fresh = size, seed, count, fresh
        self.capacity, self.first, self.source = capacity, first, source

    def __iter__(self):
        worker = get_worker_info()
        number, workers = (worker.id, worker.num_workers) if worker else (0, 1)
        pairs = Pairs(self.size, self.seed, sys.maxsize, source=self.source)
        kept: deque = deque(maxlen=max(1, self.capacity // workers))
        for step in itertools.count(self.first + number, workers):
            rng = np.random.default_rng([self.seed, 4, step])
            new = [pairs[step * self.fresh + i] for i in range(self.fresh)]
            kept.extend(new)
            again = rng.integers(len(kept), size=self.count - self.fresh)
            yield expose(new + [kept[i] for i in again], rng, self.source.motion)


def _mirrored(lens, width):
    """The lens of a picture that is turned left to right."""
    lens = lens.clone()
    lens[:, 3] = width - 1 - lens[:, 3]
    return lens


def _random_psf(rng):
    """Mostly a disc with edges more or less soft; else spherical aberration, an iris of blades or a cat's eye."""
    kind = rng.choice(4, p=(0.8, 0.1, 0.05, 0.05))
    if kind == 0:
        return power(rng.choice(EXPONENTS))
    if kind == 1:
        return spherical(rng.uniform(-0.6, 0.6))
    turn = rng.uniform(0, 2 * np.pi)
    mask = polygon(int(rng.integers(5, 10)), turn) if kind == 2 else cats_eye(rng.uniform(0.1, 0.5), turn)
    return Aperture(mask.float(), matched(mask))


def _random_fringe(rng):
    """CoC added to red, green and blue. Nearly every lens focuses green nearest, so red and blue are blurred less than
    green behind focus (green fringes) and more in front of it (purple ones); Smith, "Modern Optical Engineering"."""
    if rng.random() > 0.5:
        return (0.0, 0.0, 0.0)
    red = rng.uniform(0, FRINGE_PX) * rng.choice([-1, 1], p=[0.9, 0.1])
    return (red, 0.0, red * rng.uniform(-0.2, 1.2))


def _crop(image):
    return image[..., MARGIN:-MARGIN, MARGIN:-MARGIN]
