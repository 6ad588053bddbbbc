"""The frames that a report shows: worst, median and best, chosen while frames stream by."""

import operator
from typing import NamedTuple

import cv2
import numpy as np

from dfd_depth_ros.estimation.estimate import Estimate
from dfd_depth_ros.scenes.frame import Frame

WIDTH = 480  # columns of a kept picture, enough for a page
SAMPLE = 48  # pictures held to step through, and for the choice of the median
EXTREMES = {'worst': operator.gt, 'best': operator.lt}
RANKED = {1: ('Only frame',), 2: ('Worst frame', 'Best frame'), 3: ('Worst frame', 'Median frame', 'Best frame')}
UNRANKED = {1: ('Only frame',), 2: ('Early frame', 'Late frame'), 3: ('Early frame', 'Middle frame', 'Late frame')}


class Picture(NamedTuple):
    """One frame and what was made of it, reduced to at most WIDTH columns. image: (H, W, 3) uint8; the others are
    (H, W) float32 in pixels or metres, NaN unknown. truth is None and abs_rel NaN without ground truth."""

    name: str
    abs_rel: float
    image: np.ndarray
    coc: np.ndarray
    depth: np.ndarray
    sigma: np.ndarray
    truth: np.ndarray | None


class Gallery:
    """Holds the worst frame, the best frame and an even sample of them all."""

    def __init__(self):
        self._scores: list[float] = []
        self._extremes: dict[str, Picture] = {}
        self._sample: list[Picture] = []
        self._stride = 1

    def offer(self, frame: Frame, estimate: Estimate, abs_rel: float) -> None:
        """See one more frame; abs_rel is NaN where there is no ground truth."""
        is_sampled = len(self._scores) % self._stride == 0
        self._scores.append(abs_rel)
        beaten = [place for place, is_beyond in EXTREMES.items() if self._is_record(place, abs_rel, is_beyond)]
        if not (is_sampled or beaten):
            return
        picture = _picture(frame, estimate, abs_rel)
        self._extremes |= dict.fromkeys(beaten, picture)
        if is_sampled:
            self._sample.append(picture)
        if len(self._sample) > SAMPLE:
            self._sample = self._sample[::2]
            self._stride *= 2

    def _is_record(self, place: str, abs_rel: float, is_beyond) -> bool:
        held = self._extremes.get(place)
        return np.isfinite(abs_rel) and (held is None or is_beyond(abs_rel, held.abs_rel))

    def sample(self) -> list[Picture]:
        """An even sample of all frames, in their order."""
        return list(self._sample)

    def choice(self) -> dict[str, Picture]:
        """Title -> picture, at most three of them."""
        scores = np.array([score for score in self._scores if np.isfinite(score)])
        if not scores.size:
            picks = [self._sample[place] for place in dict.fromkeys((0, len(self._sample) // 2, -1))]
            return _titled(UNRANKED, picks)
        median = min(
            (picture for picture in self._sample if np.isfinite(picture.abs_rel)),
            key=lambda picture: abs(picture.abs_rel - np.median(scores)),
        )
        return _titled(RANKED, [self._extremes['worst'], median, self._extremes['best']])


def _titled(titles: dict, pictures: list[Picture]) -> dict[str, Picture]:
    different = list({picture.name: picture for picture in pictures}.values())
    return dict(zip(titles[len(different)], different, strict=True)) if different else {}


def _picture(frame: Frame, estimate: Estimate, abs_rel: float) -> Picture:
    image, fields = frame.image, [estimate.coc, estimate.depth, estimate.sigma, frame.depth]
    height, width = image.shape[:2]
    if width > WIDTH:
        size = (WIDTH, max(1, round(height * WIDTH / width)))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        fields = [
            None if field is None else cv2.resize(field, size, interpolation=cv2.INTER_NEAREST) for field in fields
        ]
    return Picture(frame.name, abs_rel, image, *fields)
