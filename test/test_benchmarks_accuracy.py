"""Suite `accuracy`: pairs of pictures, trainings that go on where they stopped, and tables."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from dfd_depth_ros.benchmarks import accuracy, peer_runs
from dfd_depth_ros.benchmarks.accuracy import COLUMNS, both, folder, markdown, nearer, onto
from dfd_depth_ros.benchmarks.peer_runs import RUNS, train_runs
from dfd_depth_ros.cli import benchmark
from dfd_depth_ros.networks.model import DfdModel
from dfd_depth_ros.networks.peers import PEERS
from dfd_depth_ros.networks.weights import load_weights, save_weights
from dfd_depth_ros.optics.lens import Lens
from dfd_depth_ros.scenes import textures
from dfd_depth_ros.scenes.folders import write_frames
from dfd_depth_ros.scenes.frame import Frame
from dfd_depth_ros.training.ablation import PARTS
from dfd_depth_ros.training.offline import TrainConfig

SAVED = Path(__file__).parents[1] / 'docs' / 'benchmarks' / 'accuracy.json'
LENS = Lens(0.05, 2.0, 5e-5, 0.5)
SMALL = 'steps: 1\npairs: 2\nfresh: 1\nsize: 32\nvalidation_pairs: 2\nvalidate_every: 1\nworkers: 0\n'


def picture(seed=0, size=(64, 64)):
    noise = np.random.default_rng(seed).integers(0, 255, (size[0] // 4, size[1] // 4, 3), dtype=np.uint8)
    return cv2.resize(noise, size[::-1], interpolation=cv2.INTER_CUBIC)


def rgbd(seed=0):
    depth = np.full((64, 64), 1.5, np.float32)
    depth[:, 32:] = 3.0
    return Frame(f'rgbd {seed}', aif=picture(seed), depth=depth)


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A budget of one step."""
    monkeypatch.setattr(textures, 'COUNT', 4)
    (tmp_path / 'small.yaml').write_text(SMALL)
    monkeypatch.setattr(peer_runs, 'CONFIG', str(tmp_path / 'small.yaml'))
    return tmp_path


def test_every_row_is_a_training_that_can_be():
    for changes in RUNS.values():
        TrainConfig(**changes)
    assert set(PEERS) < set(RUNS) and {f'without {part}' for part in PARTS} < set(RUNS) and RUNS['ours'] == {}


def test_the_second_picture_is_focused_four_pixels_nearer():
    other = nearer(LENS)
    assert LENS.coc(0.8) - other.coc(0.8) == pytest.approx(-accuracy.STEP_PX, rel=0.02)  # gain changes a little
    macro = replace(LENS, focus_dioptre=9.99)
    assert nearer(macro).focus_dioptre <= 10


def test_both_pictures_show_one_scene_with_the_sharpness_that_their_focus_gives():
    one, two = both(rgbd(), LENS, 0)
    assert one.lens == LENS and two.lens == nearer(LENS) and one.depth is two.depth
    sharp = [np.abs(np.diff(frame.image[:, 36:60].astype(float), axis=0)).mean() for frame in (one, two)]
    assert sharp[0] > sharp[1]  # the right half lies behind both and farther from the nearer one
    again = both(rgbd(), LENS, 0)[0]
    assert np.array_equal(one.image, again.image)


def test_a_picture_that_moved_is_moved_back():
    fixed = picture(3, (120, 160))
    moving = cv2.warpAffine(fixed, np.float32([[1, 0, 3], [0, 1, -2]]), (160, 120), borderMode=cv2.BORDER_REPLICATE)
    found = onto(moving, fixed)
    inner = np.s_[10:-10, 10:-10]
    before = np.abs(moving[inner].astype(float) - fixed[inner]).mean()
    assert np.abs(found[inner].astype(float) - fixed[inner]).mean() < 0.3 * before
    bare = np.full_like(fixed, 90)
    assert np.array_equal(onto(bare, fixed), bare)


def test_folders_with_and_without_a_second_aperture(tmp_path):
    frames = [both(rgbd(seed), LENS, seed)[0] for seed in range(3)]
    index = write_frames(tmp_path, frames)
    pairs = list(folder(str(tmp_path), every=2))
    assert [frame.lens for frame, _ in pairs] == [LENS] * 2 and [other.lens for _, other in pairs] == [nearer(LENS)] * 2
    lines = [json.loads(line) for line in index.read_text().splitlines()]
    for line in lines:
        line['lens']['f_number'] = 8.0
    (tmp_path / 'frames_f8.jsonl').write_text('\n'.join(map(json.dumps, lines)))
    assert [other.lens.f_number for _, other in folder(str(tmp_path))] == [8.0] * 3


def test_a_folder_without_sharp_pictures_is_refused(tmp_path):
    write_frames(tmp_path, [replace(both(rgbd(), LENS, 0)[0], aif=None)])
    with pytest.raises(ValueError, match='an all-in-focus picture and depth are needed to render defocus$'):
        list(folder(str(tmp_path)))


def test_runs_share_batches_and_are_trained_once(small, monkeypatch):
    weights = train_runs(small / 'runs', names=('ours', 'peer_d3', 'without fringe'))
    assert all(path.is_file() for path in weights.values())
    assert sorted(path.name for path in (small / 'runs').glob('*.pt')) == ['batches.pt', 'batches_changed.pt']
    assert load_weights(weights['peer_d3'])[0].architecture == 'peer_d3'
    stamps = {name: path.stat().st_mtime_ns for name, path in weights.items()}
    monkeypatch.setattr(peer_runs, 'Batches', None)  # nothing is made anew
    train_runs(small / 'runs', names=('ours', 'peer_d3', 'peer_stack'))
    assert all(path.stat().st_mtime_ns == stamps[name] for name, path in weights.items())


def test_batches_of_another_budget_are_made_anew(small):
    one = peer_runs._batches(TrainConfig(**{'size': 32, 'steps': 1, 'pairs': 2, 'fresh': 1}), small)
    again = peer_runs._batches(TrainConfig(**{'size': 32, 'steps': 1, 'pairs': 2, 'fresh': 1}), small)
    torch.testing.assert_close(one[0].image, again[0].image, atol=1e-3, rtol=0)
    assert len(peer_runs._batches(TrainConfig(**{'size': 32, 'steps': 2, 'pairs': 2, 'fresh': 1}), small)) == 2


def test_the_suite_scores_every_method_and_writes_its_tables(small, monkeypatch, capsys):
    monkeypatch.setattr(accuracy, 'HELD_OUT', 1)
    monkeypatch.setattr(accuracy, 'SIZE', (32, 32))
    monkeypatch.setattr(accuracy, 'motorcycle', lambda: iter([both(rgbd(1), LENS, 1)]))
    shipped = small / 'a.safetensors'
    save_weights(shipped, DfdModel(), {})
    write_frames(small / 'data', [both(rgbd(2), LENS, 2)[0]])
    page, numbers = small / 'page.md', small / 'a.json'
    arguments = ['accuracy', '--weights', str(shipped), '--device', 'cpu', '--runs', str(small / 'runs')]
    arguments += ['--only', 'ours', 'peer_d3', 'peer_stack', '--data', str(small / 'data')]
    assert benchmark.main([*arguments, '--table', str(page), '--json', str(numbers)]) == 0
    found = json.loads(numbers.read_text())['data']
    assert set(found) == {'held out', 'motorcycle', 'data'}
    for rows in found.values():
        assert set(rows) == {'as shipped', 'relative blur', 'ours', 'peer_d3', 'peer_stack'}
        for row in rows.values():
            assert set(row) == set(COLUMNS) and row['abs_rel'] > 0 and row['ms'] > 0
        assert rows['peer_d3']['coverage_1sigma'] is None and rows['ours']['coverage_1sigma'] is not None
        assert rows['relative blur']['parameters'] == 0 < rows['peer_d3']['parameters']
    assert page.read_text() == markdown({'data': found})


def test_saved_numbers_are_drawn_and_nothing_is_measured(tmp_path, monkeypatch, capsys):
    drawn = []
    monkeypatch.setattr(accuracy, 'run', None)
    monkeypatch.setattr(Figure, 'savefig', lambda figure, path: drawn.append((figure, path)))
    page, path = tmp_path / 'page.md', tmp_path / 'folder' / 'figure.png'
    assert benchmark.main(['accuracy', '--saved', str(SAVED), '--figure', str(path), '--table', str(page)]) == 0
    places = json.loads(SAVED.read_text())['data']
    assert page.read_text() == markdown({'data': places}) and path.parent.is_dir()
    assert [name for _, name in drawn] == [path]
    axes_of_places = drawn[0][0].axes
    assert [axes.get_title() for axes in axes_of_places] == list(places)
    for axes, rows in zip(axes_of_places, places.values(), strict=True):
        middle, mean = axes.lines
        assert list(middle.get_ydata()) == list(mean.get_ydata()) == list(rows)
        assert list(middle.get_xdata()) == [row['abs_rel_median'] for row in rows.values()]
        assert list(mean.get_xdata()) == [row['abs_rel'] for row in rows.values()]


def test_saved_numbers_that_are_missing_are_told(tmp_path, capsys):
    assert benchmark.main(['accuracy', '--saved', str(tmp_path / 'no.json')]) == 1
    assert capsys.readouterr().err == f"benchmark: [Errno 2] No such file or directory: '{tmp_path}/no.json'\n"


def test_saved_numbers_of_another_suite_are_refused(tmp_path, capsys):
    other = SAVED.with_name('intel-xeon-processor-2-cores.json')
    assert benchmark.main(['accuracy', '--saved', str(other)]) == 1
    assert capsys.readouterr().err == f'benchmark: {other} does not hold numbers of suite accuracy\n'


def test_the_page_has_the_numbers_that_are_saved():
    tables = markdown(json.loads(SAVED.read_text()))
    assert tables in (SAVED.parents[1] / 'peers.md').read_text()


def test_a_table_says_what_is_not_known():
    row = dict.fromkeys(COLUMNS, 0.25) | {'parameters': 1234, 'coverage_1sigma': None, 'ms': 12.6}
    text = markdown({'data': {'place': {'method': row}}})
    assert text.splitlines()[0] == '`place`' and '| AbsRel |' in text
    assert text.splitlines()[-1] == '| method | 0.250 | 0.250 | 0.250 | 0.25 | 0.25 | 0.25 | - | 1,234 | 13 |'
