"""Between linear light, where blur happens, and the gamma-encoded values that cameras deliver (IEC 61966-2-1)."""

import torch


def from_srgb(encoded: torch.Tensor) -> torch.Tensor:
    """sRGB values in 0..1 to linear light in 0..1, any shape."""
    return torch.where(encoded <= 0.04045, encoded / 12.92, ((encoded.clamp(min=0.04045) + 0.055) / 1.055) ** 2.4)


def to_srgb(linear: torch.Tensor) -> torch.Tensor:
    """Linear light in 0..1 to sRGB values in 0..1, any shape."""
    return torch.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear.clamp(min=0.0031308) ** (1 / 2.4) - 0.055)
