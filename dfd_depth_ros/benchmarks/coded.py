"""Suite `coded`: which side of focus? An open disc cannot tell; what a coded or a learned aperture makes of it.

A small classifier sees patches of made-up textures, blurred by an unknown amount on an unknown side of focus, and says
the side. It and, where there is one, the mask are trained together through image formation: amplitudes of a grid (Levin
et al., SIGGRAPH 2007; Sellent and Favaro, ICCP 2014) or phases of rings (Wu et al., "PhaseCam3D", ICCP 2019; Ikoma et
al., ICCP 2021). A mask that lets less light through has more noise.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits
from tqdm import tqdm

from dfd_depth_ros.networks.blocks import conv
from dfd_depth_ros.optics.aperture import Aperture, cats_eye
from dfd_depth_ros.optics.psf import OTF, Coded, blur, disc
from dfd_depth_ros.optics.tone import from_srgb, to_srgb
from dfd_depth_ros.optics.wavefront import PUPIL, PhaseMask
from dfd_depth_ros.scenes.textures import SIZE, random_texture

CAMERA = {'f_number': 4.0, 'pixel_pitch_m': 4e-6}  # whose Airy disc is 1.3 pixels wide
COC_PX = (3.0, 8.0)
GRID, RINGS = 8, 8  # cells across an amplitude mask, rings of a phase mask
PATCH, MARGIN = 32, 8
LEVELS, EACH = 8, 4  # CoC of a batch, patches with each
SHOT_NOISE, READ_NOISE = 1e-4, 1e-3
SHOWN_PX = 6.0


@dataclass
class Optics:
    """values: what is learned of the mask, or None. lens: values to what blurs. light: values to the share of the light
    of an open disc that passes. picture: values to the mask (N, N) as it is drawn."""

    lens: Callable[[torch.Tensor | None], OTF | Coded]
    light: Callable = field(default=lambda _: torch.ones(()))
    values: torch.Tensor | None = None
    picture: Callable = field(default=lambda _: _round(torch.ones(PUPIL, PUPIL)))


def all_optics(seed: int = 0) -> dict[str, Optics]:
    """The candidates, by name; learned ones begin near an open disc."""
    generator = torch.Generator().manual_seed(seed)
    eye = cats_eye(0.6).float()
    grid = torch.randn(GRID, GRID, generator=generator) * 0.3 + 1
    rings = torch.randn(RINGS, generator=generator) * 0.5
    return {
        'open disc': Optics(lambda _: disc),
        "cat's eye": Optics(lambda _: Aperture(eye), lambda _: _passed(eye), picture=lambda _: eye),
        'learned amplitude': Optics(lambda x: Aperture(_mask(x)), lambda x: _passed(_mask(x)), grid, _mask),
        'learned phase': Optics(_lens_of, values=rings, picture=_drawn_phase),
    }


def run(steps: int = 300, textures: int = 40, seed: int = 0, figure: Path | None = None) -> dict:
    """Train each of the optics with a classifier of its own, the same patches for all, and count right sides on patches
    of textures that none has seen.

    Returns by name `sign_accuracy`, its standard error `sigma` (of the counting alone) and `light`. figure: PNG file
    for masks, PSFs at either side and results.
    """
    rng = np.random.default_rng(seed)
    learned_from, unseen = (_textures(rng, count) for count in (textures, max(2, textures // 2)))
    rows, found = {}, all_optics(seed)
    for name, optics in tqdm(found.items(), desc='coded', unit='optics'):
        judge = _trained(optics, learned_from, steps, seed)
        rows[name] = _judged(judge, optics, unseen, seed)
    if figure:
        draw(found, rows).savefig(_parent(figure))
    return {'steps': steps, 'coc_px': list(COC_PX), **CAMERA, 'optics': rows}


def patches(optics: Optics, light: torch.Tensor, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Patches as a sensor sees them, (LEVELS * EACH, 1, PATCH, PATCH), and their sides (LEVELS * EACH,): 1 is behind
    focus. light: (T, SIZE, SIZE) grey textures in linear light."""
    side = PATCH + 2 * MARGIN
    places = rng.integers([len(light), SIZE - side, SIZE - side], size=(LEVELS, EACH, 3))
    sharp = torch.stack([light[t, y : y + side, x : x + side] for t, y, x in places.reshape(-1, 3)])
    sign = torch.tensor([1.0, -1.0]).repeat(LEVELS // 2)
    coc = sign * torch.from_numpy(rng.uniform(*COC_PX, LEVELS)).float()
    seen = blur(sharp.view(LEVELS, EACH, side, side), coc[:, None], optics.lens(optics.values))
    seen = seen.flatten(0, 1)[:, None, MARGIN:-MARGIN, MARGIN:-MARGIN].clamp(min=0)
    noise = torch.from_numpy(rng.standard_normal(seen.shape, dtype=np.float32))
    passed = optics.light(optics.values)
    seen = seen + noise * (SHOT_NOISE * seen / passed + (READ_NOISE / passed) ** 2).sqrt()
    return to_srgb(seen.clamp(1e-5, 1)), (sign > 0).float().repeat_interleave(EACH)


def draw(optics: dict[str, Optics], rows: dict) -> Figure:
    """Masks, PSFs in front of focus and behind it, and how often the side was right."""
    figure = Figure(figsize=(2.1 * len(optics), 6.6), layout='constrained', dpi=110)
    grid = figure.subplots(3, len(optics), squeeze=False)
    for column, (name, each) in enumerate(optics.items()):
        row, values = rows[name], each.values
        pictures = [each.picture(values), *(_spread(each.lens(values), coc) for coc in (-SHOWN_PX, SHOWN_PX))]
        for axes, picture, colours in zip(grid[:, column], pictures, ('gray', 'magma', 'magma'), strict=True):
            axes.imshow(picture, cmap='twilight' if 'phase' in name and colours == 'gray' else colours)
            axes.set_xticks([])
            axes.set_yticks([])
        grid[0, column].set_title(name)
        grid[2, column].set_xlabel(f'right side: {row["sign_accuracy"]:.0%}\nlight: {row["light"]:.0%}')
    labels = ('mask', f'PSF, {SHOWN_PX:.0f} px in front', f'PSF, {SHOWN_PX:.0f} px behind')
    for axes, label in zip(grid[:, 0], labels, strict=True):
        axes.set_ylabel(label)
    return figure


def _trained(optics, light, steps, seed):
    """A classifier, trained with the mask; what was learned of that stays in `optics.values`."""
    torch.manual_seed(seed)
    rng = np.random.default_rng([seed, 1])
    judge = nn.Sequential(
        *(conv(1, 16, kernel=5), conv(16, 32, stride=2), conv(32, 48), conv(48, 64, stride=2), conv(64, 64)),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 1)),
    )
    groups = [{'params': list(judge.parameters()), 'lr': 3e-3}]
    if optics.values is not None:
        optics.values.requires_grad_(True)
        groups.append({'params': [optics.values], 'lr': 0.05})
    optimiser = torch.optim.Adam(groups)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        seen, far = patches(optics, light, rng)
        loss = binary_cross_entropy_with_logits(judge(_normal(seen))[:, 0], far)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    if optics.values is not None:
        optics.values.requires_grad_(False)
    return judge.eval()


@torch.no_grad()
def _judged(judge, optics, light, seed, batches=32) -> dict:
    rng, answers = np.random.default_rng([seed, 2]), []
    for _ in range(batches):
        seen, far = patches(optics, light, rng)
        answers.append((judge(_normal(seen))[:, 0] > 0) == (far > 0.5))
    right = torch.cat(answers).float()
    share = float(right.mean())
    sigma = (share * (1 - share) / len(right)) ** 0.5
    return {'sign_accuracy': share, 'sigma': sigma, 'patches': len(right), 'light': float(optics.light(optics.values))}


def _textures(rng, count):
    painted = np.stack([random_texture(rng).mean(-1) for _ in range(count)])
    return from_srgb(torch.from_numpy(painted)) * 0.5


def _normal(seen):
    mean, contrast = seen.mean((1, 2, 3), keepdim=True), seen.std((1, 2, 3), keepdim=True)
    return (seen - mean) / (contrast + 0.01)


def _round(mask):
    """A square mask behind the round pupil."""
    place = (torch.arange(len(mask)) + 0.5) / len(mask) * 2 - 1
    return mask * ((1 - torch.hypot(place[:, None], place[None])) * len(mask) / 2 + 0.5).clamp(0, 1)


def _mask(values):
    """Amplitudes from what is learned of them, (PUPIL, PUPIL)."""
    block = PUPIL // GRID
    return _round(torch.sigmoid(values).repeat_interleave(block, 0).repeat_interleave(block, 1))


def _passed(mask):
    return mask.sum() / _round(torch.ones(len(mask), len(mask))).sum()


def _lens_of(values):
    return PhaseMask(without_focus(values), **CAMERA)


def without_focus(rings: torch.Tensor) -> torch.Tensor:
    """Phases of rings (K,) without the part that grows with the square of the radius, which only moves the focus: with
    the whole scene on one side of it any aperture would tell what was in front. Least squares over the pupil's area."""
    radius = (torch.arange(len(rings), dtype=rings.dtype) + 0.5) / len(rings)
    area = radius.sqrt()[:, None]
    basis = torch.linalg.qr(area * torch.stack([torch.ones_like(radius), radius.square()], 1)).Q
    weighed = area[:, 0] * rings
    return (weighed - basis @ (basis.T @ weighed)) / area[:, 0]


def _drawn_phase(rings):
    phase = _lens_of(rings).phase
    return torch.where(_round(torch.ones_like(phase)) > 0.5, phase % (2 * torch.pi), torch.nan)


def _spread(lens, coc):
    """PSF as pixels see it, (24, 24)."""
    point = torch.zeros(1, 24, 24)
    point[:, 12, 12] = 1
    return blur(point, torch.tensor([coc]), lens)[0].clamp(min=0)


def _parent(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
