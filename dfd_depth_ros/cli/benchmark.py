"""`benchmark`: one suite of measurements on this machine, as JSON."""

import argparse
import json
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from dfd_depth_ros.benchmarks import (
    accuracy,
    adapt,
    blur,
    camera,
    coded,
    data,
    limit,
    network,
    node,
    peer_runs,
    render,
    video,
    video_systems,
)
from dfd_depth_ros.benchmarks.machine import machine
from dfd_depth_ros.cli.train import read_config
from dfd_depth_ros.estimation.estimator import load_estimator
from dfd_depth_ros.evaluation.runs import strict
from dfd_depth_ros.scenes.lens_files import read_lens
from dfd_depth_ros.training.offline import TrainConfig

LENS = 'config/lenses/simulated_50mm_f1.4.yaml'
SUITES = {
    'network': 'the estimator alone: time of a frame, frames in a second',
    'limit': 'error of the blur that DefocusNet reads, over the Cramer-Rao bound',
    'blur': 'what the networks read of a known blur: the table that calibrate_lens and plan_lens use',
    'camera': 'what noise, JPEG and other faults of a camera cost, on made-up scenes',
    'data': 'made-up scenes in a second, and their share of a training step',
    'render': 'the renderers: PSNR against a ray-traced lens, time of a forward and backward pass (no weights matter)',
    'adapt': 'online learning: a wrong lens, a right lens, and with --pairs real photographs, scored on unseen frames',
    'video': 'every temporal filter, beside the floors: accuracy and steadiness over video, of --data FOLDER ... too',
    'video-systems': 'five systems of depth over video with and without defocus, from --runs, on --data FOLDER ... too',
    'accuracy': 'ours beside other methods and without single parts: trained into --runs, scored on --data FOLDER too',
    'coded': 'how often the side of focus is told with an open disc, a coded aperture and learned ones',
    'node': 'depth_node as a process over DDS: highest sustained rate, latency from stamp to depth',
}


def main(argv=None) -> int:
    """Run a suite, print its numbers and write them where asked; returns 0 when it was measured."""
    parser = argparse.ArgumentParser(
        prog='benchmark',
        description=__doc__.split(': ', 1)[1],
        epilog='suites: ' + '; '.join(f'{name}: {what}' for name, what in SUITES.items()),
    )
    parser.add_argument('suite', choices=SUITES)
    parser.add_argument('--weights', default='models/dfd_small.safetensors', help='weights file (default: %(default)s)')
    parser.add_argument('--size', type=int, nargs=2, default=(640, 480), metavar=('WIDTH', 'HEIGHT'), help='of images')
    parser.add_argument('--device', default='auto', help='auto, cpu or cuda (default: %(default)s)')
    parser.add_argument('--graphs', action='store_true', help='CUDA graphs, of suites network and node')
    parser.add_argument('--frames', type=int, default=30, help='of suite network (default: %(default)s)')
    parser.add_argument('--at-once', type=int, default=0, help='frames at once, of suite network; 0: as depth_node')
    parser.add_argument('--seconds', type=float, default=5.0, help='of suite node, at each rate (default: %(default)s)')
    parser.add_argument('--repetitions', type=int, default=5, help='of suite node, at each rate (default: %(default)s)')
    parser.add_argument('--quick', action='store_true', help='of suite node: no repetitions, two seconds at each rate')
    parser.add_argument('--steps', type=int, default=300, help='of suites adapt and coded (default: %(default)s)')
    parser.add_argument('--pairs', nargs=2, metavar=('FAST', 'SLOW'), help='of suite adapt: two frames folders')
    parser.add_argument('--data', nargs='+', default=(), metavar='FOLDER', help='of suites accuracy, video*: folders')
    parser.add_argument('--systems', nargs='+', default=(), choices=video.SYSTEMS, help='of suite video: some of them')
    parser.add_argument('--runs', type=Path, help='trainings, of suites video-systems (runs) and accuracy (runs/peers)')
    parser.add_argument('--every', type=int, default=1, help='of suite accuracy: of --data each so many-th frame')
    parser.add_argument('--only', nargs='+', choices=peer_runs.RUNS, default=tuple(peer_runs.RUNS), help='of its rows')
    parser.add_argument('--table', type=Path, metavar='PAGE', help='Markdown file for tables (accuracy, video-systems)')
    parser.add_argument('--config', type=Path, metavar='FILE', help='of suite data: that of a training (config/train)')
    parser.add_argument('--figure', type=Path, help='of suites adapt, coded, data and video: PNG file to look at')
    parser.add_argument('--saved', type=Path, metavar='FILE', help='of suite accuracy: JSON to draw; measures nothing')
    parser.add_argument('--json', type=Path, help='file for the numbers')
    options = parser.parse_args(argv)
    if options.suite == 'node' and find_spec('rclpy') is None:
        print(
            'benchmark: ROS 2 is missing: source a ROS installation, or install the extra ros-wheels', file=sys.stderr
        )
        return 1
    try:
        if options.saved and options.suite == 'accuracy':
            saved = json.loads(options.saved.read_text())
            if saved.get('suite') != 'accuracy':
                raise ValueError(f'{options.saved} does not hold numbers of suite accuracy')
            _show_accuracy(saved, options)
            return 0
        estimator = load_estimator(options.weights, options.device, graphs=options.graphs)
        numbers = {
            'network': lambda: network.run(
                estimator, read_lens(LENS), tuple(options.size), options.frames, options.at_once
            ),
            'limit': lambda: limit.run(estimator),
            'blur': lambda: blur.run(estimator),
            'camera': lambda: camera.run(estimator),
            'data': lambda: data.run(_training(options.config), estimator.device, figure=options.figure),
            'render': lambda: render.run(estimator.device),
            'adapt': lambda: adapt.run(
                options.weights,
                read_lens(LENS),
                tuple(options.size),
                options.steps,
                options.pairs or (),
                options.figure,
            ),
            'node': lambda: node.run(
                options.weights,
                tuple(options.size),
                options.seconds,
                options.repetitions,
                estimator.device,
                options.graphs,
                options.quick,
            ),
            'video': lambda: video.run(
                options.weights, options.device, read_lens(LENS), options.data, options.systems, options.figure
            ),
            'video-systems': lambda: video_systems.run(
                options.weights, options.device, options.runs or Path('runs'), options.data
            ),
            'accuracy': lambda: accuracy.run(
                estimator, options.runs or Path('runs/peers'), options.data, options.every, tuple(options.only)
            ),
            'coded': lambda: coded.run(options.steps, figure=options.figure),
        }[options.suite]()
        if options.table and options.suite == 'video-systems':
            video_systems.write_table(options.table, numbers)
        if options.suite == 'accuracy':
            _show_accuracy(numbers, options)
    except (ValueError, RuntimeError, OSError) as error:
        print(f'benchmark: {error}', file=sys.stderr)
        return 1
    about = {'suite': options.suite, 'weights_digest': estimator.digest, 'model': estimator.model_name}
    text = json.dumps(strict({**about, **numbers, 'machine': machine()}), indent=2)
    print(text)
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(text + '\n')
    return 0


def _training(path: Path | None) -> TrainConfig:
    """The training whose data is measured, from random weights: what they are does not matter."""
    config = read_config(path) if path else TrainConfig(size=256, fresh=3)
    if not isinstance(config, TrainConfig):
        raise ValueError(f'{path} is no training on pairs of pictures')
    return replace(config, start='')


def _show_accuracy(numbers, options):
    if options.table:
        options.table.write_text(accuracy.markdown(numbers))
    if options.figure:
        accuracy.draw(numbers, options.figure)


if __name__ == '__main__':
    raise SystemExit(main())
