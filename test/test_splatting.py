"""Renderers: against a ray-traced lens, against finite differences, against each other and against plain loops."""

import math
import sys
from dataclasses import fields, replace
from functools import lru_cache
from types import SimpleNamespace

import pytest
import torch

from dfd_depth_ros.benchmarks.render import MARGIN, SCENES, drawn
from dfd_depth_ros.optics.psf import blur
from dfd_depth_ros.optics.raytrace import psnr
from dfd_depth_ros.splatting import cuda
from dfd_depth_ros.splatting.gaussians import Gaussians, to_gaussians
from dfd_depth_ros.splatting.layered import LayeredRenderer
from dfd_depth_ros.splatting.rasterise import rasterise
from dfd_depth_ros.splatting.renderer import Picture, Rendered, View, merged, missing_blur, reproject
from dfd_depth_ros.splatting.splat import SplatRenderer, make_renderer

HEIGHT, WIDTH, FOCAL = 48, 64, 100.0
RENDERERS = [LayeredRenderer(), SplatRenderer()]
both = pytest.mark.parametrize('renderer', RENDERERS, ids=['layered', 'splat'])
needs_cuda = pytest.mark.skipif(cuda.missing() is not None, reason=str(cuda.missing()))


def texture(height=HEIGHT, width=WIDTH, shift=0.0):
    """Smooth colours (3, H, W) with periods of 6 to 40 pixels, moved to the left by `shift` pixels."""
    y, x = torch.meshgrid(torch.arange(height).float(), torch.arange(width).float() + shift, indexing='ij')
    waves = [torch.sin(0.9 * x + 0.3 * y), torch.sin(0.25 * x - 0.6 * y), torch.sin(0.16 * (x + y))]
    return 0.5 + 0.25 * torch.stack(waves) + 0.15 * waves[1]


def lens(gain=1e-6, focus=0.5, height=HEIGHT, width=WIDTH):
    return torch.tensor([gain, focus, FOCAL, (width - 1) / 2, (height - 1) / 2])


def moved(x=0.0, y=0.0, z=0.0):
    """Pose of a camera that has gone so many metres to the right, down and ahead."""
    pose = torch.eye(4)
    pose[:3, 3] = torch.tensor([x, y, z])
    return pose


def flat(inverse_depth, colour=None, state=None):
    """A picture of a fronto-parallel plane."""
    colour = texture() if colour is None else colour
    state = lens() if state is None else state
    return Picture(colour, torch.full_like(colour[:1], inverse_depth), state, moved())


def likeness(a, b, margin=6):
    """PSNR without the border."""
    inner = (..., slice(margin, -margin), slice(margin, -margin))
    return psnr(a[inner].detach().numpy(), b[inner].detach().numpy())


@lru_cache
def scene(name):
    return drawn(name)


FLOORS = {  # dB, just under what was measured: layered and splat
    'slanted, focus before it': (60, 42.0),
    'slanted, focus in it': (65, 50.0),
    'slanted, focus behind it': (60, 42.0),
    'occluder in focus': (44, 42.0),
    'occluder blurred': (42, 39.0),
}


@pytest.mark.parametrize(('renderer', 'which'), [(r, i) for i, r in enumerate(RENDERERS)], ids=['layered', 'splat'])
@pytest.mark.parametrize('name', SCENES)
def test_as_the_ray_tracer_sees_it(renderer, which, name):
    picture, view, truth = scene(name)
    seen = renderer([picture], view)
    colour = seen.colour[:, MARGIN:-MARGIN, MARGIN:-MARGIN].permute(1, 2, 0)
    assert psnr(colour.numpy(), truth) >= FLOORS[name][which]
    assert likeness(seen.inverse_depth, picture.inverse_depth, 20) >= 20


@both
def test_a_sharp_view_from_the_same_place_is_the_picture(renderer):
    depth = torch.linspace(0.3, 1.0, WIDTH).repeat(1, HEIGHT, 1)
    picture = replace(flat(0.5), inverse_depth=depth)
    seen = renderer([picture], View(lens(), moved(), (HEIGHT, WIDTH)))
    assert likeness(seen.colour, picture.colour) >= 40
    torch.testing.assert_close(seen.inverse_depth, depth, atol=0.02, rtol=0)
    assert seen.alpha.shape == (1, HEIGHT, WIDTH) and 0 < float(seen.alpha.min()) <= float(seen.alpha.max()) <= 1


@both
@pytest.mark.parametrize(('step', 'floor'), [(0.04, 50), (0.05, 38)], ids=['whole pixels', 'half a pixel'])
def test_a_step_aside_shifts_a_plane_by_its_parallax(renderer, step, floor):
    inverse_depth = 0.5
    seen = renderer([flat(inverse_depth)], View(lens(), moved(x=step), (HEIGHT, WIDTH)))
    assert likeness(seen.colour, texture(shift=FOCAL * step * inverse_depth)) >= floor
    assert float(seen.alpha[:, :, -1].max()) < 0.1 < float(seen.alpha[:, :, :-4].min())  # the picture ends there


@both
def test_a_step_ahead_brings_a_plane_closer(renderer):
    seen = renderer([flat(0.5)], View(lens(), moved(z=0.4), (HEIGHT, WIDTH)))
    torch.testing.assert_close(seen.inverse_depth, torch.full((1, HEIGHT, WIDTH), 1 / 1.6), atol=1e-3, rtol=0)


@both
def test_what_lies_behind_the_camera_is_not_seen(renderer):
    turned = torch.diag(torch.tensor([-1.0, 1.0, -1.0, 1.0]))
    assert float(renderer([flat(0.5)], View(lens(), turned, (HEIGHT, WIDTH))).alpha.max()) == 0


@both
def test_another_size_and_focal_length(renderer):
    half = torch.tensor([1e-6, 0.5, FOCAL / 2, (WIDTH / 2 - 1) / 2, (HEIGHT / 2 - 1) / 2])
    seen = renderer([flat(0.5)], View(half, moved(), (HEIGHT // 2, WIDTH // 2)))
    mean = torch.nn.functional.avg_pool2d(texture(), 2)
    assert seen.colour.shape == mean.shape and likeness(seen.colour, mean, 2) >= 25


def test_both_see_the_same_from_elsewhere():
    depth = torch.linspace(0.3, 0.6, WIDTH).repeat(1, HEIGHT, 1)
    picture = replace(flat(0.5), inverse_depth=depth)
    view = View(lens(8.0, 0.8), moved(0.03, 0.01, 0.02), (HEIGHT, WIDTH))
    layered, splat = (renderer([picture], view) for renderer in (LayeredRenderer(16), SplatRenderer()))
    assert likeness(layered.colour, splat.colour, 8) >= 36
    torch.testing.assert_close(layered.inverse_depth, splat.inverse_depth, atol=0.02, rtol=0)


@both
def test_only_missing_blur_is_added(renderer):
    """A plane with 3 pixels of CoC in it, seen through a lens that gives 5."""
    sharp = flat(0.5)
    view = View(lens(10.0, 1.0), moved(), (HEIGHT, WIDTH))
    soft = replace(sharp, colour=blur(sharp.colour, torch.tensor(3.0)), blur=torch.full((1, HEIGHT, WIDTH), 3.0))
    assert likeness(renderer([soft], view).colour, renderer([sharp], view).colour) >= 40
    assert likeness(renderer([replace(soft, blur=None)], view).colour, renderer([sharp], view).colour) < 40


def test_missing_blur_adds_variances_and_keeps_the_side():
    wanted = torch.tensor([5.0, -5.0, 2.0], requires_grad=True)
    missing = missing_blur(wanted, torch.tensor([3.0, 3.0, 3.0]))
    torch.testing.assert_close(missing, torch.tensor([4.0, -4.0, 0.0]))
    missing.sum().backward()
    assert bool(torch.isfinite(wanted.grad).all())


def occluder():
    """A red square, 1 m away, before a green wall at 4 m."""
    near = torch.zeros(1, HEIGHT, WIDTH, dtype=torch.bool)
    near[:, 12:-12, 20:-20] = True
    colour = torch.cat([near, ~near, torch.zeros_like(near)]).float()
    return near, Picture(colour, torch.where(near, 1.0, 0.25), lens(), moved())


def test_a_blurred_edge_shows_the_background():
    """The second layer lets green through where the picture knows red alone, as far as the blur reaches."""
    near, picture = occluder()
    sharp_wall = View(lens(8.0, 0.25), moved(), (HEIGHT, WIDTH))
    seen = SplatRenderer()([picture], sharp_wall)
    inside, middle = seen.colour[:, 24, 20], seen.colour[:, 24, 32]
    assert 0.2 < float(inside[1]) < 0.8 and float(middle[1]) < 0.02
    gaussians = to_gaussians([picture], sharp_wall)
    assert HEIGHT * WIDTH < len(gaussians) < HEIGHT * WIDTH + int(near.sum())
    behind = gaussians.colour[HEIGHT * WIDTH :]
    assert bool((behind[:, 1] == 1).all()) and bool((gaussians.inverse_depth[HEIGHT * WIDTH :] == 0.25).all())


@both
def test_a_second_picture_fills_what_the_first_does_not_see(renderer):
    _, picture = occluder()
    aside = moved(x=0.1)
    view = View(lens(), aside, (HEIGHT, WIDTH))
    wall = replace(picture, colour=torch.tensor([0.0, 1.0, 0.0])[:, None, None].expand(3, HEIGHT, WIDTH), pose=aside)
    wall = replace(wall, inverse_depth=torch.full((1, HEIGHT, WIDTH), 0.25))
    alone, together = renderer([picture], view), renderer([picture, wall], view)
    hidden = (0, 24, 36)  # right of the square, which has moved by 10 pixels, the wall by 2.5
    assert float(alone.alpha[hidden]) < 0.25 < float(together.alpha[hidden])
    assert float(together.colour[1, 24, 36]) > 0.9
    assert float(together.alpha.min()) > 0.2


def test_views_are_merged_by_what_they_cover():
    ones = torch.ones(1, 2, 2)
    parts = [Rendered(0.2 * ones.expand(3, 2, 2), 0.75 * ones, ones), Rendered(ones.expand(3, 2, 2), 0.25 * ones, ones)]
    both_seen = merged(parts)
    torch.testing.assert_close(both_seen.colour, torch.full((3, 2, 2), 0.4))
    torch.testing.assert_close(both_seen.alpha, 0.75 * ones)


@pytest.mark.parametrize('present', [None, 0.3], ids=['sharp', 'blurred'])
@pytest.mark.parametrize('step', [0.0, 0.03], ids=['same place', 'elsewhere'])
def test_gradients_of_layers_are_those_of_finite_differences(step, present):
    """Two pixels hold the planes in place, because these follow the range of depth without a gradient."""
    torch.manual_seed(0)
    like = {'dtype': torch.float64}
    colour, depth = torch.rand(3, 6, 7, **like), 0.3 + 0.7 * torch.rand(1, 6, 7, **like)
    held = torch.zeros(1, 6, 7, dtype=torch.bool)
    held[0, 0, 0] = held[0, -1, -1] = True
    ends = torch.linspace(0.2, 1.1, 42, **like).view(1, 6, 7)
    geometry = torch.tensor([10.0, 3.0, 2.5], **like)
    place = moved(step, 0, step).double()
    soft = None if present is None else torch.full((1, 6, 7), present, **like)

    def draw(depth, focus, scale):
        picture = Picture(
            colour, torch.where(held, ends, depth), torch.cat([focus, geometry]).detach(), moved().double(), soft
        )
        seen = LayeredRenderer(5)([picture], View(torch.cat([focus, geometry]), place, (6, 7), scale))
        return seen.colour, seen.alpha, seen.inverse_depth

    inputs = (depth, torch.tensor([4.0, 0.8], **like), torch.tensor(1.1, **like))
    assert torch.autograd.gradcheck(draw, [value.requires_grad_() for value in inputs], atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize('step', [0.0, 0.02], ids=['same place', 'elsewhere'])
def test_depth_and_psf_scale_are_found_by_descent(step):
    """What the renderer is for: a flat wall's depth and the width of the PSF, from two pictures of one view."""
    views = [View(lens(8.0, focus), moved(x=step), (HEIGHT, WIDTH), 1.2) for focus in (0.0, 1.5)]
    draw = LayeredRenderer()
    seen = [draw([flat(0.6)], view).colour for view in views]
    level, scale = torch.tensor(0.45, requires_grad=True), torch.tensor(1.0, requires_grad=True)
    optimizer = torch.optim.Adam([level, scale], 0.02)
    for _ in range(60):
        optimizer.zero_grad()
        picture = replace(flat(0.0), inverse_depth=level.expand(1, HEIGHT, WIDTH))
        drawn_now = [draw([picture], replace(view, psf_scale=scale)).colour for view in views]
        sum((a - b).square().mean() for a, b in zip(drawn_now, seen, strict=True)).backward()
        optimizer.step()
    assert float(level.detach()) == pytest.approx(0.6, abs=0.02)
    assert float(scale.detach()) == pytest.approx(1.2, abs=0.05)


def test_a_blur_without_end_is_bounded():
    depth = torch.full((1, HEIGHT, WIDTH), 50.0, requires_grad=True)
    picture = replace(flat(0.5), inverse_depth=depth)
    for renderer in RENDERERS:
        seen = renderer([picture], View(lens(1e4, 0.5), moved(), (HEIGHT, WIDTH)))
        seen.colour.sum().backward()
        assert bool(torch.isfinite(seen.colour).all()) and bool(torch.isfinite(depth.grad).all())


def scattered(count, height, width, dtype=torch.float64, device='cpu'):
    """Gaussians at random, some of them beyond the border."""
    random = torch.Generator().manual_seed(0)
    uniform = torch.rand(8, count, generator=random, dtype=torch.float64)
    place = torch.stack([uniform[0] * (width + 6) - 3, uniform[1] * (height + 6) - 3], 1)
    values = (place, 0.1 + uniform[2], uniform[3:6].T, 0.3 + 3 * uniform[6], 0.02 + 0.97 * uniform[7])
    return Gaussians(*(value.to(device, dtype).contiguous() for value in values))


def twin(gaussians, height, width):
    """The rasteriser again, one pixel and one Gaussian at a time."""
    picture = torch.zeros(5, height, width, dtype=torch.float64)
    nearest_first = gaussians.inverse_depth.argsort(descending=True).tolist()
    for row in range(height):
        for column in range(width):
            clear = 1.0
            for i in nearest_first:
                x, y = gaussians.place[i].tolist()
                square = (x - column) ** 2 + (y - row) ** 2
                alpha = float(gaussians.opacity[i]) * math.exp(-square / (2 * float(gaussians.variance[i])))
                if alpha < 1 / 255:
                    continue
                alpha = min(alpha, 0.999)
                content = torch.cat([gaussians.colour[i], gaussians.inverse_depth[i : i + 1], torch.ones(1)])
                picture[:, row, column] += clear * alpha * content
                clear *= 1 - alpha
    return picture


def test_rasteriser_and_its_twin_in_plain_loops():
    gaussians = scattered(40, 9, 12)
    torch.testing.assert_close(rasterise(gaussians, (9, 12)), twin(gaussians, 9, 12), atol=1e-9, rtol=0)


def test_rasteriser_draws_nothing_of_nothing():
    none = Gaussians(*(value[:0] for value in (getattr(scattered(1, 4, 5), f.name) for f in fields(Gaussians))))
    assert torch.equal(rasterise(none, (4, 5)), torch.zeros(5, 4, 5, dtype=torch.float64))
    beyond = replace(scattered(3, 4, 5), place=torch.full((3, 2), 99.0, dtype=torch.float64))
    assert float(rasterise(beyond, (4, 5)).abs().max()) == 0


def test_gradients_of_the_rasteriser_are_those_of_finite_differences():
    values = [getattr(scattered(6, 5, 6), field.name).requires_grad_() for field in fields(Gaussians)]
    assert torch.autograd.gradcheck(lambda *v: rasterise(Gaussians(*v), (5, 6)), values, atol=1e-5, rtol=1e-3)


def test_splats_have_gradients_to_depth_lens_and_scale():
    picture, view, _ = scene('slanted, focus before it')
    depth = picture.inverse_depth.clone().requires_grad_()
    state, scale = view.lens.clone().requires_grad_(), torch.tensor(1.0, requires_grad=True)
    seen = SplatRenderer()([replace(picture, inverse_depth=depth)], replace(view, lens=state, psf_scale=scale))
    (seen.colour - picture.colour).square().mean().backward()
    assert float(scale.grad) > 0  # more blur is farther from the sharp picture
    assert float(state.grad[0]) > 0 and float((depth.grad != 0).float().mean()) > 0.9


def test_what_the_cut_narrows_was_wider_before():
    """Pixels above 1/255 alone have the variance of the footprint and the CoC."""
    gaussians = to_gaussians([flat(0.5)], View(lens(12.0, 1.0), moved(), (HEIGHT, WIDTH)))
    grid = torch.arange(-12, 12.01, 0.05, dtype=torch.float64)
    square = grid[:, None] ** 2 + grid**2
    alpha = float(gaussians.opacity[0]) * torch.exp(-square / (2 * float(gaussians.variance[0])))
    alpha[alpha < 1 / 255] = 0
    assert float((alpha * square).sum() / alpha.sum() / 2) == pytest.approx(0.35**2 + (6 / 4) ** 2, rel=0.01)


def test_reproject_and_back():
    picture = replace(flat(0.5), inverse_depth=torch.linspace(0, 1, WIDTH).repeat(1, HEIGHT, 1))
    place, inverse_depth = reproject(picture, View(lens(), moved(0.1, 0, 0.2), (HEIGHT, WIDTH)))
    x, q = place[0, 0, 40], inverse_depth[0, 0, 40]
    back = ((x - lens()[3]) / FOCAL / q + 0.1) * FOCAL / (1 / q + 0.2) + lens()[3]
    assert float(back) == pytest.approx(40, abs=1e-3)
    assert float(place[0, 0, 0]) == pytest.approx(0, abs=1e-4)  # at infinity nothing moves


class PlainGsplat(SimpleNamespace):
    """The three operations of gsplat 1.5.3 that are used, as far as their arguments go, blended without tiles."""

    @staticmethod
    def isect_tiles(means2d, radii, depths, tile_size, tile_width, tile_height):
        assert means2d.shape[:-1] == depths.shape and radii.shape == means2d.shape and radii.dtype == torch.int32
        assert bool((depths > 0).all()) and (tile_width, tile_height) == (2, 3) and tile_size == 16
        return None, depths[0].argsort(), depths[0].argsort()

    @staticmethod
    def isect_offset_encode(isect_ids, n_images, tile_width, tile_height):
        return torch.zeros(n_images, tile_height, tile_width)

    @staticmethod
    def rasterize_to_pixels(means2d, conics, colors, opacities, width, height, tile_size, isect_offsets, flatten_ids):
        assert conics.shape == (*means2d.shape[:-1], 3) and opacities.shape == means2d.shape[:-1]
        assert isect_offsets.shape == (1, 3, 2) and colors.shape == (*means2d.shape[:-1], 4)
        x, y = torch.arange(width) + 0.5, torch.arange(height)[:, None] + 0.5
        a, b, c = conics[0].T[:, flatten_ids, None, None]
        dx, dy = (means2d[0].T[:, flatten_ids, None, None]) - torch.stack(torch.broadcast_tensors(x, y))[:, None]
        alpha = opacities[0, flatten_ids, None, None] * torch.exp(-(a * dx**2 + c * dy**2) / 2 - b * dx * dy)
        alpha = torch.where(alpha < 1 / 255, 0, alpha.clamp(max=0.999))
        clear = torch.cat([torch.ones_like(alpha[:1]), (1 - alpha).cumprod(0)])
        seen = torch.einsum('nhw,nc->hwc', alpha * clear[:-1], colors[0, flatten_ids])
        return seen[None], (1 - clear[-1])[None, :, :, None]


def test_gsplat_is_called_as_it_wants(monkeypatch):
    monkeypatch.setitem(sys.modules, 'gsplat', PlainGsplat())
    monkeypatch.setattr(cuda, 'missing', lambda: None)
    gaussians = scattered(60, 40, 30)
    torch.testing.assert_close(cuda.rasterise(gaussians, (40, 30)), rasterise(gaussians, (40, 30)), atol=1e-9, rtol=0)


@needs_cuda
def test_gsplat_and_the_reference_agree():
    weights = torch.rand(5, 70, 90, generator=torch.Generator().manual_seed(1)).cuda()
    seen, gradients = [], []
    for draw in (rasterise, cuda.rasterise):
        gaussians = scattered(2000, 70, 90, torch.float32, 'cuda')
        values = [getattr(gaussians, field.name).requires_grad_() for field in fields(Gaussians)]
        seen.append(draw(Gaussians(*values), (70, 90)))
        gradients.append(torch.autograd.grad((seen[-1] * weights).sum(), values))
    torch.testing.assert_close(*seen, atol=2e-3, rtol=0)
    for ours, theirs in zip(*gradients, strict=True):
        assert float(torch.cosine_similarity(ours.flatten(), theirs.flatten(), 0)) > 0.999
        assert float((ours - theirs).norm() / ours.norm()) < 0.02


@pytest.mark.parametrize(
    ('has_cuda', 'spec', 'sentence'),
    [
        (False, True, 'renderer gsplat needs a CUDA device, and PyTorch finds none'),
        (True, None, 'renderer gsplat needs the package gsplat: install the extra gpu'),
    ],
)
def test_what_gsplat_lacks_is_named(monkeypatch, has_cuda, spec, sentence):
    monkeypatch.setattr(cuda.torch.cuda, 'is_available', lambda: has_cuda)
    monkeypatch.setattr(cuda, 'find_spec', lambda name: spec)
    with pytest.raises(RuntimeError, match=sentence):
        make_renderer('gsplat')


def test_renderers_by_name():
    assert isinstance(make_renderer('layered'), LayeredRenderer) and isinstance(make_renderer('splat'), SplatRenderer)
    with pytest.raises(ValueError, match="renderer must be one of layered, splat, gsplat, not 'nerf'"):
        make_renderer('nerf')


@both
def test_a_renderer_needs_a_picture(renderer):
    with pytest.raises(ValueError, match='a renderer needs at least one picture'):
        renderer([], View(lens(), moved(), (HEIGHT, WIDTH)))
