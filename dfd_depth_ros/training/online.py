"""The online learner: keyframes in, better weights out, without any truth and without ROS.

It works in rounds of a few steps. A round starts from the accepted weights, trains on windows of pairs of keyframes
(`training.rerender`), and ends at the gate (`training.gate`). Few numbers are fitted first: the residual of the lens;
then the normalisations of the networks; then all of them, held by an anchor to the weights that shipped. When a stage
no longer pays, the next one is tried; when none does, the learner rests until enough new keyframes have come. Source of
training only when it pays: Ju et al., "DecTrain", 2024.
"""

import copy
import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from dfd_depth_ros.estimation.estimator import to_device
from dfd_depth_ros.networks.model import DfdModel
from dfd_depth_ros.networks.weights import digest, from_bytes, load_weights, to_bytes, write_whole
from dfd_depth_ros.optics.lens import Lens
from dfd_depth_ros.paths import resolve_path
from dfd_depth_ros.scenes.frame import Intrinsics
from dfd_depth_ros.splatting.splat import make_renderer
from dfd_depth_ros.training.gate import Decision, Gate, window
from dfd_depth_ros.training.keyframes import Keyframes, to_keyframe
from dfd_depth_ros.training.live_report import Diary
from dfd_depth_ros.training.losses import anchor_loss
from dfd_depth_ros.training.rerender import looks, rerendering, total

HISTORY = 4  # accepted weights that can be rolled back to
WORTH = 0.02  # relative improvement below which a stage is left for the next
NEWS = 4  # new keyframes that end a rest
STAGES = {'lens': 4e-2, 'norm': 1e-3, 'all': 1e-4}  # and the learning rate of each
ANCHOR = 0.1


@dataclass(frozen=True)
class OnlineConfig:
    """window: (h, w) pixels, multiples of 4. steps: of a round. capacity: keyframes trained on. stages: names of
    `STAGES` in the order in which they are tried. Raises ValueError where a value cannot work."""

    renderer: str = 'layered'
    window: tuple[int, int] = (96, 128)
    steps: int = 40
    capacity: int = 24
    stages: tuple[str, ...] = tuple(STAGES)
    seed: int = 0

    def __post_init__(self):
        if self.steps < 1 or min(self.window) < 32 or any(side % 4 for side in self.window):
            raise ValueError(f'{self} cannot work: a round needs a step, a window multiples of 4 of at least 32 pixels')
        if not self.stages or set(self.stages) - set(STAGES):
            raise ValueError(f'stages are {self.stages}; they must be some of {", ".join(STAGES)}')


@dataclass(frozen=True)
class Progress:
    """What one call of `step` did. state: 'waiting' for keyframes, 'training' or 'resting' because it no longer pays.
    losses: terms by name. decision: of the gate, where a round ended."""

    state: str
    step: int
    losses: dict[str, float] = field(default_factory=dict)
    decision: Decision | None = None


class OnlineLearner:
    """Adapts a model to one camera. Not thread-safe: one thread calls everything.

    model: the weights that shipped; they are not changed. device: where it learns. Raises ValueError or RuntimeError
    for a renderer that cannot be had.
    """

    def __init__(self, model: DfdModel, config: OnlineConfig | None = None, device: str = 'cpu'):
        self.config = config or OnlineConfig()
        self._renderer = make_renderer(self.config.renderer)
        self._device = device
        self._shipped = model.to(device).eval().requires_grad_(False)
        self._gate = Gate(self._shipped, self._renderer, self.config.window)
        self._random = np.random.default_rng(self.config.seed)
        self.keyframes = Keyframes(self.config.capacity, self.config.seed)
        self._diary = Diary()
        self._shipped_bytes = to_bytes(model, {})
        self.steps = 0
        self.reset()

    def reset(self) -> str:
        """Back to the weights that shipped, and forget the keyframes. Returns the digest."""
        self.keyframes.forget()
        self._history: list[bytes] = []
        return self._accept(self._shipped_bytes)

    def rollback(self) -> str:
        """Back to the weights accepted before the present ones. Returns the digest. Raises ValueError without any."""
        if not self._history:
            raise ValueError('there are no earlier weights to go back to')
        return self._accept(self._history.pop())

    def weights(self) -> bytes:
        """The accepted weights, as the content of a weights file."""
        return self._accepted_bytes

    @property
    def digest(self) -> str:
        """SHA-256 of `weights`."""
        return digest(self._accepted_bytes)

    @property
    def model(self) -> DfdModel:
        """The accepted model; not to be changed."""
        return self._accepted

    def add(
        self,
        image: np.ndarray,
        lens: Lens,
        stamp: float,
        pose: np.ndarray | None = None,
        camera: Intrinsics | None = None,
    ) -> bool:
        """Offer a frame; returns whether it was kept. image: (H, W, 3) uint8 RGB. pose: (4, 4) camera-to-world. Raises
        ValueError for a picture that is smaller than the window, or a pose that is not finite."""
        if min(np.array(image.shape[:2]) - self.config.window) < 0:
            raise ValueError(f'a picture of {image.shape[1]} x {image.shape[0]} is smaller than the training window')
        if pose is not None and not (np.shape(pose) == (4, 4) and np.isfinite(pose).all()):
            raise ValueError('the pose is not a finite 4 x 4 matrix')
        kept = self.keyframes.add(to_keyframe(image, lens, stamp, pose, camera, self._device))
        if kept:
            self._news += 1
        return kept

    def step(self) -> Progress:
        """One training step, or the gate after the last one of a round."""
        if not self.keyframes.training_pairs or not self.keyframes.held_out_pairs:
            return Progress('waiting', self.steps)
        if self._stage is None:
            if self._news < NEWS:
                return Progress('resting', self.steps)
            self._enter(self.config.stages[0])
        losses, decision = {}, None
        if self._left == 0:
            decision = self._judge()
        else:
            self._left -= 1
            self.steps += 1
            losses = self._train()
        self._diary.note(self.steps, losses, decision)
        return Progress('training', self.steps, losses, decision)

    def report(self, folder: Path):
        """Write what was learned since the last report, and the newest held-out keyframe before and after."""
        frame = self.keyframes.held_out[-1] if self.keyframes.held_out else None
        self._diary.write(folder, self._shipped_bytes, self._accepted_bytes, frame)

    def save(self, folder: Path):
        """Write the accepted weights, those before them, and the state, each by atomic rename, the state last."""
        names = []
        for data in [*self._history, self._accepted_bytes]:
            names.append(f'{digest(data)}.safetensors')
            if not (folder / names[-1]).exists():
                write_whole(folder / names[-1], data)
        write_whole(folder / 'weights.safetensors', self._accepted_bytes)
        state = {'weights': names, 'steps': self.steps, 'shipped': digest(self._shipped_bytes)}
        write_whole(folder / 'state.json', json.dumps(state).encode())
        for path in folder.glob('*.safetensors'):
            if path.name not in (*names, 'weights.safetensors'):
                path.unlink()

    def resume(self, folder: Path) -> bool:
        """Go on from what `save` wrote; False where nothing is there. Raises ValueError where it belongs to other
        shipped weights or is damaged, and then changes nothing."""
        if not (folder / 'state.json').exists():
            return False
        state = json.loads((folder / 'state.json').read_text())
        if state['shipped'] != digest(self._shipped_bytes):
            raise ValueError(f'{folder} holds what was learned from other weights; choose another folder or remove it')
        files = [(folder / name).read_bytes() for name in state['weights']]
        for name, data in zip(state['weights'], files, strict=True):
            from_bytes(data, name)
        self._history, self.steps = files[:-1], state['steps']
        self._accept(files[-1])
        return True

    def _accept(self, data: bytes) -> str:
        self._accepted_bytes = data
        self._accepted = from_bytes(data, 'accepted')[0].to(self._device).eval().requires_grad_(False)
        for frame in [*self.keyframes.training, *self.keyframes.held_out]:
            frame.reading.clear()
        self._enter(self.config.stages[0])
        return self.digest

    def _enter(self, stage: str | None):
        """Begin a round of a stage from the accepted weights; None: rest."""
        self._stage, self._left, self._news = stage, self.config.steps, 0
        if stage is None:
            return
        self._candidate = copy.deepcopy(self._accepted)
        parts: list[nn.Module] = [self._candidate.residual]
        if stage == 'norm':
            parts += [part for part in self._candidate.modules() if isinstance(part, nn.BatchNorm2d)]
        if stage == 'all':
            parts = [self._candidate.defocus_net, self._candidate.depth_net]
        for part in parts:
            part.requires_grad_(True)
        lens = set(self._candidate.residual.parameters())
        chosen = [(name, value) for name, value in self._candidate.named_parameters() if value.requires_grad]
        networks = [(name, value) for name, value in chosen if value not in lens]
        shipped = dict(self._shipped.named_parameters())
        self._networks = [value for _, value in networks]
        self._anchors = [shipped[name] for name, _ in networks]
        groups = [{'params': list(lens), 'lr': STAGES['lens']}]
        groups += [{'params': self._networks, 'lr': STAGES[stage]}] if networks else []
        self._optimizer = torch.optim.Adam(groups, betas=(0.8, 0.95), fused=True)

    def _train(self) -> dict[str, float]:
        pairs = self.keyframes.training_pairs
        one, other = pairs[self._random.integers(len(pairs))]
        corner, model = window(self._random, one, self.config.window), self._candidate
        a, b = looks(model, (one, other), corner, self.config.window, self._accepted if self._stage == 'lens' else None)
        _, terms = rerendering(self._renderer, a, b, model.residual.psf_scale())
        loss = total(terms, model) + ANCHOR * anchor_loss(self._networks, self._anchors)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        chosen = [value for group in self._optimizer.param_groups for value in group['params']]
        norm = torch.nn.utils.clip_grad_norm_(chosen, 1.0)
        if torch.isfinite(norm):
            rate = (self._left + 1) / self.config.steps
            for group, base in zip(self._optimizer.param_groups, (STAGES['lens'], STAGES[self._stage]), strict=False):
                group['lr'] = base * rate
            self._optimizer.step()
            self._candidate.residual.base_variance.data.clamp_(min=0)
        return {name: float(value.detach()) for name, value in (terms | {'total': loss}).items()}

    def _judge(self) -> Decision:
        stage, names = self._stage, self.config.stages
        decision = self._gate.judge(self._accepted, self._candidate, self.keyframes.held_out_pairs, stage == 'lens')
        decision = replace(decision, reason=f'{stage}: {decision.reason}', step=self.steps)
        follower = (*names[names.index(stage) + 1 :], None)[0]
        if decision.accepted:
            self._history = [*self._history, self._accepted_bytes][-HISTORY:]
            pays = decision.before - decision.after > WORTH * decision.before
            self._accept(to_bytes(self._candidate, {'online': asdict(decision)}))
            follower = stage if pays else follower
        self._enter(follower)
        return decision


def make_learner(settings: dict) -> OnlineLearner:
    """The learner that the parameters of `trainer_node` ask for. Raises ValueError in one sentence where it cannot be
    had."""
    model, _, _ = load_weights(resolve_path(settings['weights']))
    return OnlineLearner(model, device=to_device(settings['device']))
