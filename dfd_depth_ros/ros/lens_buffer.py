"""Lens states by stamp: what belongs to an image is found exactly, between its neighbours, or by a policy."""

import bisect
import math
import threading
from dataclasses import dataclass, replace

from dfd_depth_ros.optics.lens import Lens, LensError

_INTERPOLATED = ('focal_length_m', 'f_number', 'focus_dioptre', 'focus_dioptre_sigma')
_CAPACITY = 1000


class NoLensError(LensError):
    """No lens state belongs to an image; the message says what there was instead."""


@dataclass(frozen=True)
class LensMatch:
    """A lens state for one image. age_s: seconds to the nearest state that it was made from. quality: 'fixed' (from
    parameters), 'exact', 'interpolated', 'held' or 'static'."""

    lens: Lens
    age_s: float
    quality: str


class LensBuffer:
    """Lens states by stamp (nanoseconds), safe to fill in one thread and to read in another."""

    def __init__(self):
        self._condition = threading.Condition()
        self._stamps: list[int] = []
        self._lenses: list[Lens] = []

    def add(self, stamp: int, lens: Lens) -> None:
        """Store a state. A stamp that jumps back means that time began anew: the earlier states are forgotten."""
        with self._condition:
            if self._stamps and stamp < self._stamps[-1]:
                self._forget(len(self._stamps))
            self._stamps.append(stamp)
            self._lenses.append(lens)
            self._forget(len(self._stamps) - _CAPACITY)
            self._condition.notify_all()

    def match(self, stamp: int, max_age_s: float, policy: str, static: Lens | None, wait_s: float) -> LensMatch:
        """The state of exactly that stamp, else interpolated in dioptres between the neighbours on both sides where
        each is within max_age_s. Waits up to wait_s for them; after that the policy decides: 'hold' takes the last
        state before the image, 'static' the lens given as such, 'drop' raises NoLensError."""
        with self._condition:
            self._condition.wait_for(lambda: self._is_settled(stamp), wait_s)
            match = self._exact(stamp) or self._interpolated(stamp, max_age_s)
            if match is None and policy == 'hold':
                match = self._held(stamp)
            if match is None and policy == 'static':
                match = LensMatch(static, math.inf, 'static')
            if match is None:
                raise NoLensError(self._complaint(stamp, max_age_s))
            return match

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

    def _held(self, stamp: int) -> LensMatch | None:
        index = bisect.bisect_right(self._stamps, stamp) - 1
        if index < 0:
            return None
        return LensMatch(self._lenses[index], _seconds(stamp - self._stamps[index]), 'held')

    def _complaint(self, stamp: int, max_age_s: float) -> str:
        if not self._stamps:
            return 'no lens state has arrived'
        nearest = min(self._stamps, key=lambda other: abs(other - stamp))
        away = _seconds(nearest - stamp)
        return f'no lens state belongs to the image: the nearest is {away:+.3f} s away, lens.max_age_s is {max_age_s:g}'

    def _forget(self, count: int) -> None:
        if count > 0:
            del self._stamps[:count], self._lenses[:count]


def _seconds(nanoseconds: int) -> float:
    return nanoseconds / 1e9
