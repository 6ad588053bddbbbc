"""The linter, over everything that is written in Python."""

import subprocess
import sys
from pathlib import Path

import pytest


def test_ruff():
    pytest.importorskip('ruff')
    root = Path(__file__).resolve().parents[1]
    run = subprocess.run([sys.executable, '-m', 'ruff', 'check', root], capture_output=True, text=True)
    assert run.returncode == 0, f'{run.stdout}{run.stderr}'
