"""`evaluate`: score the estimator on frames folders and ROS 2 bags: alone, side by side, through the running node."""

import argparse
import os
import shlex
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path

import torch
from tqdm import tqdm

from dfd_depth_ros.estimation.estimator import load_estimator
from dfd_depth_ros.evaluation.comparison import compare, comparison_table
from dfd_depth_ros.evaluation.runs import open_frames, run, write, write_json
from dfd_depth_ros.evaluation.scoring import Evaluation
from dfd_depth_ros.evaluation.summary import folder_names, summary_table, write_summary
from dfd_depth_ros.evaluation.table import text_table
from dfd_depth_ros.optics.lens import SIDES
from dfd_depth_ros.scenes.bag_frames import write_bag
from dfd_depth_ros.scenes.bags import ROLES, BagFrames
from dfd_depth_ros.scenes.lens_files import read_lens
from dfd_depth_ros.temporal.filters import DEFAULT, FILTERS

WEIGHTS = 'models/dfd_small.safetensors'


def main(argv=None) -> int:
    """Exit code 0 on success, 2 for wrong arguments or input (one sentence says which), 3 where a bag was cut and the
    readable part of it has been evaluated. Of several inputs the worst counts: 2 before 3."""
    options = _parser().parse_args(argv)
    options.command = shlex.join(['evaluate', *(sys.argv[1:] if argv is None else argv)])
    try:
        _check(options)
        if len(options.input) > 1:
            return _many(options)
        evaluation = _evaluate(options, options.input[0])
        page = write(evaluation, options.command, options.json, options.report)
    except (ValueError, RuntimeError, OSError) as error:
        print(f'evaluate: {error}', file=sys.stderr)
        return 2
    _show(evaluation.numbers, page)
    return 3 if evaluation.numbers.get('truncated') else 0


def _check(options):
    """Say what cannot work before any time is spent. Raises ValueError."""
    if options.live and find_spec('rclpy') is None:
        raise ValueError('--live needs ROS 2, which is missing: source a ROS installation')
    if options.live and options.jobs > 1:
        raise ValueError('--live times one node at a time; leave --jobs at 1')
    if options.against and len(options.input) > 1:
        raise ValueError('--against compares with one input; give one input')
    for name, folder in (('report', options.report), ('json', options.json and options.json.parent)):
        if folder:
            try:
                folder.mkdir(parents=True, exist_ok=True)
                with tempfile.TemporaryFile(dir=folder):
                    pass
            except OSError as error:
                raise ValueError(f'--{name}: {folder} cannot be written: {error.strerror}') from None


def _evaluate(options, path: str) -> Evaluation:
    """One input, and what is compared with it."""
    evaluation = _score(options, path, options.weights, options.filter)
    if options.against or options.against_weights or options.against_filter:
        other = (options.against or path, options.against_weights or options.weights)
        filter_name = options.against_filter or options.filter
        against = _score(options, *other, filter_name).numbers
        evaluation.numbers |= compare(evaluation.numbers['per_frame'], against['per_frame'])
        a = {'input': path, 'weights': options.weights, 'filter': options.filter}
        b = {'input': other[0], 'weights': other[1], 'filter': filter_name}
        evaluation.numbers['compared'] |= {'a': a, 'b': b}
        if other[0] != path:
            evaluation.numbers['compared']['notes'].append(
                'A and B are different inputs; frames were matched by name and stamp'
            )
        cut = [sentence for sentence in against.get('truncated', ()) if sentence not in evaluation.numbers['truncated']]
        if cut:
            evaluation.numbers['truncated'] = [*evaluation.numbers.get('truncated', ()), *cut]
    if options.live:
        evaluation.numbers['live'] = _live(options, path)
    return evaluation


def _score(options, path, weights, filter_name) -> Evaluation:
    lens = read_lens(options.lens) if options.lens else None
    frames = open_frames(path, lens, dict(options.topic))
    estimator = load_estimator(weights, options.device, filter_name)
    progress = partial(_progress, name=Path(path).name, quiet=options.jobs > 1)
    return run(frames, estimator, lens, options.side, options.limit, progress)


def _live(options, path) -> dict:
    from dfd_depth_ros.ros.replay import replay

    lens = read_lens(options.lens) if options.lens else None
    frames = open_frames(path, lens, dict(options.topic))
    given = None if isinstance(frames, BagFrames) else lens
    chosen = (frame for number, frame in enumerate(frames) if options.limit is None or number < options.limit)
    parameters = {'weights': str(options.weights), 'temporal.filter': options.filter}
    with tempfile.TemporaryDirectory() as folder:
        first = write_bag(Path(folder) / 'bag', chosen, given)
        return replay(Path(folder) / 'bag', first, parameters, options.rate)


def _many(options) -> int:
    """Evaluate every input, each in a folder of the report of its own; an input that fails does not stop the rest."""
    names = folder_names(options.input)
    work = partial(_one_of_many, options)
    if options.jobs == 1:
        runs = [work(*item) for item in zip(options.input, names, strict=True)]
    else:
        with ProcessPoolExecutor(options.jobs, get_context('spawn'), _share_cores, (options.jobs,)) as pool:
            results = pool.map(work, options.input, names)
            runs = list(tqdm(results, total=len(names), desc='evaluate', unit='input'))
    if options.json:
        write_json(options.json, {'runs': runs})
    print(summary_table(runs))
    for numbers in runs:
        for note in (*numbers.get('notes', ()), *numbers.get('truncated', ())):
            print(f'note: {numbers["input"]}: {note}')
        if 'error' in numbers:
            print(f'evaluate: {numbers["error"]}', file=sys.stderr)
    if options.report:
        print(f'report: {write_summary(options.report, runs, names, options.command)}')
    failed, cut = any('error' in numbers for numbers in runs), any(numbers.get('truncated') for numbers in runs)
    return 2 if failed else 3 if cut else 0


def _one_of_many(options, path: str, name: str) -> dict:
    """The numbers of one input, or its `error`."""
    try:
        evaluation = _evaluate(options, path)
        write(evaluation, options.command, None, options.report and options.report / name)
    except (ValueError, RuntimeError, OSError) as error:
        return {'input': path, 'error': str(error)}
    return {'input': path, **evaluation.numbers}


def _share_cores(jobs: int):
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // jobs))


def _show(numbers: dict, page):
    print(text_table(numbers))
    if 'comparison' in numbers:
        a, b = numbers['compared']['a'], numbers['compared']['b']
        print(''.join(f'\n{side}: {" ".join(map(str, what.values()))}' for side, what in (('A', a), ('B', b))))
        print(comparison_table(numbers))
    for note in (
        *numbers.get('notes', ()),
        *numbers.get('truncated', ()),
        *numbers.get('compared', {}).get('notes', ()),
    ):
        print(f'note: {note}')
    if page:
        print(f'report: {page}')


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog='evaluate', description=__doc__)
    add = parser.add_argument
    add('input', nargs='+', help='frames folder, .jsonl, rosbag2 folder, .mcap or .db3; one or several')
    add('--weights', default=WEIGHTS, help='safetensors file (default %(default)s)')
    add('--json', type=Path, metavar='FILE', help='write the numbers here')
    add('--report', type=Path, metavar='FOLDER', help='write a page with plots and pictures here')
    add('--device', default='auto', help='auto, cpu or cuda (default %(default)s)')
    add('--filter', default=DEFAULT, choices=sorted(FILTERS), help='temporal filter (default %(default)s)')
    add('--side', choices=SIDES, help='which side of focus the scene lies on (default: as the lens says)')
    add('--lens', metavar='FILE', help='lens file; in a bag it fills what the lens topic leaves out')
    add('--limit', type=_count, metavar='N', help='evaluate the first N frames only')
    roles = ', '.join(ROLES)
    help_topic = f'topic of a bag where names differ; roles: {roles}'
    add('--topic', type=_topic, action='append', default=[], metavar='ROLE=NAME', help=help_topic)
    add('--jobs', type=_jobs, default=1, metavar='N', help='inputs evaluated at once (default %(default)s)')
    against = parser.add_argument_group(
        'comparison', 'A is the input as above; B differs from it in what is named here'
    )
    against.add_argument('--against', metavar='INPUT', help='B reads this instead')
    against.add_argument('--against-weights', metavar='FILE', help='B has these weights')
    against.add_argument('--against-filter', choices=sorted(FILTERS), help='B has this filter')
    live = parser.add_argument_group('live')
    live.add_argument('--live', action='store_true', help='also replay the input through the running depth node')
    live.add_argument('--rate', type=_rate, default=1.0, help='speed of the replay and of /clock (default %(default)s)')
    return parser


def _progress(frames, total, name='evaluate', quiet=False):
    return tqdm(frames, total=total, unit='frame', desc=name, disable=quiet)


def _count(text: str) -> int:
    if not (text.isdecimal() and int(text)):
        raise argparse.ArgumentTypeError(f'{text!r} is no number of frames')
    return int(text)


def _jobs(text: str) -> int:
    if not (text.isdecimal() and int(text)):
        raise argparse.ArgumentTypeError(f'{text!r} is no number of jobs; it must be 1 or more')
    return int(text)


def _rate(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float('inf'):
        raise argparse.ArgumentTypeError(f'{text!r} is no rate; it must be above zero')
    return value


def _topic(text: str) -> tuple[str, str]:
    role, _, name = text.partition('=')
    if role not in ROLES or not name:
        raise argparse.ArgumentTypeError(f'{text!r} is not ROLE=NAME with a role of {", ".join(ROLES)}')
    return role, name


if __name__ == '__main__':
    sys.exit(main())
