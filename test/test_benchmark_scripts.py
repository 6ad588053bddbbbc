"""The script for GPU machines: it says so where there is none, and where there is one it runs commands that exist."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dfd_depth_ros.cli import benchmark, export

SCRIPT = Path(__file__).parents[1] / 'docs' / 'benchmarks' / 'gpu.sh'
STAND_IN = """#!/bin/sh
case "$2" in
  *is_available*) exit {missing} ;;
  *get_device_name*) echo nvidia-test ;;
  *tensorrt*) exit {without_tensorrt} ;;
esac
"""


def stand_ins(tmp_path, missing=0, without_tensorrt=0):
    """A folder of executables that answer as on a GPU machine and note how they are called."""
    folder = tmp_path / 'bin'
    folder.mkdir()
    (folder / 'python').write_text(STAND_IN.format(missing=missing, without_tensorrt=without_tensorrt))
    for name in ('benchmark', 'export'):
        (folder / name).write_text(f'#!/bin/sh\necho "{name} $@" >>{tmp_path}/calls\n')
    for path in folder.iterdir():
        path.chmod(0o755)


def run(tmp_path):
    environment = os.environ | {'VENV': str(tmp_path)}
    return subprocess.run(
        ['sh', str(SCRIPT), str(tmp_path / 'out')], env=environment, capture_output=True, text=True, timeout=60
    )


def test_without_a_device_it_says_so(tmp_path):
    stand_ins(tmp_path, missing=1)
    done = run(tmp_path)
    assert done.returncode == 1 and not (tmp_path / 'calls').exists()
    assert done.stderr == 'gpu.sh: there is no CUDA device, or torch was built without CUDA\n'


@pytest.mark.parametrize('tensorrt', [True, False])
def test_every_command_is_one_that_the_executables_take(tmp_path, monkeypatch, tensorrt):
    stand_ins(tmp_path, without_tensorrt=int(not tensorrt))
    done = run(tmp_path)
    assert done.returncode == 0, done.stderr
    calls = [line.split() for line in (tmp_path / 'calls').read_text().splitlines()]
    assert [call[0] for call in calls] == ['benchmark'] * 4 + ['export'] * tensorrt
    assert len({call[call.index('--json') + 1] for call in calls}) == len(calls)
    assert sum('--graphs' in call for call in calls) == 2
    mains = {'benchmark': (benchmark.main, ['--device', 'cpu']), 'export': (export.main, [])}
    missing = ['--weights', str(tmp_path / 'none.safetensors')]  # the arguments are read first, then the weights
    for name, *arguments in calls:
        main, here = mains[name]
        assert main([*arguments, *here, *missing]) == 1


def test_python_is_asked_what_it_can_answer():
    """The questions are Python that runs; here they may answer no."""
    questions = [line.split("-c '")[1].split("'")[0] for line in SCRIPT.read_text().splitlines() if "-c '" in line]
    assert len(questions) == 3
    for question in questions:
        compile(question, str(SCRIPT), 'exec')
    done = subprocess.run([sys.executable, '-c', questions[0]], timeout=120)
    assert done.returncode in (0, 1)
