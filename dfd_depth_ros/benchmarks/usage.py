"""What a process takes of the machine, as Linux counts it."""

import os
import shutil
import subprocess
from pathlib import Path

TICKS = os.sysconf('SC_CLK_TCK')


def cpu_seconds(pid: int) -> float:
    """Processor time that a process has used so far, in user and system mode. Raises OSError where there is none."""
    fields = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()  # the name may hold spaces
    return (int(fields[11]) + int(fields[12])) / TICKS


def peak_memory_mb(pid: int) -> float:
    """Most memory that a process has held at once, in MB. Raises OSError where there is none."""
    lines = Path(f'/proc/{pid}/status').read_text().splitlines()
    return int(next(line for line in lines if line.startswith('VmHWM:')).split()[1]) * 1024 / 1e6


def gpu_memory_mb(pid: int) -> float | None:
    """Memory that a process holds now on the GPUs, in MB (10^6), as nvidia-smi tells; None where it tells nothing."""
    if not shutil.which('nvidia-smi'):
        return None
    command = ['nvidia-smi', '--query-compute-apps=pid,used_memory', '--format=csv,noheader,nounits']
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return None
    rows = [line.split(',') for line in done.stdout.splitlines() if line.count(',') == 1]
    held = [float(memory) for other, memory in rows if other.strip() == str(pid) and memory.strip().isdecimal()]
    return sum(held) * 1.048576 if held else None


def load() -> float:
    """Processes that wanted a core during the last minute, on average."""
    return os.getloadavg()[0]
