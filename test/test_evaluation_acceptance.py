"""The verdict on a board, and the command that gives it."""

import json
import re

import numpy as np
import pytest

from dfd_depth_ros.cli import acceptance
from dfd_depth_ros.evaluation.acceptance import AcceptanceError, judge


def boards(distance, count=4, shape=(40, 60), seed=0):
    rng = np.random.default_rng(seed)
    return [(distance + rng.normal(0, 0.01, shape)).astype(np.float32) for _ in range(count)]


@pytest.mark.parametrize('distance, passed', [(1.99, True), (2.005, True), (2.02, False), (1.95, False)])
def test_the_mean_decides(distance, passed):
    numbers = judge(boards(distance), 1.99, 0.02)
    assert numbers['passed'] is passed and numbers['frames'] == 4 and numbers['coverage'] == 1
    assert numbers['error_m'] == pytest.approx(distance - 1.99, abs=2e-3)
    assert numbers['pixel_spread_m'] == pytest.approx(0.01, rel=0.1) and numbers['spread_m'] < 0.002


def test_only_the_window_counts():
    depth = np.full((40, 60), 5.0, np.float32)
    depth[10:30, 15:45] = 1.0
    assert judge([depth], 1.0, 0.01)['passed'] and not judge([depth], 1.0, 0.01, 0.8)['passed']


def test_holes_fail():
    depth = boards(1.0, 1)[0]
    depth[:, 20:40] = np.nan
    numbers = judge([depth], 1.0, 0.02)
    assert numbers['coverage'] == pytest.approx(1 / 3) and not numbers['passed']
    nothing = judge([np.full((40, 60), np.inf, np.float32)], 1.0, 0.02)
    assert nothing['coverage'] == 0 and not nothing['passed']


@pytest.mark.parametrize(
    'arguments, message',
    [
        (([], 1.0, 0.02), 'no depth image came'),
        (([], 0.0, 0.02), 'distance 0 m and tolerance 0.02 m must be above zero'),
        (([], 1.0, 0.02, 1.5), 'the window is 1.5 of the picture; it must be above 0 and at most 1'),
    ],
)
def test_what_cannot_be_judged(arguments, message):
    with pytest.raises(AcceptanceError) as error:
        judge(*arguments)
    assert str(error.value) == message


@pytest.mark.parametrize('distance, code, word', [(1.99, 0, 'PASS'), (2.1, 1, 'FAIL')])
def test_the_command(monkeypatch, capsys, tmp_path, distance, code, word):
    monkeypatch.setattr(acceptance, 'find_spec', lambda name: True)
    monkeypatch.setattr(acceptance, '_from_simulator', lambda options: boards(distance))
    assert acceptance.main(['--json', str(tmp_path / 'out.json'), '--ros-args', '-r', '__node:=x']) == code
    out = capsys.readouterr().out
    found = re.match(rf'{word}: board at 1.990 m, mean ([\d.]+) m over 4 frames', out)
    assert float(found[1]) == pytest.approx(distance, abs=0.005) and 'in 100%' in out
    assert json.loads((tmp_path / 'out.json').read_text())['passed'] is (code == 0)


def test_no_ros(monkeypatch, capsys):
    monkeypatch.setattr(acceptance, 'find_spec', lambda name: None)
    assert acceptance.main([]) == 2
    sentence = 'acceptance: ROS 2 is missing: source a ROS installation, or use `make acceptance`\n'
    assert capsys.readouterr().err == sentence


def test_a_failing_graph_is_one_sentence(monkeypatch, capsys):
    def fail(options):
        raise RuntimeError('no depth/image_rect came within 60 s; is the depth node running and active?')

    monkeypatch.setattr(acceptance, 'find_spec', lambda name: True)
    monkeypatch.setattr(acceptance, '_from_camera', fail)
    assert acceptance.main(['--camera']) == 2
    assert capsys.readouterr().err.startswith('acceptance: no depth/image_rect came within 60 s')
