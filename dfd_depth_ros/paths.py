"""Where files live: one notation for weights, lens files and parameter files, however the package was installed."""

import os
from pathlib import Path

PACKAGE = 'dfd_depth_ros'
_SCHEME = 'package://'


class PathError(ValueError):
    """A path that names no place; the message says which text and why."""


def share_directory() -> Path:
    """The folder with `config`, `launch` and `models`: the source checkout, or `share/dfd_depth_ros` of the prefix
    (pip or ament) that holds this module."""
    module = Path(__file__).resolve()
    places = [module.parents[1], *(parent / 'share' / PACKAGE for parent in module.parents)]
    for place in places:
        if (place / 'package.xml').is_file():
            return place
    return _ament_share(PACKAGE)


def resolve_path(text: str | os.PathLike) -> Path:
    """The absolute path that `text` means; whether a file is there is for the caller to see.

    `package://NAME/rest` lies in the share directory of that ROS package, `~` is the home directory, an absolute path
    is itself. A relative path is taken from the working directory where it exists there, otherwise from the share
    directory of this package, so that `models/dfd_small.safetensors` is found from anywhere. Raises PathError for an
    empty text and for a package that is not installed.
    """
    text = os.fspath(text)
    if not text:
        raise PathError('path is empty')
    if text.startswith(_SCHEME):
        name, _, rest = text[len(_SCHEME) :].partition('/')
        return (share_directory() if name == PACKAGE else _ament_share(name)) / rest
    path = Path(text).expanduser()
    return path.absolute() if path.is_absolute() or path.exists() else share_directory() / path


def _ament_share(name: str) -> Path:
    try:
        from ament_index_python.packages import get_package_share_directory

        return Path(get_package_share_directory(name))
    except (ImportError, LookupError, OSError, ValueError):
        raise PathError(f'package {name!r} is not installed') from None
