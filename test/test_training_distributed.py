"""Training in two processes under torchrun, with Gloo on the CPU: one set of weights, one writer, different scenes."""

import json
import os
import subprocess
import sys

import pytest
import torch
import yaml
from torch import nn

from dfd_depth_ros.networks.weights import load_weights
from dfd_depth_ros.training import distributed

TINY = {'steps': 2, 'pairs': 1, 'fresh': 1, 'size': 64, 'replay': 4, 'validation_pairs': 1, 'validate_every': 2}
AVERAGE = """
import json, sys, torch
from dfd_depth_ros.training import distributed
with distributed.together('cpu'):
    layer = torch.nn.Linear(2, 1)
    layer.weight.grad = torch.tensor([[1.0, 3.0]]) * (1 + distributed.rank())
    layer.bias.grad = torch.tensor([10.0 * distributed.rank()])
    distributed.average_gradients(layer)
    found = {'weight': layer.weight.grad.tolist(), 'bias': layer.bias.grad.tolist(), 'of': distributed.count()}
    open(f'{sys.argv[1]}/{distributed.rank()}.json', 'w').write(json.dumps(found))
"""


def torchrun(*command, processes=2):
    """Run under torchrun on this machine and return what it printed."""
    launcher = [sys.executable, '-m', 'torch.distributed.run', '--standalone', f'--nproc-per-node={processes}']
    environment = os.environ | {'OMP_NUM_THREADS': '1', 'GLOO_SOCKET_IFNAME': 'lo'}
    done = subprocess.run([*launcher, *command], env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_alone_nothing_is_done(monkeypatch):
    for name in ('RANK', 'WORLD_SIZE', 'LOCAL_RANK'):
        monkeypatch.delenv(name, raising=False)
    layer = nn.Linear(1, 1)
    layer.weight.grad = torch.ones(1, 1)
    with distributed.together('cpu'):
        distributed.average_gradients(layer)
    assert (distributed.rank(), distributed.count(), float(layer.weight.grad)) == (0, 1, 1.0)


@pytest.mark.parametrize(
    ('device', 'processes', 'own'), [('cuda', '4', 'cuda:3'), ('cuda', '1', 'cuda'), ('cpu', '4', 'cpu')]
)
def test_each_process_takes_a_device(monkeypatch, device, processes, own):
    monkeypatch.setenv('WORLD_SIZE', processes)
    monkeypatch.setenv('LOCAL_RANK', '3')
    assert distributed.own_device(device) == own


def test_gradients_of_two_processes_are_averaged(tmp_path):
    script = tmp_path / 'average.py'
    script.write_text(AVERAGE)
    torchrun(str(script), str(tmp_path))
    found = [json.loads((tmp_path / f'{number}.json').read_text()) for number in (0, 1)]
    assert found[0] == found[1] == {'weight': [[1.5, 4.5]], 'bias': [5.0], 'of': 2}


def test_two_processes_train_one_set_of_weights(tmp_path):
    config, out = tmp_path / 'tiny.yaml', tmp_path / 'run'
    config.write_text(yaml.safe_dump(TINY))
    printed = torchrun('-m', 'dfd_depth_ros.cli.train', '--config', str(config), '--out', str(out))
    record = json.loads((out / 'best.json').read_text())
    assert record['step'] == 2
    assert load_weights(out / 'best.safetensors')[2] == record['digest']
    assert len((out / 'log.jsonl').read_text().splitlines()) == 1  # process 0 alone writes
    assert str(out / 'best.safetensors') in printed
