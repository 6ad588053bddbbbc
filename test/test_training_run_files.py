"""Checkpoint and log of a training: whole after a kill, and the same after reading."""

import json

import pytest
import torch

from dfd_depth_ros.training import run_files
from dfd_depth_ros.training.run_files import append_log, load_parts, write_checkpoint


def test_a_checkpoint_gives_back_what_it_was_given(tmp_path):
    one, other = torch.nn.Linear(2, 3), torch.nn.Linear(2, 3)
    write_checkpoint(tmp_path, (one,), config={'steps': 3}, step=2)
    state = torch.load(tmp_path / 'last.pt', weights_only=True)
    assert list(state) == ['parts', 'config', 'step'] and state['config'] == {'steps': 3} and state['step'] == 2
    load_parts((other,), state['parts'])
    assert torch.equal(one.weight, other.weight) and [path.name for path in tmp_path.iterdir()] == ['last.pt']
    with pytest.raises(ValueError, match='zip'):
        load_parts((other, one), state['parts'])


def test_a_kill_while_writing_leaves_the_checkpoint_before(tmp_path, monkeypatch):
    write_checkpoint(tmp_path, (), step=1)

    def killed(state, path):
        path.write_bytes(b'half')
        raise KeyboardInterrupt

    monkeypatch.setattr(run_files.torch, 'save', killed)
    with pytest.raises(KeyboardInterrupt):
        write_checkpoint(tmp_path, (), step=2)
    assert torch.load(tmp_path / 'last.pt', weights_only=True) == {'parts': [], 'step': 1}


def test_the_log_grows_by_lines(tmp_path):
    for step in (1, 2):
        append_log(tmp_path, {'step': step})
    assert [json.loads(line) for line in (tmp_path / 'log.jsonl').read_text().splitlines()] == [
        {'step': 1},
        {'step': 2},
    ]
