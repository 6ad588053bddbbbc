"""Where each pixel was in the frame before: optical flow, checked both ways, between pictures brought to equal blur.

Flow assumes that a point keeps its brightness. Where focus moves it does not: one picture is sharper. So both are
blurred to the larger CoC of the two, by the variance that each lacks (`splatting.renderer.missing_blur`).

Flow is DIS (Kroeger et al., "Fast Optical Flow using Dense Inverse Search", ECCV 2016) on the CPU and a pyramid of
Lucas and Kanade (IJCAI 1981, iterative after Bouguet 2001) on other devices.
"""

import cv2
import numpy as np
import torch
import torch.nn.functional as F

from dfd_depth_ros.splatting.renderer import missing_blur

SMALLEST_PX = 16  # sides of a picture under which nothing is said to move
TOLERANCE_PX, TOLERANCE_SHARE = 1.0, 0.1  # of the way there and back, and of its length
DIFFERENT = 40.0  # grey levels of 255 between one point and itself that light and flow do not explain
LEVELS, WINDOW, ITERATIONS = 4, 9, 4  # of Lucas-Kanade
BLUR_STEPS = (0.0, 1.0, 2.0, 4.0, 8.0)  # CoC in pixels of the pictures that blur is mixed from


def matched(first, second, blur_first, blur_second):
    """Two grey pictures (h, w) blurred to the larger of their CoCs (h, w) in pixels at each place."""
    common = torch.maximum(blur_first, blur_second)
    return blurred(first, missing_blur(common, blur_first)), blurred(second, missing_blur(common, blur_second))


def blurred(picture: torch.Tensor, coc: torch.Tensor) -> torch.Tensor:
    """A picture (h, w) blurred by a CoC (h, w) in pixels that varies slowly: Gaussians of the variance of a disc, mixed
    linearly in variance between BLUR_STEPS."""
    result, variance = picture, coc.clamp(0, BLUR_STEPS[-1]) ** 2
    for low, high in zip(BLUR_STEPS, BLUR_STEPS[1:], strict=False):
        share = ((variance - low**2) / (high**2 - low**2)).clamp(0, 1)
        if not bool((share > 0).any()):
            break
        result = torch.lerp(result, _gaussian(picture, high / 4), share)
    return result


def backward_flow(present: torch.Tensor, past: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Where the pixels of the present were. present, past: (h, w) grey 0..255. Returns (2, h, w) x, y in pixels to add,
    and (h, w) bool where the way back leads home and the brightness is the same: elsewhere the past was hidden."""
    if min(present.shape) < SMALLEST_PX:
        return torch.zeros(2, *present.shape, device=present.device), torch.ones_like(present, dtype=torch.bool)
    flow, back = both_ways(present, past)
    moved = sample(torch.cat([back, past[None]]), flow)
    error = (flow + moved[:2]).norm(dim=0)
    seen = error < TOLERANCE_PX + TOLERANCE_SHARE * flow.norm(dim=0)  # NaN, outside of the past, is not
    return flow, seen & ((present - moved[2]).abs() < DIFFERENT)


def both_ways(first: torch.Tensor, second: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Flow (2, h, w) from the first grey picture to the second and back."""
    if first.device.type != 'cpu':
        flows = lucas_kanade(torch.stack([first, second]), torch.stack([second, first]))
        return flows[0], flows[1]
    grey = [picture.clamp(0, 255).byte().numpy() for picture in (first, second)]
    there, back = (torch.from_numpy(dis_flow(*pair)) for pair in (grey, grey[::-1]))
    return there, back


def dis_flow(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Flow (2, h, w) x, y in pixels by DIS from the first grey picture (h, w) uint8 to the second, no side shorter than
    SMALLEST_PX. OpenCV's medium preset: with the fast one, of half the resolution, the way back led home for 81 % of
    what a moving camera saw instead of 90 % (within half a pixel)."""
    return cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(first, second, None).transpose(2, 0, 1)


def registration(
    moving: np.ndarray, fixed: np.ndarray, start: np.ndarray | None = None, smooth: int = 7
) -> tuple[np.ndarray, float] | None:
    """The affine map (2, 3) from x, y of the fixed picture to x, y of the moving one, both grey (h, w) uint8 or
    float32, with the best correlation, which differences of blur hardly touch, and that correlation; None where none is
    found. start: where to begin, the identity unless given. smooth: pixels of a Gaussian window before. Source:
    Evangelidis and Psarakis, "Parametric Image Alignment", PAMI 2008 (OpenCV's findTransformECC)."""
    stop = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 60, 1e-5)
    warp = np.eye(2, 3, dtype=np.float32) if start is None else start.astype(np.float32)
    try:
        alike, warp = cv2.findTransformECC(fixed, moving, warp, cv2.MOTION_AFFINE, stop, None, smooth)
    except cv2.error:
        return None
    return warp, float(alike)


def registered(field: np.ndarray, warp: np.ndarray) -> np.ndarray:
    """A moving picture or map (h, w, ...) where `registration` puts it, bilinear; the border goes on outside."""
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(field, warp, field.shape[1::-1], flags=flags, borderMode=cv2.BORDER_REPLICATE)


def lucas_kanade(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Flow (B, 2, h, w) from first to second (B, h, w) grey: coarse to fine, a few steps of least squares in a window
    on each level. Batched, and on the device of its inputs."""
    levels = [(first[:, None], second[:, None])]
    while len(levels) < LEVELS and min(levels[-1][0].shape[-2:]) >= 2 * SMALLEST_PX:
        one, other = (F.avg_pool2d(picture, 2, ceil_mode=True) for picture in levels[-1])
        levels.append((one, other))
    flow = first.new_zeros(len(first), 2, *levels[-1][0].shape[-2:])
    for one, other in reversed(levels):
        if flow.shape[-2:] != one.shape[-2:]:
            flow = 2 * F.interpolate(flow, size=one.shape[-2:], mode='bilinear', align_corners=False)
        gradient = _gradient(one)
        xx, xy, yy = (_window(a * b) for a, b in ((gradient[0],) * 2, gradient, (gradient[1],) * 2))
        ridge = 1.0 + 1e-3 * (xx + yy)
        xx, yy = xx + ridge, yy + ridge
        for _ in range(ITERATIONS):
            error = one - _grid_sample(other, flow, 'border')
            x, y = (_window(part * error) for part in gradient)
            step = torch.cat([yy * x - xy * y, xx * y - xy * x], 1) / (xx * yy - xy**2)
            flow = flow + step.clamp(-2, 2)
        flow = _window(flow)
    return flow


def sample(fields: torch.Tensor, flow: torch.Tensor) -> torch.Tensor:
    """Fields (C, h, w) of the past where the flow (2, h, w) leads, bilinear; NaN outside, and beside what is NaN."""
    if fields.device.type != 'cpu':
        return _grid_sample(fields[None], flow[None], 'nan')[0]
    height, width = flow.shape[-2:]
    x = flow[0].numpy() + np.arange(width, dtype=np.float32)
    y = flow[1].numpy() + np.arange(height, dtype=np.float32)[:, None]
    maps = cv2.convertMaps(x, y, cv2.CV_16SC2)
    moved = [cv2.remap(f.numpy(), *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE) for f in fields]
    inside = (x > -0.5) & (x < width - 0.5) & (y > -0.5) & (y < height - 0.5)
    return torch.from_numpy(np.where(inside, np.stack(moved), np.float32(np.nan)))


def enlarged(field: torch.Tensor, step: int) -> torch.Tensor:
    """A field (h, w) on a grid `step` times as fine, bilinear: (step * h, step * w)."""
    if field.device.type != 'cpu':
        return F.interpolate(field[None, None], scale_factor=step, mode='bilinear', align_corners=False)[0, 0]
    height, width = field.shape
    return torch.from_numpy(cv2.resize(field.numpy(), (step * width, step * height), interpolation=cv2.INTER_LINEAR))


def _grid_sample(fields, flow, outside):
    height, width = flow.shape[-2:]
    x = (flow[:, 0] + torch.arange(width, device=flow.device)) / max(width - 1, 1) * 2 - 1
    y = (flow[:, 1] + torch.arange(height, device=flow.device)[:, None]) / max(height - 1, 1) * 2 - 1
    moved = F.grid_sample(fields, torch.stack([x, y], -1), padding_mode='border', align_corners=True)
    if outside == 'nan':
        inside = (x.abs() < width / max(width - 1, 1)) & (y.abs() < height / max(height - 1, 1))
        moved = torch.where(inside[:, None], moved, moved.new_tensor(torch.nan))
    return moved


def _gaussian(picture, sigma):
    """Exact in variance: three taps where a sampled Gaussian would hardly blur."""
    reach = max(1, int(3 * sigma + 0.5))
    place = torch.arange(-reach, reach + 1, device=picture.device, dtype=picture.dtype)
    if sigma < 0.6:
        taps = picture.new_tensor([sigma**2 / 2, 1 - sigma**2, sigma**2 / 2])
        reach = 1
    else:
        taps = torch.exp(-(place**2) / (2 * sigma**2))
    taps = taps / taps.sum()
    padded = F.pad(picture[None, None], (reach,) * 4, mode='replicate')
    return F.conv2d(F.conv2d(padded, taps[None, None, None]), taps[None, None, :, None])[0, 0]


def _gradient(picture):
    padded = F.pad(picture, (1, 1, 1, 1), mode='replicate')
    return (padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]) / 2, (padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]) / 2


def _window(field):
    reach = WINDOW // 2
    return F.avg_pool2d(F.pad(field, (reach,) * 4, mode='replicate'), WINDOW, 1)
