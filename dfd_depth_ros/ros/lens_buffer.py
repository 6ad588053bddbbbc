"""Lens states by stamp: what belongs to an image is found exactly, between its neighbours, or by a policy.

The span of focus around an image of a lens that moves counts as one more standard deviation, or the image is dropped.
"""

import bisect
import math
import threading
from dataclasses import dataclass, replace

from dfd_depth_ros.optics.lens import Lens, LensError
from dfd_depth_ros.scenes.lens_motion import motion_span

_INTERPOLATED = ('focal_length_m', 'f_number', 'focus_dioptre', 'focus_dioptre_sigma')
_CAPACITY = 1000
OTHER_CLOCK_S = 3600.0  # no lens state is this late: its stamp comes from another clock
HELD_S = 365 * 24 * 3600.0  # nor is one held for longer


class NoLensError(LensError):
    """No lens state belongs to an image; the message says what there was instead."""


@dataclass(frozen=True)
class LensMatch:
    """A lens state for one image. age_s: seconds to the nearest state that it was made from. quality: 'fixed' (from
    parameters), 'exact', 'interpolated', 'held' or 'static'. is_moving: the focus is that of a lens in motion."""

    lens: Lens
    age_s: float
    quality: str
    is_moving: bool = False


class LensBuffer:
    """Lens states by stamp (nanoseconds), safe to fill in one thread and to read in another."""

    def __init__(self):
        self._condition = threading.Condition()
        self._stamps: list[int] = []
        self._lenses: list[Lens] = []
        self._moving: list[bool] = []

    def add(self, stamp: int, lens: Lens, is_moving: bool = False) -> str:
        """Store a state. Returns a sentence where the stamp is strange, else ''. A stamp that jumps back means that
        time began anew: the earlier states are forgotten. Of two states of one stamp the later one counts."""
        problem = ''
        with self._condition:
            if self._stamps and stamp < self._stamps[-1]:
                problem = (
                    f'lens stamp jumped back by {_seconds(self._stamps[-1] - stamp):.3f} s; earlier ones are forgotten'
                )
                self._forget(len(self._stamps))
            elif self._stamps and stamp == self._stamps[-1]:
                if lens != self._lenses[-1]:
                    problem = f'two lens states have the stamp {_seconds(stamp):.3f} s and differ; the later one counts'
                for column in self._columns():
                    column.pop()
            self._stamps.append(stamp)
            self._lenses.append(lens)
            self._moving.append(is_moving)
            self._forget(len(self._stamps) - _CAPACITY)
            self._condition.notify_all()
        return problem

    def match(
        self, stamp: int, max_age_s: float, policy: str, static: Lens | None, wait_s: float, moving: str = 'widen'
    ) -> LensMatch:
        """The state of exactly that stamp, else interpolated in dioptres between the neighbours on both sides where
        each is within max_age_s. Waits up to wait_s for them; after that the policy decides: 'hold' takes the last
        state before the image, 'static' the lens given as such, 'drop' raises NoLensError. moving: 'widen' adds the
        span of focus between the neighbours of a lens that moves to its sigma, 'drop' raises NoLensError there."""
        with self._condition:
            self._condition.wait_for(lambda: self._is_settled(stamp), wait_s)
            match = self._exact(stamp) or self._interpolated(stamp, max_age_s)
            if match is None and policy == 'hold':
                match = self._held(stamp)
            if match is None and policy == 'static':
                match = LensMatch(static, math.inf, 'static')
            if match is None:
                raise NoLensError(self._complaint(stamp, max_age_s))
            return self._in_motion(match, stamp, max_age_s, moving)

    def _is_settled(self, stamp: int) -> bool:
        after = bisect.bisect_left(self._stamps, stamp)
        return after < len(self._stamps) and (after > 0 or self._stamps[after] == stamp)

    def _exact(self, stamp: int) -> LensMatch | None:
        index = bisect.bisect_right(self._stamps, stamp) - 1
        found = index >= 0 and self._stamps[index] == stamp
        return LensMatch(self._lenses[index], 0.0, 'exact') if found else None

    def _interpolated(self, stamp: int, max_age_s: float) -> LensMatch | None:
        after = bisect.bisect_left(self._stamps, stamp)
        if not 0 < after < len(self._stamps):
            return None
        ages = (_seconds(stamp - self._stamps[after - 1]), _seconds(self._stamps[after] - stamp))
        if max(ages) > max_age_s:
            return None
        before, weight = self._lenses[after - 1], ages[0] / sum(ages)
        values = {
            name: (1 - weight) * getattr(before, name) + weight * getattr(self._lenses[after], name)
            for name in _INTERPOLATED
        }
        return LensMatch(replace(before, **values), min(ages), 'interpolated')

    def _in_motion(self, match: LensMatch, stamp: int, max_age_s: float, moving: str) -> LensMatch:
        """The match, with the sigma of a lens that moves."""
        if match.quality == 'static':
            return match
        reach = max(max_age_s, match.age_s) * 1e9
        span = motion_span(self._stamps, lambda index: self._lenses[index].focus_dioptre, self._moving, stamp, reach)
        if span is None:
            return match
        if moving == 'drop':
            raise NoLensError(
                f'the lens moves: its focus spans {span:.2f} dioptre around the image; lens.moving is drop'
            )
        lens = replace(match.lens, focus_dioptre_sigma=math.hypot(match.lens.focus_dioptre_sigma, span))
        return replace(match, lens=lens, is_moving=True)

    def _held(self, stamp: int) -> LensMatch | None:
        index = bisect.bisect_right(self._stamps, stamp) - 1
        age_s = _seconds(stamp - self._stamps[index]) if index >= 0 else math.inf
        return LensMatch(self._lenses[index], age_s, 'held') if age_s < HELD_S else None

    def _complaint(self, stamp: int, max_age_s: float) -> str:
        if not self._stamps:
            return 'no lens state has arrived'
        nearest = min(self._stamps, key=lambda other: abs(other - stamp))
        away = _seconds(nearest - stamp)
        if abs(away) >= OTHER_CLOCK_S:
            return (
                f'lens stamps are in another clock: the image is at {_seconds(stamp):.3f} s, the nearest lens state at '
                f'{_seconds(nearest):.3f} s'
            )
        return f'no lens state belongs to the image: the nearest is {away:+.3f} s away, lens.max_age_s is {max_age_s:g}'

    def _forget(self, count: int) -> None:
        for column in self._columns():
            del column[: max(count, 0)]

    def _columns(self) -> tuple[list, ...]:
        return self._stamps, self._lenses, self._moving


def _seconds(nanoseconds: int) -> float:
    return nanoseconds / 1e9
