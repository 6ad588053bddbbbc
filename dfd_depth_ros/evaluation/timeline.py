"""The error of depth while a system learns: one curve over time."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure


def write_timeline(path: Path, seconds: np.ndarray, abs_rel: np.ndarray, known: float) -> None:
    """Write a PNG of AbsRel over seconds, (N,) each, with the level that the right lens gives as a line."""
    figure = Figure(figsize=(9, 3.2), layout='constrained', facecolor='white')
    axis = figure.subplots()
    axis.plot(seconds, abs_rel, color='#1f6f8b', linewidth=1.6, label='published depth')
    axis.axhline(known, color='0.45', linestyle='--', linewidth=1, label='shipped weights, true lens')
    axis.set(xlabel='seconds', ylabel='AbsRel', xlim=(0, float(seconds[-1])), ylim=(0, None))
    axis.spines[['top', 'right']].set_visible(False)
    axis.legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
