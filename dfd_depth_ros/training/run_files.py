"""What both offline trainings leave in their folder while they run: a checkpoint and a log."""

import json
import os
from pathlib import Path

import torch


def write_checkpoint(folder: Path, parts, **values) -> None:
    """Write `last.pt`, the states of `parts` and other values, by atomic rename: a kill at any instant leaves a
    checkpoint that resumes."""
    torch.save({'parts': [part.state_dict() for part in parts], **values}, folder / 'last.part')
    os.replace(folder / 'last.part', folder / 'last.pt')


def load_parts(parts, states) -> None:
    """Give the parts the states of a checkpoint, in the same order."""
    for part, state in zip(parts, states, strict=True):
        part.load_state_dict(state)


def append_log(folder: Path, record: dict) -> None:
    """Add a line to `log.jsonl`."""
    with (folder / 'log.jsonl').open('a') as lines:
        lines.write(json.dumps(record) + '\n')
