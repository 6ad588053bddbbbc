"""Layouts that rosbag2's own recorder produces, from Humble to Kilted, written here by hand or by `rosbags`."""

import sqlite3

import numpy as np
import pytest
import yaml
from mcap.writer import CompressionType
from mcap.writer import Writer as McapWriter
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from test_scenes_bags import camera_info, cdr, cut, depth, image, picture, recorded, write

from dfd_depth_ros.optics.lens import Lens
from dfd_depth_ros.scenes.bag_frames import write_bag
from dfd_depth_ros.scenes.bags import BagError, read_bag
from dfd_depth_ros.scenes.frame import Frame, Intrinsics
from dfd_depth_ros.scenes.recordings import Recording, typestore

LENS = Lens.focused_at(2.0, focal_length_m=0.05, f_number=2.0, pixel_pitch_m=4e-5)
QOS = '- history: 3\n  depth: 0\n  reliability: 1\n  durability: 2\n'
# `CREATE TABLE` of rosbag2_storage_sqlite3: schema 3 came with Humble, schema 4 with Iron.
SCHEMAS = {
    3: ['schema(schema_version INTEGER PRIMARY KEY,ros_distro TEXT NOT NULL)'],
    4: [
        'schema(schema_version INTEGER PRIMARY KEY,ros_distro TEXT NOT NULL)',
        'message_definitions(id INTEGER PRIMARY KEY,topic_type TEXT NOT NULL,encoding TEXT NOT NULL,'
        'encoded_message_definition TEXT NOT NULL,type_description_hash TEXT NOT NULL)',
    ],
}
DISTROS = {'humble': (5, 3), 'iron': (7, 4), 'jazzy': (9, 4), 'kilted': (9, 4)}


def sqlite_file(path, messages, schema, distro):
    hashes = ',type_description_hash TEXT NOT NULL' if schema == 4 else ''
    with sqlite3.connect(path) as database:
        for table in SCHEMAS[schema]:
            database.execute(f'CREATE TABLE {table}')
        database.execute(
            'CREATE TABLE metadata(id INTEGER PRIMARY KEY,metadata_version INTEGER NOT NULL,metadata TEXT)'
        )
        database.execute(
            'CREATE TABLE topics(id INTEGER PRIMARY KEY,name TEXT NOT NULL,type TEXT NOT NULL,'
            f'serialization_format TEXT NOT NULL,offered_qos_profiles TEXT NOT NULL{hashes})'
        )
        database.execute(
            'CREATE TABLE messages(id INTEGER PRIMARY KEY,topic_id INTEGER NOT NULL,timestamp INTEGER NOT NULL,'
            'data BLOB NOT NULL)'
        )
        database.execute('CREATE INDEX timestamp_idx ON messages (timestamp ASC)')
        database.execute('INSERT INTO schema VALUES (?, ?)', (schema, distro))
        topics = {}
        for topic, message, receive_ns in messages:
            if topic not in topics:
                topics[topic] = len(topics) + 1
                values = [topics[topic], topic, message.__msgtype__, 'cdr', QOS, *([''] if schema == 4 else [])]
                database.execute(f'INSERT INTO topics VALUES ({",".join("?" * len(values))})', values)
            row = (topics[topic], receive_ns, cdr(message))
            database.execute('INSERT INTO messages(topic_id, timestamp, data) VALUES (?, ?, ?)', row)


def mcap_file(path, messages, compression=CompressionType.ZSTD):
    with path.open('wb') as stream:
        writer = McapWriter(stream, compression=compression, chunk_size=4096)
        writer.start(profile='ros2', library='libmcap 1.1.0')
        channels = {}
        for topic, message, receive_ns in messages:
            if topic not in channels:
                definition, _ = typestore().generate_msgdef(message.__msgtype__)
                schema = writer.register_schema(message.__msgtype__, 'ros2msg', definition.encode())
                about = {'offered_qos_profiles': QOS, 'topic_type_hash': ''}
                channels[topic] = writer.register_channel(topic, 'cdr', schema, about)
            writer.add_message(channels[topic], receive_ns, cdr(message), receive_ns)
        writer.finish()


def metadata(folder, version, storage, files, compression=('', '')):
    listed = [file.name for file in files]
    about = {
        'version': version,
        'storage_identifier': storage,
        'duration': {'nanoseconds': 10**9},
        'starting_time': {'nanoseconds_since_epoch': 10**9},
        'message_count': 16,
        'topics_with_message_count': [],
        'compression_format': compression[0],
        'compression_mode': compression[1],
        'relative_file_paths': listed,
        'files': [{'path': name, 'message_count': 8} for name in listed],
    }
    (folder / 'metadata.yaml').write_text(yaml.safe_dump({'rosbag2_bagfile_information': about}))


def assert_whole(path, count=4):
    bag = read_bag(path)
    frames = list(bag)
    assert len(frames) == count and not bag.truncated and not bag.notes
    for number, frame in enumerate(frames):
        np.testing.assert_array_equal(frame.image, picture(number))
        np.testing.assert_array_equal(frame.depth, depth(number))


@pytest.mark.parametrize('distro', DISTROS)
@pytest.mark.parametrize('storage', ['sqlite3', 'mcap'])
def test_split_bags_of_every_distribution(tmp_path, distro, storage):
    version, schema = DISTROS[distro]
    messages = list(recorded(4))
    suffix = {'sqlite3': 'db3', 'mcap': 'mcap'}[storage]
    files = [tmp_path / f'bag_{part}.{suffix}' for part in (0, 1)]
    for part, file in enumerate(files):
        some = messages[8 * part : 8 * part + 8]
        if storage == 'mcap':
            mcap_file(file, some)
        else:
            sqlite_file(file, some, schema, distro)
    metadata(tmp_path, version, storage, files)
    assert_whole(tmp_path)
    assert_whole(files[0], 2)


@pytest.mark.parametrize('compression', list(CompressionType))
def test_mcap_chunks_of_every_compression(tmp_path, compression):
    mcap_file(tmp_path / 'bag.mcap', recorded(4), compression)
    assert_whole(tmp_path / 'bag.mcap')


@pytest.mark.parametrize('mode', [CompressionMode.MESSAGE, CompressionMode.FILE, CompressionMode.STORAGE])
@pytest.mark.parametrize('plugin', list(StoragePlugin))
def test_compression_by_rosbag2(tmp_path, mode, plugin):
    if mode is CompressionMode.STORAGE and plugin is StoragePlugin.SQLITE3:
        pytest.skip('sqlite3 has no compression of its own')
    writer = Writer(tmp_path / 'bag', version=9, storage_plugin=plugin)
    writer.set_compression(mode, CompressionFormat.ZSTD)
    with writer:
        links = {}
        for topic, message, receive_ns in recorded(4):
            if topic not in links:
                links[topic] = writer.add_connection(topic, message.__msgtype__, typestore=typestore())
            writer.write(links[topic], receive_ns, cdr(message))
    assert_whole(tmp_path / 'bag')


def test_a_zstd_mcap_that_was_cut_gives_whole_chunks(tmp_path):
    mcap_file(tmp_path / 'bag.mcap', recorded(40, (24, 32)))
    cut(tmp_path / 'bag.mcap', 0.5)
    bag = read_bag(tmp_path / 'bag.mcap')
    assert 5 < len(list(bag)) < 35 and bag.truncated[0].startswith('bag.mcap is cut or damaged after ')


def rgbd(colour='/camera/color/image_raw', measured='/camera/aligned_depth_to_color/image_raw', encoding='16UC1'):
    for number in range(3):
        stamp = 10**9 + number * 10**8
        metres = depth(number)
        values = (metres * 1000).astype(np.uint16) if encoding == '16UC1' else metres
        yield measured, image(stamp, values, encoding), stamp
        yield colour, image(stamp, picture(number)), stamp
        yield '/camera/color/camera_info', camera_info(stamp), stamp


@pytest.mark.parametrize('encoding', ['16UC1', '32FC1'])
@pytest.mark.parametrize('colour', ['/camera/color/image_raw', '/camera/rgb/image_rect_color'])
def test_an_rgbd_bag_is_all_in_focus_with_depth(tmp_path, encoding, colour):
    path = write(tmp_path / 'bag', rgbd(colour, encoding=encoding))
    bag = read_bag(path, LENS)
    frames = list(bag)
    assert len(frames) == 3 and bag.notes == [
        f'{colour} and /camera/aligned_depth_to_color/image_raw are read as an RGB-D camera; '
        'its defocus is rendered with the given lens'
    ]
    for number, frame in enumerate(frames):
        assert frame.image is None and frame.lens == LENS
        np.testing.assert_array_equal(frame.aif, picture(number))
        np.testing.assert_allclose(frame.depth, depth(number))
    assert next(iter(read_bag(path))).lens is None


def test_the_depth_of_an_rgbd_bag_may_be_named(tmp_path):
    path = write(tmp_path / 'bag', rgbd(measured='/measured'))
    named = list(read_bag(path, LENS, {'registered_depth': '/measured'}))
    assert named[0].image is None and named[0].depth is not None
    as_truth = list(read_bag(path, LENS, {'truth': '/measured'}))
    assert as_truth[0].image is not None and as_truth[0].aif is None and as_truth[0].depth is not None


def test_frames_as_a_bag_come_back(tmp_path):
    camera = Intrinsics(100.0, 100.0, 4.0, 3.0)
    frames = [Frame(f'{n}', image=picture(n), intrinsics=camera, lens=LENS) for n in range(3)]
    assert write_bag(tmp_path / 'bag', frames) == LENS
    back = list(read_bag(tmp_path / 'bag', LENS))
    assert [frame.stamp for frame in back] == pytest.approx([1.0, 1.1, 1.2])
    assert all(frame.intrinsics == camera and frame.lens == LENS for frame in back)
    np.testing.assert_array_equal(back[2].image, picture(2))
    repeated = [Frame('x', image=picture(0), lens=LENS, stamp=5.0)] * 2
    write_bag(tmp_path / 'same', repeated)
    assert [frame.stamp for frame in read_bag(tmp_path / 'same', LENS)] == pytest.approx([6.0, 6.1])


def test_frames_that_cannot_be_played_are_named(tmp_path):
    with pytest.raises(BagError, match='^x has no lens; give one with --lens FILE$'):
        write_bag(tmp_path / 'a', [Frame('x', image=picture(0))])
    with pytest.raises(BagError, match='^there is no frame to play$'):
        write_bag(tmp_path / 'b', [])


def test_an_empty_bag_says_so(tmp_path):
    mcap_file(tmp_path / 'bag.mcap', [])
    with pytest.raises(BagError) as caught:
        read_bag(tmp_path / 'bag.mcap')
    assert str(caught.value) == f'{tmp_path}/bag.mcap holds no readable image: no topic of an image type'
    assert list(Recording(tmp_path / 'bag.mcap').messages()) == []
