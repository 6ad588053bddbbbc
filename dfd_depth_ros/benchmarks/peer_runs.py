"""The trainings behind suite `accuracy`: ours, other people's ideas, and ours without one part, all on one budget.

Every run sees the same batches in the same order; only a run that changes the pictures themselves has its own.
"""

import itertools
from dataclasses import asdict, replace
from pathlib import Path

import torch
import yaml
from tqdm import tqdm

from dfd_depth_ros.paths import resolve_path
from dfd_depth_ros.training.ablation import PARTS
from dfd_depth_ros.training.data import Batch, Batches
from dfd_depth_ros.training.offline import TrainConfig, train

CONFIG = 'config/train/peers.yaml'
RUNS: dict[str, dict] = {
    'ours': {},
    **{name: {'architecture': name} for name in ('peer_d3', 'peer_stack', 'peer_image_only')},
    **{f'without {part}': {'without': part} for part in PARTS},
    'with reblur': {'reblur': 0.2},
}


def train_runs(folder: Path, device: str = 'cpu', names: tuple[str, ...] = tuple(RUNS)) -> dict[str, Path]:
    """Train what is not trained yet; a run that was cut off goes on. Returns the weights file of each name."""
    shared = TrainConfig(**yaml.safe_load(resolve_path(CONFIG).read_text()))
    weights = {name: folder / name.replace(' ', '_') / 'best.safetensors' for name in names}
    for name in (name for name, path in weights.items() if not path.exists()):
        config = replace(shared, **RUNS[name])
        train(config, weights[name].parent, device, _batches(config, folder))
    return weights


def _batches(config: TrainConfig, folder: Path) -> list[Batch]:
    """The batches of a configuration, kept on disk in half precision for all runs that learn from the same pictures."""
    source = asdict(config.source())
    path = folder / ('batches.pt' if config.source() == replace(config, without='').source() else 'batches_changed.pt')
    named = [config.size, config.seed, config.pairs, config.fresh, config.replay, config.steps, source]
    if path.exists():
        kept = torch.load(path, weights_only=True)
        if kept['named'] == named:
            return [Batch(image.float(), coc.float(), lens) for image, coc, lens in kept['batches']]
    supply = Batches(config.size, config.seed, config.pairs, config.fresh, config.replay, 0, config.source())
    made = list(tqdm(itertools.islice(supply, config.steps), desc='pictures', total=config.steps, unit='batch'))
    folder.mkdir(parents=True, exist_ok=True)
    halves = [(batch.image.half(), batch.coc.half(), batch.lens) for batch in made]
    torch.save({'named': named, 'batches': halves}, path)
    return made
