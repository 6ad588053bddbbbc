"""What a known motion of the camera does to inverse depth: from camera-to-world poses and intrinsics."""

import numpy as np
import torch


def carried(inverse_depth: torch.Tensor, flow: torch.Tensor, place, past_place, step: int = 1) -> torch.Tensor:
    """Inverse depth of points of a still world in the present camera. inverse_depth: (C, h, w) as the past camera saw
    it, already at the present pixels. flow: (2, h, w) from the present to the past, in cells of step x step pixels.
    place, past_place: (pose (4, 4) camera-to-world, `Intrinsics` in pixels) of each. A point ahead of the past camera
    that would lie behind the present one is NaN."""
    pose, _ = place
    past_pose, camera = past_place
    motion = np.linalg.inv(pose) @ past_pose
    height, width = flow.shape[-2:]
    columns = (flow[0] + torch.arange(width, device=flow.device) + 0.5) * step - 0.5
    rows = (flow[1] + torch.arange(height, device=flow.device)[:, None] + 0.5) * step - 0.5
    turn_x, turn_y, turn_z, shift = (float(value) for value in motion[2])
    turned = turn_x * (columns - camera.cx) / camera.fx + turn_y * (rows - camera.cy) / camera.fy + turn_z
    ratio = turned + shift * inverse_depth  # depth in the present camera over depth in the past one
    return torch.where(ratio > 0.05, inverse_depth / ratio, inverse_depth.new_tensor(torch.nan))
