"""Suite `adapt` on small pictures and few steps, and the pictures that show what was learned."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest

from dfd_depth_ros.benchmarks import adapt
from dfd_depth_ros.cli import benchmark
from dfd_depth_ros.estimation.estimate import Estimate
from dfd_depth_ros.evaluation.strip import write_comparison
from dfd_depth_ros.evaluation.timeline import write_timeline
from dfd_depth_ros.optics.lens import Lens
from dfd_depth_ros.scenes.folders import write_frames
from dfd_depth_ros.scenes.frame import Frame
from dfd_depth_ros.scenes.motorcycle import load_motorcycle
from dfd_depth_ros.scenes.rgbd import defocused

LENS = Lens(0.05, 1.4, 2e-4, 0.5)


def test_every_case_is_scored_before_and_after(tmp_path, monkeypatch):
    monkeypatch.setattr(adapt, 'LOOP', 12)
    monkeypatch.setattr(adapt, '_step_ms', lambda *_: {'p50': 1.0})
    arguments = ['adapt', '--size', '160', '120', '--steps', '2', '--json', str(tmp_path / 'a.json')]
    assert benchmark.main([*arguments, '--figure', str(tmp_path / 'a.png')]) == 0
    numbers = json.loads((tmp_path / 'a.json').read_text())
    assert {(row['f_number_error'], row['focus_error']) for row in numbers['cases']} == {
        (n, s) for n in (-0.2, 0.2) for s in (-0.1, 0.1)
    }
    assert all(row['steps'] == 2 and row['abs_rel_after'] == row['abs_rel_before'] for row in numbers['cases'])
    assert numbers['gap_closed'] == 0 and numbers['correct_lens']['ratio'] == 1
    assert numbers['abs_rel_known_lens'] > 0 and 'real_pairs' not in numbers
    assert (tmp_path / 'a.png').stat().st_size > 10_000


@pytest.fixture
def photographs(tmp_path):
    """Frames folders of four crops of the motorcycle, at f/1.4 and f/5.6."""
    scene = load_motorcycle()
    parts = []
    for number in range(4):
        place = np.s_[100:300, 100 * number : 100 * number + 240]
        parts.append(replace(scene, name=f'{number}', aif=scene.aif[place], depth=scene.depth[place], intrinsics=None))
    for name, lens in (('fast', LENS), ('slow', replace(LENS, f_number=5.6))):
        write_frames(tmp_path / name, [defocused(part, lens) for part in parts])
    return str(tmp_path / 'fast'), str(tmp_path / 'slow')


def test_photographs_teach_and_others_are_scored(photographs):
    numbers = adapt._real('models/dfd_small.safetensors', *photographs, steps=2, taught=3)
    assert (numbers['scenes_taught'], numbers['scenes_scored'], numbers['steps']) == (3, 1, 2)
    assert numbers['ratio'] == 1 and numbers['abs_rel_before'] > 0


def picture(truth=True):
    rng = np.random.default_rng(0)
    depth = rng.uniform(1, 3, (48, 64)).astype(np.float32)
    frame = Frame('x', rng.integers(0, 255, (48, 64, 3), np.uint8), LENS, depth if truth else None)
    return frame, [Estimate(depth * k, depth / 10, LENS.coc(1 / depth), np.ones_like(depth)) for k in (1.3, 1.0)]


@pytest.mark.parametrize('truth', [True, False])
def test_comparison_and_timeline_are_pictures(truth, tmp_path):
    frame, estimates = picture(truth)
    write_comparison(tmp_path / 'a' / 'c.png', frame, *estimates)
    write_timeline(tmp_path / 'b' / 't.png', np.arange(5.0), np.linspace(0.4, 0.1, 5), 0.1)
    for path in ('a/c.png', 'b/t.png'):
        assert min(cv2.imread(str(tmp_path / path)).shape[:2]) > 200
