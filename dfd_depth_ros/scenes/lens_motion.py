"""A lens in motion: where it is, focus is a span and not a number.

An image is exposed while the lens moves if the driver says so, or if the states before and after the image differ.
"""

import bisect
from collections.abc import Callable, Sequence

STILL_DIOPTRE = 0.01  # neighbours that differ by less are one focus, read with noise


def motion_span(
    stamps: Sequence[int], focus: Callable[[int], float], moving: Sequence[bool], stamp: int, reach: float
) -> float | None:
    """Span in dioptres of the focus around a stamp where the lens moves, None where it stands still.

    stamps: of the states, ascending, each once. focus(index): of a state, in dioptres. moving: whether the driver says
    that the lens moved at a state. Neighbours further than reach from the stamp do not count. Where a state has the
    very stamp, only what the driver says of it makes a motion: a lens that steps between images stands still in each.
    """
    first, last = bisect.bisect_left(stamps, stamp), bisect.bisect_right(stamps, stamp)
    exact = range(first, last)
    near = [index for index in range(max(first - 1, 0), min(last + 1, len(stamps)))]
    near = [index for index in near if abs(stamps[index] - stamp) <= reach]
    values = [focus(index) for index in near]
    span = max(values) - min(values) if values else 0.0
    if any(moving[index] for index in exact or near):
        return span
    is_between = not exact and 0 < first < len(stamps)
    return span if is_between and span > STILL_DIOPTRE else None
