"""How the learning rate goes, in all offline training."""

import math


def rate(step: int, steps: int, warmup: int) -> float:
    """Share of the learning rate at a step: up over `warmup` steps, then down half a cosine to 2 % at `steps`. Source:
    Loshchilov and Hutter, "SGDR", ICLR 2017."""
    warm = min(1.0, (step + 1) / warmup)
    return warm * (0.02 + 0.98 * (1 + math.cos(math.pi * min(1.0, step / steps))) / 2)
