"""Image formation against a brute-force lens, its float64 twin and the rules it promises."""

import numpy as np
import pytest
import torch

from dfd_depth_ros.optics.formation import (
    Surface,
    form,
    form_surfaces,
    over,
    planes_between,
    planes_spaced,
    render_rgbd,
    tents,
)
from dfd_depth_ros.optics.lens import Lens
from dfd_depth_ros.optics.psf import disc, gaussian, power
from dfd_depth_ros.optics.raytrace import aperture_points, gather, psnr

HEIGHT, WIDTH, MARGIN = 96, 120, 16
LENS = {'focal_length_m': 0.05, 'f_number': 1.8, 'pixel_pitch_m': 5e-5}


def waves(phase):
    """A smooth colour pattern, a function of pixel position, with periods of 5 to 40 pixels."""

    def colour(x, y):
        channels = [
            np.sin(0.9 * x + 0.3 * y + phase),
            np.sin(0.25 * x - 0.6 * y),
            np.sin(0.16 * x + 0.16 * y + 2 * phase),
        ]
        return 0.5 + 0.2 * np.stack([channels[0], channels[1], channels[2]], -1) + 0.15 * channels[1][..., None]

    return colour


def everywhere(x, y):
    """An opaque sheet without end."""
    return np.ones_like(x)


def window(x, y):
    """An occluder: the right part of the picture, with an edge one pixel soft."""
    return 1 / (1 + np.exp(-(x - WIDTH * 0.5) / 0.35))


def grid():
    y, x = np.mgrid[-MARGIN : HEIGHT + MARGIN, -MARGIN : WIDTH + MARGIN].astype(np.float64)
    return x, y


def surface(colour, alpha, inverse_depth):
    x, y = grid()
    picture = torch.from_numpy(colour(x, y)).permute(2, 0, 1)
    return Surface(picture, torch.from_numpy(alpha(x, y)), torch.from_numpy(inverse_depth(x, y)))


def inner(picture):
    return picture[..., MARGIN:-MARGIN, MARGIN:-MARGIN].permute(1, 2, 0).numpy()


@pytest.mark.parametrize('focus', [1.0, 2.0, 4.0])
def test_slanted_plane_as_the_ray_tracer_sees_it(focus):
    lens = Lens.focused_at(focus, **LENS)

    def inverse(x, y):
        return 0.5 + 0.002 * (x - WIDTH / 2) + 0.001 * (y - HEIGHT / 2)

    truth = gather([(waves(0), everywhere, lambda x, y: lens.coc(inverse(x, y)))], HEIGHT, WIDTH)
    ours = inner(form_surfaces([surface(waves(0), everywhere, inverse)], lens))
    assert psnr(ours, truth) >= 38


@pytest.mark.parametrize('focus', [1.0, 4.0])
def test_occluder_as_the_ray_tracer_sees_it(focus):
    """Near focus: sharp occluder before a blurred wall; far focus: blurred occluder that lets the wall through."""
    lens = Lens.focused_at(focus, **LENS)

    def near(x, y):
        return np.full_like(x, 1.0)

    def far(x, y):
        return 0.25 + 0.0005 * x

    surfaces = [(waves(1), window, near), (waves(0), everywhere, far)]
    seen = [(c, a, lambda x, y, d=d: lens.coc(d(x, y))) for c, a, d in surfaces]
    truth = gather(seen, HEIGHT, WIDTH)
    ours = inner(form_surfaces([surface(*s) for s in reversed(surfaces)], lens))
    assert psnr(ours, truth) >= 38


@pytest.mark.parametrize('focus', [1.0, 4.0])
def test_picture_with_depth_as_the_ray_tracer_sees_it(focus):
    """`form` knows nothing behind an occluder, so the strip that a blurred occluder half uncovers is left out."""
    lens = Lens.focused_at(focus, **LENS)
    inside = lambda x, y: (x > WIDTH * 0.5).astype(float)  # noqa: E731
    inverse = lambda x, y: np.where(x > WIDTH * 0.5, 1.0, 0.25)  # noqa: E731
    colour = lambda x, y: np.where((x > WIDTH * 0.5)[..., None], waves(1)(x, y), waves(0)(x, y))  # noqa: E731
    truth = gather(
        [
            (waves(1), inside, lambda x, y: np.full_like(x, lens.coc(1.0))),
            (waves(0), everywhere, lambda x, y: np.full_like(x, lens.coc(0.25))),
        ],
        HEIGHT,
        WIDTH,
    )
    x, y = grid()
    image = torch.from_numpy(colour(x, y)).permute(2, 0, 1)[None]
    coc = torch.from_numpy(lens.coc(inverse(x, y)))[None, None]
    ours = inner(form(image, coc, planes_between(float(coc.min()), float(coc.max()), 8, dtype=torch.float64))[0])
    strip = int(abs(lens.coc(1.0)) / 2) + 2
    columns = np.r_[0 : WIDTH // 2 - strip, WIDTH // 2 + strip : WIDTH]
    assert psnr(ours[:, columns], truth[:, columns]) >= 38


def twin(image, coc, planes):
    """`form` again, in plain loops and in space instead of frequency: a fine disc summed point by point."""
    height, width = coc.shape
    order = np.argsort(planes)  # nearest first: the most negative CoC
    picture, clear = np.zeros((3, height, width)), np.ones((height, width))
    coverage = np.zeros((height, width))
    for k in order:
        gap = np.abs(coc - planes[k]) / (planes[1] - planes[0])
        mask = np.clip(1 - gap, 0, 1)
        content = np.stack([*(image * mask), mask])
        fy, fx = np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None]
        points = aperture_points(20_000)[::40] * abs(planes[k])
        transfer = sum(np.exp(2j * np.pi * (fx * px + fy * py)) for px, py in points) / len(points)
        spread = np.real(np.fft.ifft2(np.fft.fft2(content) * transfer))
        cover = np.clip(spread[3], 0, 1)
        picture += spread[:3] * clear
        coverage += cover * clear
        clear = clear * (1 - cover)
    return picture / np.maximum(coverage, 1e-4)


def test_form_and_its_float64_twin():
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:48, :64]
    image = np.stack([0.5 + 0.4 * np.sin(x / 3 + k) * np.cos(y / 4) for k in range(3)])
    coc = -3 + 6 * x / 63 + 0.2 * rng.random((48, 64))
    planes = np.linspace(-3.3, 3.3, 7)
    fast = form(
        torch.from_numpy(image)[None].float(),
        torch.from_numpy(coc)[None, None].float(),
        torch.from_numpy(planes).float(),
    )[0]
    middle = np.s_[:, 6:-6, 6:-6]
    assert np.abs(fast.numpy() - twin(image, coc, planes))[middle].max() < 0.01


def test_gradients_are_those_of_finite_differences():
    torch.manual_seed(0)
    image = torch.rand(1, 3, 8, 9, dtype=torch.float64, requires_grad=True)
    coc = (torch.rand(1, 1, 8, 9, dtype=torch.float64) * 3 - 1.47).requires_grad_()
    planes = torch.linspace(-1.6, 1.6, 5, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda i, c: form(i, c, planes, gaussian), (image, coc), atol=1e-4, rtol=1e-3)


def test_depth_can_be_found_by_descent():
    """What the tents are for: the CoC of a flat wall is recovered from its picture alone."""
    torch.manual_seed(1)
    image, planes = torch.rand(1, 3, 40, 40), torch.linspace(0, 8, 17)
    seen = form(image, torch.full((1, 1, 40, 40), 4.3), planes)
    level = torch.tensor(2.0, requires_grad=True)
    optimizer = torch.optim.Adam([level], 0.1)
    for _ in range(150):
        optimizer.zero_grad()
        loss = (form(image, level.expand(1, 1, 40, 40), planes) - seen).square().mean()
        loss.backward()
        optimizer.step()
    assert float(level.detach()) == pytest.approx(4.3, abs=0.05)


def test_batches_are_independent():
    torch.manual_seed(0)
    image, coc = torch.rand(3, 3, 32, 40), torch.rand(3, 1, 32, 40) * 6 - 3
    planes = torch.linspace(-3, 3, 9)
    one_by_one = torch.cat([form(image[i : i + 1], coc[i : i + 1], planes) for i in range(3)])
    torch.testing.assert_close(form(image, coc, planes), one_by_one, atol=1e-5, rtol=1e-4)


def test_tents_share_out_every_pixel():
    coc = torch.tensor([[-9.0, -3.0, -0.25, 0.0, 2.9, 9.0]])
    masks = tents(coc, torch.tensor([-3.0, -1.0, 0.0, 3.0]))
    torch.testing.assert_close(masks.sum(0), torch.ones(1, 6))
    torch.testing.assert_close(masks[:, 0, 2], torch.tensor([0.0, 0.25, 0.75, 0.0]))
    assert masks[0, 0, 0] == 1 and masks[3, 0, 5] == 1
    assert torch.equal(tents(coc, torch.tensor([1.0])), torch.ones(1, 1, 6))


def test_planes_cover_the_range_and_widen_with_blur():
    planes = planes_spaced(-12, 20, 1.0)
    assert float(planes[0]) == pytest.approx(-12, rel=1e-5) and float(planes[-1]) == pytest.approx(20, rel=1e-5)
    gaps = planes.diff()
    assert bool((gaps > 0).all()) and float(gaps[-1]) > 2 * float(gaps.min())


def test_what_is_sharp_stays_sharp_and_flat_stays_flat():
    torch.manual_seed(0)
    image = torch.rand(1, 3, 32, 32)
    torch.testing.assert_close(form(image, torch.zeros(1, 1, 32, 32), torch.zeros(1)), image, atol=1e-5, rtol=0)
    grey = torch.full((1, 3, 32, 32), 0.4)
    coc = torch.linspace(-6, 6, 32).expand(1, 1, 32, 32).contiguous()
    blurred = form(grey, coc, torch.linspace(-6, 6, 13))
    torch.testing.assert_close(blurred, grey, atol=1e-4, rtol=0)


def test_over_puts_the_near_before_the_far():
    colour = torch.tensor([0.25, 1.0]).view(1, 2, 1, 1, 1)
    coverage = torch.tensor([0.5, 1.0]).view(1, 2, 1, 1, 1)
    assert float(over(colour, coverage)) == pytest.approx(0.25 + 0.5 * 1.0)


def test_colour_shift_blurs_each_colour_by_its_own_coc():
    lens = Lens.focused_at(2.0, **LENS)
    point = torch.zeros(3, 65, 65)
    point[:, 32, 32] = 1
    scene = [Surface(point, torch.ones(65, 65), torch.full((65, 65), lens.inverse_depth(4.0)))]
    picture = form_surfaces(scene, lens, otf=gaussian, colour_shift=(2.0, 0.0, -2.0))
    assert picture[0].max() < picture[1].max() < picture[2].max()


@pytest.mark.parametrize('otf', [disc, gaussian, power(4.0)])
def test_render_rgbd_keeps_shape_and_mean(otf):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (60, 80, 3), dtype=np.uint8)
    inverse = np.full((60, 80), 0.3, np.float32)
    out = render_rgbd(image, inverse, Lens.focused_at(1.0, **LENS), otf=otf)
    assert out.shape == image.shape and out.dtype == np.uint8
    assert out.std() < image.std() / 3


def test_render_rgbd_refuses_holes_and_other_sizes():
    image = np.zeros((4, 5, 3), np.uint8)
    lens = Lens.focused_at(1.0, **LENS)
    with pytest.raises(ValueError, match='inverse depth has holes; fill them before defocusing'):
        render_rgbd(image, np.full((4, 5), np.nan), lens)
    with pytest.raises(ValueError, match=r'image \(4, 5\) and inverse depth \(5, 4\) differ in size'):
        render_rgbd(image, np.ones((5, 4)), lens)


@pytest.mark.parametrize('touched', ['left', 'right', 'top', 'bottom'])
@pytest.mark.parametrize('coc', [0.5, 6.0])
def test_what_touches_a_border_leaves_no_trace_elsewhere(touched, coc):
    """A white card that reaches out of the picture on one side only, before a grey wall in focus."""
    lens = Lens.focused_at(2.0, **LENS)
    wall = Surface(torch.full((3, 60, 70), 0.4), torch.ones(60, 70), torch.full((60, 70), 0.5))
    rows, columns = {
        'left': (np.s_[20:40], np.s_[:15]),
        'right': (np.s_[20:40], np.s_[55:]),
        'top': (np.s_[:15], np.s_[30:50]),
        'bottom': (np.s_[45:], np.s_[30:50]),
    }[touched]
    alpha = torch.zeros(60, 70)
    alpha[rows, columns] = 1
    card = Surface(torch.ones(3, 60, 70), alpha, torch.full((60, 70), lens.inverse_depth(-coc)))
    picture = form_surfaces([wall, card], lens, 0.5)
    near = torch.nn.functional.max_pool2d(alpha[None], 2 * 6 + 1, 1, 6)[0] > 0  # six pixels around the card
    assert (picture[:, ~near] - 0.4).abs().max() < 1e-3
    assert picture[:, alpha > 0].mean() > 0.8


def test_a_scene_needs_a_surface():
    with pytest.raises(ValueError, match='at least one surface'):
        form_surfaces([], Lens.focused_at(1.0, **LENS))
