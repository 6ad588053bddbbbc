"""The `evaluate` command: what it prints, writes and returns."""

import json

import numpy as np
import pytest
import yaml
from test_evaluation_scoring import LENS, Fake, video
from test_scenes_bags import cut, image, only_file, recorded, write

from dfd_depth_ros.cli import evaluate
from dfd_depth_ros.scenes.folders import write_frames


@pytest.fixture(autouse=True)
def fake(monkeypatch):
    monkeypatch.setattr(evaluate, 'load_estimator', lambda weights, device, temporal_filter: Fake())


def run(*arguments):
    return evaluate.main([str(argument) for argument in arguments])


def test_folder_to_table_json_and_report(tmp_path, capsys):
    write_frames(tmp_path / 'in', video(3))
    code = run(tmp_path / 'in', '--json', tmp_path / 'out.json', '--report', tmp_path / 'out', '--limit', 2)
    out = capsys.readouterr().out
    assert code == 0 and 'AbsRel' in out and f'report: {tmp_path}/out/index.html' in out
    assert json.loads((tmp_path / 'out.json').read_text())['frames'] == 2
    assert f'evaluate {tmp_path}/in --json' in (tmp_path / 'out' / 'index.html').read_text()


def test_bag_with_recorded_depth(tmp_path, capsys):
    depths = [
        (
            '/depth/image_rect',
            image(10**9 + n * 10**8, np.ones((6, 8), np.float32), '32FC1'),
            10**9 + n * 10**8 + 20_000_000,
        )
        for n in range(3)
    ]
    path = write(tmp_path / 'bag', [*recorded(4), *depths], 'sqlite3')
    assert run(path, '--json', tmp_path / 'out.json') == 0
    numbers = json.loads((tmp_path / 'out.json').read_text())
    assert numbers['frames'] == numbers['frames_with_truth'] == 4 and numbers['truncated'] == numbers['notes'] == []
    assert numbers['recorded']['drops'] == 1 and numbers['recorded']['latency_ms']['p50'] == pytest.approx(20)
    assert 'Recorded latency' in capsys.readouterr().out


@pytest.mark.parametrize('limit', [(), ('--limit', 2)])
def test_a_cut_bag_is_evaluated_and_returns_3(tmp_path, capsys, limit):
    path = write(tmp_path / 'bag', recorded(30, shape=(120, 160)))
    cut(only_file(path), 0.6)
    assert run(path, *limit, '--json', tmp_path / 'out.json') == 3
    assert 'note: bag.mcap is cut or damaged after' in capsys.readouterr().out
    numbers = json.loads((tmp_path / 'out.json').read_text())
    assert numbers['truncated'] and numbers['frames'] == 2 if limit else numbers['frames'] > 5


def test_lens_file_and_side(tmp_path):
    lens = tmp_path / 'lens.yaml'
    lens.write_text(yaml.safe_dump(LENS.to_dict() | {'description': 'a lens'}))
    bag = write(tmp_path / 'bag', recorded(2, lens=None))
    assert run(bag) == 2
    assert run(bag, '--lens', lens, '--side', 'behind', '--json', tmp_path / 'out.json') == 0
    assert run(bag, '--lens', lens, '--topic', 'image=/image_raw') == 0


@pytest.mark.parametrize(
    'content, message',
    [
        (None, '{folder}/frames.jsonl does not exist'),
        ('{"image": "gone.png"}', '{folder}/frames.jsonl line 1: image {folder}/gone.png does not exist'),
    ],
)
def test_bad_input_is_one_sentence_and_2(tmp_path, capsys, content, message):
    if content:
        (tmp_path / 'frames.jsonl').write_text(content)
    assert run(tmp_path / 'frames.jsonl') == 2
    assert capsys.readouterr().err == f'evaluate: {message.format(folder=tmp_path)}\n'


def test_bad_weights_are_one_sentence_and_2(tmp_path, capsys, monkeypatch):
    def refuse(*_):
        raise ValueError('weights gone.safetensors do not exist')

    monkeypatch.setattr(evaluate, 'load_estimator', refuse)
    write_frames(tmp_path, video(1))
    assert run(tmp_path) == 2
    assert capsys.readouterr().err == 'evaluate: weights gone.safetensors do not exist\n'


@pytest.mark.parametrize(
    'arguments, message',
    [
        (['--limit', '0'], "'0' is no number of frames"),
        (
            ['--topic', 'picture=/a'],
            "'picture=/a' is not ROLE=NAME with a role of image, camera_info, lens, truth, depth",
        ),
        (['--side', 'left'], 'invalid choice'),
        (['--filter', 'magic'], 'invalid choice'),
    ],
)
def test_bad_arguments_are_2(tmp_path, capsys, arguments, message):
    with pytest.raises(SystemExit) as caught:
        run(tmp_path, *arguments)
    assert caught.value.code == 2 and message in capsys.readouterr().err
