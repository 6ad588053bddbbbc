"""How fast a node was, read from the bag of what went in and what came out."""

import numpy as np

from dfd_depth_ros.evaluation.scoring import latency_ms
from dfd_depth_ros.scenes.bags import Times

PLAUSIBLE_NS = (-1_000_000_000, 60_000_000_000)  # between the stamp of an image and its receipt, on one clock


def recorded_timing(images: Times, depths: Times) -> dict:
    """Rate, drops and latency of recorded depth images.

    latency_ms runs from the stamp of the image to the receipt of its depth, where stamps and recorder share a clock;
    where they do not (simulated time, old footage), from the receipt of the image; `latency_from` says which, 'stamp'
    or 'receipt'. drops: images without a depth. unmatched: depths whose stamp no image has. rate_hz: of the depths as
    received.
    """
    stamps, receipts = images
    lag = np.median(receipts - stamps) if len(stamps) else 0
    on_one_clock = PLAUSIBLE_NS[0] <= lag <= PLAUSIBLE_NS[1]
    start = dict(zip(stamps.tolist(), (stamps if on_one_clock else receipts).tolist(), strict=True))
    matched = [stamp in start for stamp in depths.stamp_ns.tolist()]
    seconds = [
        (receipt - start[stamp]) / 1e9
        for stamp, receipt in zip(depths.stamp_ns.tolist(), depths.receive_ns.tolist(), strict=True)
        if stamp in start
    ]
    span_s = float(np.ptp(depths.receive_ns)) / 1e9 if len(depths.receive_ns) else 0.0
    return {
        'images': len(start),
        'depths': len(matched),
        'drops': len(start.keys() - set(depths.stamp_ns.tolist())),
        'unmatched': matched.count(False),
        'rate_hz': (len(matched) - 1) / span_s if span_s > 0 else float('nan'),
        'latency_ms': latency_ms(seconds),
        'latency_from': 'stamp' if on_one_clock else 'receipt',
    }
