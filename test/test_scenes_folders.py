"""Frames folders: what is written comes back, and what is wrong is said with file and line."""

import json

import cv2
import numpy as np
import pytest

from dfd_depth_ros.optics.lens import Lens, LensError
from dfd_depth_ros.scenes.folders import FramesError, read_frames, write_frames
from dfd_depth_ros.scenes.frame import Frame, Intrinsics

LENS = {'focal_length_m': 0.035, 'f_number': 2.8, 'focus_distance_m': 1.65, 'pixel_pitch_m': 3.6e-5}


def picture(height=4, width=6, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


@pytest.fixture
def folder(tmp_path):
    cv2.imwrite(str(tmp_path / 'rgb.png'), cv2.cvtColor(picture(), cv2.COLOR_RGB2BGR))
    cv2.imwrite(str(tmp_path / 'depth.png'), np.full((4, 6), 1500, np.uint16))
    return tmp_path


def index(folder, *records, name='frames.jsonl'):
    path = folder / name
    path.write_text('\n'.join(record if isinstance(record, str) else json.dumps(record) for record in records))
    return path


def test_what_is_written_is_read_back_exactly(tmp_path):
    depth = np.array([[1.25, np.nan], [70.0, 0.1]], np.float32)
    frames = [
        Frame(
            name='full', image=picture(2, 2), aif=picture(2, 2, 1), depth=depth, coc=depth - 1,
            lens=Lens.focused_at(2.0, focal_length_m=0.05, f_number=1.4, pixel_pitch_m=5e-5, side='behind'),
            intrinsics=Intrinsics(100.0, 101.0, 0.5, 0.5), pose=np.eye(4), stamp=0.5, sequence='kitchen',
        ),
        Frame(name='bare', image=picture(3, 5, 2)),
    ]  # fmt: skip
    write_frames(tmp_path / 'new' / 'folder', frames)
    back = read_frames(tmp_path / 'new' / 'folder')
    assert len(back) == 2
    for key in ('image', 'aif', 'depth', 'coc', 'pose'):
        np.testing.assert_array_equal(getattr(back[0], key), getattr(frames[0], key))
    for key in ('lens', 'intrinsics', 'stamp', 'sequence'):
        assert getattr(back[0], key) == getattr(frames[0], key)
    assert back[1].lens is back[1].depth is back[1].pose is back[1].stamp is None


def test_png_depth_is_millimetres_and_zero_is_unknown(folder):
    cv2.imwrite(str(folder / 'depth.png'), np.array([[0, 1, 65535]], np.uint16).repeat(4, 0).repeat(2, 1))
    depth = read_frames(index(folder, {'image': 'rgb.png', 'depth': 'depth.png'}))[0].depth
    assert depth.dtype == np.float32
    np.testing.assert_allclose(depth[0, ::2], [np.nan, 0.001, 65.535], rtol=1e-6)


def test_npy_depth_of_zero_or_less_is_unknown(folder):
    np.save(folder / 'depth.npy', np.float64([[0, -1, 2, np.inf, np.nan, 3]] * 4))
    depth = read_frames(index(folder, {'image': 'rgb.png', 'depth': 'depth.npy'}))[0].depth
    np.testing.assert_array_equal(depth[0], np.float32([np.nan, np.nan, 2, np.inf, np.nan, 3]))


def test_folder_index_and_other_index_are_both_accepted(folder):
    index(folder, {'image': 'rgb.png', 'lens': LENS, 'unknown_key': 7}, '', {'image': 'rgb.png'})
    other = index(folder, {'image': 'rgb.png'}, name='other.jsonl')
    assert len(read_frames(folder)) == 2
    assert len(read_frames(str(other))) == 1
    frame = read_frames(folder)[0]
    assert frame.name == 'rgb.png' and frame.lens.focus_distance_m == pytest.approx(1.65)
    np.testing.assert_array_equal(frame.image, picture())


def test_aif_and_depth_without_image_are_an_rgbd_source(folder):
    frame = read_frames(index(folder, {'aif': 'rgb.png', 'depth': 'depth.png', 'image': None}))[0]
    assert frame.image is None and frame.aif.shape == (4, 6, 3) and frame.depth[0, 0] == 1.5


def test_frames_are_lazy_and_slices_stay_lazy(folder):
    (folder / 'bad.png').write_text('no picture')
    frames = read_frames(index(folder, {'image': 'rgb.png'}, {'image': 'bad.png'}, {'image': 'rgb.png'}))
    assert len(frames[1:]) == 2 and frames[::2][1].name == 'rgb.png'
    with pytest.raises(FramesError, match=r'line 2: image .*bad\.png is not a readable picture'):
        list(frames)


@pytest.mark.parametrize(
    'record, message',
    [
        ('{"image": ', 'line 2: not JSON (Expecting value at column 11)'),
        ('[1]', 'line 2: expected a JSON object, found list'),
        ({'depth': 'depth.png'}, 'line 2: has neither image nor aif'),
        ({'image': 'gone.png'}, 'line 2: image {folder}/gone.png does not exist'),
        ({'image': 'rgb.png', 'depth': 'gone.npy'}, 'line 2: depth {folder}/gone.npy does not exist'),
        ({'image': 'rgb.png', 'pose': [[1, 2]]}, 'line 2: pose is [[1, 2]]; it must be a 4x4 matrix of finite numbers'),
        (
            {'image': 'rgb.png', 'intrinsics': {'fx': 1}},
            "line 2: intrinsics is {{'fx': 1}}; it must be an object with positive fx, fy and finite cx, cy",
        ),
        ({'image': 'rgb.png', 'stamp': 'now'}, 'line 2: stamp is now; it must be a finite number of seconds'),
        ({'image': 'rgb.png', 'lens': 'big'}, 'line 2: lens is big; it must be an object'),
    ],
)
def test_a_bad_line_is_named_before_any_work(folder, record, message):
    path = index(folder, {'image': 'rgb.png'}, record)
    with pytest.raises(FramesError) as caught:
        read_frames(path)
    assert str(caught.value) == f'{path} ' + message.format(folder=folder)


@pytest.mark.parametrize(
    'change, message',
    [
        ({'f_number': 0}, 'lens f_number is 0; it must be above zero'),
        ({'focal_length_m': None}, 'lens has no focal_length_m'),
        ({'focus_distance_m': 0.01}, 'focus distance 0.01 m lies inside the focal length 0.035 m'),
        ({'pixel_pitch_m': 'wide'}, "lens pixel_pitch_m is 'wide'; it must be a number"),
    ],
)
def test_a_bad_lens_is_named_with_its_line(folder, change, message):
    path = index(folder, {'image': 'rgb.png', 'lens': {**LENS, **change}})
    with pytest.raises(LensError) as caught:
        read_frames(path)
    assert str(caught.value) == f'{path} line 1: {message}'


def test_image_and_depth_of_different_size_are_named(folder):
    cv2.imwrite(str(folder / 'depth.png'), np.ones((2, 3), np.uint16))
    path = index(folder, {'image': 'rgb.png', 'depth': 'depth.png'})
    with pytest.raises(FramesError) as caught:
        read_frames(path)[0]
    assert str(caught.value) == f'{path} line 1: depth is 3x2 pixels but image is 6x4'


def test_a_depth_of_the_wrong_kind_is_named(folder):
    cv2.imwrite(str(folder / 'depth.png'), np.ones((4, 6), np.uint8))
    np.save(folder / 'cube.npy', np.ones((4, 6, 1)))
    (folder / 'cut.npy').write_bytes((folder / 'cube.npy').read_bytes()[:20])
    frames = read_frames(
        index(folder, *({'image': 'rgb.png', 'depth': d} for d in ('depth.png', 'cube.npy', 'cut.npy')))
    )
    for frame, message in enumerate(('not a 16-bit single-channel', r'has shape \(4, 6, 1\)', 'not a readable .npy')):
        with pytest.raises(FramesError, match=f'line {frame + 1}: depth .*{message}'):
            frames[frame]


def test_an_empty_or_missing_index_is_named(tmp_path):
    with pytest.raises(FramesError) as caught:
        read_frames(tmp_path)
    assert str(caught.value) == f'{tmp_path}/frames.jsonl does not exist'
    with pytest.raises(FramesError, match='has no frames'):
        read_frames(index(tmp_path, ''))
