"""How the networks read blur: readings of one picture, and the measured table of what they read of a true CoC.

Calibration of a lens and planning with one both ask what a reader of blur makes of a known circle of confusion. That is
measured once on made-up scenes (`benchmark blur`) and kept beside the weights as NAME.blur.json.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from dfd_depth_ros.networks.depth import CELL
from dfd_depth_ros.networks.precision import as_stored
from dfd_depth_ros.networks.scales import STRIDE
from dfd_depth_ros.paths import resolve_path

WINDOW = 17  # pixels on a side, over which texture is judged
TEXTURE = 3 / 255  # standard deviation of grey in that window, under which blur is not read
WHITE = 252  # of 255, from which a pixel counts as saturated


class BlurTableError(ValueError):
    """A table of readings that is missing or damaged; the message names the file and the way to make one."""


@dataclass(frozen=True)
class BlurTable:
    """Measured readings, by true |CoC| in pixels, ascending.

    coc_px: (N,) true. read_px: (N,) median of what DefocusNet reads. spread_px: (N,) one standard deviation of a cell
    around it. error_px: (N,) one standard deviation of the |CoC| that both networks give for a pixel.
    """

    coc_px: np.ndarray
    read_px: np.ndarray
    spread_px: np.ndarray
    error_px: np.ndarray

    def read(self, coc):
        """What DefocusNet reads of |CoC| in pixels, in the median; it grows no more beyond the table."""
        return np.interp(coc, self.coc_px, np.maximum.accumulate(self.read_px))

    def spread(self, coc):
        """One standard deviation in pixels of a cell's reading of |CoC|."""
        return np.interp(coc, self.coc_px, self.spread_px)

    def error(self, coc):
        """One standard deviation in pixels of |CoC| after both networks; beyond the table in proportion."""
        return np.interp(coc, self.coc_px, self.error_px) * np.maximum(1, coc / self.coc_px[-1])


def table_path(weights: str | os.PathLike) -> Path:
    """Where the table of a weights file stands: NAME.blur.json beside NAME.safetensors."""
    return resolve_path(weights).with_suffix('.blur.json')


def read_table(weights: str | os.PathLike) -> BlurTable:
    """The table of a weights file. Raises BlurTableError where there is none, or it is no table."""
    path = table_path(weights)
    try:
        rows = json.loads(path.read_text(encoding='utf-8'))['by_coc']
        columns = np.array([[row[name] for name in BlurTable.__dataclass_fields__] for row in rows], float).T
        if len(rows) < 2 or not (np.isfinite(columns).all() and (np.diff(columns[0]) > 0).all()):
            raise ValueError
    except OSError:
        how = f'make it with: benchmark blur --weights {weights} --json {path}'
        raise BlurTableError(f'{path} does not exist; {how}') from None
    except (ValueError, KeyError, TypeError):
        raise BlurTableError(f'{path} is no table of blur readings; make it anew with benchmark blur') from None
    return BlurTable(*columns)


@dataclass(frozen=True)
class BlurReading:
    """What DefocusNet reads of one picture, by cell of 4 x 4 pixels, all (H/4, W/4).

    magnitude: |CoC| in pixels. usable: there is texture and no saturation. textured, saturated: shares of the picture.
    """

    magnitude: np.ndarray
    usable: np.ndarray
    textured: float
    saturated: float


@torch.inference_mode()
def read_blur(model, image: np.ndarray) -> BlurReading:
    """The blur of a picture (H, W, 3) uint8 RGB; what is over multiples of 32 is cut off."""
    height, width = (side - side % STRIDE for side in image.shape[:2])
    image = np.ascontiguousarray(image[:height, :width])
    device = next(model.parameters()).device
    pixels = torch.from_numpy(image).to(device).permute(2, 0, 1)[None].float() / 255
    with as_stored(model):
        magnitude = model.defocus_net(pixels).magnitude[0, 0].float().cpu().numpy()
    textured, white = texture(image)
    usable = by_cell(textured & ~white, 1.0)
    return BlurReading(magnitude, usable, float(textured.mean()), float(white.mean()))


def texture(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where a picture (H, W, 3) uint8 has texture enough to read blur, and where it is saturated, (H, W) bool each."""
    grey = image.astype(np.float32).mean(2) / 255
    mean, square = (cv2.blur(values, (WINDOW, WINDOW)) for values in (grey, grey**2))
    textured = square - mean**2 > TEXTURE**2
    white = cv2.dilate((image.max(2) >= WHITE).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    return textured, white


def by_cell(mask: np.ndarray, share: float) -> np.ndarray:
    """(H/4, W/4) bool: cells of which at least this share of the pixels of (H, W) bool is true."""
    return cell_means(mask.astype(np.float32)) >= share


def cell_means(values: np.ndarray) -> np.ndarray:
    """(H/4, W/4) means over the cells of (H, W); NaN where a pixel is NaN."""
    height, width = values.shape
    return values.reshape(height // CELL, CELL, width // CELL, CELL).mean((1, 3))


def cell_range(values: np.ndarray) -> np.ndarray:
    """(H/4, W/4) largest minus smallest of (H, W) in each cell and a cell around it."""
    reach = np.ones((3 * CELL, 3 * CELL), np.uint8)
    span = cv2.dilate(values, reach) - cv2.erode(values, reach)
    return span[CELL // 2 :: CELL, CELL // 2 :: CELL]
