"""Frames folders: any data set as one `frames.jsonl` with a JSON object per frame and paths relative to it.

    {"image": "rgb/0001.jpg", "depth": "depth/0001.png", "sequence": "kitchen", "stamp": 0.033,
     "lens": {"focal_length_m": 0.035, "f_number": 2.8, "focus_distance_m": 1.65, "pixel_pitch_m": 3.6e-5},
     "intrinsics": {"fx": 972.2, "fy": 972.2, "cx": 320, "cy": 216}, "pose": [[...4x4 camera-to-world]]}

Depth is a 16-bit PNG in millimetres (0 = unknown) or float32 metres in .npy, or for a flat target that faces the
camera one number, `"depth_m": 1.25`; `coc` is float32 pixels in .npy. Only
`image` or `aif` must be there: `aif` and `depth` without `image` make an RGB-D source. Extra keys are ignored.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np

from dfd_depth_ros.optics.lens import Lens, LensError
from dfd_depth_ros.scenes.frame import Frame, Intrinsics

INDEX = 'frames.jsonl'


class FramesError(ValueError):
    """A frames folder that cannot be read; the message names the file, the line and the reason."""


@dataclass(frozen=True)
class _Entry:
    """One checked line: where it stands, its files, and what needs no file."""

    where: str
    files: dict
    values: dict

    def load(self) -> Frame:
        arrays: dict = {key: _READERS[key](path, f'{self.where}: {key}') for key, path in self.files.items()}
        shapes = {key: array.shape[:2] for key, array in arrays.items()}
        first = next(iter(shapes))
        for key, shape in shapes.items():
            if shape != shapes[first]:
                raise FramesError(f'{self.where}: {key} is {_size(shape)} pixels but {first} is {_size(shapes[first])}')
        values = dict(self.values)
        flat = values.pop('depth_m', None)
        if flat is not None and 'depth' not in arrays:
            arrays['depth'] = np.full(shapes[first], flat, np.float32)
        return Frame(**values, **arrays)


class FramesFolder(Sequence):
    """The frames of a folder, read from disk when asked for. A slice is again lazy."""

    def __init__(self, entries: Sequence[_Entry]):
        self._entries = entries

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, index):
        return FramesFolder(self._entries[index]) if isinstance(index, slice) else self._entries[index].load()


def read_frames(path) -> FramesFolder:
    """The frames of a folder with `frames.jsonl`, or of any .jsonl file.

    Every line is checked now (JSON, files, lens, pose), pixels are read later. Raises FramesError, or LensError for a
    lens that cannot be; both name the line.
    """
    path = Path(path)
    index = path / INDEX if path.is_dir() else path
    if not index.is_file():
        raise FramesError(f'{index} does not exist')
    lines = index.read_text(encoding='utf-8', errors='replace').splitlines()
    entries = [_entry(line, index, number) for number, line in enumerate(lines, 1) if line.strip()]
    if not entries:
        raise FramesError(f'{index} has no frames')
    return FramesFolder(entries)


def write_frames(folder, frames: Iterable[Frame]) -> Path:
    """Write frames below a folder, pictures as PNG, depth and CoC as .npy (exact); returns the path of the index."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    index = folder / INDEX
    with index.open('w', encoding='utf-8') as stream:
        for number, frame in enumerate(frames):
            stream.write(json.dumps(_write_frame(folder, number, frame)) + '\n')
    return index


def _write_frame(folder: Path, number: int, frame: Frame) -> dict:
    record: dict = {}
    for key in _READERS:
        array = getattr(frame, key)
        if array is None:
            continue
        is_picture = key in ('image', 'aif')
        record[key] = f'{key}/{number:06d}.{"png" if is_picture else "npy"}'
        path = folder / record[key]
        path.parent.mkdir(exist_ok=True)
        if is_picture:
            cv2.imwrite(str(path), cv2.cvtColor(array, cv2.COLOR_RGB2BGR))
        else:
            np.save(path, np.asarray(array, np.float32))
    if frame.lens is not None:
        record['lens'] = frame.lens.to_dict()
    if frame.intrinsics is not None:
        record['intrinsics'] = asdict(frame.intrinsics)
    if frame.pose is not None:
        record['pose'] = np.asarray(frame.pose).tolist()
    if frame.stamp is not None:
        record['stamp'] = frame.stamp
    if frame.sequence:
        record['sequence'] = frame.sequence
    return record


def _entry(line: str, index: Path, number: int) -> _Entry:
    where = f'{index} line {number}'
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        raise FramesError(f'{where}: not JSON ({error.msg} at column {error.colno})') from None
    if not isinstance(record, dict):
        raise FramesError(f'{where}: expected a JSON object, found {type(record).__name__}')
    record = {key: value for key, value in record.items() if value is not None}
    if not ('image' in record or 'aif' in record):
        raise FramesError(f'{where}: has neither image nor aif')
    files = {}
    for key in _READERS:
        if key in record:
            files[key] = index.parent / str(record[key])
            if not files[key].is_file():
                raise FramesError(f'{where}: {key} {files[key]} does not exist')
    values = {key: _value(key, parse, record[key], where) for key, parse in _PARSERS.items() if key in record}
    return _Entry(where, files, {'name': str(record.get('image') or record['aif']), **values})


def _value(key: str, parse, value, where: str):
    try:
        return parse(value)
    except LensError as error:
        raise LensError(f'{where}: {error}') from None
    except (TypeError, ValueError, KeyError, AttributeError):
        raise FramesError(f'{where}: {key} is {str(value)[:80]}; it must be {_EXPECTED[key]}') from None


def _intrinsics(values: dict) -> Intrinsics:
    intrinsics = Intrinsics(*(float(values[name]) for name in ('fx', 'fy', 'cx', 'cy')))
    if not (np.isfinite(list(asdict(intrinsics).values())).all() and intrinsics.fx > 0 and intrinsics.fy > 0):
        raise ValueError
    return intrinsics


def _pose(values) -> np.ndarray:
    pose = np.array(values, np.float64)
    if pose.shape != (4, 4) or not np.isfinite(pose).all():
        raise ValueError
    return pose


def _stamp(value) -> float:
    if not np.isfinite(float(value)):
        raise ValueError
    return float(value)


def _distance(value) -> float:
    if not (np.isfinite(float(value)) and float(value) > 0):
        raise ValueError
    return float(value)


def _picture(path: Path, where: str) -> np.ndarray:
    """(H, W, 3) uint8 RGB in the pixel order of the file: depth and intrinsics refer to that, not to EXIF rotation."""
    pixels = cv2.imread(str(path), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if pixels is None:
        raise FramesError(f'{where} {path} is not a readable picture')
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)


def _plane(path: Path, where: str) -> np.ndarray:
    """(H, W) float32 of a .npy."""
    try:
        values = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        raise FramesError(f'{where} {path} is not a readable .npy') from None
    if values.ndim != 2 or values.dtype.kind not in 'fiu':
        raise FramesError(f'{where} {path} has shape {values.shape} and type {values.dtype}; expected (H, W) numbers')
    return values.astype(np.float32)


def _depth(path: Path, where: str) -> np.ndarray:
    """(H, W) float32 metres, NaN where unknown."""
    if path.suffix == '.npy':
        depth = _plane(path, where)
    else:
        pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        if pixels is None:
            raise FramesError(f'{where} {path} is not a readable picture')
        if pixels.dtype != np.uint16 or pixels.ndim != 2:
            raise FramesError(f'{where} {path} is not a 16-bit single-channel PNG (millimetres)')
        depth = pixels.astype(np.float32) / 1000
    return np.where(depth > 0, depth, np.float32(np.nan))


def _size(shape) -> str:
    return f'{shape[1]}x{shape[0]}'


_READERS = {'image': _picture, 'aif': _picture, 'depth': _depth, 'coc': _plane}
_PARSERS = {'lens': Lens.from_dict, 'intrinsics': _intrinsics, 'pose': _pose, 'stamp': _stamp, 'sequence': str}
_PARSERS['depth_m'] = _distance
_EXPECTED = {
    'lens': 'an object',
    'intrinsics': 'an object with positive fx, fy and finite cx, cy',
    'pose': 'a 4x4 matrix of finite numbers',
    'stamp': 'a finite number of seconds',
    'sequence': 'text',
    'depth_m': 'a distance in metres above zero',
}
