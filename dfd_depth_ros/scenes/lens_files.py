"""Lens files: one YAML mapping for each lens, with the keys of a frames folder and a description."""

import os
from pathlib import Path

import yaml

from dfd_depth_ros.optics.lens import Lens, LensError
from dfd_depth_ros.paths import resolve_path


def read_lens_values(path: str | os.PathLike) -> dict:
    """The mapping in a lens file; it may leave out what the camera reports itself. Raises LensError in one sentence
    where the file cannot be read as a mapping."""
    resolved = resolve_path(path)
    try:
        values = yaml.safe_load(resolved.read_text(encoding='utf-8'))
    except OSError as error:
        raise LensError(f'lens file {resolved} cannot be read: {error.strerror}') from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise LensError(f'lens file {resolved} is no YAML') from None
    if not isinstance(values, dict):
        raise LensError(f'lens file {resolved} holds no mapping of names to values')
    return values


def read_lens(path: str | os.PathLike) -> Lens:
    """The lens in a lens file. Raises LensError where the file or a value is wrong."""
    return Lens.from_dict(read_lens_values(path))


def write_lens(path: str | os.PathLike, values: dict, comments: dict[str, str], head: str) -> None:
    """Write a lens file: `head` as comment on top, then each value with its comment above it."""
    lines = [f'# {line}' for line in head.splitlines()]
    for name, value in values.items():
        lines += [f'# {line}' for line in comments.get(name, '').splitlines()]
        lines.append(yaml.safe_dump({name: value}, width=1000, allow_unicode=True).strip())
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('\n'.join(lines) + '\n', encoding='utf-8')
