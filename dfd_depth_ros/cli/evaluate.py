"""`evaluate`: score the estimator on frames with ground truth, from a frames folder or a ROS 2 bag."""

import argparse
import shlex
import sys
from pathlib import Path

from tqdm import tqdm

from dfd_depth_ros.estimation.estimator import load_estimator
from dfd_depth_ros.evaluation.runs import open_frames, run, write
from dfd_depth_ros.evaluation.table import text_table
from dfd_depth_ros.optics.lens import SIDES
from dfd_depth_ros.scenes.bags import ROLES
from dfd_depth_ros.scenes.lens_files import read_lens
from dfd_depth_ros.temporal.filters import FILTERS

WEIGHTS = 'models/dfd_small.safetensors'


def main(argv=None) -> int:
    """Exit code 0 on success, 2 for wrong arguments or input (one sentence says which), 3 where a bag was cut and the
    readable part of it has been evaluated."""
    options = _parser().parse_args(argv)
    command = shlex.join(['evaluate', *(sys.argv[1:] if argv is None else argv)])
    try:
        lens = read_lens(options.lens) if options.lens else None
        frames = open_frames(options.input, lens, dict(options.topic))
        estimator = load_estimator(options.weights, options.device, options.filter)
        evaluation = run(frames, estimator, lens, options.side, options.limit, _progress)
        page = write(evaluation, command, options.json, options.report)
    except (ValueError, OSError) as error:
        print(f'evaluate: {error}', file=sys.stderr)
        return 2
    numbers = evaluation.numbers
    print(text_table(numbers))
    for note in (*numbers.get('notes', ()), *numbers.get('truncated', ())):
        print(f'note: {note}')
    if page:
        print(f'report: {page}')
    return 3 if numbers.get('truncated') else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog='evaluate', description=__doc__)
    parser.add_argument('input', help='frames folder, .jsonl, rosbag2 folder, .mcap or .db3')
    parser.add_argument('--weights', default=WEIGHTS, help='safetensors file (default %(default)s)')
    parser.add_argument('--json', type=Path, metavar='FILE', help='write the numbers here')
    parser.add_argument('--report', type=Path, metavar='FOLDER', help='write a page with plots and pictures here')
    parser.add_argument('--device', default='auto', help='auto, cpu or cuda (default %(default)s)')
    parser.add_argument(
        '--filter', default='none', choices=sorted(FILTERS), help='temporal filter (default %(default)s)'
    )
    parser.add_argument(
        '--side', choices=SIDES, help='which side of focus the scene lies on (default: as the lens says)'
    )
    parser.add_argument('--lens', metavar='FILE', help='lens file; in a bag it fills what the lens topic leaves out')
    parser.add_argument('--limit', type=_count, metavar='N', help='evaluate the first N frames only')
    parser.add_argument(
        '--topic',
        type=_topic,
        action='append',
        default=[],
        metavar='ROLE=NAME',
        help=f'topic of a bag where names differ; roles: {", ".join(ROLES)}',
    )
    return parser


def _progress(frames, total):
    return tqdm(frames, total=total, unit='frame', desc='evaluate')


def _count(text: str) -> int:
    if not (text.isdecimal() and int(text)):
        raise argparse.ArgumentTypeError(f'{text!r} is no number of frames')
    return int(text)


def _topic(text: str) -> tuple[str, str]:
    role, _, name = text.partition('=')
    if role not in ROLES or not name:
        raise argparse.ArgumentTypeError(f'{text!r} is not ROLE=NAME with a role of {", ".join(ROLES)}')
    return role, name


if __name__ == '__main__':
    sys.exit(main())
