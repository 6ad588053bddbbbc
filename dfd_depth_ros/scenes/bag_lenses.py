"""The lens in a bag: states from a JointState or from the metadata of a driver, what they leave out from `lens_model`.

Metadata are read as camera_ros writes them. The focus is never that of `lens_model`, which tells it only once.
"""

import bisect
from collections.abc import Mapping

import numpy as np

from dfd_depth_ros.optics.lens import LensError
from dfd_depth_ros.scenes.lens_metadata import Dialect, NoLensMetadataError, read_metadata
from dfd_depth_ros.scenes.lens_model import read_lens_model
from dfd_depth_ros.scenes.recordings import BagError, deserialize

JOINT_STATE = 'sensor_msgs/msg/JointState'
METADATA = 'diagnostic_msgs/msg/DiagnosticArray'
TEXT = 'std_msgs/msg/String'
SOURCES = {JOINT_STATE: 'joint_state', METADATA: 'diagnostics'}  # lens.source of a node that is to read them
_NAMES = ('focal_length_m', 'f_number', 'pixel_pitch_m', 'focus_dioptre', 'focus_dioptre_sigma')
_COMPLETED = ('focal_length_m', 'f_number', 'pixel_pitch_m', 'gain_sigma', 'quality')


class LensStates:
    """The lens states of one topic. messages: stamp in nanoseconds -> CDR bytes. Raises BagError where they tell no
    lens. stamps: (N,) int64, ascending."""

    def __init__(self, messages: Mapping[int, bytes], topic: str | None, kind: str | None):
        read = {JOINT_STATE: _joints, METADATA: _metadata}.get(kind)
        rows = [(stamp, row) for stamp, data in sorted(messages.items()) if (row := read(data, topic))]
        if messages and not rows:
            raise BagError(f'{topic} tells no lens state; expected the key LensPosition')
        names = [name for name in _NAMES if rows and all(name in row for _, row in rows)]
        self.stamps = np.array([stamp for stamp, _ in rows], np.int64)
        self._columns = {name: np.array([row[name] for _, row in rows]) for name in names}

    def at(self, stamp: int) -> dict[str, float]:
        """The values at a stamp, linear between its neighbours, focus in dioptres; none where there are no states."""
        return {name: float(np.interp(stamp, self.stamps, column)) for name, column in self._columns.items()}


class LensModels:
    """The texts of a topic `lens_model`. messages: receive time in nanoseconds -> CDR bytes. Raises BagError."""

    def __init__(self, messages: Mapping[int, bytes], topic: str | None):
        self._times, self._models = sorted(messages), []
        for time in self._times:
            try:
                model = read_lens_model(deserialize(messages[time], TEXT).data)
            except LensError as error:
                raise BagError(f'{topic}: {error}') from None
            self._models.append({name: model[name] for name in _COMPLETED if name in model})

    def at(self, time: int) -> dict:
        """Focal length, f-number, pixel pitch and how well they are known, of the last text until then, or of the first
        one after it."""
        index = max(bisect.bisect_right(self._times, time) - 1, 0)
        return self._models[index] if self._models else {}


def _joints(data: bytes, topic: str | None) -> dict[str, float]:
    message = deserialize(data, JOINT_STATE)
    if len(message.name) != len(message.position):
        raise BagError(f'{topic} has {len(message.name)} names for {len(message.position)} positions')
    row = dict(zip(message.name, map(float, message.position), strict=True))
    if row.get('focus_distance_m', 0) > 0:
        row.setdefault('focus_dioptre', 1 / row['focus_distance_m'])
    if not any(name in row for name in _NAMES):
        raise BagError(f'{topic} names {", ".join(row) or "nothing"}; expected some of {", ".join(_NAMES)}')
    return row


def _metadata(data: bytes, topic: str | None) -> dict[str, float]:
    """The values of one message; none where somebody else speaks on the topic."""
    try:
        return dict(read_metadata(deserialize(data, METADATA).status, Dialect()).values)
    except NoLensMetadataError:
        return {}
    except LensError as error:
        raise BagError(f'{topic}: {error}') from None
