"""A moving, refocusing camera over an RGB-D photograph: defocused video with exact ground truth.

The camera sways sideways on a closed curve and its focus breathes, both periodic, so the frames form a seamless loop.
Sideways motion keeps Z, so each new view is one backward warp of the photograph, and its picture and its true depth are
read through the same map. Defocus is rendered afterwards, from the new view.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch

from dfd_depth_ros.optics.formation import render_rgbd
from dfd_depth_ros.optics.lens import Lens
from dfd_depth_ros.optics.sensor import Sensor
from dfd_depth_ros.optics.tone import from_srgb, to_srgb
from dfd_depth_ros.scenes.frame import Frame, Intrinsics
from dfd_depth_ros.scenes.motorcycle import load_motorcycle
from dfd_depth_ros.scenes.procedural import FARTHEST, random_lens, random_scene
from dfd_depth_ros.scenes.textures import SIZE, dead_leaves, random_texture

MILD_NOISE = Sensor(shot_noise=1e-4, read_noise=1e-3)
SCENES = ('motorcycle', 'procedural', 'board')
BOARD_M = 1.99  # where the board stands that Isaac's stereo node is accepted with
PARALLAX_PX = 12.0  # of the nearest point of a procedural scene, at the ends of the sway
TEXTURES = 12  # painted for a procedural scene
PLANE_PX = 1.0  # of CoC between the planes that defocus is rendered with
STEP_PX = 0.5  # the search for the nearest surface moves by this much parallax at a time


@dataclass(frozen=True)
class Motion:
    """One period of the camera. sway_m: amplitude sideways and up in metres. focus_m: nearest and farthest focus
    distance in metres; the focus moves evenly in dioptres."""

    sway_m: tuple[float, float] = (0.03, 0.008)
    focus_m: tuple[float, float] = (1.8, 2.2)

    def position(self, phase: float) -> np.ndarray:
        """Camera centre (3,) in metres at a phase in [0, 1): a flat figure of eight around the photograph's camera."""
        turn = 2 * math.pi * phase
        return np.array([self.sway_m[0] * math.sin(turn), self.sway_m[1] * math.sin(2 * turn), 0.0])

    def focus_dioptre(self, phase: float) -> float:
        """Focus in dioptres at a phase in [0, 1)."""
        near, far = (1 / distance for distance in self.focus_m)
        return (near + far) / 2 + (near - far) / 2 * math.cos(2 * math.pi * phase)


def film_set(
    name: str, lens: Lens, size: tuple[int, int], seed: int = 0, board_m: float = BOARD_M
) -> tuple[Frame, Lens, Motion]:
    """Scene, lens and motion to be filmed. 'motorcycle' is filmed with the given lens. 'procedural' is a made-up room,
    another one for each seed; only the focal length is taken from `lens`, aperture and focus are drawn to suit it.
    'board' is a textured board at `board_m` metres, filmed with the given lens, whose focus stays."""
    if name == 'motorcycle':
        return load_motorcycle(), lens, Motion()
    if name == 'board':
        return board(lens, size, seed, board_m), lens, Motion(focus_m=(lens.focus_distance_m,) * 2)
    if name != 'procedural':
        raise ValueError(f'scene is {name!r}; it must be one of {", ".join(SCENES)}')
    width, height = (side + 8 * int(PARALLAX_PX) for side in size)
    rng = np.random.default_rng(seed)
    room = random_scene(rng, (height, width), [random_texture(rng) for _ in range(TEXTURES)])
    lens = random_lens(rng, room, lens.focal_length_m)
    focus, sway = max(lens.focus_dioptre, FARTHEST), PARALLAX_PX / (room.fx * float(room.inverse_depth.max()))
    light = room.surfaces[0].colour
    for surface in room.surfaces[1:]:
        light = light * (1 - surface.alpha) + surface.colour * surface.alpha
    scene = Frame(
        f'procedural {seed}',
        aif=(to_srgb(light.clamp(0, 1)) * 255).round().byte().permute(1, 2, 0).contiguous().numpy(),
        depth=(1 / room.inverse_depth).numpy(),
        intrinsics=Intrinsics(room.fx, room.fx, (width - 1) / 2, (height - 1) / 2),
    )
    return scene, lens, Motion((sway, sway / 4), (1 / (1.1 * focus), 1 / (0.9 * focus)))


def board(lens: Lens, size: tuple[int, int], seed: int = 0, distance_m: float = BOARD_M) -> Frame:
    """RGB-D frame of a board painted with dead leaves, larger than a picture of (width, height) pixels."""
    width, height = (side + 8 * int(PARALLAX_PX) for side in size)
    rng = np.random.default_rng(seed)
    rows = [[dead_leaves(rng) for _ in range(-(-width // SIZE))] for _ in range(-(-height // SIZE))]
    paint = np.vstack([np.hstack(row) for row in rows])[:height, :width]
    fx = lens.focal_length_m / lens.pixel_pitch_m
    return Frame(
        'board',
        aif=np.ascontiguousarray((paint * 255).round().astype(np.uint8)),
        depth=np.full((height, width), distance_m, np.float32),
        intrinsics=Intrinsics(fx, fx, (width - 1) / 2, (height - 1) / 2),
    )


def true_lens(told: Lens, f_number_error: float = 0.0, focus_error: float = 0.0) -> Lens:
    """What a lens really does that is not as it is told: its f-number and its focus distance are larger by these shares
    than `told` says. Raises LensError where that is no lens."""
    return replace(
        told, f_number=told.f_number * (1 + f_number_error), focus_dioptre=told.focus_dioptre / (1 + focus_error)
    )


def camera_loop(
    scene: Frame,
    lens: Lens,
    frames: int = 30,
    size: tuple[int, int] = (640, 480),
    motion: Motion | None = None,
    sensor: Sensor = MILD_NOISE,
    seed: int = 0,
    f_number_error: float = 0.0,
    focus_error: float = 0.0,
) -> Iterator[Frame]:
    """Render one seamless period of the camera, frame by frame (half a second each at 640x480 on one core).

    scene: RGB-D source with `aif`, `depth` known everywhere, and `intrinsics`. lens: all but its focus, which `motion`
    moves. size: (width, height) of the frames, cut from the middle of the scene. Frames carry image, aif, depth, coc,
    lens, intrinsics and camera-to-world pose. With an error (see `true_lens`) pictures and CoC are those of the true
    lens, while frames carry the lens as it is told. Raises ValueError where the scene lacks what is needed.
    """
    _check(scene, frames)
    motion = motion or Motion()
    rng = np.random.default_rng(seed)
    for index in range(frames):
        phase = index / frames
        told = replace(lens, focus_dioptre=motion.focus_dioptre(phase))
        focused = true_lens(told, f_number_error, focus_error)
        coc = focused.coc(1 / np.array([scene.depth.min(), scene.depth.max()]))
        view = moved_view(scene, motion.position(phase), size, margin=math.ceil(abs(coc).max() / 2) + 1)
        blurred = render_rgbd(view.aif, 1 / view.depth, focused, planes=math.ceil(np.ptp(coc) / PLANE_PX) + 1)
        light = from_srgb(torch.from_numpy(blurred) / 255).numpy()
        yield replace(_trimmed(view, sensor.expose(light, rng), focused, size), lens=told)


def moved_view(scene: Frame, position: np.ndarray, size: tuple[int, int], margin: int = 0) -> Frame:
    """What a pinhole camera at `position` (3,) metres, not turned, sees of the scene: aif, depth, intrinsics, pose.

    size: (width, height), cut from the middle of the scene and widened by `margin` pixels on each side; beyond the
    photograph its border is repeated. Surfaces hide one another; what the photograph did not see is stretched over.
    """
    width, height = size[0] + 2 * margin, size[1] + 2 * margin
    rows, columns = scene.depth.shape
    left, top = (columns - width) // 2, (rows - height) // 2
    x, y = np.meshgrid(np.arange(left, left + width, dtype=np.float32), np.arange(top, top + height, dtype=np.float32))
    inverse_depth = (1 / scene.depth).astype(np.float32)
    parallax = (scene.intrinsics.fx * position[0], scene.intrinsics.fy * position[1])
    x, y = _seen_at(inverse_depth, x, y, parallax)
    pose = np.eye(4)
    pose[:3, 3] = position
    return Frame(
        name=scene.name,
        aif=cv2.remap(scene.aif, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE),
        depth=1 / _sample(inverse_depth, x, y),
        intrinsics=replace(scene.intrinsics, cx=scene.intrinsics.cx - left, cy=scene.intrinsics.cy - top),
        pose=pose,
        sequence=scene.name,
    )


def _seen_at(inverse_depth, x, y, parallax):
    """Where in the photograph the moved camera's pixels (x, y) look: the nearest q with q = Q(x + parallax * q), Q the
    photograph's inverse depth. Marches from near to far and refines the first crossing by one secant step."""
    near, far = float(inverse_depth.max()), float(inverse_depth.min())
    steps = max(1, math.ceil(math.hypot(*parallax) * (near - far) / STEP_PX))
    step = (near - far) / steps
    excess = _sample(inverse_depth, x + parallax[0] * near, y + parallax[1] * near) - near
    found = np.where(excess >= 0, np.float32(near), np.float32(np.nan))
    for q in np.linspace(near, far, steps + 1, dtype=np.float32)[1:]:
        before, excess = excess, _sample(inverse_depth, x + parallax[0] * q, y + parallax[1] * q) - q
        crossed = np.isnan(found) & (excess >= 0)
        found[crossed] = q + step * (excess / np.maximum(excess - before, 1e-12))[crossed]
    q = np.where(np.isnan(found), np.float32(far), found)
    return x + np.float32(parallax[0]) * q, y + np.float32(parallax[1]) * q


def _sample(field, x, y):
    x, y = x.astype(np.float32), y.astype(np.float32)
    return cv2.remap(field, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _trimmed(view: Frame, image, lens: Lens, size) -> Frame:
    """The middle of a view that was rendered with a margin, with its lens and true CoC."""
    margin = (image.shape[1] - size[0]) // 2
    inside = np.s_[margin : margin + size[1], margin : margin + size[0]]
    depth = np.ascontiguousarray(view.depth[inside])
    return replace(
        view,
        image=np.ascontiguousarray(image[inside]),
        aif=np.ascontiguousarray(view.aif[inside]),
        depth=depth,
        coc=lens.coc(1 / depth).astype(np.float32),
        lens=lens,
        intrinsics=Intrinsics(
            view.intrinsics.fx, view.intrinsics.fy, view.intrinsics.cx - margin, view.intrinsics.cy - margin
        ),
    )


def _check(scene: Frame, frames: int):
    if frames < 1:
        raise ValueError(f'a camera loop of {frames} frames was asked for; it needs at least one')
    missing = [name for name in ('aif', 'depth', 'intrinsics') if getattr(scene, name) is None]
    if missing:
        raise ValueError(f'scene {scene.name} has no {", ".join(missing)}; a moving camera needs all of them')
    if not (np.isfinite(scene.depth) & (scene.depth > 0)).all():
        raise ValueError(f'scene {scene.name} has pixels without depth; a moving camera needs depth everywhere')
