"""Fit a lens to pictures of one flat target at measured distances, by comparing the pictures and without any network.

Two pictures of one target, N from nearer and F from farther (brought to the scale of N, `ratio` times), are the same
sharp target through two blurs. What one lens is worth is how well each picture, blurred as the other one should be,
agrees with the other: with transfer functions H_N and H_F of the blurs that the lens predicts, and equal noise, the
least squares over all sharp targets leaves

    sum over frequencies of |H_F N - a H_N F|^2 / (|H_F|^2 + (a ratio)^2 |H_N|^2)

(a: ratio of the exposures). That is compared in windows, each by its own logarithm, since the noise is not known. What
decides is how blur changes with distance. The CoC of a window is that of `estimation.lens_fit`, its PSF a
power-exponential one (`optics.psf.power`), and the base blur a Gaussian after it, of the variance of a disc of that
diameter.

Source of the comparison through both blurs: Ens and Lawrence, "An Investigation of Methods for Determining Depth from
Focus", PAMI 1993; of the elimination of the sharp picture: Favaro and Soatto, "A Geometric Approach to Shape from
Defocus", PAMI 2005.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from scipy.optimize import minimize

from dfd_depth_ros.estimation.lens_fit import NAMES, NOTHING, LensFit
from dfd_depth_ros.optics.psf import blur, gaussian, power, transfer
from dfd_depth_ros.optics.tone import from_srgb
from dfd_depth_ros.temporal.motion import registration

PATCH, SMALL = 144, 84  # pixels on a side of what is cut out, and when it is reduced to the frequencies that count
SHRINK, WINDOW, MARGIN = SMALL / PATCH, 56, 14  # in the middle of SMALL that is compared; around it blur may reach
FARTHEST = 1.6  # largest ratio of the distances of a pair
BAND = 0.25  # cycles per pixel of the farther picture up to which it is what the lens made, and no mosaic
FLAT, KNOWN = 0.02, 0.98  # relative range of the depth of a flat target, share of the picture that it fills
WHITE, LEAST_TEXTURE = 0.97, 0.01  # of linear light
ALIKE, ALIKE_PX = 0.8, 4.0  # least correlation of registered pictures of one target, sigma of their blur at first
PAIRS = 4  # the least
EXPONENT, EXPONENTS = 8.0, (1.5, 64.0)  # of the PSF: at the start, a disc with soft edges, and its limits
BASES = (0.5, 3.0)  # pixels of base blur at the start: there are two valleys, of a fine picture and of a soft one
STEP = {'log_gain': 0.05, 'focus_scale': 0.02, 'focus_offset': 0.03, 'base_px': 0.2, 'radial': 0.05}
STEP['psf_exponent'] = 0.4  # of its logarithm
SLIP = {'log_gain': 0.01, 'focus_scale': 0.005}  # what simulated targets came out wrong by, whatever the pairs say
MOST, QUICK, DIFFERENCE = 20, 6, 0.05  # iterations; of slopes, in units of STEP
_TAPER = torch.outer(*(torch.hann_window(WINDOW, periodic=False),) * 2)
_FREQUENCY = torch.hypot(torch.fft.fftfreq(WINDOW)[:, None], torch.fft.rfftfreq(WINDOW)[None])


class NoTargetError(ValueError):
    """Frames that are no pictures of one flat target; the message says why."""


@dataclass(frozen=True)
class _Windows:
    """All windows of all pairs. spectra: (2, M, SMALL, SMALL // 2 + 1) of the nearer and farther picture. gain, told,
    inverse, radius, scale: (2, M) of both: K, focus as told and 1 / depth in dioptres, distance from the middle (1 in
    the corner), and how much the picture was enlarged. pair: (M,) number of the pair."""

    spectra: torch.Tensor
    gain: np.ndarray
    told: np.ndarray
    inverse: np.ndarray
    radius: np.ndarray
    scale: np.ndarray
    pair: np.ndarray


def fit(frames: list, start: LensFit) -> LensFit:
    """The lens that makes the pictures of one target agree, searched for from what was found so far. Adds
    `psf_exponent`, that of the PSF, to values and sigmas; before and after are root mean square differences of the
    pictures, through both blurs, in thousandths of full light. Raises NoTargetError where the frames do not show one
    flat target."""
    distances = np.array([distance(frame) for frame in frames])
    light = [_light(frame) for frame in frames]
    pairs = _pairs(distances)
    names = [*(name for name in NAMES if start.sigmas[name] > 0), 'psf_exponent']
    first = start.values | {'psf_exponent': EXPONENT}
    windows = _windows(frames, light, distances, pairs, first, ALIKE_PX)
    found = _solve(windows, names, first, QUICK)[0]
    windows = _windows(frames, light, distances, pairs, found)  # registered anew, through the blurs as now known
    valleys = (_solve(windows, names, first | {'base_px': base}, MOST) for base in BASES)
    found, place, _ = min(valleys, key=lambda solved: solved[2])
    return LensFit(
        found | {'base_px': abs(found['base_px'])},
        start.sigmas | _sigmas(windows, names, found, place),
        start.correlation,
        _rms(windows, NOTHING | {'psf_exponent': EXPONENT}),
        _rms(windows, found),
        reader=0.0,
    )


def distance(frame) -> float:
    """Metres to the flat target of a frame. Raises NoTargetError where its depth is not that of one that fills it."""
    if frame.depth is None:
        raise NoTargetError(f'{frame.name} has no depth')
    known = frame.depth[np.isfinite(frame.depth) & (frame.depth > 0)]
    if known.size < KNOWN * frame.depth.size or np.ptp(np.quantile(known, (0.02, 0.98))) > FLAT * np.median(known):
        raise NoTargetError(f'{frame.name} shows no flat target that faces the camera and fills the picture')
    return float(np.median(known))


def _light(frame) -> np.ndarray:
    """(H, W) linear light of green, the colour that a Bayer mosaic samples finest."""
    return from_srgb(torch.from_numpy(frame.image[..., 1].astype(np.float32) / 255)).numpy()


def _pairs(distances) -> list[tuple[int, int]]:
    """Numbers of neighbours in distance and of their neighbours, the nearer first."""
    order = np.argsort(distances)
    pairs = [(order[k], order[k + step]) for step in (1, 2) for k in range(len(order) - step)]
    pairs = [(near, far) for near, far in pairs if distances[far] < FARTHEST * distances[near]]
    if len(pairs) < PAIRS:
        raise NoTargetError(
            f'{len(pairs)} pairs of pictures were taken from like distances (1 to {FARTHEST:g}), {PAIRS} are the least'
        )
    return pairs


def _windows(frames, light, distances, pairs, values, sigma_px=0.0) -> _Windows:
    """What is compared. sigma_px: of the blur under which pictures are registered; 0: that of each other."""
    spectra, facts = [], []
    for number, pair in enumerate(pairs):
        near, far = (light[k] for k in pair)
        settings = np.array([[frames[k].lens.gain, frames[k].lens.focus_dioptre, 1 / distances[k]] for k in pair])
        warp = _warp(near, far, settings, values, sigma_px, [frames[k].name for k in pair])
        ratio = float(1 / np.sqrt(np.linalg.det(warp[:, :2])))
        flags = cv2.INTER_LANCZOS4 | cv2.WARP_INVERSE_MAP
        moved = cv2.warpAffine(far, warp, near.shape[::-1], flags=flags, borderValue=-1.0)
        for y, x in _places(near.shape, number):
            patch = np.stack([picture[y : y + PATCH, x : x + PATCH] for picture in (near, moved)])
            if patch.min() < -0.2 or (patch > WHITE).mean() > 0.02 or (patch.std((1, 2)) < LEAST_TEXTURE).any():
                continue
            place = np.array([x, y]) + PATCH / 2
            radius = [_radius(place, near.shape), _radius(warp @ [*place, 1], far.shape)]
            spectra.append(_reduced(patch))
            facts.append([*settings.T, radius, [1.0, ratio], [number, number]])
    if len({fact[-1][0] for fact in facts}) < PAIRS:
        raise NoTargetError('too few places of the target are in sight of two pictures, textured and not white')
    gain, told, inverse, radius, scale, numbers = np.array(facts).transpose(1, 2, 0)
    return _Windows(torch.stack(spectra, 1), gain, told, inverse, radius, scale, numbers[0])


def _reduced(patch) -> torch.Tensor:
    """Spectra (2, SMALL, SMALL // 2 + 1) of patches (2, PATCH, PATCH) whose finest frequencies are left out."""
    half = SMALL // 2
    spectra = torch.fft.rfft2(torch.from_numpy(patch))[..., : half + 1]
    return torch.cat([spectra[:, :half], spectra[:, -half:]], 1) * SHRINK**2


def _warp(near, far, told, values, sigma_px, names) -> np.ndarray:
    """(2, 3) from x, y of the nearer picture to those of the farther one."""
    ratio = told[0, 2] / told[1, 2]
    centres = [(np.array(picture.shape[::-1]) - 1) / 2 for picture in (near, far)]
    start = np.column_stack([np.eye(2) / ratio, centres[1] - centres[0] / ratio]).astype(np.float32)
    if sigma_px:
        pictures = [
            cv2.GaussianBlur(picture, (0, 0), sigma_px * share) for picture, share in ((near, 1), (far, 1 / ratio))
        ]
    else:
        seen = told[:, 0] * np.exp(values['log_gain']) * _away(values, told[:, 1], told[:, 2])
        others = torch.tensor([seen[1] * ratio, seen[0] / ratio], dtype=torch.float32)
        psf = power(values['psf_exponent'])
        pictures = [blur(torch.from_numpy(p), c, psf).numpy() for p, c in zip((near, far), others, strict=True)]
    found = registration(pictures[1], pictures[0], start)
    alike = found[1] if found else 0.0
    if alike < ALIKE:
        raise NoTargetError(f'{names[0]} and {names[1]} do not show the same target: they correlate by {alike:.2f}')
    return found[0]


def _places(shape, number):
    """Upper left pixels of the windows of a picture: in the middle, and towards two corners, by turns the others."""
    room = np.array(shape) - PATCH
    if room.min() < 0:
        raise NoTargetError(f'the pictures have fewer than {PATCH} rows or columns')
    corners = ((0.12, 0.12), (0.88, 0.88)) if number % 2 else ((0.12, 0.88), (0.88, 0.12))
    return [tuple((room * place).astype(int)) for place in ((0.5, 0.5), *corners)]


def _radius(place, shape) -> float:
    half = np.array(shape[::-1]) / 2
    return float(np.linalg.norm(place - half) / np.linalg.norm(half))


def _away(values, told, inverse):
    return values['focus_scale'] * told + values['focus_offset'] - inverse


def _transfer(windows: _Windows, values, side: int) -> torch.Tensor:
    """Transfer functions (2, M, side, side // 2 + 1) of the blur of both pictures at the scale of the nearer one."""
    gain = windows.gain * np.exp(values['log_gain']) * (1 + values['radial'] * windows.radius**2)
    seen = gain * _away(values, windows.told, windows.inverse)
    scale = windows.scale * SHRINK
    lens, base = (torch.tensor(blur, dtype=torch.float32) for blur in (np.abs(seen) * scale, values['base_px'] * scale))
    return transfer(power(values['psf_exponent']), lens, side, side) * transfer(gaussian, base, side, side)


def _differences(windows: _Windows, values) -> tuple[torch.Tensor, torch.Tensor]:
    """Difference of the pictures through both blurs (M, WINDOW, WINDOW), and the ratio of the exposures (M, 1, 1)."""
    seen = torch.fft.irfft2(windows.spectra * _transfer(windows, values, SMALL).flip(0), s=(SMALL, SMALL))
    near, far = seen[..., MARGIN:-MARGIN, MARGIN:-MARGIN]
    near, far = (picture - (picture * _TAPER).sum((1, 2), keepdim=True) / _TAPER.sum() for picture in (near, far))
    exposure = (near * far * _TAPER).sum((1, 2), keepdim=True) / (far**2 * _TAPER).sum((1, 2), keepdim=True)
    return near - exposure * far, exposure


def _costs(windows: _Windows, values) -> np.ndarray:
    """(M,) logarithm of the mean over the frequencies of what no sharp target explains."""
    left, exposure = _differences(windows, values)
    spectrum = torch.fft.rfft2(left * _TAPER).abs().square()
    scale = torch.tensor(windows.scale[1], dtype=torch.float32)[:, None, None]
    near, far = _transfer(windows, values, WINDOW).square()
    inside = (BAND / SHRINK / scale > _FREQUENCY).float()
    each = spectrum / (far + (exposure * scale) ** 2 * near + 1e-4) * inside
    return (each.sum((1, 2)) / inside.sum((1, 2))).log().numpy()


def _values(start: dict, names, x) -> dict:
    """The values at a place of the search, whose unit is STEP."""
    found = {name: float(place * STEP[name]) for name, place in zip(names, x, strict=True)}
    return start | found | {'psf_exponent': float(np.exp(found['psf_exponent']).clip(*EXPONENTS))}


def _solve(windows: _Windows, names, start: dict, iterations: int) -> tuple[dict, np.ndarray, float]:
    """Values of least cost, where in the search they are, and that cost."""
    first = [(np.log(start[name]) if name == 'psf_exponent' else start[name]) / STEP[name] for name in names]
    best = minimize(
        lambda x: _costs(windows, _values(start, names, x)).mean(),
        first,
        method='BFGS',
        options={'maxiter': iterations, 'eps': DIFFERENCE, 'gtol': 1e-4},
    )
    return _values(start, names, best.x), best.x, best.fun


def _sigmas(windows: _Windows, names, found: dict, place: np.ndarray) -> dict:
    """One standard deviation of each value, of `psf_exponent` too, from how much the pairs disagree: the sandwich
    H^-1 G H^-1 of the curvature H of the cost and the scatter G of the pairs' own slopes."""
    steps = DIFFERENCE * np.eye(len(names))
    cost: dict[bytes, np.ndarray] = {}

    def at(x):
        key = x.tobytes()
        if key not in cost:
            cost[key] = _costs(windows, _values(found, names, x))
        return cost[key]

    slope = np.stack([at(place + step) - at(place - step) for step in steps]) / (2 * DIFFERENCE)
    curvature = (
        np.array(
            [
                [(at(place + a + b) - at(place + a - b) - at(place - a + b) + at(place - a - b)).mean() for a in steps]
                for b in steps
            ]
        )
        / (2 * DIFFERENCE) ** 2
    )
    pairs = [slope[:, windows.pair == pair].sum(1) for pair in np.unique(windows.pair)]
    inverse = np.linalg.pinv(curvature) / slope.shape[1]
    scatter = np.sqrt(np.diag(inverse @ np.einsum('pi,pj->ij', pairs, pairs) @ inverse))
    sigma = {
        name: float(np.hypot(each * STEP[name], SLIP.get(name, 0))) for name, each in zip(names, scatter, strict=True)
    }
    return sigma | {'psf_exponent': sigma['psf_exponent'] * found['psf_exponent']}


def _rms(windows: _Windows, values) -> float:
    return float(1000 * (_differences(windows, values)[0] ** 2).mean().sqrt())
