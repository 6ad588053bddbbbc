"""`train`: train the networks offline on made-up scenes."""

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import yaml

from dfd_depth_ros.training.offline import TrainConfig, train
from dfd_depth_ros.training.video import VideoConfig, train_video

TRAINERS: dict[type, Callable] = {TrainConfig: train, VideoConfig: train_video}


def main(argv=None) -> int:
    """Exit code 0 on success, 2 where the configuration is wrong, 130 where it was interrupted."""
    parser = argparse.ArgumentParser(prog='train', description=__doc__)
    parser.add_argument(
        '--config', type=Path, help='YAML with values of TrainConfig, or of VideoConfig where it names a system'
    )
    parser.add_argument(
        '--out', type=Path, default=Path('runs/dfd_small'), help='folder of the run; a run there goes on'
    )
    parser.add_argument('--device', default='cpu', help='cpu or cuda')
    parser.add_argument('--steps', type=int, help='overrides the configuration')
    parser.add_argument('--json', type=Path, help='write the record of the best weights here')
    options = parser.parse_args(argv)
    try:
        config = read_config(options.config, **({'steps': options.steps} if options.steps else {}))
        record = TRAINERS[type(config)](config, options.out, options.device)
    except (ValueError, OSError) as error:
        print(f'train: {error}', file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print('train: interrupted; the same command goes on from the last checkpoint', file=sys.stderr)
        return 130
    text = json.dumps(record, indent=2)
    if options.json:
        options.json.write_text(text)
    print(text)
    print(f'best weights: {options.out / "best.safetensors"}')
    return 0


def read_config(path: Path | None, **overrides) -> TrainConfig | VideoConfig:
    """What the file says, if there is one; one that names a `system` is a training over video. Raises ValueError for
    what is no setting or cannot work."""
    values = (yaml.safe_load(path.read_text()) if path else {}) or {}
    kind = VideoConfig if 'system' in values else TrainConfig
    unknown = set(values) - {field.name for field in fields(kind)}
    if unknown:
        raise ValueError(f'{path} has unknown settings: {", ".join(sorted(unknown))}')
    return kind(**values | overrides)


if __name__ == '__main__':
    sys.exit(main())
