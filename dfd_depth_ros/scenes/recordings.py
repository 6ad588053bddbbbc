"""The bytes of ROS 2 bags, without ROS: every message in the order of the file, also from a bag that was cut.

Files are read front to back and never through their index, which is the part that a killed recorder did not write.
Formats: rosbag2 folders (sqlite3 or MCAP storage), bare .db3 and .mcap. Writing goes through `rosbags`.
"""

import sqlite3
import struct
from collections.abc import Collection, Iterator
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import NamedTuple

import yaml
from mcap.exceptions import McapError
from mcap.records import Channel, Footer, Message, Schema
from mcap.stream_reader import StreamReader
from rosbags.interfaces import Connection
from rosbags.rosbag2 import Reader, StoragePlugin, Writer
from rosbags.serde import SerdeError
from rosbags.typesys import Stores, TypesysError, get_typestore

METADATA = 'metadata.yaml'


class BagError(ValueError):
    """A bag that cannot be read or written; the message names the file and the reason."""


class RawMessage(NamedTuple):
    """One recorded message: serialised CDR bytes and the time at which the recorder got them."""

    topic: str
    msgtype: str
    receive_ns: int
    data: bytes


class Recording:
    """A bag on disk. After a first complete pass over `messages` two lists of plain sentences say how it went:
    `truncated` (where the rest of a file could not be read) and `notes` (worth knowing)."""

    def __init__(self, path):
        self.path = Path(path)
        self._damage: dict[Path, str] = {}
        self.notes: list[str] = []
        self._metadata = self._read_metadata() if self.path.is_dir() else {}
        self._files = self._find_files()

    def messages(self, topics: Collection[str] | None = None) -> Iterator[RawMessage]:
        """All messages, or those of the given topics, in the order in which they were written."""
        if self._metadata.get('compression_mode'):
            yield from self._compressed_messages(topics)
            return
        for file in self._files:
            count = 0
            try:
                for message in _STORAGES[file.suffix](file, topics):
                    count += 1
                    yield message
            except Exception as error:  # a damaged file can fail anywhere between decompression and parsing
                self._lost(file, count, error)

    @property
    def truncated(self) -> list[str]:
        """One sentence for each file that could not be read to its end."""
        return list(self._damage.values())

    def _read_metadata(self) -> dict:
        file = self.path / METADATA
        try:
            return dict(yaml.safe_load(file.read_text())['rosbag2_bagfile_information'])
        except FileNotFoundError:
            self.notes.append(f'{self.path.name} has no {METADATA}')
        except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
            self.notes.append(f'{self.path.name} has an unreadable {METADATA}')
        return {}

    def _find_files(self) -> list[Path]:
        if not self.path.exists():
            raise BagError(f'{self.path} does not exist')
        if self.path.is_file():
            if self.path.suffix not in _STORAGES:
                raise BagError(f'{self.path} is no bag; expected a rosbag2 folder, .mcap or .db3')
            return [self.path]
        found = [file for file in self.path.iterdir() if file.suffix in _STORAGES or file.suffix == '.zstd']
        listed = [self.path / Path(name).name for name in self._metadata.get('relative_file_paths') or []]
        for file in listed:
            if not file.exists():
                self.notes.append(f'{file.name} is listed in {METADATA} but is not there')
        files = [file for file in listed if file.exists()] or sorted(found, key=_natural)
        if not files:
            raise BagError(f'{self.path} holds no .mcap or .db3 file')
        return files

    def _compressed_messages(self, topics) -> Iterator[RawMessage]:
        count = 0
        try:
            with Reader(self.path) as reader:
                chosen = [link for link in reader.connections if topics is None or link.topic in topics]
                for link, receive_ns, data in reader.messages(chosen) if chosen else ():
                    count += 1
                    yield RawMessage(link.topic, link.msgtype, receive_ns, bytes(data))
        except Exception as error:  # as above
            self._lost(self.path, count, error)

    def _lost(self, file: Path, count: int, error: Exception) -> None:
        self._damage.setdefault(file, f'{file.name} is cut or damaged after {count} messages ({_reason(error)})')


class BagWriter:
    """Writes serialised messages to a new rosbag2 folder; a topic is registered when its first message comes.

    storage: 'mcap' or 'sqlite3'. Use it as a context manager: the bag is closed, and readable, also after an exception.
    """

    def __init__(self, path, storage: str = 'mcap'):
        if storage not in _PLUGINS:
            raise BagError(f'bag storage is {storage!r}; it must be one of {", ".join(_PLUGINS)}')
        if Path(path).exists():
            raise BagError(f'{path} exists already and is not overwritten')
        self._writer = Writer(path, version=9, storage_plugin=_PLUGINS[storage])
        self._writer.open()
        self._links: dict[str, Connection] = {}

    def write(self, topic: str, msgtype: str, data: bytes, receive_ns: int) -> None:
        """Append one message (CDR bytes) received at a time in nanoseconds."""
        if topic not in self._links:
            try:
                self._links[topic] = self._writer.add_connection(topic, msgtype, typestore=typestore())
            except TypesysError:
                raise BagError(f'message type {msgtype!r} of {topic} is not known') from None
        self._writer.write(self._links[topic], receive_ns, data)

    def close(self) -> None:
        """Write index and metadata; further calls do nothing."""
        if self._writer.storage:
            self._writer.close()

    def __enter__(self) -> 'BagWriter':
        return self

    def __exit__(self, *_) -> None:
        self.close()


@cache
def typestore():
    """The message definitions of ROS 2 Kilted; those that we read are the same in every distribution since Humble."""
    return get_typestore(Stores.ROS2_KILTED)


def deserialize(data: bytes, msgtype: str):
    """The message of CDR bytes. What follows it is ignored: writers that reuse a buffer, as rclpy's serialize_message
    does, leave more behind it than the three bytes of padding that rosbags allows. Raises BagError."""
    definition = typestore().get_msgdef(msgtype)
    try:
        read = {0: definition.deserialize_cdr_be, 1: definition.deserialize_cdr_le}[int.from_bytes(data[:2], 'big')]
        return read(data[4:], 0, definition.cls, typestore())[0]
    except (KeyError, IndexError, struct.error, ValueError, SerdeError) as error:
        raise BagError(f'a {msgtype} message cannot be read: {error}') from None


def _mcap_messages(file: Path, topics) -> Iterator[RawMessage]:
    schemas: dict[int, str] = {}
    channels: dict[int, tuple[str, str]] = {}
    with file.open('rb') as stream:
        for record in StreamReader(stream, validate_crcs=True).records:
            if isinstance(record, Message):
                topic, msgtype = channels[record.channel_id]
                if topics is None or topic in topics:
                    yield RawMessage(topic, msgtype, record.log_time, bytes(record.data))
            elif isinstance(record, Schema):
                schemas[record.id] = record.name
            elif isinstance(record, Channel):
                channels[record.id] = (record.topic, schemas[record.schema_id])
            elif isinstance(record, Footer):
                return


def _sqlite_messages(file: Path, topics) -> Iterator[RawMessage]:
    with closing(_open_sqlite(file)) as database:
        known = {key: (name, msgtype) for key, name, msgtype in database.execute('SELECT id, name, type FROM topics')}
        # In the order of the table: the time index lies at the end of the file, where a cut takes it first.
        for key, receive_ns, data in database.execute('SELECT topic_id, timestamp, data FROM messages NOT INDEXED'):
            topic, msgtype = known[key]
            if topics is None or topic in topics:
                yield RawMessage(topic, msgtype, receive_ns, data)


def _open_sqlite(file: Path) -> sqlite3.Connection:
    """Read only; with its write-ahead log where a killed recorder left one and the folder lets us."""
    for mode in ('mode=ro', 'immutable=1'):
        database = sqlite3.connect(f'{file.absolute().as_uri()}?{mode}', uri=True)
        database.execute('PRAGMA writable_schema = ON')  # else a file shorter than its header says is refused whole
        try:
            database.execute('SELECT count(*) FROM sqlite_master').fetchone()
            return database
        except sqlite3.OperationalError as error:
            database.close()
            last = error
    raise last


def _reason(error: Exception) -> str:
    text = str(error).strip().rstrip('.')
    return 'end of file' if isinstance(error, McapError) and not text else text or type(error).__name__


def _natural(file: Path) -> tuple:
    """bag_2 before bag_10."""
    return len(file.name), file.name


_STORAGES = {'.mcap': _mcap_messages, '.db3': _sqlite_messages}
_PLUGINS = {'mcap': StoragePlugin.MCAP, 'sqlite3': StoragePlugin.SQLITE3}
