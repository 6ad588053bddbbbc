"""`demo`: a real ROS 2 graph turns defocused frames into metric depth, is recorded, and is scored from its bag."""

import argparse
import contextlib
import json
import shutil
import signal
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from tqdm import tqdm

from dfd_depth_ros.benchmarks.machine import machine
from dfd_depth_ros.cli import demo_training
from dfd_depth_ros.estimation.estimator import load_estimator
from dfd_depth_ros.evaluation import runs
from dfd_depth_ros.evaluation.strip import write_strip
from dfd_depth_ros.evaluation.table import text_table
from dfd_depth_ros.scenes.bag_lenses import SOURCES
from dfd_depth_ros.scenes.bags import BagFrames, BagWriter, read_bag
from dfd_depth_ros.scenes.lens_files import read_lens
from dfd_depth_ros.scenes.simulated import SCENES
from dfd_depth_ros.temporal.filters import DEFAULT

DEPTH, IMAGE = 'depth/image_rect', 'image_raw'
SIMULATED_LENS = 'config/lenses/simulated_50mm_f1.4.yaml'
RECORDING = '{desc}: {percentage:3.0f}%|{bar}| {elapsed}'
CHECKED = 3  # frames on which published depth is compared with that of the estimator
TOLERANCE = 1e-3  # of depth


class DemoError(RuntimeError):
    """A demo that has nothing to show; the message says why."""


def main(argv=None) -> int:
    """Run the demo; returns 0 when frames arrived, were scored, and the published depth is the estimator's."""
    options = _parser().parse_args(argv)
    options.seconds = options.seconds or (100.0 if options.train else 20.0)
    options.out = options.out or Path('out/demo_train' if options.train else 'out/demo')
    if find_spec('rclpy') is None:
        print(
            'demo: ROS 2 is missing: source a ROS installation, or use `make demo`, which builds one', file=sys.stderr
        )
        return 1
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        (_demo_training if options.train else _demo)(options)
    except (ValueError, RuntimeError, OSError) as error:
        print(f'demo: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('demo: interrupted', file=sys.stderr)
        return 130
    finally:
        signal.signal(signal.SIGTERM, before)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog='demo', description=__doc__.split(': ', 1)[1])
    add = parser.add_argument
    add('--bag', help='play the camera of this bag instead of the simulated one')
    add('--lens', help=f'lens file (default: that of the simulated camera, {SIMULATED_LENS})')
    add('--scene', choices=SCENES, default=SCENES[0], help='what the simulated camera looks at (default: %(default)s)')
    add('--size', type=int, nargs=2, default=(640, 480), metavar=('WIDTH', 'HEIGHT'), help='of the simulated images')
    add('--rate', type=float, default=5.0, help='simulated frames in a second (default: %(default)s)')
    add('--loop-frames', type=int, default=30, help='frames of the simulated loop (default: %(default)s)')
    add('--train', action='store_true', help='show how trainer_node heals a camera that is wrong about its lens')
    add('--seconds', type=float, help='time to record (default: 20, with --train 100)')
    add('--weights', default='models/dfd_small.safetensors', help='weights file (default: %(default)s)')
    add('--out', type=Path, help='folder for bag, report and picture (default: out/demo, with --train out/demo_train)')
    add('--json', help='file for the numbers')
    return parser


def _demo_training(options) -> None:
    numbers = demo_training.show(options, options.lens or SIMULATED_LENS)
    if options.json:
        Path(options.json).write_text(json.dumps(numbers, indent=2) + '\n')
    print('\nThe camera is wrong about its f-number by 20 % and about its focus by 10 %, and blurs by 0.5 px more.')
    for name in ('abs_rel_before', 'abs_rel_after', 'abs_rel_known_lens', 'gap_closed'):
        print(f'{name:<20} {numbers[name]:.3f}')
    for name in ('healing.png', 'before_after.png', 'training', 'bag'):
        print(f'{name:<20} {options.out / name}')


def _demo(options) -> None:
    estimator = load_estimator(options.weights, temporal_filter=DEFAULT)
    lens = None if options.bag and not options.lens else read_lens(options.lens or SIMULATED_LENS)
    bag = options.out / 'bag'
    shutil.rmtree(bag, ignore_errors=True)
    options.out.mkdir(parents=True, exist_ok=True)
    record = _record_bag if options.bag else _record_simulator
    record(options, bag)
    frames = read_bag(bag, lens)
    if 'depth' not in frames.times:
        raise DemoError(f'no depth image was published; {options.out / "depth_node.log"} may say why')
    evaluation = runs.run(frames, estimator, progress=_progress)
    worst = _check_published(bag, frames, lens, estimator, options.out / 'demo.png')
    evaluation.numbers |= {'published_difference': worst, 'machine': machine()}
    command = f'demo {"--bag " + options.bag if options.bag else "--scene " + options.scene}'
    report = runs.write(evaluation, command, options.json, options.out / 'report')
    print(f'\n{text_table(evaluation.numbers)}\n')
    for label, path in (('report', report), ('picture', options.out / 'demo.png'), ('bag', bag)):
        print(f'{label:<8} {path}')
    if not worst <= TOLERANCE:
        raise DemoError(f'published depth differs from that of the estimator by {worst:.2g} of depth')


def _record_simulator(options, bag: Path) -> None:
    from dfd_depth_ros.ros.graph import Graph
    from dfd_depth_ros.ros.recorder import TOPICS

    lens_file = options.lens or SIMULATED_LENS
    others = {topic: message for topic, message in TOPICS.items() if topic != IMAGE}
    with Graph(BagWriter(bag), options.out, others) as graph:
        graph.start('camera_simulator', demo_training.camera(options, lens_file, listeners=2), shown=True)
        node = {'weights': options.weights, 'lens.source': 'joint_state', 'lens.file': lens_file}
        graph.start('depth_node', node)
        graph.wait_for('/diagnostics')  # no depth is lost from now on, so the camera may begin: it waits for a listener
        graph.recorder.listen(IMAGE, TOPICS[IMAGE])
        graph.wait_for(DEPTH)
        tenths = round(options.seconds * 10)
        for _ in tqdm(range(tenths), desc='recording', bar_format=RECORDING, mininterval=0.5):
            graph.rest(0.1)
        graph.stop('camera_simulator')
        graph.settle(DEPTH)
        graph.stop('depth_node')


def _record_bag(options, bag: Path) -> None:
    from dfd_depth_ros.ros.graph import Graph
    from dfd_depth_ros.ros.player import Player

    played = read_bag(options.bag, read_lens(options.lens) if options.lens else None)
    if 'lens' not in played.topics and not options.lens:
        raise DemoError(f'{options.bag} has no lens topic; name the lens with --lens FILE')
    transport = 'compressed' if played.topics['image'].endswith('/compressed') else 'raw'
    parameters = {
        'weights': options.weights,
        'image_transport': transport,
        'lens.source': SOURCES.get(played.kinds.get('lens'), 'parameters'),
        **({'lens.file': options.lens} if options.lens else {}),
    }
    with Graph(BagWriter(bag), options.out) as graph:
        graph.start('depth_node', parameters)
        graph.wait_for('/diagnostics')
        player = Player(options.bag, played, transport)
        with contextlib.closing(player), tqdm(desc='playing', unit='message') as progress:
            player.wait_for_listeners(2)
            for seconds in player.play():
                progress.update()
                if seconds > options.seconds:
                    break
        graph.settle(DEPTH)
        graph.stop('depth_node')


def _progress(frames, total):
    return tqdm(frames, total=total, desc='scoring the bag', unit='frame', mininterval=0.5)


def _check_published(bag: Path, frames: BagFrames, lens, estimator, picture: Path) -> float:
    """Estimate the served frames once more, in their order, because the filter remembers, and return the largest
    relative difference to the depth that was published for a few of them (inf where only one of both is finite). The
    middle one of these becomes the picture."""
    stamps = np.intersect1d(frames.times['image'].stamp_ns, frames.times['depth'].stamp_ns) / 1e9
    chosen = stamps[np.linspace(0, len(stamps) - 1, CHECKED).astype(int)]
    as_truth = read_bag(bag, lens, {'truth': frames.topics['depth']})
    published = {frame.stamp: frame.depth for frame in as_truth if frame.stamp in chosen}
    estimator.reset()
    worst = 0.0
    for frame in frames:
        if frame.stamp not in stamps:
            continue
        estimate = estimator.estimate(frame.image, frame.lens, frame.stamp)
        if frame.stamp in chosen:
            worst = max(worst, _difference(published[frame.stamp], estimate.depth))
            if frame.stamp == chosen[CHECKED // 2]:
                write_strip(picture, frame, estimate)
    return worst


def _difference(published: np.ndarray, expected: np.ndarray) -> float:
    known = np.isfinite(expected) & (expected > 0)
    if not np.array_equal(known, np.isfinite(published)):
        return float('inf')
    published, expected = published[known], expected[known]
    return float((abs(published - expected) / expected).max(initial=0))


if __name__ == '__main__':
    raise SystemExit(main())
