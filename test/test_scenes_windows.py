"""Scenes cut from RGB-D pictures: their geometry, and what cannot be one."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from dfd_depth_ros.optics.tone import from_srgb
from dfd_depth_ros.scenes.folders import FramesError, write_frames
from dfd_depth_ros.scenes.frame import Frame, Intrinsics
from dfd_depth_ros.scenes.procedural import Scene
from dfd_depth_ros.scenes.windows import Mixed, Windows, window


def slope(height=40, width=60):
    """A frame whose colour and inverse depth both tell the column."""
    column = np.broadcast_to(np.arange(width), (height, width))
    aif = np.repeat((column * 4).astype(np.uint8)[..., None], 3, 2)
    depth = (1 / (0.2 + 0.01 * column)).astype(np.float32)
    return Frame('slope', aif=aif, depth=depth, intrinsics=Intrinsics(70, 70, 29.5, 19.5))


def columns(scene: Scene):
    """Column of the frame of each pixel, by colour and by depth."""
    light = scene.surfaces[0].colour[0]
    table = from_srgb(torch.arange(0, 240, 4) / 255)
    by_colour = (light[..., None] - table).abs().argmin(-1)
    return by_colour, (scene.inverse_depth - 0.2) / 0.01


@pytest.mark.parametrize('seed', range(6))
def test_colour_depth_and_axis_of_a_window_stay_together(seed):
    scene = window(slope(), (24, 32), np.random.default_rng(seed))
    by_colour, by_depth = columns(scene)
    torch.testing.assert_close(by_colour.float(), by_depth, atol=0.05, rtol=0)
    step = by_depth[0, 1] - by_depth[0, 0]
    axis = by_depth[0, 0] + step * scene.centre[0]
    assert float(axis) == pytest.approx(29.5, abs=0.05) and scene.fx == 70 and len(scene.surfaces) == 1
    assert scene.inverse_depth.shape == (24, 32) and float(scene.surfaces[0].alpha.min()) == 1


def test_half_of_the_windows_are_mirrored():
    turned = [
        bool(window(slope(), (24, 32), np.random.default_rng(seed)).inverse_depth[0].diff()[0] < 0)
        for seed in range(60)
    ]
    assert 18 < sum(turned) < 42


def test_small_frames_go_on_in_mirror_image_and_holes_are_filled():
    frame = slope(20, 24)
    frame.depth[5:9, 5:9] = np.nan
    scene = window(frame, (32, 40), np.random.default_rng(0))
    assert scene.inverse_depth.shape == (32, 40) and bool(scene.inverse_depth.isfinite().all())


def test_without_intrinsics_an_ordinary_lens_is_assumed():
    scene = window(replace(slope(), intrinsics=None), (40, 60), np.random.default_rng(1))
    assert scene.fx == pytest.approx(66) and scene.centre == (29.5, 19.5)


def test_a_seed_names_a_window(tmp_path):
    write_frames(tmp_path, [slope(), slope(30, 50)])
    one, two, other = (Windows((str(tmp_path),), (24, 32), seed) for seed in (3, 3, 4))
    assert all(torch.equal(one[i].inverse_depth, two[i].inverse_depth) for i in range(4))
    assert any(not torch.equal(one[i].inverse_depth, other[i].inverse_depth) for i in range(4))


def test_turns_of_two_kinds():
    class Named:
        """Scenes that are their own names."""

        seed = 5

        def __init__(self, name):
            self.name = name

        def __getitem__(self, index):
            return f'{self.name}{index}'

    mixed = Mixed((Named('a'), Named('b')))
    assert [mixed[i] for i in range(5)] == ['a0', 'b0', 'a1', 'b1', 'a2'] and mixed.seed == 5


def test_what_cannot_be_a_scene_is_refused(tmp_path):
    frame = slope()
    for missing in (replace(frame, aif=None), replace(frame, depth=None), replace(frame, depth=frame.depth * np.nan)):
        with pytest.raises(FramesError) as error:
            window(missing, (8, 8), np.random.default_rng(0))
        assert str(error.value) == 'slope: an all-in-focus picture and depth are needed to train on it'
    with pytest.raises(FramesError, match=r'frames.jsonl does not exist$'):
        Windows((str(tmp_path),), (8, 8))
    index = write_frames(tmp_path, [frame])
    record = json.loads(index.read_text())
    assert set(record) >= {'aif', 'depth'}
