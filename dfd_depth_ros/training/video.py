"""Training of depth over video: the systems as tables of what they are made of, and the loop.

Self-supervised all of them: no loss sees true depth. Metric scale comes from poses, from odometry's speed where poses
are learned, and from defocus where it is an input.
"""

import itertools
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from tqdm import tqdm

from dfd_depth_ros.networks.pose import PoseNet
from dfd_depth_ros.networks.video import Past, Sight, VideoDepthNet
from dfd_depth_ros.networks.weights import load_weights, save_weights
from dfd_depth_ros.optics.pinhole import motion_between
from dfd_depth_ros.paths import resolve_path
from dfd_depth_ros.training.run_files import append_log, load_parts, write_checkpoint
from dfd_depth_ros.training.schedule import rate
from dfd_depth_ros.training.video_data import Video, kept_video
from dfd_depth_ros.training.video_losses import neighbours, reprojection_terms, velocity_loss

SETTLING = 25  # batches, after training, over which normalisation is averaged


@dataclass(frozen=True)
class System:
    """One system of the literature, small. network: options of `VideoDepthNet`. consistent: SC-Depth's losses in place
    of Monodepth2's. poses: 'given', or 'learned' by PoseNet from the distance travelled. weights: of the terms."""

    network: dict
    consistent: bool = False
    poses: str = 'given'
    weights: tuple[tuple[str, float], ...] = (('photometric', 1.0), ('smoothness', 1e-3))


SYSTEMS = {
    'monodepth2': System({}),
    'packnet': System(
        {'packed': True},
        poses='learned',
        weights=(('photometric', 1.0), ('smoothness', 1e-3), ('velocity', 1.0)),
    ),
    'sc_depth': System({}, consistent=True, weights=(('photometric', 1.0), ('smoothness', 1e-3), ('consistency', 0.5))),
    'm4depth': System({'recurrent': True}),
}


@dataclass(frozen=True)
class VideoConfig:
    """One training run over video. system: of SYSTEMS. defocus: whether it sees what the frozen `reader` (weights file)
    reads. data: file of the clips, made where it is missing. size: (H, W) of clips, multiples of 16. frames: of a clip.
    clips: how many. batch: clips a step. Raises ValueError where a value cannot work."""

    system: str = 'monodepth2'
    defocus: bool = False
    reader: str = 'models/dfd_small.safetensors'
    data: str = 'runs/video_clips.pt'
    size: tuple[int, int] = (96, 128)
    frames: int = 4
    clips: int = 300
    batch: int = 2
    steps: int = 500
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    warmup: int = 30
    seed: int = 0
    save_every: int = 100
    threads: int = 1

    def __post_init__(self):
        if self.system not in SYSTEMS:
            raise ValueError(f'unknown video system {self.system!r}; there are {", ".join(SYSTEMS)}')
        object.__setattr__(self, 'size', tuple(self.size))
        if len(self.size) != 2 or any(side % 16 or side < 16 for side in self.size):
            raise ValueError(f'clip size {self.size} is not two multiples of 16')
        if self.frames < 2:
            raise ValueError(f'clips of {self.frames} frames were asked for; depth over video needs at least two')
        if not 1 <= self.batch <= self.clips:
            raise ValueError(f'batch is {self.batch}; it must lie between 1 and clips = {self.clips}')


class VideoRun:
    """The state of a training run in a folder: `last.pt` (resumes), `best.safetensors`, `log.jsonl`."""

    def __init__(self, config: VideoConfig, folder: Path, device: torch.device):
        torch.manual_seed(config.seed)
        self.config, self.folder, self.device, self.system = config, folder, device, SYSTEMS[config.system]
        self.model = VideoDepthNet(**self.system.network, defocus=config.defocus).to(device)
        self.pose_net = PoseNet().to(device)
        self.parameters = [*self.model.parameters(), *self.pose_net.parameters()]
        self.optimizer = torch.optim.AdamW(self.parameters, config.learning_rate, weight_decay=config.weight_decay)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, lambda step: rate(step, config.steps, config.warmup)
        )
        self.step, self.seconds = 0, 0.0

    def parts(self):
        """What a checkpoint holds."""
        return (self.model, self.pose_net, self.optimizer, self.schedule)

    def save(self):
        """Write `last.pt` by atomic rename."""
        config = json.dumps(asdict(self.config))
        write_checkpoint(self.folder, self.parts(), config=config, step=self.step, seconds=self.seconds)

    def resume(self):
        """Go on from `last.pt`. Raises ValueError where the settings differ."""
        state = torch.load(self.folder / 'last.pt', map_location=self.device, weights_only=True)
        if state['config'] != json.dumps(asdict(self.config)):
            raise ValueError(f'{self.folder} holds a run with other settings; choose another folder')
        load_parts(self.parts(), state['parts'])
        self.step, self.seconds = state['step'], state['seconds']


def train_video(config: VideoConfig, folder: Path, device: str = 'cpu') -> dict:
    """Train, or go on where the folder stands. Returns the record (budget, losses), which lies in `best.json` beside
    the last weights, `best.safetensors`: without truth there is nothing to choose by."""
    torch.set_num_threads(config.threads)
    folder.mkdir(parents=True, exist_ok=True)
    reader, _, digest = load_weights(resolve_path(config.reader))
    run = VideoRun(config, folder, torch.device(device))
    if (folder / 'last.pt').exists():
        run.resume()
    video = kept_video(Path(config.data), reader, config.size, config.frames, config.clips, config.seed)
    started = time.monotonic() - run.seconds
    with tqdm(total=config.steps, initial=run.step, unit='step', mininterval=5) as progress:
        for batch in itertools.islice(batches(video, config, run.step), config.steps - run.step):
            terms = train_on(run, batch.to(run.device))
            run.seconds = time.monotonic() - started
            progress.update()
            progress.set_postfix({name: f'{value:.3f}' for name, value in terms.items()}, refresh=False)
            if run.step % config.save_every == 0 or run.step == config.steps:
                record = {'step': run.step, 'seconds': round(run.seconds), 'losses': terms, 'reader': digest}
                append_log(folder, record)
                run.save()
    settle(run, video)
    record = json.loads((folder / 'log.jsonl').read_text().splitlines()[-1]) | {'config': asdict(config)}
    record['digest'] = save_weights(folder / 'best.safetensors', run.model, record)
    (folder / 'best.json').write_text(json.dumps(record, indent=2))
    return record


@torch.no_grad()
def settle(run: VideoRun, video: Video) -> None:
    """Give the normalisation of the depth network the mean statistics of SETTLING batches of the training clips:
    running averages over batches of two scenes follow the last few of them. Source: Wu and Johnson, "Rethinking 'Batch'
    in BatchNorm", 2021 (precise batch normalisation)."""
    layers = [layer for layer in run.model.modules() if isinstance(layer, torch.nn.BatchNorm2d)]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # the mean of all
    run.model.train()
    for batch in itertools.islice(batches(video, run.config), SETTLING):
        batch = batch.to(run.device)
        depths(run.model, batch, given_motions(batch))


def batches(video: Video, config: VideoConfig, first: int = 0):
    """Clips without end from step `first` on, the same for every system; half of them backwards in time."""
    for step in itertools.count(first):
        generator = torch.Generator().manual_seed(config.seed * 1_000_003 + step)
        clips = torch.randperm(len(video), generator=generator)[: config.batch]
        order = torch.arange(config.frames)
        yield video.chosen(clips, order.flip(0) if torch.rand((), generator=generator) < 0.5 else order)


def train_on(run: VideoRun, video: Video) -> dict[str, float]:
    """One optimiser step on a batch, which is on the device of the run. Returns the losses by name, before weighting; a
    gradient that is not finite changes nothing."""
    run.model.train(), run.pose_net.train()
    terms = losses(run, video)
    first, *others = (weight * terms[name] for name, weight in run.system.weights)
    loss = sum(others, first)
    run.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    norm = torch.nn.utils.clip_grad_norm_([weight for weight in run.parameters if weight.grad is not None], 1.0)
    if torch.isfinite(norm):
        run.optimizer.step()
    run.schedule.step()
    run.step += 1
    return {name: float(value.detach()) for name, value in terms.items()}


def losses(run: VideoRun, video: Video) -> dict[str, torch.Tensor]:
    """All terms of the system of a run on a batch, by name."""
    motions, velocity = _motions(run, video)
    inverse_depth = depths(run.model, video, motions)
    terms = reprojection_terms(video.image, inverse_depth, video.lens, motions, run.system.consistent)
    return terms | ({} if velocity is None else {'velocity': velocity})


def depths(model: VideoDepthNet, video: Video, motions: dict[tuple[int, int], torch.Tensor]) -> torch.Tensor:
    """Inverse depth (B, T, 1, H, W) of clips: all frames at once, or one after the other where the model remembers."""
    shape = video.image.shape[:2]
    if not model.recurrent:
        sight = Sight(video.image.flatten(0, 1), video.lens.flatten(0, 1), video.reading.flatten(0, 1))
        return model(sight).unflatten(0, shape)
    sights = [Sight(video.image[:, t], video.lens[:, t], video.reading[:, t]) for t in range(shape[1])]
    found = [model(sights[0])]
    for t, sight in enumerate(sights[1:]):
        found.append(model(sight, Past(sights[t], found[t], motions[t, t + 1])))
    return torch.stack(found, 1)


def given_motions(video: Video) -> dict[tuple[int, int], torch.Tensor]:
    """Motions (B, 4, 4) from frame t to frame s by (t, s), of all neighbours, as the poses tell them."""
    pairs = [(target, source) for target, sources in neighbours(video.image.shape[1]).items() for source in sources]
    return {(t, s): motion_between(video.pose[:, t], video.pose[:, s]) for t, s in pairs}


def _motions(run, video):
    """Motions as `given_motions`, and the velocity loss where PoseNet finds them."""
    given = given_motions(video)
    if run.system.poses == 'given':
        return given, None
    pairs = list(given)
    first, second = ([pair[side] for pair in pairs] for side in (0, 1))
    shown = [video.image[:, order].flatten(0, 1) for order in (first, second)]
    found = run.pose_net(*shown, video.lens[:, first].flatten(0, 1)).unflatten(0, (-1, len(pairs)))
    travelled = torch.stack([given[pair][:, :3, 3].norm(dim=1) for pair in pairs], 1)
    velocity = velocity_loss(found.flatten(0, 1), travelled.flatten())
    return {pair: found[:, number] for number, pair in enumerate(pairs)}, velocity
