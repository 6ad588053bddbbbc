"""What an online learner shows of itself while it runs: a picture before and after, and TensorBoard curves."""

from collections import deque
from pathlib import Path

import numpy as np
from torch.utils.tensorboard import SummaryWriter

from dfd_depth_ros.estimation.estimator import DepthEstimator
from dfd_depth_ros.evaluation.strip import write_comparison
from dfd_depth_ros.networks.weights import from_bytes
from dfd_depth_ros.scenes.frame import Frame
from dfd_depth_ros.training.gate import Decision
from dfd_depth_ros.training.keyframes import Keyframe

KEPT = 2000  # losses and decisions that wait to be written


class Diary:
    """Losses and decisions since the last report, and the report itself."""

    def __init__(self):
        self._losses: deque[tuple[int, dict[str, float]]] = deque(maxlen=KEPT)
        self._decisions: deque[Decision] = deque(maxlen=KEPT)

    def note(self, step: int, losses: dict[str, float], decision: Decision | None = None):
        """Remember what one step did."""
        if losses:
            self._losses.append((step, losses))
        if decision:
            self._decisions.append(decision)

    def write(self, folder: Path, shipped: bytes, present: bytes, frame: Keyframe | None):
        """Write `before_after.png` of a keyframe read by both weights, and append to `tensorboard/` and
        `decisions.txt`."""
        folder.mkdir(parents=True, exist_ok=True)
        with SummaryWriter(folder / 'tensorboard') as log, (folder / 'decisions.txt').open('a') as lines:
            for step, losses in self._losses:
                for name, value in losses.items():
                    log.add_scalar(f'online/{name}', value, step)
            for decision in self._decisions:
                if np.isfinite(decision.after):
                    log.add_scalars('held_out', {'before': decision.before, 'after': decision.after}, decision.step)
                lines.write(f'{decision.step}\t{"accepted" if decision.accepted else "refused"}\t{decision.reason}\n')
        self._losses.clear()
        self._decisions.clear()
        if frame is not None:
            image = (frame.image.permute(1, 2, 0) * 255).round().byte().cpu().numpy()
            before, after = (
                DepthEstimator(from_bytes(data, 'report')[0], 'cpu').estimate(image, frame.told)
                for data in (shipped, present)
            )
            write_comparison(folder / 'before_after.png', Frame('keyframe', image, frame.told), before, after)
