"""Where the points that one pinhole camera sees land in another: pictures in batches, depth as inverse depth.

A camera is its lens state (B, 5), of which the focal length in pixels and the principal point x, y matter here (the
last three numbers). A motion is (B, 4, 4): a point in the first camera's axes to the second's. All of it is
differentiable.
"""

import torch
from torch.nn.functional import grid_sample

AHEAD = 1e-6  # least depth in the second view over depth in the first


def rays(lens: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """(B, 3, H, W) directions through the pixels with z = 1."""
    fx, x, y = (lens[:, index, None, None] for index in (2, 3, 4))
    rows = torch.arange(height, device=lens.device, dtype=lens.dtype)[:, None]
    columns = torch.arange(width, device=lens.device, dtype=lens.dtype)[None]
    across, down = ((columns - x) / fx).expand(-1, height, -1), ((rows - y) / fx).expand(-1, -1, width)
    return torch.stack([across, down, torch.ones_like(across)], 1)


def transfer(
    inverse_depth: torch.Tensor, lens: torch.Tensor, motion: torch.Tensor, other: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Pixels of one camera in another. inverse_depth: (B, 1, H, W) 1/m in the first. lens, other: (B, 5) states of the
    first and the second. Returns pixel x, y there (B, 2, H, W) and inverse depth there (B, 1, H, W), below zero behind
    the camera. Works in inverse depth, so points at infinity are finite."""
    directions = rays(lens, *inverse_depth.shape[-2:])
    moved = torch.einsum('bij,bjhw->bihw', motion[:, :3, :3], directions)
    moved = moved + motion[:, :3, 3, None, None] * inverse_depth
    ahead = torch.where(moved[:, 2:] > AHEAD, moved[:, 2:], torch.full_like(moved[:, 2:], AHEAD))
    place = other[:, 2, None, None, None] * moved[:, :2] / ahead + other[:, 3:5, None, None]
    return place, inverse_depth / moved[:, 2:]


def sampled(field: torch.Tensor, place: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """A field (B, C, h, w) read at pixels x, y (B, 2, H, W), bilinear, and whether they lie inside it (B, 1, H, W).
    Beyond the border its outermost pixels go on."""
    last = place.new_tensor([field.shape[-1] - 1, field.shape[-2] - 1])[:, None, None]
    grid = (2 * place / last - 1).clamp(-4, 4)
    read = grid_sample(field, grid.movedim(1, -1), mode='bilinear', padding_mode='border', align_corners=True)
    return read, (grid.abs() <= 1 + 1e-6).all(1, keepdim=True)


def motion_between(source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """(B, 4, 4) from the source camera to the target camera, of camera-to-world poses (B, 4, 4)."""
    return inverse_motion(target) @ source


def inverse_motion(motion: torch.Tensor) -> torch.Tensor:
    """The rigid motion (B, 4, 4) that takes another back."""
    turn = motion[:, :3, :3].mT
    back = torch.cat([turn, -turn @ motion[:, :3, 3:]], 2)
    return torch.cat([back, motion.new_tensor([0, 0, 0, 1.0]).expand(len(motion), 1, 4)], 1)


def rigid(vector: torch.Tensor) -> torch.Tensor:
    """(B, 6) axis times angle in radians and translation in metres to motions (B, 4, 4); zero gives the identity, with
    gradients. Source: Rodrigues' rotation formula, as the exponential of a skew matrix."""
    x, y, z = vector[:, :3].unbind(1)
    none = torch.zeros_like(x)
    skew = torch.stack([none, -z, y, z, none, -x, -y, x, none], 1).view(-1, 3, 3)
    top = torch.cat([torch.linalg.matrix_exp(skew), vector[:, 3:, None]], 2)
    return torch.cat([top, vector.new_tensor([0, 0, 0, 1.0]).expand(len(vector), 1, 4)], 1)
