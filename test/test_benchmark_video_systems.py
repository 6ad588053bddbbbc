"""Suite `video-systems`: every row of its table, its floors, its page, and what it refuses."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from dfd_depth_ros.benchmarks import video_systems
from dfd_depth_ros.benchmarks.video_systems import (
    BETWEEN,
    MADE_CONSISTENT,
    ROWS,
    SHOWN,
    Job,
    Recorded,
    markdown,
    run,
    write_table,
)
from dfd_depth_ros.cli.benchmark import main
from dfd_depth_ros.networks.model import DfdModel
from dfd_depth_ros.networks.video import VideoDepthNet
from dfd_depth_ros.networks.weights import save_weights
from dfd_depth_ros.scenes import textures
from dfd_depth_ros.scenes.clips import Clips
from dfd_depth_ros.scenes.folders import write_frames
from dfd_depth_ros.training.video import SYSTEMS

NAMES = [*ROWS, *(f'robust_cvd_{name}{ending}' for name in MADE_CONSISTENT for ending in ('', '_filter'))]
HELD_OUT = {'seed': 7, 'size': (48, 64), 'frames': 2, 'clips': 1}


@pytest.fixture(scope='module')
def place(tmp_path_factory):
    """A folder with a reader, a run of every variant and a folder of frames."""
    folder = tmp_path_factory.mktemp('systems')
    torch.manual_seed(0)
    save_weights(folder / 'reader.safetensors', DfdModel(), {})
    for name, system in SYSTEMS.items():
        for ending in ('', '_defocus'):
            model = VideoDepthNet(**system.network, defocus=bool(ending))
            save_weights(folder / 'runs' / f'video_{name}{ending}' / 'best.safetensors', model, {})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(textures, 'COUNT', 6)
        frames = Clips((48, 64), 3, 1)[1]
        write_frames(folder / 'film', frames)
        write_frames(folder / 'poseless', [replace(frames[0], pose=None)])
    return folder


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(video_systems, 'HELD_OUT', HELD_OUT)
    monkeypatch.setattr(textures, 'COUNT', 6)


@pytest.fixture(scope='module')
def frames():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(textures, 'COUNT', 6)
        return Clips((48, 64), 3, 1)[1]


def test_the_command_scores_every_system_on_every_sequence_and_fills_the_page(place, tmp_path):
    page = tmp_path / 'page.md'
    page.write_text(f'# Title\n\n{BETWEEN}\nold\n{BETWEEN}\n\nThe end.\n')
    arguments = ['--weights', str(place / 'reader.safetensors'), '--device', 'cpu', '--runs', str(place / 'runs')]
    arguments += ['--data', str(place / 'film'), '--table', str(page), '--json', str(tmp_path / 'out.json')]
    assert main(['video-systems', *arguments]) == 0
    numbers = json.loads((tmp_path / 'out.json').read_text())
    assert set(numbers['sequences']) == {'held_out', 'film'}
    for rows in numbers['sequences'].values():
        assert list(rows) == NAMES and all(set(row) == set(SHOWN) for row in rows.values())
        assert all(np.isfinite(row['abs_rel']) for row in rows.values())
        assert rows['constant']['opw'] == 0
    text = page.read_text()
    assert text.startswith('# Title\n') and text.endswith('\nThe end.\n') and 'old' not in text
    assert text.count('| robust_cvd_shipped |') == 2


def test_five_systems_with_and_without_defocus_beside_two_floors():
    names = NAMES
    assert names[:2] == ['constant', 'shipped']
    for name in ('monodepth2', 'packnet', 'sc_depth', 'm4depth', 'robust_cvd_monodepth2'):
        assert name in names and f'{name}_defocus' in names


def test_an_untrained_variant_with_defocus_says_what_the_shipped_networks_read(place, frames):
    job = Job(str(place / 'reader.safetensors'), 'cpu', place / 'runs')
    one, other = ROWS['shipped'](job, frames), ROWS['monodepth2_defocus'](job, frames)
    for shipped, variant in zip(one, other, strict=True):
        assert variant == pytest.approx(shipped.clip(1 / 8, 60), rel=0.02)


def test_the_constant_is_the_median_of_the_first_truth(frames):
    found = video_systems.constant(None, frames)
    assert len(found) == 3 and all((depth == np.median(frames[0].depth)).all() for depth in found)


def test_a_clip_is_made_consistent_afterwards(place, frames):
    wrong = [frame.depth * 1.4 for frame in frames]
    better = video_systems.robust_cvd(wrong, frames)
    assert len(better) == 3 and better[0].shape == (48, 64)
    assert not np.allclose(better[0], wrong[0])


def test_the_filter_takes_flicker_out_and_leaves_what_is_steady(frames):
    still = [replace(frames[0], stamp=number / 15) for number in range(6)]
    depths = [frames[0].depth * factor for factor in (1.0, 1.1, 0.9, 1.1, 0.9, 1.0)]
    steady = video_systems.filtered(depths, still)
    levels, before = ([np.median(depth / frames[0].depth) for depth in each[2:]] for each in (steady, depths))
    assert np.std(levels) < np.std(before) / 2
    same = video_systems.filtered([frames[0].depth] * 3, still[:3])
    assert same[2] == pytest.approx(frames[0].depth, rel=1e-3)


def test_recorded_depth_comes_back_in_order(frames):
    estimator = Recorded([np.full((2, 2), 1.0), np.full((2, 2), 2.0)])
    estimator.reset()
    first, second = (estimator.estimate(None, frames[0].lens, 0.0) for _ in range(2))
    assert (first.depth == 1).all() and (second.depth == 2).all() and np.isnan(second.sigma).all()
    assert second.coc == pytest.approx(frames[0].lens.coc(0.5), rel=1e-4)


def test_a_table_is_markdown():
    row = dict(zip(SHOWN, (0.1, 0.9, 0.02, 0.03, float('nan')), strict=True))
    text = markdown({'sequences': {'film': {'shipped': row}}})
    assert text.splitlines()[0] == '`film`'
    assert text.splitlines()[-1] == '| shipped | 0.100 | 0.900 | 0.020 | 0.030 | nan |'


def test_a_page_without_marks_is_left_alone(tmp_path):
    page = tmp_path / 'page.md'
    page.write_text('nothing here')
    with pytest.raises(ValueError) as error:
        write_table(page, {'sequences': {}})
    assert str(error.value) == f'{page} does not have two lines {BETWEEN} to put the tables between'
    assert page.read_text() == 'nothing here'


def test_a_missing_run_is_named(tmp_path, capsys):
    assert main(['video-systems', '--device', 'cpu', '--runs', str(tmp_path)]) == 1
    path = tmp_path / 'video_monodepth2' / 'best.safetensors'
    assert (
        f'benchmark: {path} is not there; train it with config/train/video_monodepth2.yaml' in capsys.readouterr().err
    )


def test_frames_without_a_pose_are_refused(place):
    with pytest.raises(ValueError) as error:
        run(str(place / 'reader.safetensors'), 'cpu', place / 'runs', [str(place / 'poseless')])
    assert str(error.value).endswith('image/000000.png has no pose; these systems need all of them')
