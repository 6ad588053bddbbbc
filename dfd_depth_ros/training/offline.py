"""Offline training on made-up scenes: the loop, its checkpoints and its logs."""

import itertools
import json
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from dfd_depth_ros.networks.model import DfdModel
from dfd_depth_ros.networks.precision import mixed, pays
from dfd_depth_ros.networks.weights import load_weights, make_model, save_weights
from dfd_depth_ros.optics.sensor import MOTION_SHARE
from dfd_depth_ros.paths import resolve_path
from dfd_depth_ros.training import distributed
from dfd_depth_ros.training.ablation import check_part, kept, take_out
from dfd_depth_ros.training.data import Batch, Batches, Pairs, Source, expose
from dfd_depth_ros.training.losses import total
from dfd_depth_ros.training.run_files import append_log, load_parts, write_checkpoint
from dfd_depth_ros.training.schedule import rate
from dfd_depth_ros.training.validation import calibrate_sigma, validate

SAVE_EVERY = 100  # steps from one checkpoint to the next
CONTEXT = ('context_net.', 'depth_net.told.')  # what weights from before there was a ContextNet lack
CAMERA = ('defocus_net.camera.',)  # and those from before there was a CameraSummary


@dataclass(frozen=True)
class TrainConfig:
    """One training run. steps: optimiser steps. pairs: scenes a step. fresh: of these, new ones (the rest are replayed
    with a new sensor). size: crop in pixels, a multiple of 32. replay: pairs remembered. validation_pairs: held out,
    another seed. start: weights file to start from; empty: at random. context: file with the weights of
    EfficientNet-Lite0 (`make context`), for a ContextNet that begins; weights to start from may lack it then. frozen:
    parts of the model that stay as they are, such as defocus_net. without: a part of the training that is left out
    (`training.ablation.PARTS`). reblur: weight of the loss that blurs one picture of a pair to the other one. motion:
    share of the pictures that are smeared by motion. photographs: folder of photographs to paint scenes with, instead
    of those that scikit-image ships. rgbd: frames folders with all-in-focus pictures and depth to make scenes from.
    models: folder of furniture to make rooms with (`scenes.models`). fixed: share of lenses of fixed
    focus. cutouts: share of scenes that are cutouts (`scenes.cutouts`). Raises ValueError where a value cannot work."""

    architecture: str = 'dfd_small'
    start: str = ''
    context: str = ''
    frozen: tuple[str, ...] = ()
    steps: int = 8000
    pairs: int = 6
    fresh: int = 3
    size: int = 128
    replay: int = 1500
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    warmup: int = 300
    ema: float = 0.998
    seed: int = 0
    validation_pairs: int = 32
    validate_every: int = 500
    workers: int = 1
    threads: int = 1
    without: str = ''
    reblur: float = 0.0
    motion: float = MOTION_SHARE
    photographs: str = ''
    rgbd: tuple[str, ...] = ()
    models: str = ''
    fixed: float = 0.0
    cutouts: float = 0.0

    def __post_init__(self):
        if self.size % 32:
            raise ValueError(f'crop size {self.size} is not a multiple of 32')
        if not 1 <= self.fresh <= self.pairs:
            raise ValueError(f'fresh is {self.fresh}; it must lie between 1 and pairs = {self.pairs}')
        for name in ('motion', 'fixed', 'cutouts'):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f'{name} is {getattr(self, name)}; it must lie between 0 and 1')
        check_part(self.without)

    def source(self) -> Source:
        """What pictures are made of."""
        fringe = self.without != 'fringe'
        return Source(self.photographs, tuple(self.rgbd), self.models, fringe, self.motion, self.fixed, self.cutouts)


class Run:
    """The state of a training run in a folder: `last.pt` (resumes), `best.safetensors`, TensorBoard logs,
    `log.jsonl`."""

    def __init__(self, config: TrainConfig, folder: Path, device: torch.device):
        torch.manual_seed(config.seed)
        self.config, self.folder, self.device = config, folder, device
        model = _begun(config)
        take_out(cast(DfdModel, model), config.without)
        for part in _frozen(model, config):
            part.requires_grad_(False)
        self.model = model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = AveragedModel(self.model, multi_avg_fn=get_ema_multi_avg_fn(config.ema), use_buffers=True)
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), config.learning_rate, weight_decay=config.weight_decay
        )
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, lambda step: rate(step, config.steps, config.warmup)
        )
        self.step, self.best, self.seconds = 0, math.inf, 0.0

    def save(self):
        """Write `last.pt` by atomic rename, so that a kill at any instant leaves a checkpoint that resumes."""
        parts = (self.model, self.average, self.optimizer, self.schedule)
        progress = {'step': self.step, 'best': self.best, 'seconds': self.seconds}
        write_checkpoint(self.folder, parts, config=asdict(self.config), **progress)

    def resume(self):
        """Go on from `last.pt`; only the number of steps may have changed. Raises ValueError where more did."""
        state = torch.load(self.folder / 'last.pt', map_location=self.device, weights_only=True)
        changed = [name for name, value in asdict(self.config).items() if state['config'].get(name) != value]
        if set(changed) - {'steps'}:
            raise ValueError(
                f'{self.folder} holds a run with other settings ({", ".join(changed)}); choose another folder'
            )
        load_parts((self.model, self.average, self.optimizer, self.schedule), state['parts'])
        self.step, self.best, self.seconds = state['step'], state['best'], state['seconds']


def _begun(config: TrainConfig) -> nn.Module:
    """The model to begin with."""
    new = CAMERA + (CONTEXT if config.context else ())
    start = load_weights(resolve_path(config.start), new=new)[0] if config.start else None
    model = start or make_model(config.architecture)
    if not config.context:
        return model
    net = getattr(model, 'context_net', None)
    if net is None:
        raise ValueError(f'{config.architecture} has no ContextNet; leave `context` out')
    try:
        state = torch.load(resolve_path(config.context), weights_only=True)
    except Exception as error:  # of many kinds, by what is in the file
        reason = str(error).partition('\n')[0] or type(error).__name__
        raise ValueError(f'context {config.context} cannot be read: {reason}') from None
    net.features.adopt(state)
    return model


def _frozen(model: nn.Module, config: TrainConfig) -> list[nn.Module]:
    parts = dict(model.named_children())
    if unknown := set(config.frozen) - set(parts):
        raise ValueError(f'frozen names {", ".join(sorted(unknown))}; the model has {", ".join(parts)}')
    return [parts[name] for name in config.frozen]


def train(config: TrainConfig, folder: Path, device: str = 'cpu', batches: Sequence[Batch] = ()) -> dict:
    """Train, or go on where the folder stands; under torchrun with the other processes. batches: one for each step, so
    that several runs learn from the same ones; without them they are made as the configuration says. Returns the record
    of the best weights (validation numbers, budget), which lie in `best.safetensors`."""
    torch.set_num_threads(config.threads)
    with distributed.together(device):
        _train(config, folder, distributed.own_device(device), batches)
    return json.loads((folder / 'best.json').read_text())


def _train(config: TrainConfig, folder: Path, device: str, batches: Sequence[Batch]):
    leads = distributed.rank() == 0
    folder.mkdir(parents=True, exist_ok=True)
    run = Run(config, folder, torch.device(device))
    if (folder / 'last.pt').exists():
        run.resume()
    held_out = _held_out(config.size, config.seed, config.validation_pairs, config.source()) if leads else []
    log = SummaryWriter(folder / 'tensorboard') if leads else None
    started = time.monotonic() - run.seconds
    with tqdm(total=config.steps, initial=run.step, unit='step', mininterval=5, disable=not leads) as progress:
        supply = batches[run.step :] if batches else _loader(config, run.step)
        for batch in itertools.islice(supply, config.steps - run.step):
            terms = train_on(run, batch.to(run.device))
            run.seconds = time.monotonic() - started
            progress.update()
            progress.set_postfix({name: f'{value:.2f}' for name, value in terms.items()}, refresh=False)
            if not leads:
                continue
            if run.step % 20 == 0:
                for name, value in terms.items():
                    log.add_scalar(f'loss/{name}', value, run.step)
            is_over = run.step == config.steps
            if run.step % config.validate_every == 0 or is_over:
                _check(run, held_out, log)
            if run.step % min(SAVE_EVERY, config.validate_every) == 0 or is_over:
                run.save()
    if log:
        log.close()


def train_on(run: Run, batch: Batch) -> dict[str, float]:
    """One optimiser step on a batch, which is on the device of the run. Returns the losses by name; a gradient that is
    not finite changes nothing."""
    run.model.train()
    for part in _frozen(run.model, run.config):
        part.eval()
    image = batch.image.contiguous(memory_format=torch.channels_last)
    with mixed(run.device, pays(run.device)):
        found = run.model.distribution(image, batch.lens)
    terms = kept(total(found, batch, run.config.reblur), run.config.without)
    first, *others = terms.values()
    loss = sum(others, first)
    run.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    distributed.average_gradients(run.model)
    norm = torch.nn.utils.clip_grad_norm_(run.model.parameters(), 5.0)
    if torch.isfinite(norm):
        run.optimizer.step()
        run.average.update_parameters(run.model)
    run.schedule.step()
    run.step += 1
    return {name: float(value.detach()) for name, value in terms.items()}


def _check(run: Run, held_out: list[Batch], log: SummaryWriter):
    """Validate the averaged weights; keep them where they are the best so far."""
    model = cast(DfdModel, run.average.module).eval()
    model.sigma_scale.fill_(calibrate_sigma(model, held_out, run.device))
    numbers = validate(model, held_out, run.device)
    for name, value in numbers.items():
        log.add_scalar(f'validation/{name}', value, run.step)
    record = {'step': run.step, 'seconds': round(run.seconds), 'config': asdict(run.config), 'validation': numbers}
    append_log(run.folder, record)
    if numbers['log_depth'] < run.best:
        run.best = numbers['log_depth']
        digest = save_weights(run.folder / 'best.safetensors', model, record)
        (run.folder / 'best.json').write_text(json.dumps(record | {'digest': digest}, indent=2))


def _loader(config: TrainConfig, step: int) -> DataLoader:
    seed = config.seed + distributed.SEEDS_APART * distributed.rank()
    data = Batches(config.size, seed, config.pairs, config.fresh, config.replay, step, config.source())
    return DataLoader(data, batch_size=None, num_workers=config.workers, worker_init_fn=_one_thread)


def _one_thread(_):
    torch.set_num_threads(1)


@lru_cache(maxsize=1)
def _held_out(size: int, seed: int, count: int, source: Source) -> list[Batch]:
    """Batches that nothing was trained on; several runs in one process share them."""
    data = Pairs(size, seed + 1_000_003, count, source=source)
    rng = np.random.default_rng([seed, 5])
    return [expose([data[i] for i in range(k, min(k + 4, len(data)))], rng) for k in range(0, len(data), 4)]
