"""Clips of made-up rooms: a camera that moves and turns, things that move by themselves, focus that is pulled.

Each surface of a scene is known in full, also where something hides it, so it can be seen from a moved camera on its
own: every pixel of the new view looks for the point of the surface that lands there. The moved surfaces are then
defocused like any others, which lets a blurred edge uncover the true background.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch

from dfd_depth_ros.optics.formation import Surface, form_surfaces
from dfd_depth_ros.optics.lens import Lens
from dfd_depth_ros.optics.sensor import random_sensor
from dfd_depth_ros.scenes.frame import Frame, Intrinsics
from dfd_depth_ros.scenes.procedural import FARTHEST, NEAREST, Scene, Scenes, random_lens

MARGIN = 32  # pixels around a clip that blur and motion may reach into
FPS = 15.0
STILL, MOVES_ITSELF, REFOCUSED = 0.1, 0.4, 0.35  # shares of clips: camera at rest, a thing that moves, focus pulled
SEARCH = 8  # steps in which a pixel finds its point


@dataclass(frozen=True)
class Course:
    """What moves from one frame to the next. turn: (3,) axis times angle in radians and shift: (3,) metres of the
    camera. thing: number of the surface that moves by itself, 0 for none, and drift: (3,) its metres. focus: change of
    focus in dioptres."""

    turn: np.ndarray
    shift: np.ndarray
    thing: int
    drift: np.ndarray
    focus: float


class Clips:
    """An endless supply: `clips[i]` is the same list of frames for the same seed, size and i.

    size: (H, W) in pixels. frames: of a clip. Frames carry image, depth, coc, lens, intrinsics, pose, stamp, sequence.
    """

    def __init__(self, size: tuple[int, int], frames: int, seed: int = 0):
        height, width = size
        self.scenes, self.frames = Scenes((height + 2 * MARGIN, width + 2 * MARGIN), seed), frames

    def __getitem__(self, index: int) -> list[Frame]:
        rng = np.random.default_rng([self.scenes.seed, 6, index])
        scene = self.scenes[index]
        return film(scene, random_lens(rng, scene), random_course(rng, scene), self.frames, rng, f'clip {index}')


def random_course(rng: np.random.Generator, scene: Scene) -> Course:
    """A course on which near things move by one to five pixels a frame."""
    metres = 1 / (scene.fx * float(np.quantile(scene.inverse_depth[::4, ::4], 0.9)))  # that one near pixel takes
    moves = rng.random() >= STILL
    shift = rng.normal(size=3) * (1, 0.5, 1.5)
    shift *= moves * metres * 2 ** rng.uniform(0, 2.3) / np.linalg.norm(shift)
    turn = moves * rng.normal(0, 1.0, 3) * (1, 1, 0.3) / scene.fx  # about a pixel
    itself = len(scene.surfaces) > 1 and rng.random() < MOVES_ITSELF
    thing = int(rng.integers(1, len(scene.surfaces))) if itself else 0
    near, far = np.quantile(scene.inverse_depth[::4, ::4], (0.99, 0.01))
    focus = rng.uniform(-0.08, 0.08) * (near - far) if rng.random() < REFOCUSED else 0.0
    return Course(turn, shift, thing, rng.normal(size=3) * metres * 2, float(focus))


def film(scene: Scene, lens: Lens, course: Course, frames: int, rng: np.random.Generator, name: str) -> list[Frame]:
    """Film a course through one sensor; the scene as it is stands in the middle of the clip. lens: in the middle."""
    sensor = random_sensor(rng)
    things = [0 < course.thing == index for index in range(len(scene.surfaces))]
    taken = []
    for number in range(frames):
        when = number - (frames - 1) / 2
        pose = _pose(when * course.turn, when * course.shift)
        surfaces = [
            moved_surface(surface, scene.fx, scene.centre, _seen_by(pose, when * course.drift * moves))
            for surface, moves in zip(scene.surfaces, things, strict=True)
        ]
        focus = min(max(lens.focus_dioptre + when * course.focus, 0.0), 0.5 / lens.focal_length_m)
        focused = replace(lens, focus_dioptre=focus)
        light = _inner(form_surfaces(surfaces, focused, 1.0)).permute(1, 2, 0).numpy()
        inverse = _inner(visible(surfaces)).numpy()
        centre = (place - MARGIN for place in scene.centre)
        taken.append(
            Frame(
                f'{name} frame {number}',
                image=sensor.expose(light, rng),
                lens=focused,
                depth=1 / inverse,
                coc=focused.coc(inverse),
                intrinsics=Intrinsics(scene.fx, scene.fx, *centre),
                pose=pose,
                stamp=number / FPS,
                sequence=name,
            )
        )
    return taken


def moved_surface(surface: Surface, fx: float, centre: tuple[float, float], motion: np.ndarray) -> Surface:
    """A surface as a moved camera sees it, of the same size. motion: (4, 4) from the old camera's axes to the new's.

    Looks for the source of each pixel by repeated correction, which settles where depth changes slowly over as many
    pixels as the surface moves and nothing doubles its size.
    """
    colour, alpha = surface.colour.permute(1, 2, 0).numpy(), surface.alpha.numpy()
    inverse = surface.inverse_depth.numpy()
    height, width = inverse.shape
    goal = np.stack(np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)))
    place = goal
    for _ in range(SEARCH):
        landed, _ = _landed(place, _read(inverse, place), fx, centre, motion)
        place = place + (goal - landed)
    q = _read(inverse, place)
    nearer = q / _landed(place, q, fx, centre, motion)[1]
    return Surface(
        torch.from_numpy(_read(colour, place, cv2.INTER_CUBIC)).permute(2, 0, 1).clamp(min=0).contiguous(),
        torch.from_numpy(_read(alpha, place)),
        torch.from_numpy(np.where(nearer > 0, nearer, NEAREST).clip(FARTHEST, NEAREST).astype(np.float32)),
    )


def visible(surfaces: list[Surface]) -> torch.Tensor:
    """Inverse depth (H, W) of the foremost of surfaces that are given from back to front."""
    seen = surfaces[0].inverse_depth
    for surface in surfaces[1:]:
        seen = torch.where(surface.alpha > 0.5, surface.inverse_depth, seen)
    return seen


def _landed(place, inverse, fx, centre, motion):
    """Pixels (2, H, W) at which points seen at `place` appear to the moved camera, and how many times farther."""
    directions = np.stack([(place[0] - centre[0]) / fx, (place[1] - centre[1]) / fx, np.ones_like(place[0])])
    turn, shift = motion[:3, :3].astype(np.float32), motion[:3, 3].astype(np.float32)
    x, y, z = np.einsum('ij,jhw->ihw', turn, directions) + shift[:, None, None] * inverse
    z = np.maximum(z, 1e-3)
    return np.stack([fx * x / z + centre[0], fx * y / z + centre[1]]).astype(np.float32), z


def _read(field, place, how=cv2.INTER_LINEAR):
    x, y = place.astype(np.float32)
    return cv2.remap(field, x, y, how, borderMode=cv2.BORDER_REPLICATE)


def _pose(turn, shift):
    """Camera-to-world (4, 4)."""
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = cv2.Rodrigues(np.asarray(turn, np.float64))[0], shift
    return pose


def _seen_by(pose, drift):
    """Motion (4, 4) from the world's axes to a camera's, of what has drifted by (3,) metres."""
    here = np.eye(4)
    here[:3, 3] = drift
    return np.linalg.inv(pose) @ here


def _inner(field):
    return field[..., MARGIN:-MARGIN, MARGIN:-MARGIN].contiguous()
