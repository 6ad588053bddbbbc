"""The gate: a candidate replaces the present weights only where it is better, and nowhere worse, by evidence.

Better: on keyframes that were never trained on, in re-rendering error and agreement of the readings, paired window by
window, by a margin and by more than the standard error. Not worse: on made-up scenes with known depth, built in, so
that what was learned offline is not lost. And never: values that are not finite, a lens far from what it is told, or
depth that has gone flat.
"""

import copy
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch

from dfd_depth_ros.networks.model import DfdModel
from dfd_depth_ros.splatting.renderer import Renderer
from dfd_depth_ros.training.data import Batch, Pairs, expose
from dfd_depth_ros.training.keyframes import Keyframe
from dfd_depth_ros.training.losses import log_depth_loss
from dfd_depth_ros.training.rerender import WEIGHTS, looks, rerendering

MARGIN = 0.005  # relative improvement below which a change is not worth it
SYNTHETIC_LOSS = 1.05  # of the error on made-up scenes, relative to the weights that shipped
FLAT = 0.3  # of the present spread of inverse depth, below which depth has collapsed
LIMITS = {'log_gain': 0.7, 'log_focus': 0.4, 'base_variance': 36.0, 'log_psf': 0.5}
PAIRS, WINDOWS = 8, 2
Pair = tuple[Keyframe, Keyframe]
TEXTURES = 8  # of the made-up scenes


@dataclass(frozen=True)
class Decision:
    """What the gate said of a candidate. before, after: error on held-out keyframes, NaN where it was not measured.
    step: of the learner."""

    accepted: bool
    reason: str
    before: float
    after: float
    step: int = 0


class Gate:
    """Judges candidates. shipped: the weights that came with the package. size: (h, w) of the windows compared."""

    def __init__(self, shipped: DfdModel, renderer: Renderer, size: tuple[int, int], pairs: int = 6, seed: int = 7):
        self._renderer, self._size, self._seed = renderer, size, seed
        device = next(shipped.parameters()).device
        self._scenes = [batch.to(device) for batch in _made_up(pairs, seed)]
        self._allowed = SYNTHETIC_LOSS * self._synthetic_error(shipped)

    def judge(self, present: DfdModel, candidate: DfdModel, held_out: list[Pair], only_lens: bool) -> Decision:
        """Compare the candidate with the present weights. held_out: pairs of keyframes that were never trained on.
        only_lens: the networks are the same in both."""
        if not all(bool(value.isfinite().all()) for value in candidate.state_dict().values()):
            return _refused('weights are not finite')
        for name, value in candidate.residual.named_parameters():
            if abs(value.item()) > LIMITS[name]:
                return _refused(f'the lens drifted: {name} is {value.item():.2f}')
        places = list(self._places(held_out))
        if not places:
            return _refused('no held-out keyframes to compare on')
        reader = present if only_lens else None
        (before, spread), (after, spread_after) = (
            self._errors(model, places, reader) for model in (present, candidate)
        )
        numbers = float(before.mean()), float(after.mean())
        if not np.isfinite(after).all():
            return _refused('the re-rendering is not finite', *numbers)
        if spread_after < FLAT * spread:
            return _refused('depth has gone flat', *numbers)
        gained = before - after
        doubt = gained.std(ddof=1) / np.sqrt(len(gained)) if len(gained) > 1 else 0.0
        if not gained.mean() > max(MARGIN * before.mean(), doubt):
            return _refused(f'not better: {before.mean():.4f} to {after.mean():.4f} +- {doubt:.4f}', *numbers)
        if not only_lens and self._synthetic_error(candidate) > self._allowed:
            return _refused('worse on made-up scenes with known depth', *numbers)
        return Decision(True, f'better: {before.mean():.4f} to {after.mean():.4f}', *numbers)

    def _places(self, held_out):
        """The same pairs and windows of them each time, as long as the keyframes are the same."""
        rng = np.random.default_rng(self._seed)
        for index in rng.permutation(len(held_out))[:PAIRS]:
            for _ in range(WINDOWS):
                yield *held_out[index], window(rng, held_out[index][0], self._size)

    @torch.no_grad()
    def _errors(self, model, places, reader) -> tuple[np.ndarray, float]:
        """Error of each window, and the mean spread of log inverse depth in them. reader: model whose readings of whole
        keyframes hold, where only the lens changes; None: each window is read by `model`."""
        found, spreads = [], []
        for one, other, corner in places:
            a, b = looks(model, (one, other), corner, self._size, reader)
            _, terms = rerendering(self._renderer, a, b, model.residual.psf_scale())
            found.append(sum(WEIGHTS[name] * float(terms[name]) for name in ('photometric', 'consistency')))
            spreads.append(float(a.inverse_depth.log().std()))
        return np.array(found), float(np.mean(spreads))

    @torch.no_grad()
    def _synthetic_error(self, model) -> float:
        """Mean error of log depth on made-up scenes, whose lens is known: without the residual of this camera."""
        model = copy.deepcopy(model)
        for value in model.residual.parameters():
            value.zero_()
        errors = [log_depth_loss(model(batch.image, batch.lens), batch) for batch in self._scenes]
        return float(torch.stack(errors).mean())


def window(rng: np.random.Generator, frame: Keyframe, size: tuple[int, int], tries: int = 3) -> tuple[int, int]:
    """Corner (row, column) of the most textured of a few windows drawn by lot."""
    height, width = frame.image.shape[-2:]
    corners = [(int(rng.integers(height - size[0] + 1)), int(rng.integers(width - size[1] + 1))) for _ in range(tries)]
    return max(corners, key=lambda at: float(frame.image[1, at[0] : at[0] + size[0], at[1] : at[1] + size[1]].std()))


@lru_cache(maxsize=4)
def _made_up(count, seed) -> list[Batch]:
    scenes = Pairs(128, 1_000_003 + seed, count)
    scenes.scenes.textures.count = TEXTURES
    return [expose([scenes[i]], np.random.default_rng([seed, i])) for i in range(count)]


def _refused(reason, before=float('nan'), after=float('nan')) -> Decision:
    return Decision(False, reason, before, after)
