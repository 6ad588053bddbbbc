"""Scoring, timing and files with a small fake estimator whose errors are known."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from dfd_depth_ros.estimation.estimate import Estimate
from dfd_depth_ros.evaluation.runs import open_frames, run, strict, write
from dfd_depth_ros.evaluation.scoring import ScoreError, evaluate, score
from dfd_depth_ros.evaluation.table import headline, text_table
from dfd_depth_ros.evaluation.timing import recorded_timing
from dfd_depth_ros.optics.lens import Lens
from dfd_depth_ros.scenes.bags import Times
from dfd_depth_ros.scenes.folders import write_frames
from dfd_depth_ros.scenes.frame import Frame, Intrinsics

LENS = Lens(0.05, 2.0, 5e-5, 0.5)
SHAPE = (24, 32)


class Fake:
    """Says that everything is 10 % farther than `metres`, with a sigma of 10 %, behind focus unless told otherwise."""

    digest, device, model_name, precision = 'f' * 64, 'cpu', 'fake', 'float32'

    def __init__(self, metres=4.0):
        self.metres, self.calls, self.resets = metres, [], 0

    def reset(self):
        self.resets += 1

    def estimate(self, image, lens, stamp=None, pose=None, camera=None):
        self.calls.append((image, lens, stamp))
        if image.min() == 255:
            raise ValueError('image is all white')
        depth = np.full(image.shape[:2], 1.1 * self.metres, np.float32)
        coc = lens.coc(1 / depth)
        return Estimate(depth, 0.1001 * depth, coc if lens.side != 'front' else -abs(coc), (coc > 0).astype(np.float32))


def frame(number=0, metres=4.0, **values):
    image = np.random.default_rng(number).integers(0, 250, (*SHAPE, 3), np.uint8)
    depth = np.full(SHAPE, metres, np.float32)
    return Frame(**{'name': f'{number}', 'image': image, 'lens': LENS, 'depth': depth} | values)


def video(count=3):
    camera = Intrinsics(30.0, 30.0, 15.5, 11.5)
    return [frame(n, stamp=n / 10, sequence='room', pose=np.eye(4), intrinsics=camera) for n in range(count)]


def without_timings(numbers):
    return {key: value for key, value in numbers.items() if key != 'latency_ms'}


def test_numbers_by_hand():
    numbers = score([frame(0), frame(1, metres=2.2)], Fake())
    assert numbers['frames'] == numbers['frames_with_truth'] == 2
    assert numbers['abs_rel'] == pytest.approx((0.1 + 1.0) / 2, rel=1e-5)
    assert numbers['abs_rel_median'] == pytest.approx(0.1, rel=0.005)
    assert numbers['mae_m'] == pytest.approx((0.4 + 2.2) / 2, rel=1e-5)
    assert numbers['coverage_1sigma'] == 0.5 and numbers['delta1'] == 0.5
    assert numbers['sign_accuracy'] == numbers['valid_fraction'] == 1
    shift = LENS.gain * abs(1 / 4.4 - np.array([1 / 4, 1 / 2.2]))
    assert numbers['coc_mae_px'] == pytest.approx(shift.mean(), rel=1e-4)
    assert numbers['weights_digest'] == 'f' * 64 and numbers['device'] == 'cpu' and numbers['model'] == 'fake'
    assert [row['name'] for row in numbers['per_frame']] == ['0', '1']
    assert numbers['per_frame'][1]['abs_rel'] == pytest.approx(1.0, rel=1e-5)
    assert set(numbers['latency_ms']) == {'p50', 'p95', 'p99'} and 'tae' not in numbers


def test_sign_accuracy_by_blur_and_by_distance_from_edges():
    near, far = frame(0), frame(1, metres=1.5)
    depth = near.depth.copy()
    depth[:, 16:] = 1.0  # CoC -25 px beside 12.5 px
    numbers = score([replace(near, depth=depth), far], Fake())
    by_coc = {row['from']: row for row in numbers['sign_by_coc_px']}
    assert sum(row['pixels'] for row in by_coc.values()) == 2 * np.prod(SHAPE)
    assert all(row['sign_accuracy'] == (row['from'] > 0) for row in by_coc.values())
    nearest = numbers['sign_by_edge_distance_px'][0]
    assert (nearest['from'], nearest['to'], nearest['pixels']) == (0, 2, 4 * SHAPE[0])
    assert nearest['sign_accuracy'] == 0.5


def test_video_metrics_and_resets_follow_the_sequences():
    fake = Fake()
    frames = [*video(3), *(replace(f, sequence='hall') for f in video(2)), *(replace(f, stamp=None) for f in video(2))]
    numbers = score(frames, fake)
    assert fake.resets == 4  # room, hall, and twice where stamps are missing
    assert numbers['tae'] == 0 and numbers['opw'] == pytest.approx(0, abs=1e-6) and numbers['tcc'] == pytest.approx(1)
    assert [call[2] for call in fake.calls[:3]] == [0.0, 0.1, 0.2]


@pytest.mark.parametrize('size', [(1, 1), (3, 40)])
def test_tiny_frames_are_scored(size):
    def tiny(number):
        image = np.zeros((*size, 3), np.uint8)
        return frame(number, image=image, depth=np.full(size, 4.0, np.float32), stamp=float(number))

    numbers = score([tiny(0), tiny(1)], Fake())
    assert numbers['abs_rel'] == pytest.approx(0.1, rel=1e-5) and math.isnan(numbers['opw'])


def test_a_stamp_that_jumps_back_starts_anew():
    fake, frames = Fake(), video(3)
    score([frames[0], frames[2], frames[1]], fake)
    assert fake.resets == 2


def test_lens_and_side_override_those_of_the_frames():
    fake, other = Fake(), replace(LENS, f_number=4.0)
    score([frame()], fake, lens=other, side='behind')
    assert fake.calls[0][1] == replace(other, side='behind')
    assert score([frame()], Fake(), side='front')['sign_accuracy'] == 0


def test_frames_without_truth_are_estimated_and_counted():
    numbers = score([frame(0), frame(1, depth=None)], Fake())
    assert numbers['frames'] == 2 and numbers['frames_with_truth'] == 1
    assert numbers['abs_rel'] == pytest.approx(0.1, rel=1e-5)
    nothing = score([frame(depth=None)], Fake())
    assert math.isnan(nothing['abs_rel']) and math.isnan(nothing['abs_rel_median'])


def test_rgbd_frames_are_defocused_with_the_given_lens():
    source = frame(0)
    depth = source.depth.copy()
    depth[:4] = np.nan
    rgbd, fake = replace(source, image=None, lens=None, aif=source.image, depth=depth), Fake()
    numbers = score([rgbd], fake, lens=LENS)
    image = fake.calls[0][0]
    assert image.shape == source.image.shape and image.std() < source.image.std()
    assert numbers['abs_rel'] == pytest.approx(0.1, rel=1e-5)


@pytest.mark.parametrize(
    'bad, message',
    [
        (frame(lens=None), '0 has no lens; give one with --lens FILE'),
        (
            frame(lens=None, aif=frame().image, image=None),
            '0 is RGB-D without defocus and has no lens to render it with; give one with --lens FILE',
        ),
        (frame(image=np.full((*SHAPE, 3), 255, np.uint8)), '0: image is all white'),
    ],
)
def test_a_frame_that_cannot_be_scored_is_named(bad, message):
    with pytest.raises(ScoreError) as caught:
        score([bad], Fake())
    assert str(caught.value) == message


def test_no_frames_at_all_is_an_error():
    with pytest.raises(ScoreError, match='there is no frame to evaluate'):
        score([], Fake())


def test_gallery_finds_worst_median_and_best_among_many():
    metres = np.linspace(4.4, 2.2, 201)  # AbsRel 0 ... 1
    order = np.random.default_rng(0).permutation(201)
    choice = evaluate([frame(n, metres[n]) for n in order], Fake()).gallery.choice()
    assert list(choice) == ['Worst frame', 'Median frame', 'Best frame']
    assert choice['Worst frame'].name == '200' and choice['Best frame'].name == '0'
    errors = 4.4 / metres - 1
    assert choice['Median frame'].abs_rel == pytest.approx(np.median(errors), abs=0.08)


def test_gallery_of_few_frames_and_without_truth():
    def titles(*frames):
        return list(evaluate(frames, Fake()).gallery.choice())

    assert titles(frame()) == ['Only frame']
    assert titles(frame(0), frame(1, 2.0)) == ['Worst frame', 'Best frame']
    assert titles(*(frame(n, depth=None) for n in range(5))) == ['Early frame', 'Middle frame', 'Late frame']


def test_pictures_are_reduced():
    wide = frame(image=np.zeros((100, 1000, 3), np.uint8), depth=np.ones((100, 1000), np.float32))
    picture = evaluate([wide], Fake()).gallery.choice()['Only frame']
    assert picture.image.shape == (48, 480, 3) and picture.truth.shape == (48, 480)


def test_two_runs_give_the_same_json_but_for_timings(tmp_path):
    write_frames(tmp_path, video(4))
    for name in ('a', 'b'):
        write(run(open_frames(tmp_path), Fake()), 'evaluate', tmp_path / f'{name}.json')
    first, second = (json.loads((tmp_path / f'{name}.json').read_text()) for name in ('a', 'b'))
    assert without_timings(first) == without_timings(second)


def test_json_is_strict(tmp_path):
    write(evaluate([frame(depth=None)], Fake()), 'evaluate', tmp_path / 'new' / 'out.json')

    def refuse(text):
        raise AssertionError(text)

    numbers = json.loads((tmp_path / 'new' / 'out.json').read_text(), parse_constant=refuse)
    assert numbers['abs_rel'] is None and numbers['frames'] == 1
    assert strict({'a': [math.inf, 1.5, {'b': math.nan}]}) == {'a': [None, 1.5, {'b': None}]}


def test_limit_and_progress(tmp_path):
    write_frames(tmp_path, video(4))
    seen = []

    def progress(frames, total):
        seen.append(total)
        return frames

    assert run(open_frames(tmp_path), Fake(), limit=2, progress=progress).numbers['frames'] == 2
    assert run(open_frames(tmp_path / 'frames.jsonl'), Fake(), limit=9, progress=progress).numbers['frames'] == 4
    assert seen == [2, 4]


def times(pairs):
    return Times(*np.array(pairs, np.int64).reshape(-1, 2).T)


def test_recorded_timing_by_hand():
    second, ms = 10**9, 10**6
    images = times([(second * n, second * n + ms) for n in range(1, 5)])
    depths = times([(second, second + 10 * ms), (3 * second, 3 * second + 30 * ms), (9 * second, 9 * second)])
    timing = recorded_timing(images, depths)
    assert timing['images'] == 4 and timing['depths'] == 3 and timing['drops'] == 2 and timing['unmatched'] == 1
    assert timing['latency_ms']['p50'] == pytest.approx(20) and timing['latency_ms']['p99'] == pytest.approx(29.8)
    assert timing['rate_hz'] == pytest.approx(2 / 7.99) and timing['latency_from'] == 'stamp'


def test_recorded_timing_with_another_clock_runs_from_receipt():
    hour = 3600 * 10**9
    images = times([(n, n + hour) for n in range(3)])
    depths = times([(n, n + hour + 5 * 10**6) for n in range(3)])
    timing = recorded_timing(images, depths)
    assert timing['latency_from'] == 'receipt' and timing['latency_ms']['p95'] == pytest.approx(5)


def test_recorded_timing_of_nothing():
    timing = recorded_timing(times([(1, 2)]), times([]))
    assert timing['drops'] == 1 and math.isnan(timing['rate_hz']) and math.isnan(timing['latency_ms']['p50'])


def test_the_table_says_every_number_there_is():
    numbers = score(video(2), Fake())
    numbers['recorded'] = recorded_timing(times([(0, 1)]), times([(0, 10**7)]))
    text = text_table(numbers)
    for line in ('AbsRel  ', 'Within 1 sigma', 'TAE', 'TCC', 'Recorded drops'):
        assert any(row.startswith(line.strip()) for row in text.splitlines()), line
    assert '0.100' in text and '10 / 10 / 10 ms' in text
    assert ('Within 1 sigma', '100.0%', 'nominal 68.3 %') in headline(numbers)
    assert [tile[0] for tile in headline(score([frame(depth=None)], Fake()))] == []
