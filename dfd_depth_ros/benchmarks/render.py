"""Suite `render`: how truly the renderers draw what a lens sees, and how fast, forward and backward."""

import time

import numpy as np
import torch
from tqdm import tqdm

from dfd_depth_ros.optics.raytrace import gather, psnr
from dfd_depth_ros.splatting import cuda
from dfd_depth_ros.splatting.gaussians import to_gaussians
from dfd_depth_ros.splatting.renderer import Picture, Renderer, View
from dfd_depth_ros.splatting.splat import RENDERERS, make_renderer

WIDTH, HEIGHT, MARGIN = 120, 96, 16  # pixels; the renderers are given a margin that is not compared
GAIN = 10.0  # pixel * metre: up to 8 pixels of CoC
FOCAL = 200.0  # pixels
REPEATS = 15


def run(device: str | torch.device, sizes=((96, 72), (160, 120)), repeats: int = REPEATS) -> dict:
    """Measure every renderer that this machine can run on `device`; sizes are (width, height), with 320x240 added on
    CUDA. Returns for each `psnr_db` by scene against the ray-traced lens and `times`: size, `ms` of a forward and
    backward pass (median) and, for splats, `gaussians`; and in `skipped` why one was not measured."""
    device = torch.device(device)
    sizes = [*sizes, (320, 240)] if device.type == 'cuda' else sizes
    reason = cuda.missing() if device.type == 'cuda' else 'renderer gsplat needs CUDA, and another device was asked for'
    skipped = {'gsplat': reason} if reason else {}
    names = [name for name in RENDERERS if name not in skipped]
    numbers = {}
    for name in tqdm(names, desc='render', unit='renderer'):
        renderer = make_renderer(name)
        quality = {scene: round(score(renderer, scene, device), 2) for scene in SCENES}
        times = [time_ms(renderer, size, device, repeats) for size in sizes]
        if name == 'layered':
            times = [{key: value for key, value in row.items() if key != 'gaussians'} for row in times]
        numbers[name] = {'psnr_db': quality, 'times': times}
    return {'renderers': numbers, 'skipped': skipped}


def score(renderer: Renderer, scene: str, device='cpu') -> float:
    """PSNR in dB of a scene of `SCENES` drawn from its sharp picture with depth, against the ray-traced lens."""
    picture, view, truth = drawn(scene, device)
    seen = renderer([picture], view).colour[:, MARGIN:-MARGIN, MARGIN:-MARGIN]
    return psnr(seen.permute(1, 2, 0).detach().cpu().numpy(), truth)


def drawn(scene: str, device='cpu') -> tuple[Picture, View, np.ndarray]:
    """A scene as a sharp picture with depth and as a view through its lens from the same place, both with margins, and
    what the lens sees of it (HEIGHT, WIDTH, 3)."""
    focus, surfaces = SCENES[scene]
    blurred = [
        (colour, alpha, lambda x, y, depth=depth: GAIN * (focus - depth(x, y))) for colour, alpha, depth in surfaces
    ]
    truth = gather(blurred, HEIGHT, WIDTH)
    y, x = np.mgrid[-MARGIN : HEIGHT + MARGIN, -MARGIN : WIDTH + MARGIN].astype(np.float64)
    light, inverse_depth = np.zeros((*x.shape, 3)), np.zeros_like(x)
    for colour, alpha, depth in reversed(surfaces):
        there = alpha(x, y) > 0.5
        light = np.where(there[..., None], colour(x, y), light)
        inverse_depth = np.where(there, depth(x, y), inverse_depth)
    sharp, inverse = (torch.from_numpy(a).to(device, torch.float32) for a in (light, inverse_depth))
    centre = [(length - 1) / 2 for length in reversed(x.shape)]
    lens = torch.tensor([GAIN, focus, FOCAL, *centre], device=device)
    pose = torch.eye(4, device=device)
    return Picture(sharp.permute(2, 0, 1), inverse[None], lens, pose), View(lens, pose, x.shape), truth


def time_ms(renderer: Renderer, size: tuple[int, int], device: torch.device, repeats: int = REPEATS) -> dict:
    """Median time of a forward and backward pass over a slanted plane of (width, height), blurred up to 6 pixels, with
    gradients to depth, lens and psf_scale."""
    width, height = size
    generator = torch.Generator().manual_seed(0)
    light = torch.rand(3, height, width, generator=generator).to(device)
    depth = torch.linspace(0.2, 1.2, width, device=device).repeat(1, height, 1).requires_grad_()
    lens = torch.tensor([8.0, 0.6, FOCAL, (width - 1) / 2, (height - 1) / 2], device=device, requires_grad=True)
    scale = torch.ones((), device=device, requires_grad=True)
    pose = torch.eye(4, device=device)
    picture, view = Picture(light, depth, lens.detach(), pose), View(lens, pose, (height, width), scale)
    times = []
    for _ in range(2 + repeats):
        start = time.perf_counter()
        renderer([picture], view).colour.square().sum().backward()
        if device.type == 'cuda':
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - start)
    median = round(1000 * float(np.median(times[2:])), 2)
    return {'size': list(size), 'ms': median, 'gaussians': len(to_gaussians([picture], view))}


def _waves(phase):
    """A smooth colour pattern, a function of pixel position, with periods of 5 to 40 pixels."""

    def colour(x, y):
        slow = np.sin(0.25 * x - 0.6 * y)
        channels = [np.sin(0.9 * x + 0.3 * y + phase), slow, np.sin(0.16 * x + 0.16 * y + 2 * phase)]
        return 0.5 + 0.2 * np.stack(channels, -1) + 0.15 * slow[..., None]

    return colour


def _everywhere(x, y):
    return np.ones_like(x)


def _right_half(x, y):
    return (x > WIDTH / 2).astype(float)


def _slant(x, y):
    return 0.5 + 0.002 * (x - WIDTH / 2) + 0.001 * (y - HEIGHT / 2)


def _near(x, y):
    return np.full_like(x, 1.0)


def _wall(x, y):
    return 0.25 + 0.0005 * x


_PLANE = [(_waves(0), _everywhere, _slant)]
_OCCLUDER = [(_waves(1), _right_half, _near), (_waves(0), _everywhere, _wall)]
# Focus in 1/m, and surfaces from front to back: colour, alpha and inverse depth (1/m) as functions of x, y in pixels.
SCENES = {
    'slanted, focus before it': (1.0, _PLANE),
    'slanted, focus in it': (0.5, _PLANE),
    'slanted, focus behind it': (0.25, _PLANE),
    'occluder in focus': (1.0, _OCCLUDER),
    'occluder blurred': (0.25, _OCCLUDER),
}
