"""Suite `blur`: what the networks read of a known circle of confusion, as the table that calibration and planning use.

Made-up scenes are photographed through random lenses and sensors, as in training but with another seed. Away from edges
of depth, and where there is texture, the blur of each cell is compared with the truth.
"""

import numpy as np
import torch
from tqdm import tqdm

from dfd_depth_ros.estimation.blur import cell_means, cell_range, read_blur
from dfd_depth_ros.networks.precision import as_stored
from dfd_depth_ros.training.data import Pairs, expose

SEED = 90_001  # no training run has it
SIZE = 256
EDGES_PX = (0.0, 0.35, 0.75, 1.25, 1.75, 2.5, 3.5, 4.5, 5.5, 7.0, 9.0, 11.0, 14.0, 18.0, 22.0)
FEWEST = 200  # cells in a bin
FLAT = 0.5  # pixels of CoC that a cell and its neighbours may differ by


def run(estimator, scenes: int = 200) -> dict:
    """Read `scenes` pairs of pictures.

    Returns `by_coc`, a list of rows with true `coc_px` (median of the bin), `read_px`, `spread_px` and `error_px` as in
    `estimation.blur.BlurTable`, and the number of `cells`; and `seed`, `size`, `scenes`.
    """
    pairs, rng, found = Pairs(SIZE, SEED, scenes), np.random.default_rng(SEED), []
    for index in tqdm(range(scenes), desc='blur', unit='pair'):
        batch = expose([pairs[index]], rng)
        for image, coc, lens in zip(batch.image, batch.coc[:, 0].numpy(), batch.lens, strict=True):
            found.append(_compared(estimator, image, coc, lens))
    true, read, final = np.concatenate(found, 1)
    places = np.digitize(true, EDGES_PX)
    rows = [_row(*(x[places == place] for x in (true, read, final))) for place in range(1, len(EDGES_PX))]
    return {
        'seed': SEED,
        'size': SIZE,
        'scenes': scenes,
        'by_coc': [row for row in rows if row['cells'] >= FEWEST],
    }


def _compared(estimator, image, coc, lens) -> np.ndarray:
    """True |CoC|, that of DefocusNet and that of both networks, (3, N), of the usable cells of a picture."""
    picture = (image * 255).round().byte().permute(1, 2, 0).numpy()
    reading = read_blur(estimator.model, picture)
    with torch.inference_mode(), as_stored(estimator.model):
        both = estimator.model(image[None].to(estimator.device), lens[None].to(estimator.device))
    usable = reading.usable & (cell_range(coc) < FLAT)
    final = cell_means(both.coc[0, 0].float().abs().cpu().numpy())
    return np.stack([np.abs(cell_means(coc)), reading.magnitude, final])[:, usable]


def _row(true, read, final) -> dict:
    """Median and robust deviation in one bin; readings are moved to the middle of the bin first."""
    if not true.size:
        return {'cells': 0}
    middle = float(np.median(true))
    moved = read + (middle - true)
    low, high = np.quantile(moved, (0.1587, 0.8413))
    return {
        'coc_px': middle,
        'read_px': float(np.median(moved)),
        'spread_px': float(high - low) / 2,
        'error_px': float(np.quantile(np.abs(final - true), 0.6827)),
        'cells': int(true.size),
    }
