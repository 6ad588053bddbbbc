"""Where and with what a number was measured: every benchmark JSON carries this."""

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

PACKAGES = ('torch', 'numpy', 'opencv-python-headless', 'rclpy', 'ros-rmw-fastrtps-cpp')


def machine() -> dict:
    """CPU model, cores that this process may use, threads of torch, GPU, operating system, versions and commit."""
    return {
        'cpu': _cpu_model(),
        'cores': len(os.sched_getaffinity(0)),
        'torch_threads': torch.get_num_threads(),
        'gpu': torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        'system': platform.platform(),
        'versions': {'python': platform.python_version(), **_versions()},
        'commit': _commit(),
    }


def _cpu_model() -> str:
    try:
        lines = Path('/proc/cpuinfo').read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(':', 1)[1].strip() for line in lines if line.startswith('model name')), platform.machine())


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _commit() -> str | None:
    """The commit of the source checkout, with `+` where files differ from it; None outside of a checkout."""
    try:
        done = subprocess.run(
            ['git', 'describe', '--always', '--abbrev=12', '--dirty=+'],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None
