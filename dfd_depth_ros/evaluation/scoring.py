"""Scoring: the estimator over frames with ground truth, as numbers, curves and pictures.

Everything but the timings depends on the input, the weights and the device alone.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np

from dfd_depth_ros.estimation.estimate import Estimate
from dfd_depth_ros.evaluation.consistency import CONSISTENCY_METRICS, consistency, missing
from dfd_depth_ros.evaluation.gallery import Gallery
from dfd_depth_ros.evaluation.metrics import (
    METRICS,
    SIGN_COC_PX,
    contrast,
    edge_distance,
    frame_metrics,
    is_depth,
    mean_over_frames,
    over_frames,
    textured,
)
from dfd_depth_ros.evaluation.quantiles import HIGHEST, Quantiles
from dfd_depth_ros.evaluation.temporal_metrics import PAIR_METRICS, pair_metrics
from dfd_depth_ros.optics.lens import Lens
from dfd_depth_ros.scenes.frame import Frame
from dfd_depth_ros.scenes.rgbd import defocused

DEPTH_EDGES_M = np.geomspace(0.1, 100, 61)
COC_EDGES_PX = np.arange(-30.5, 31)
TEXTURE_EDGES = np.geomspace(0.1, 100, 25)  # grey levels
DISTANCE_EDGES_PX = np.array([0, 2, 4, 8, 16, 32, 64, 128, 4096])


class ScoreError(ValueError):
    """A frame that cannot be scored; the message names it and the reason."""


@dataclass
class Curves:
    """Distributions over all pixels with ground truth.

    error, claimed: |error| and sigma, both over the true depth, by true depth. coc_error: |CoC error| in pixels by true
    CoC. side, side_at: 1 on the wrong side of focus and 0 on the right one, by true CoC and by distance from the
    nearest occlusion edge. texture: as error, by contrast of the picture. z: |error| / sigma. rel, coc: as error and
    coc_error, of all pixels together.
    """

    error: Quantiles = field(default_factory=lambda: Quantiles(DEPTH_EDGES_M))
    claimed: Quantiles = field(default_factory=lambda: Quantiles(DEPTH_EDGES_M))
    coc_error: Quantiles = field(default_factory=lambda: Quantiles(COC_EDGES_PX))
    side: Quantiles = field(default_factory=lambda: Quantiles(COC_EDGES_PX))
    side_at: Quantiles = field(default_factory=lambda: Quantiles(DISTANCE_EDGES_PX))
    texture: Quantiles = field(default_factory=lambda: Quantiles(TEXTURE_EDGES))
    z: Quantiles = field(default_factory=Quantiles)
    rel: Quantiles = field(default_factory=Quantiles)
    coc: Quantiles = field(default_factory=Quantiles)

    def add(self, estimate: Estimate, truth: np.ndarray, true_coc: np.ndarray, levels: np.ndarray) -> None:
        """Count the pixels of one frame. truth, true_coc, levels (contrast in grey levels): (H, W) each."""
        known = is_depth(truth)
        coc_error = np.abs(estimate.coc[known] - true_coc[known])
        self.coc_error.add(coc_error, true_coc[known])
        self.coc.add(coc_error)
        readable = known & (np.abs(true_coc) > SIGN_COC_PX)
        wrong = (estimate.coc > 0)[readable] != (true_coc > 0)[readable]
        self.side.add(wrong, true_coc[readable])
        self.side_at.add(wrong, edge_distance(true_coc)[readable])
        known &= is_depth(estimate.depth)
        error, sigma, true = np.abs(estimate.depth[known] - truth[known]), estimate.sigma[known], truth[known]
        self.error.add(error / true, true)
        self.claimed.add(sigma / true, true)
        self.rel.add(error / true)
        self.texture.add(error / true, levels[known])
        self.z.add(np.where(np.isfinite(sigma), error / np.maximum(sigma, 1e-9), HIGHEST))


@dataclass
class Evaluation:
    """numbers: what goes into the JSON. curves and gallery: what the report draws. lens: of the first frame. seconds:
    that each estimate took."""

    numbers: dict
    curves: Curves
    gallery: Gallery
    lens: Lens
    seconds: list[float]


def score(frames: Iterable[Frame], estimator, lens: Lens | None = None, side: str | None = None) -> dict:
    """The numbers of `evaluate`."""
    return evaluate(frames, estimator, lens, side).numbers


def evaluate(frames: Iterable[Frame], estimator, lens: Lens | None = None, side: str | None = None) -> Evaluation:
    """Estimate and score every frame, in order.

    estimator: a DepthEstimator; it is reset where `Frame.sequence` changes. lens: overrides that of the frames; it is
    needed for RGB-D frames without image, whose defocus is rendered with it. side: overrides `Lens.side`.
    Raises ScoreError for a frame without lens, and where there is no frame at all.
    """
    curves, gallery = Curves(), Gallery()
    rows, pairs, seconds, first_lens = [], [], [], None
    before: tuple[Frame, Estimate] | None = None
    for frame in frames:
        frame = _prepared(frame, lens, side)
        follows = before is not None and _follows(before[0], frame)
        if not follows:
            estimator.reset()
        estimate, duration = _timed(estimator, frame)
        metrics = {}
        if frame.depth is not None:
            true_coc = frame.lens.coc(1 / frame.depth)
            metrics = frame_metrics(estimate, frame.depth, true_coc, textured(frame.image))
            curves.add(estimate, frame.depth, true_coc, contrast(frame.image))
        pair = {}
        if follows:
            pair = pair_metrics((before[0], before[1].depth), (frame, estimate.depth))
        if before is not None and _is_neighbour(before[0], frame) and before[0].depth is frame.depth is None:
            pair |= consistency(before, (frame, estimate))
        pairs += [pair] if pair else []
        gallery.offer(frame, estimate, metrics.get('abs_rel', float('nan')))
        rows.append({'name': frame.name, 'sequence': frame.sequence, 'stamp': frame.stamp, **metrics, **pair})
        seconds.append(duration)
        first_lens, before = first_lens or frame.lens, (frame, estimate)
    if not rows:
        raise ScoreError('there is no frame to evaluate')
    return Evaluation(_numbers(rows, pairs, seconds, curves, estimator), curves, gallery, first_lens, seconds)


def latency_ms(seconds) -> dict:
    """p50, p95 and p99 of durations (N,) in seconds, as milliseconds; NaN for none."""
    values = np.percentile(seconds, (50, 95, 99)) * 1e3 if len(seconds) else [float('nan')] * 3
    return dict(zip(('p50', 'p95', 'p99'), map(float, values), strict=True))


def _numbers(rows, pairs, seconds, curves, estimator) -> dict:
    """The first call, which warms up, is timed only where it is the only one."""
    scored = [row for row in rows if 'abs_rel' in row]
    means = mean_over_frames(scored, METRICS)
    means |= {'abs_rel_median': float(curves.rel.at(0.5)[0]), 'coc_median_px': float(curves.coc.at(0.5)[0])}
    means |= {f'abs_rel_{name}': value for name, value in over_frames([row['abs_rel'] for row in scored]).items()}
    return {
        'frames': len(rows),
        'frames_with_truth': len(scored),
        **means,
        **_known_means(pairs),
        'sign_by_coc_px': _shares(curves.side),
        'sign_by_edge_distance_px': _shares(curves.side_at),
        'latency_ms': latency_ms(seconds[1:] or seconds),
        'weights_digest': estimator.digest,
        'model': estimator.model_name,
        'device': estimator.device,
        'precision': estimator.precision,
        'notes': missing(rows),
        'per_frame': rows,
    }


def _known_means(pairs) -> dict:
    """Means of the pair metrics that any pair has."""
    names = tuple(name for name in (*PAIR_METRICS, *CONSISTENCY_METRICS) if any(name in pair for pair in pairs))
    return mean_over_frames(pairs, names)


def _shares(side) -> list[dict]:
    """Sign accuracy in each range that holds pixels."""
    ranges = zip(side.edges[:-1], side.edges[1:], side.below(0.5), side.counts, strict=True)
    return [
        {'from': float(low), 'to': float(high), 'sign_accuracy': float(share), 'pixels': int(count)}
        for low, high, share, count in ranges
        if count
    ]


def _prepared(frame: Frame, lens: Lens | None, side: str | None) -> Frame:
    lens = lens or frame.lens
    if lens is None:
        what = (
            'has no lens' if frame.image is not None else 'is RGB-D without defocus and has no lens to render it with'
        )
        raise ScoreError(f'{frame.name} {what}; give one with --lens FILE')
    if side:
        lens = replace(lens, side=side)
    return replace(frame, lens=lens) if frame.image is not None else defocused(frame, lens)


def _follows(before: Frame, frame: Frame) -> bool:
    """Whether two frames are neighbours in a video."""
    if before.sequence != frame.sequence or before.stamp is None or frame.stamp is None:
        return False
    return frame.stamp > before.stamp and frame.image.shape == before.image.shape


def _is_neighbour(before: Frame, frame: Frame) -> bool:
    """Whether two frames show one scene, one after the other: in a video, or in a focal stack without stamps."""
    alone = before.stamp is None and frame.stamp is None and bool(frame.sequence)
    same = before.sequence == frame.sequence and frame.image.shape == before.image.shape
    return same and (alone or _follows(before, frame))


def _timed(estimator, frame: Frame) -> tuple[Estimate, float]:
    start = time.perf_counter()
    try:
        estimate = estimator.estimate(frame.image, frame.lens, frame.stamp, frame.pose, frame.intrinsics)
    except ValueError as error:
        raise ScoreError(f'{frame.name}: {error}') from None
    return estimate, time.perf_counter() - start
