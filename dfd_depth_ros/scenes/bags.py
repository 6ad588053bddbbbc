"""ROS 2 bags as frames: image, lens state, calibration and ground truth, joined by their stamps.

A bag is read twice and never held in memory: once for stamps, lens states and calibration, once for the pictures.
Ground truth must carry the stamp of its image. The lens state is taken at that stamp, or between its neighbours,
linear in dioptres. A bag with registered depth and no lens topic is an RGB-D camera: its frames have an all-in-focus
picture and depth instead of a defocused one, so that defocus can be rendered with a given lens.
"""

import struct
from collections import defaultdict, deque
from collections.abc import Collection, Iterator, Mapping
from dataclasses import fields
from typing import NamedTuple

import numpy as np

from dfd_depth_ros.optics.lens import Lens, LensError
from dfd_depth_ros.scenes.bag_lenses import JOINT_STATE, METADATA, TEXT, LensModels, LensStates
from dfd_depth_ros.scenes.encodings import DEPTH_ENCODINGS, EncodingError, decode_compressed, decode_depth, decode_image
from dfd_depth_ros.scenes.frame import Frame, Intrinsics
from dfd_depth_ros.scenes.recordings import BagError, BagWriter, Recording, deserialize

__all__ = ['BagError', 'BagFrames', 'BagWriter', 'Recording', 'Times', 'read_bag', 'stamp_ns']

IMAGE = 'sensor_msgs/msg/Image'
COMPRESSED = 'sensor_msgs/msg/CompressedImage'
CAMERA_INFO = 'sensor_msgs/msg/CameraInfo'

# The topics that may fill each role, best first: a name relative to the camera's namespace, and its message type.
ROLES = {
    'image': {'image_raw': IMAGE, 'image_raw/compressed': COMPRESSED},
    'camera_info': {'camera_info': CAMERA_INFO},
    'lens': {'lens': JOINT_STATE, 'lens_used': JOINT_STATE, 'lens_metadata': METADATA},
    'lens_model': {'lens_model': TEXT},
    'truth': {'ground_truth/depth': IMAGE},
    'depth': {'depth/image_rect': IMAGE},
    'registered_depth': {
        'aligned_depth_to_color/image_raw': IMAGE,
        'depth_registered/image_raw': IMAGE,
        'depth_registered/image_rect': IMAGE,
        'depth_to_rgb/image_raw': IMAGE,
    },
}
COLOUR_NAMES = ('image_raw', 'image_color', 'image_rect_color', 'image_rect', 'image')  # where encodings must tell
_SMALL = (CAMERA_INFO, JOINT_STATE, METADATA, TEXT)


class Times(NamedTuple):
    """Stamps and receive times of one topic: (N,) int64 nanoseconds, in the order of the file."""

    stamp_ns: np.ndarray
    receive_ns: np.ndarray


class BagFrames:
    """The frames of a bag in the order in which its images were recorded; it may be iterated again and again.

    topics: role -> topic found. kinds: role -> type of its messages. times: role -> Times, of the recorded `depth` too.
    """

    def __init__(self, path, lens: Lens | None = None, topics: Mapping[str, str] | None = None, max_age_s: float = 0.5):
        self._recording = Recording(path)
        self._given = {} if lens is None else {field.name: getattr(lens, field.name) for field in fields(Lens)}
        types, times, states, depths = _scan(self._recording)
        if not types:
            raise BagError(
                f'{path} holds no readable image: {"; ".join(self.truncated) or "no topic of an image type"}'
            )
        self.topics = _find_topics(types, topics or {}, path, depths)
        self._is_rgbd = 'registered_depth' in self.topics and not {'lens', 'truth'} & self.topics.keys()
        if self._is_rgbd:
            self.topics['truth'] = self.topics['registered_depth']
            self._note(
                f'{self.topics["image"]} and {self.topics["truth"]} are read as an RGB-D camera; '
                'its defocus is rendered with the given lens'
            )
        self.times = {role: times[topic] for role, topic in self.topics.items()}
        self.kinds = {role: types[topic] for role, topic in self.topics.items()}
        self._is_compressed = self.kinds['image'] == COMPRESSED
        self._calibrations = states[self.topics.get('camera_info')]
        lens_topic, model_topic = self.topics.get('lens'), self.topics.get('lens_model')
        self._states = LensStates(states[lens_topic], lens_topic, self.kinds.get('lens'))
        self._models = LensModels(states[model_topic], model_topic)
        self._usable = self._with_lens(self.times['image'].stamp_ns, max_age_s)

    @property
    def truncated(self) -> list[str]:
        """One sentence for each file of the bag that could not be read to its end."""
        return self._recording.truncated

    @property
    def notes(self) -> list[str]:
        """Sentences about the bag and about the images that were left out so far."""
        return self._recording.notes

    def __len__(self) -> int:
        """Number of images that have a lens state (all of them in a bag without a lens topic)."""
        return int(np.isin(self.times['image'].stamp_ns, list(self._usable)).sum())

    def __iter__(self) -> Iterator[Frame]:
        awaited = set(self.times['truth'].stamp_ns.tolist()) & self._usable if 'truth' in self.times else set()
        truths, read = {}, 0
        waiting: deque[tuple[int, bytes]] = deque()
        wanted = {self.topics[role] for role in ('image', 'truth') if role in self.topics}
        for message in self._recording.messages(wanted):
            stamp = stamp_ns(message.data)
            if message.topic == self.topics['image']:
                if stamp in self._usable:
                    waiting.append((stamp, message.data))
            elif stamp in awaited:
                truths[stamp] = message.data
            while waiting and (waiting[0][0] not in awaited or waiting[0][0] in truths):
                stamp, data = waiting.popleft()
                awaited.discard(stamp)
                frames = list(self._frame(stamp, data, truths.pop(stamp, None)))
                read += len(frames)
                yield from frames
        if not read:
            raise BagError(f'no image could be read: {"; ".join(self.notes)}')

    def _frame(self, stamp: int, data: bytes, truth: bytes | None) -> Iterator[Frame]:
        """The one frame of an image message; none, and a note, where a picture cannot be read."""
        where = f'{self._recording.path.name} at {stamp / 1e9:.9f} s'
        try:
            image = self._image(data)
            depth = None if truth is None else _pixels(truth, decode_depth)
        except (EncodingError, struct.error, IndexError, ValueError) as error:
            self._note(f'{where}: {error}')
            return
        if depth is not None and depth.shape != image.shape[:2]:
            self._note(f'{where}: ground truth is {_size(depth)} pixels but the image is {_size(image)}')
            return
        intrinsics = self._intrinsics(stamp, image, where)
        yield Frame(
            name=where,
            image=None if self._is_rgbd and depth is not None else image,
            aif=image if self._is_rgbd else None,
            lens=self._lens(stamp, intrinsics, where),
            depth=None if depth is None else np.where(depth > 0, depth, np.float32(np.nan)),
            intrinsics=intrinsics,
            stamp=stamp / 1e9,
            sequence=self._recording.path.stem,
        )

    def _image(self, data: bytes) -> np.ndarray:
        if not self._is_compressed:
            return _pixels(data, decode_image)
        message = deserialize(data, COMPRESSED)
        return decode_compressed(message.data, message.format)

    def _intrinsics(self, stamp: int, image: np.ndarray, where: str) -> Intrinsics | None:
        """Of the camera_info with the image's stamp, else of the first one; None where the camera is not calibrated."""
        if not self._calibrations:
            return None
        first = next(iter(self._calibrations.values()))
        info = deserialize(self._calibrations.get(stamp, first), CAMERA_INFO)
        if info.k[0] == 0:
            return None
        if info.width and (info.height, info.width) != image.shape[:2]:
            raise BagError(
                f'{where}: camera_info is for {info.width}x{info.height} pixels, the image has {_size(image)}'
            )
        return Intrinsics(*map(float, info.k[[0, 4, 2, 5]]))

    def _lens(self, stamp: int, intrinsics: Intrinsics | None, where: str) -> Lens | None:
        """Messages give the state; the given lens, else the lens model, what they leave out; calibration the pixel
        pitch as a last resort."""
        state = self._states.at(stamp)
        values = (self._given or self._models.at(stamp)) | state
        if not (self._given or state):
            return None
        if not values.get('pixel_pitch_m') and intrinsics and 'focal_length_m' in values:
            values['pixel_pitch_m'] = values['focal_length_m'] / intrinsics.fx
        try:
            return Lens.from_dict(values)
        except LensError as error:
            raise LensError(f'{where}: {error}') from None

    def _with_lens(self, stamps: np.ndarray, max_age_s: float) -> set:
        """Stamps of the images near enough to a lens state; one single state is a fixed lens and serves them all."""
        known = self._states.stamps
        if len(known) < 2:
            return set(stamps.tolist())
        after = np.clip(np.searchsorted(known, stamps), 1, len(known) - 1)
        age_s = np.minimum(abs(stamps - known[after - 1]), abs(known[after] - stamps)) / 1e9
        if (missing := int((age_s > max_age_s).sum())) > 0:
            self._note(f'{missing} of {len(stamps)} images have no lens state within {max_age_s:g} s and were left out')
        return set(stamps[age_s <= max_age_s].tolist())

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)


def read_bag(path, lens: Lens | None = None, topics: Mapping[str, str] | None = None) -> BagFrames:
    """The frames of a rosbag2 folder, .mcap or .db3.

    lens: fills what the bag's lens messages leave out (pixel pitch, side), in place of a recorded `lens_model`, or is
    the lens of every frame where there are none. topics: role of ROLES -> topic, where names differ. Raises BagError,
    and LensError while iterating; a bag that was cut is no error, see `BagFrames.truncated`.
    """
    return BagFrames(path, lens, topics)


def _scan(recording: Recording):
    """One pass: topic -> type, topic -> Times, topic -> {stamp: bytes} of the small messages, and the topics that begin
    with an image of depth."""
    known = {msgtype for names in ROLES.values() for msgtype in names.values()}
    types, times, depths = {}, defaultdict(list), set()
    states: defaultdict[str, dict[int, bytes]] = defaultdict(dict)
    for message in recording.messages():
        if message.msgtype not in known or len(message.data) < 12:
            continue
        if message.topic not in types and message.msgtype == IMAGE and _is_depth(message.data):
            depths.add(message.topic)
        types[message.topic] = message.msgtype
        stamp = message.receive_ns if message.msgtype == TEXT else stamp_ns(message.data)
        times[message.topic].append((stamp, message.receive_ns))
        if message.msgtype in _SMALL:
            states[message.topic][stamp] = message.data
    return types, {topic: Times(*np.array(pairs, np.int64).T) for topic, pairs in times.items()}, states, depths


def _is_depth(data: bytes) -> bool:
    try:
        return deserialize(data, IMAGE).encoding in DEPTH_ENCODINGS
    except BagError:
        return False


def _find_topics(types: Mapping[str, str], given: Mapping[str, str], path, depths: Collection[str] = ()) -> dict:
    """Role -> topic. depths: topics with images of depth, which are never the camera's. The image's namespace is
    searched first, then any topic that ends alike (our own depth/camera_info is never the camera's)."""
    found = {}
    for role, names in ROLES.items():
        if role in given:
            if types.get(given[role]) not in names.values():
                raise BagError(f'{path} has no topic {given[role]} of type {" or ".join(names.values())}')
            found[role] = given[role]
            continue
        namespace = _namespace(found.get('image', ''))
        for name, msgtype in names.items():
            alike = [topic for topic, kind in types.items() if kind == msgtype and f'/{topic}'.endswith(f'/{name}')]
            alike = [topic for topic in alike if (topic in depths) <= (role != 'image')]
            alike = [topic for topic in alike if topic == namespace + name] or [
                topic for topic in alike if not topic.endswith(f'depth/{name}')
            ]
            if len(alike) > 1:
                raise BagError(f'{path} has several {role} topics ({", ".join(sorted(alike))}); choose one of them')
            if alike:
                found[role] = alike[0]
                break
        if role == 'image' and role not in found and (colour := _by_encoding(types, depths)):
            found[role] = colour
    if 'image' not in found:
        raise BagError(f'{path} has no topic that ends in image_raw; it has {", ".join(sorted(types))}')
    return found


def _by_encoding(types: Mapping[str, str], depths: Collection[str]) -> str | None:
    """The one colour image with a customary name, in a bag where depth lies beside it."""
    colour = [topic for topic, kind in types.items() if kind == IMAGE and topic not in depths]
    colour = [topic for topic in colour if topic.rpartition('/')[2] in COLOUR_NAMES]
    return colour[0] if depths and len(colour) == 1 else None


def _namespace(image_topic: str) -> str:
    """'/camera/' of '/camera/image_raw'."""
    for name in ROLES['image']:
        if image_topic.endswith(name):
            return image_topic[: -len(name)]
    return image_topic.rpartition('/')[0] + '/'


def _pixels(data: bytes, decode) -> np.ndarray:
    message = deserialize(data, IMAGE)
    return decode(
        message.data, message.height, message.width, message.encoding, message.step, bool(message.is_bigendian)
    )


def stamp_ns(data: bytes) -> int:
    """Stamp, in nanoseconds, of a serialised message whose first field is a header: int32 seconds and uint32
    nanoseconds after the four bytes that say how the message is serialised."""
    seconds, nanoseconds = struct.unpack_from('<iI' if data[1] & 1 else '>iI', data, 4)
    return seconds * 1_000_000_000 + nanoseconds


def _size(array: np.ndarray) -> str:
    return f'{array.shape[1]}x{array.shape[0]}'
