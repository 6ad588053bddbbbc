"""Bags: what BagWriter writes comes back as frames, whole or cut, and what is wrong is said in one sentence."""

import functools
import shutil

import numpy as np
import pytest

from dfd_depth_ros.optics.lens import Lens, LensError
from dfd_depth_ros.scenes.bags import CAMERA_INFO, COMPRESSED, IMAGE, JOINT_STATE, BagError, BagWriter, read_bag
from dfd_depth_ros.scenes.recordings import Recording, deserialize, typestore

STEP = 100_000_000  # ns between frames
LENS = {'focus_dioptre': 0.5, 'focal_length_m': 0.05, 'f_number': 1.4}
STORAGES = ('mcap', 'sqlite3')


@functools.cache
def kind(name):
    return typestore().types[name]


def header(stamp):
    time = kind('builtin_interfaces/msg/Time')(sec=stamp // 10**9, nanosec=stamp % 10**9)
    return kind('std_msgs/msg/Header')(stamp=time, frame_id='camera')


def cdr(message):
    return bytes(typestore().serialize_cdr(message, message.__msgtype__))


def image(stamp, pixels, encoding='rgb8', step=None):
    step = pixels.strides[0] if step is None else step
    return kind(IMAGE)(
        header(stamp),
        *pixels.shape[:2],
        encoding=encoding,
        is_bigendian=0,
        step=step,
        data=pixels.view(np.uint8).ravel(),
    )


def joint_state(stamp, values):
    positions = np.array(list(values.values()), np.float64)
    return kind(JOINT_STATE)(header(stamp), list(values), positions, np.empty(0), np.empty(0))


def camera_info(stamp, fx=100.0, width=8, height=6):
    k, roi = np.array([fx, 0, 4, 0, fx, 3, 0, 0, 1.0]), kind('sensor_msgs/msg/RegionOfInterest')(0, 0, 0, 0, False)
    return kind(CAMERA_INFO)(
        header(stamp), height, width, 'plumb_bob', np.zeros(5), k, np.eye(3).ravel(), np.zeros(12), 0, 0, roi
    )


def picture(number, height=6, width=8):
    return np.random.default_rng(number).integers(0, 256, (height, width, 3), np.uint8)


def depth(number, height=6, width=8):
    return np.full((height, width), 1 + number, np.float32)


def write(path, messages, storage='mcap'):
    """messages: (topic, message, receive time in ns)."""
    with BagWriter(path, storage) as writer:
        for topic, message, receive_ns in messages:
            writer.write(topic, message.__msgtype__, cdr(message), receive_ns)
    return path


def recorded(count=5, shape=(6, 8), namespace='/', lens=LENS, fx=100.0):
    """A camera as the simulator publishes it; every message is received one millisecond after its stamp."""
    for number in range(count):
        stamp = 10**9 + number * STEP
        yield f'{namespace}ground_truth/depth', image(stamp, depth(number, *shape), '32FC1'), stamp + 10**6
        yield f'{namespace}image_raw', image(stamp, picture(number, *shape)), stamp + 10**6
        yield f'{namespace}camera_info', camera_info(stamp, fx, shape[1], shape[0]), stamp + 10**6
        if lens:
            yield f'{namespace}lens', joint_state(stamp, lens), stamp + 10**6


def only_file(bag):
    return next(file for file in bag.iterdir() if file.suffix in ('.mcap', '.db3'))


def cut(file, share):
    with file.open('r+b') as stream:
        stream.truncate(int(file.stat().st_size * share))


@pytest.mark.parametrize('storage', STORAGES)
@pytest.mark.parametrize('bare', [False, True])
def test_what_is_written_is_read_back(tmp_path, storage, bare):
    path = write(tmp_path / 'bag', recorded(), storage)
    bag = read_bag(only_file(path) if bare else str(path))
    frames = list(bag)
    assert len(bag) == len(frames) == 5 and not bag.truncated and not bag.notes
    assert bag.topics == {
        'image': '/image_raw', 'camera_info': '/camera_info', 'lens': '/lens', 'truth': '/ground_truth/depth'
    }  # fmt: skip
    for number, frame in enumerate(frames):
        np.testing.assert_array_equal(frame.image, picture(number))
        np.testing.assert_array_equal(frame.depth, depth(number))
        assert frame.stamp == pytest.approx(1 + number / 10) and f'{frame.stamp:.9f} s' in frame.name
        assert frame.intrinsics.fx == 100 and frame.intrinsics.cx == 4
        assert frame.lens == Lens(0.05, 1.4, 0.05 / 100, 0.5)
    np.testing.assert_array_equal(bag.times['image'].receive_ns - bag.times['image'].stamp_ns, 10**6)
    assert [frame.name for frame in bag] == [frame.name for frame in frames]


def test_topics_are_found_in_the_namespace_of_the_image(tmp_path):
    outputs = [
        ('/robot/cam/depth/camera_info', camera_info(10**9, fx=7.0), 10**9),
        ('/robot/cam/depth/image_rect', image(10**9, depth(9), '32FC1'), 10**9 + 5_000_000),
        ('/arm/lens', joint_state(10**9, LENS | {'f_number': 9.0}), 10**9),
    ]
    bag = read_bag(write(tmp_path / 'bag', [*outputs, *recorded(2, namespace='/robot/cam/')]))
    assert bag.topics == {
        role: f'/robot/cam/{name}'
        for role, name in {
            'image': 'image_raw', 'camera_info': 'camera_info', 'lens': 'lens', 'truth': 'ground_truth/depth',
            'depth': 'depth/image_rect',
        }.items()
    }  # fmt: skip
    assert bag.times['depth'].receive_ns.tolist() == [10**9 + 5_000_000]
    assert next(iter(bag)).lens.f_number == 1.4


def test_topics_may_be_named_and_ambiguity_is_an_error(tmp_path):
    path = write(tmp_path / 'bag', [*recorded(1, namespace='/left/'), *recorded(2, namespace='/right/')])
    with pytest.raises(BagError) as caught:
        read_bag(path)
    assert (
        str(caught.value) == f'{path} has several image topics (/left/image_raw, /right/image_raw); choose one of them'
    )
    assert len(read_bag(path, topics={'image': '/right/image_raw'})) == 2
    with pytest.raises(BagError, match='has no topic /up of type sensor_msgs/msg/Image or sensor_msgs/msg/Compressed'):
        read_bag(path, topics={'image': '/up'})


def test_lens_is_interpolated_in_dioptres(tmp_path):
    messages = [('/image_raw', image(stamp, picture(0)), stamp) for stamp in (10**9, 10**9 + STEP // 4, 10**9 + STEP)]
    near, far = {'focus_distance_m': 0.5}, {'focus_distance_m': 2.0}
    fixed = {'focal_length_m': 0.05, 'f_number': 2.0}
    messages += [('/lens', joint_state(10**9, near | fixed), 1), ('/lens', joint_state(10**9 + STEP, far | fixed), 2)]
    bag = read_bag(write(tmp_path / 'bag', messages), lens=Lens(1.0, 1.0, 5e-5, 0.0, side='behind'))
    lenses = [frame.lens for frame in bag]
    assert [lens.focus_dioptre for lens in lenses] == pytest.approx([2.0, 1.625, 0.5])
    assert lenses[0] == Lens(0.05, 2.0, 5e-5, 2.0, side='behind')


def test_images_far_from_any_lens_state_are_left_out_and_counted(tmp_path):
    messages = [('/image_raw', image(stamp, picture(0)), stamp) for stamp in (10**9, 5 * 10**9)]
    messages += [
        ('/lens', joint_state(stamp, LENS | {'pixel_pitch_m': 1e-5}), 1) for stamp in (9 * 10**8, 10**9 + STEP)
    ]
    bag = read_bag(write(tmp_path / 'bag', messages))
    assert len(bag) == len(list(bag)) == 1
    assert bag.notes == ['1 of 2 images have no lens state within 0.5 s and were left out']


def test_one_lens_state_serves_the_whole_bag(tmp_path):
    messages = [('/image_raw', image(stamp, picture(0)), stamp) for stamp in (10**9, 90 * 10**9)]
    messages += [('/lens', joint_state(0, LENS | {'pixel_pitch_m': 1e-5}), 1)]
    assert [frame.lens.pixel_pitch_m for frame in read_bag(write(tmp_path / 'bag', messages))] == [1e-5, 1e-5]


def test_without_lens_topic_the_given_lens_or_none_is_used(tmp_path):
    path = write(tmp_path / 'bag', recorded(1, lens=None))
    lens = Lens(0.05, 1.4, 5e-5, 0.5)
    assert next(iter(read_bag(path))).lens is None
    assert next(iter(read_bag(path, lens))).lens == lens


def test_uncalibrated_camera_has_no_intrinsics_and_then_pitch_is_asked_for(tmp_path):
    bag = read_bag(write(tmp_path / 'bag', recorded(1, fx=0.0)))
    with pytest.raises(LensError) as caught:
        list(bag)
    assert str(caught.value) == 'bag at 1.000000000 s: lens has no pixel_pitch_m'


@pytest.mark.parametrize(
    'change, message',
    [
        (
            {'focus_dioptre': float('nan')},
            'bag at 1.000000000 s: lens focus_dioptre is nan; it must be a finite number',
        ),
        (
            {'focus_dioptre': 25.0},
            'bag at 1.000000000 s: focus distance 0.04 m lies inside the focal length 0.05 m',
        ),
    ],
)
def test_a_lens_that_cannot_be_is_named_with_its_stamp(tmp_path, change, message):
    with pytest.raises(LensError) as caught:
        list(read_bag(write(tmp_path / 'bag', recorded(1, lens=LENS | change))))
    assert str(caught.value) == message


def test_unknown_joint_names_are_an_error(tmp_path):
    with pytest.raises(BagError) as caught:
        read_bag(write(tmp_path / 'bag', recorded(1, lens={'pan': 0.0, 'tilt': 1.0})))
    assert str(caught.value) == (
        '/lens names pan, tilt; expected some of focal_length_m, f_number, pixel_pitch_m, focus_dioptre, '
        'focus_dioptre_sigma'
    )


def test_compressed_images_are_read(tmp_path):
    import cv2

    data = cv2.imencode('.png', cv2.cvtColor(picture(3), cv2.COLOR_RGB2BGR))[1].ravel()
    messages = [('/image_raw/compressed', kind(COMPRESSED)(header(10**9), 'png', data), 1), *recorded(1)][:2]
    frame = next(iter(read_bag(write(tmp_path / 'bag', messages))))
    np.testing.assert_array_equal(frame.image, picture(3))
    np.testing.assert_array_equal(frame.depth, depth(0))


def test_a_bad_picture_is_left_out_with_a_note_and_the_next_one_is_read(tmp_path):
    messages = list(recorded(2))
    messages[1][1].encoding = 'rgb9'
    bag = read_bag(write(tmp_path / 'bag', messages))
    assert [frame.stamp for frame in bag] == [1.1]
    assert len(bag.notes) == 1 and bag.notes[0].startswith("bag at 1.000000000 s: image encoding is 'rgb9'")


def test_a_bag_of_bad_pictures_only_is_an_error_that_says_why(tmp_path):
    messages = list(recorded(1))
    messages[1][1].step = 3
    with pytest.raises(BagError, match='^no image could be read: bag at 1.000000000 s: .*step'):
        list(read_bag(write(tmp_path / 'bag', messages)))


def test_a_ground_truth_of_another_size_is_left_out_with_a_note(tmp_path):
    messages = list(recorded(2))
    messages[0] = ('/ground_truth/depth', image(10**9, depth(0, 3, 4), '32FC1'), 1)
    bag = read_bag(write(tmp_path / 'bag', messages))
    assert len(list(bag)) == 1
    assert bag.notes == ['bag at 1.000000000 s: ground truth is 4x3 pixels but the image is 8x6']


def test_calibration_of_another_size_is_an_error(tmp_path):
    messages = [*recorded(1)][:2] + [('/camera_info', camera_info(10**9, width=80), 1)]
    with pytest.raises(BagError) as caught:
        list(read_bag(write(tmp_path / 'bag', messages)))
    assert str(caught.value) == 'bag at 1.000000000 s: camera_info is for 80x6 pixels, the image has 8x6'


def test_ground_truth_may_come_late_and_for_some_images_only(tmp_path):
    messages = list(recorded(3))
    truth = [message for message in messages if message[0].endswith('depth')]
    rest = [message for message in messages if not message[0].endswith('depth')]
    frames = list(read_bag(write(tmp_path / 'bag', [*rest, truth[2], truth[0]])))
    assert [None if frame.depth is None else frame.depth[0, 0] for frame in frames] == [1.0, None, 3.0]


@pytest.mark.parametrize('storage', STORAGES)
@pytest.mark.parametrize('with_metadata', [True, False])
def test_a_cut_bag_gives_what_is_readable_and_says_so(tmp_path, storage, with_metadata):
    path = write(tmp_path / 'bag', recorded(30, shape=(120, 160)), storage)
    if not with_metadata:
        (path / 'metadata.yaml').unlink()
    file = only_file(path)
    cut(file, 0.6)
    bag = read_bag(path)
    frames = list(bag)
    assert 10 <= len(frames) < 20
    for number, frame in enumerate(frames):
        np.testing.assert_array_equal(frame.image, picture(number, 120, 160))
    assert len(bag.truncated) == 1 and bag.truncated[0].startswith(f'{file.name} is cut or damaged after ')
    assert bag.notes == ([] if with_metadata else ['bag has no metadata.yaml'])


@pytest.mark.parametrize('storage', STORAGES)
def test_a_bag_without_metadata_but_whole_is_not_truncated(tmp_path, storage):
    path = write(tmp_path / 'bag', recorded(3), storage)
    (path / 'metadata.yaml').unlink()
    bag = read_bag(path)
    assert len(list(bag)) == 3 and not bag.truncated and bag.notes == ['bag has no metadata.yaml']
    (path / 'metadata.yaml').write_text('rosbag2_bagfile_information: [')
    assert read_bag(path).notes == ['bag has an unreadable metadata.yaml']


@pytest.mark.parametrize('suffix', ['.mcap', '.db3'])
@pytest.mark.parametrize('content', [b'', b'certainly not a bag' * 100])
def test_a_foreign_file_is_an_error(tmp_path, suffix, content):
    file = tmp_path / f'foreign{suffix}'
    file.write_bytes(content)
    with pytest.raises(BagError, match=f'foreign{suffix} holds no readable image: .*foreign'):
        read_bag(file)


def test_a_path_that_is_no_bag_is_an_error(tmp_path):
    (tmp_path / 'notes.txt').write_text('hello')
    for path, message in (
        (tmp_path / 'gone', 'does not exist'),
        (tmp_path, 'holds no .mcap or .db3 file'),
        (tmp_path / 'notes.txt', 'is no bag; expected a rosbag2 folder, .mcap or .db3'),
    ):
        with pytest.raises(BagError) as caught:
            read_bag(path)
        assert str(caught.value) == f'{path} {message}'


def test_a_bag_without_images_lists_its_topics(tmp_path):
    with pytest.raises(BagError) as caught:
        read_bag(write(tmp_path / 'bag', list(recorded(1))[2:]))
    assert str(caught.value) == f'{tmp_path}/bag has no topic that ends in image_raw; it has /camera_info, /lens'


def test_split_bags_are_read_in_order(tmp_path):
    whole = write(tmp_path / 'whole', recorded(4))
    parts = [write(tmp_path / f'p{part}', list(recorded(4))[8 * part : 8 * part + 8]) for part in (0, 1)]
    split = tmp_path / 'split'
    split.mkdir()
    shutil.copy(only_file(parts[0]), split / 'split_2.mcap')
    shutil.copy(only_file(parts[1]), split / 'split_10.mcap')
    assert [frame.stamp for frame in read_bag(split)] == [frame.stamp for frame in read_bag(whole)]


def test_message_compression_is_read(tmp_path):
    from rosbags.rosbag2 import CompressionFormat, CompressionMode, Writer

    writer = Writer(tmp_path / 'bag', version=9)
    writer.set_compression(CompressionMode.MESSAGE, CompressionFormat.ZSTD)
    with writer:
        links = {}
        for topic, message, receive_ns in recorded(2):
            if topic not in links:
                links[topic] = writer.add_connection(topic, message.__msgtype__, typestore=typestore())
            writer.write(links[topic], receive_ns, cdr(message))
    assert len(list(read_bag(tmp_path / 'bag'))) == 2


@pytest.mark.parametrize('storage', STORAGES)
def test_raw_messages_come_back_byte_for_byte(tmp_path, storage):
    messages = list(recorded(2))
    back = list(Recording(write(tmp_path / 'bag', messages, storage)).messages())
    assert [(m.topic, m.msgtype, m.data, m.receive_ns) for m in back] == [
        (topic, message.__msgtype__, cdr(message), receive_ns) for topic, message, receive_ns in messages
    ]
    only = Recording(tmp_path / 'bag').messages({'/lens'})
    assert {message.topic for message in only} == {'/lens'}


def test_the_writer_closes_after_an_exception_and_refuses_to_overwrite(tmp_path):
    topic, message, receive_ns = next(recorded(1))
    with pytest.raises(ZeroDivisionError), BagWriter(tmp_path / 'bag') as writer:
        writer.write(topic, message.__msgtype__, cdr(message), receive_ns)
        _ = 1 / 0
    writer.close()
    assert (tmp_path / 'bag' / 'metadata.yaml').exists()
    with pytest.raises(BagError, match='bag exists already and is not overwritten'):
        BagWriter(tmp_path / 'bag')
    with pytest.raises(BagError, match="bag storage is 'zip'; it must be one of mcap, sqlite3"):
        BagWriter(tmp_path / 'other', 'zip')
    with (
        BagWriter(tmp_path / 'third') as writer,
        pytest.raises(BagError, match="type 'my_msgs/msg/Odd' of /odd is not"),
    ):
        writer.write('/odd', 'my_msgs/msg/Odd', b'', 0)


def test_bytes_behind_a_message_are_ignored_and_too_few_are_named():
    joint_state = typestore().types['sensor_msgs/msg/JointState']
    stamp = typestore().types['builtin_interfaces/msg/Time'](3, 4)
    header = typestore().types['std_msgs/msg/Header'](stamp, 'lens')
    empty = np.zeros(0)
    message = joint_state(header, ['f_number'], np.array([2.8]), empty, empty)
    data = bytes(typestore().serialize_cdr(message, 'sensor_msgs/msg/JointState'))
    assert deserialize(data + bytes(50), 'sensor_msgs/msg/JointState').position.tolist() == [2.8]
    for cut in (data[:20], b'', b'\x00\x07' + data[2:]):
        with pytest.raises(BagError, match='a sensor_msgs/msg/JointState message cannot be read: '):
            deserialize(cut, 'sensor_msgs/msg/JointState')
