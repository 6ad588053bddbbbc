"""Weights on disk: safetensors with the architecture and the training record as JSON in the metadata. Never pickle."""

import hashlib
import json
import os
from functools import partial
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import nn

from dfd_depth_ros.networks import video
from dfd_depth_ros.networks.model import ARCHITECTURES, DfdModel
from dfd_depth_ros.networks.peers import PEERS

FORMAT = 'dfd_depth_ros/1'
DFD = {name: partial(DfdModel, name) for name in ARCHITECTURES} | PEERS  # what makes a model of each architecture
VIDEO = {name: partial(video.VideoDepthNet, **options) for name, options in video.ARCHITECTURES.items()}


class WeightsError(ValueError):
    """Weights that cannot be used; the message is one sentence that names the file and the reason."""


def make_model(architecture: str) -> nn.Module:
    """An untrained model. Raises ValueError for an unknown architecture."""
    if architecture not in DFD:
        raise ValueError(f'unknown architecture {architecture!r}; there are {", ".join(DFD)}')
    return DFD[architecture]()


def save_weights(path: Path, model: DfdModel | video.VideoDepthNet, record: dict) -> str:
    """Write the model and its training record (JSON values) by atomic rename. Returns the digest of the file."""
    data = to_bytes(model, record)
    write_whole(path, data)
    return digest(data)


def load_weights(path: Path, kind: dict = DFD, new: tuple[str, ...] = ()) -> tuple:
    """Read a model, a DfdModel or with `kind` VIDEO a VideoDepthNet. new: beginnings of names that the file may lack,
    which are then as in an untrained model. Returns it, its training record and the SHA-256 of the file. Raises
    WeightsError."""
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise WeightsError(f'weights {path} cannot be read: {error.strerror}') from None
    return from_bytes(data, str(path), kind, new)


def to_bytes(model: DfdModel | video.VideoDepthNet, record: dict) -> bytes:
    """A model and its training record as the content of a weights file; the same model and record give the same
    bytes."""
    metadata = {'format': FORMAT, 'architecture': model.architecture, 'record': json.dumps(record, sort_keys=True)}
    data = save({name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}, metadata)
    end = 8 + int.from_bytes(data[:8], 'little')
    header = json.dumps(json.loads(data[8:end]), sort_keys=True).encode()  # safetensors shuffles the metadata
    header += b' ' * (-len(header) % 8)
    return len(header).to_bytes(8, 'little') + header + data[end:]


def from_bytes(data: bytes, name: str, kind: dict = DFD, new: tuple[str, ...] = ()) -> tuple:
    """A model, its training record and digest from the content of a weights file. name: what messages call it. new: see
    `load_weights`. Raises WeightsError."""
    metadata = _metadata(name, data)
    if metadata.get('format') != FORMAT:
        raise WeightsError(
            f'weights {name} are not of this package: format is {metadata.get("format")!r}, not {FORMAT!r}'
        )
    if metadata.get('architecture') not in kind:
        raise WeightsError(f'weights {name} have the unknown architecture {metadata.get("architecture")!r}')
    try:
        model = kind[metadata['architecture']]()
        state = load(data)
        untrained = {key: value for key, value in model.state_dict().items() if new and key.startswith(new)}
        model.load_state_dict(untrained | state, strict=True)
        record = json.loads(metadata.get('record', '{}'))
    except (SafetensorError, RuntimeError, ValueError) as error:
        reason = ' '.join(str(error).split())[:300]
        raise WeightsError(f'weights {name} do not fit {metadata["architecture"]}: {reason}') from None
    broken = [key for key, value in state.items() if not value.isfinite().all()]
    if broken:
        raise WeightsError(f'weights {name} hold values that are not finite, first in {broken[0]}')
    return model, record, digest(data)


def write_whole(path: Path, data: bytes):
    """Write a file so that a kill at any instant leaves the old one or the new one, whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix('.part')
    with beside.open('wb') as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)


def digest(data: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def _metadata(name, data):
    """The string table in the header of a safetensors file: 8 bytes of length, then JSON."""
    try:
        load(data)  # first: its parser is not led astray by deep nesting
        length = int.from_bytes(data[:8], 'little')
        header = json.loads(data[8 : 8 + length])
        return header.get('__metadata__', {})
    except (SafetensorError, ValueError, AttributeError, MemoryError):
        raise WeightsError(f'weights {name} are truncated or not a safetensors file') from None
