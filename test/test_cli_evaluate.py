"""The `evaluate` command: what it prints, writes and returns."""

import json

import numpy as np
import pytest
import yaml
from test_evaluation_scoring import LENS, Fake, frame, video
from test_scenes_bags import cut, image, only_file, recorded, write

from dfd_depth_ros.cli import evaluate
from dfd_depth_ros.scenes.bags import read_bag
from dfd_depth_ros.scenes.folders import write_frames
from dfd_depth_ros.scenes.recordings import typestore


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


@pytest.fixture
def three(tmp_path):
    """Two folders of frames and a bag that was cut."""
    write_frames(tmp_path / 'one', video(3))
    write_frames(tmp_path / 'two', video(2))
    cut(only_file(write(tmp_path / 'bag', recorded(30, shape=(120, 160)))), 0.6)
    return [tmp_path / name for name in ('one', 'two', 'bag')]


def test_many_inputs_make_one_json_and_a_page_with_links(tmp_path, capsys, three):
    assert run(*three[:2], '--json', tmp_path / 'out.json', '--report', tmp_path / 'out') == 0
    runs = json.loads((tmp_path / 'out.json').read_text())['runs']
    assert [(row['input'], row['frames']) for row in runs] == [(str(three[0]), 3), (str(three[1]), 2)]
    page = (tmp_path / 'out' / 'index.html').read_text()
    for name in ('1-one', '2-two'):
        assert f'<a href="{name}/index.html">' in page and (tmp_path / 'out' / name / 'index.html').is_file()
    out = capsys.readouterr().out
    assert out.startswith('Input') and f'report: {tmp_path}/out/index.html' in out


def test_one_of_many_that_fails_does_not_stop_the_rest(tmp_path, capsys, three):
    assert run(three[0], tmp_path / 'gone', three[2], '--json', tmp_path / 'out.json', '--report', tmp_path / 'o') == 2
    runs = json.loads((tmp_path / 'out.json').read_text())['runs']
    assert runs[1] == {'input': f'{tmp_path}/gone', 'error': f'{tmp_path}/gone does not exist'}
    assert runs[0]['frames'] == 3 and runs[2]['truncated']
    said = capsys.readouterr()
    assert f'evaluate: {tmp_path}/gone does not exist' in said.err and 'failed' in said.out
    assert 'does not exist</span>' in (tmp_path / 'o' / 'index.html').read_text()
    assert run(three[0], three[2]) == 3


def test_two_filters_and_two_inputs_are_compared(tmp_path, capsys, three):
    out = tmp_path / 'out.json'
    assert run(three[0], '--against-filter', 'ema', '--json', out, '--report', tmp_path / 'page') == 0
    numbers = json.loads(out.read_text())
    assert set(numbers['comparison']['abs_rel']) == {'a', 'b', 'difference', 'low', 'high', 'frames'}
    assert numbers['comparison']['abs_rel']['difference'] == 0 and numbers['compared']['b']['filter'] == 'ema'
    assert 'B - A' in capsys.readouterr().out
    assert '<h2>Comparison</h2>' in (tmp_path / 'page' / 'index.html').read_text()
    assert run(three[0], '--against', three[1], '--against-weights', 'other', '--json', out) == 0
    compared = json.loads(out.read_text())['compared']
    assert compared['b'] == {'input': str(three[1]), 'weights': 'other', 'filter': 'kalman'}


def test_a_cut_second_input_returns_3(tmp_path, three):
    whole = write(tmp_path / 'whole' / 'bag', recorded(30, shape=(120, 160)))
    assert run(whole, '--against', three[2], '--json', tmp_path / 'out.json') == 3
    numbers = json.loads((tmp_path / 'out.json').read_text())
    assert numbers['compared']['unpaired_a'] > 0 and len(numbers['truncated']) == 1


def test_the_same_twice_but_for_timings(tmp_path, three):
    found = []
    for name in 'ab':
        run(three[0], '--against-filter', 'ema', '--json', tmp_path / name)
        found.append({k: v for k, v in json.loads((tmp_path / name).read_text()).items() if k != 'latency_ms'})
    assert found[0] == found[1]


def test_live_is_asked_with_a_bag_of_the_frames(tmp_path, monkeypatch, capsys, three):
    replay = pytest.importorskip('dfd_depth_ros.ros.replay')
    asked = []

    def fake_replay(bag, lens, parameters, rate):
        asked.append((len(read_bag(bag, lens)), lens, parameters, rate))
        sent = {stamp: stamp for stamp in (10**9, 2 * 10**9)}
        return replay.timing(sent, [(10**9, 10**9 + 30_000_000)], rate)

    monkeypatch.setattr(replay, 'replay', fake_replay)
    options = ('--live', '--rate', 0.5, '--limit', 2, '--filter', 'ema', '--weights', 'w')
    assert run(three[0], *options, '--json', tmp_path / 'out.json') == 0
    assert asked == [(2, LENS, {'weights': 'w', 'temporal.filter': 'ema'}, 0.5)]
    live = json.loads((tmp_path / 'out.json').read_text())['live']
    assert (live['images'], live['depths'], live['drops'], live['rate']) == (2, 1, 1, 0.5)
    assert live['latency_ms']['p50'] == pytest.approx(30) and live['latency_from'] == 'stamp'
    assert 'of 2 images played at rate 0.5' in capsys.readouterr().out


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
        (['--jobs', '0'], "'0' is no number of jobs; it must be 1 or more"),
        (['--rate', '0'], "'0' is no rate; it must be above zero"),
        (['--limit', '0'], "'0' is no number of frames"),
        (
            ['--topic', 'picture=/a'],
            "'picture=/a' is not ROLE=NAME with a role of image, camera_info, lens, lens_model, truth, depth, "
            'registered_depth',
        ),
        (['--side', 'left'], 'invalid choice'),
        (['--filter', 'magic'], 'invalid choice'),
    ],
)
def test_bad_arguments_are_2(tmp_path, capsys, arguments, message):
    with pytest.raises(SystemExit) as caught:
        run(tmp_path, *arguments)
    assert caught.value.code == 2 and message in capsys.readouterr().err


def written(path):
    path.write_text('a file')
    return path


@pytest.mark.parametrize(
    'arguments, message',
    [
        (['{one}', '--report', '{file}/out'], '--report: {file}/out cannot be written: Not a directory'),
        (['{one}', '--report', '{file}'], '--report: {file} cannot be written: File exists'),
        (['{one}', '--json', '{file}/out/a.json'], '--json: {file}/out cannot be written: Not a directory'),
        (['{file}'], '{file} is no bag; expected a rosbag2 folder, .mcap or .db3'),
        (['{empty}'], '{empty} holds no .mcap or .db3 file'),
        (['{lensless}'], 'lensless at 1.000000000 s has no lens; give one with --lens FILE'),
        (['{unknown}'], '{unknown} has no topic that ends in image_raw; it has /chatter'),
        (
            ['{one}', '--against', '{other}'],
            'no frame of the one evaluation is in the other; only the same frames can be compared',
        ),
        (['{one}', '{two}', '--against', '{one}'], '--against compares with one input; give one input'),
        (['{one}', '--live', '--jobs', '2'], '--live times one node at a time; leave --jobs at 1'),
    ],
)
def test_what_cannot_work_is_one_sentence_and_2(tmp_path, capsys, monkeypatch, three, arguments, message):
    monkeypatch.setattr(evaluate, 'find_spec', lambda name: name)
    names = {'one': three[0], 'two': three[1], 'file': written(tmp_path / 'file'), 'empty': tmp_path / 'empty'}
    names |= {name: tmp_path / name for name in ('lensless', 'unknown', 'other')}
    names['empty'].mkdir()
    write(names['lensless'], recorded(2, lens=None))
    text = typestore().types['std_msgs/msg/String'](data='hello')
    write(names['unknown'], [('/chatter', text, 10**9)])
    write_frames(names['other'], [frame(n) for n in range(3)])
    assert run(*(text.format(**names) for text in arguments)) == 2
    assert capsys.readouterr().err.splitlines()[-1] == f'evaluate: {message.format(**names)}'


def test_live_without_ros_is_one_sentence_and_2(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(evaluate, 'find_spec', lambda name: None)
    assert run(tmp_path, '--live') == 2
    assert capsys.readouterr().err == 'evaluate: --live needs ROS 2, which is missing: source a ROS installation\n'
