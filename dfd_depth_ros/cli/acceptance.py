"""`acceptance`: a textured board at a known distance, 100 depth images over ROS 2, and a verdict."""

import argparse
import json
import sys
import time
from importlib.util import find_spec
from pathlib import Path

from tqdm import tqdm

from dfd_depth_ros.benchmarks.machine import machine
from dfd_depth_ros.evaluation.acceptance import judge
from dfd_depth_ros.evaluation.runs import strict
from dfd_depth_ros.scenes.simulated import BOARD_M

LENS = 'config/lenses/acceptance_35mm_f1.4.yaml'
DEPTH = 'depth/image_rect'
SILENCE_S = 60.0  # without a depth image, after which the test ends


def main(argv=None) -> int:
    """Exit code 0 when the board was measured within the tolerance, 1 when it was not, 2 when nothing was measured."""
    argv = list(sys.argv[1:] if argv is None else argv)
    options = _parser().parse_args(argv[: argv.index('--ros-args')] if '--ros-args' in argv else argv)
    if find_spec('rclpy') is None:
        print('acceptance: ROS 2 is missing: source a ROS installation, or use `make acceptance`', file=sys.stderr)
        return 2
    try:
        depths = (_from_camera if options.camera else _from_simulator)(options)
        numbers = judge(depths, options.distance, options.tolerance, options.window)
    except (ValueError, RuntimeError, OSError) as error:
        print(f'acceptance: {error}', file=sys.stderr)
        return 2
    if options.json:
        Path(options.json).write_text(json.dumps(strict({**numbers, 'machine': machine()}), indent=2) + '\n')
    print(text(numbers))
    return 0 if numbers['passed'] else 1


def text(numbers: dict) -> str:
    """The verdict as it is printed."""
    return (
        f'{"PASS" if numbers["passed"] else "FAIL"}: board at {numbers["distance_m"]:.3f} m, mean '
        f'{numbers["mean_m"]:.3f} m over {numbers["frames"]} frames, error {numbers["error_m"] * 100:+.1f} cm '
        f'(tolerance {numbers["tolerance_m"] * 100:g} cm), spread {numbers["spread_m"] * 100:.1f} cm over frames and '
        f'{numbers["pixel_spread_m"] * 100:.1f} cm over pixels, depth in {numbers["coverage"]:.0%} of the window'
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog='acceptance', description=__doc__.split(': ', 1)[1])
    add = parser.add_argument
    add('--camera', action='store_true', help='judge a running depth_node instead of the simulator')
    add('--topic', default=DEPTH, help='depth topic of the running node (default: %(default)s)')
    add('--distance', type=float, default=BOARD_M, help='of the board in metres (default: %(default)s)')
    add('--tolerance', type=float, default=0.02, help='of the mean in metres (default: %(default)s)')
    add('--window', type=float, default=0.5, help='share of the picture in the middle (default: %(default)s)')
    add('--frames', type=int, default=100, help='depth images to judge (default: %(default)s)')
    add('--lens', default=LENS, help='lens of the simulated camera (default: %(default)s)')
    add('--weights', default='models/dfd_small.safetensors', help='weights file (default: %(default)s)')
    add('--size', type=int, nargs=2, default=(640, 480), metavar=('WIDTH', 'HEIGHT'), help='of the simulated images')
    add('--rate', type=float, default=5.0, help='simulated frames in a second (default: %(default)s)')
    add('--out', type=Path, default=Path('out/acceptance'), help='folder for logs (default: %(default)s)')
    add('--json', type=Path, help='file for the numbers')
    return parser


def _from_simulator(options) -> list:
    from dfd_depth_ros.ros.depth_collector import DepthCollector, depth_topic
    from dfd_depth_ros.ros.graph import Graph

    options.out.mkdir(parents=True, exist_ok=True)
    collector = DepthCollector(options.frames)
    camera = {'scene': 'board', 'lens_file': options.lens, 'rate_hz': options.rate}
    camera |= {'width': options.size[0], 'height': options.size[1], 'board_m': options.distance}
    with Graph(collector, options.out, depth_topic(DEPTH)) as graph:
        graph.start('camera_simulator', camera)
        graph.start('depth_node', {'weights': options.weights, 'lens.file': options.lens})
        graph.wait_for(DEPTH)
        wait = _waiting(collector, options, graph.rest)
        while not collector.full and wait():
            pass
    return collector.depths


def _from_camera(options) -> list:
    from dfd_depth_ros.ros.depth_collector import DepthCollector, collect

    collector = DepthCollector(options.frames)
    collect(options.topic, collector, _waiting(collector, options, time.sleep))
    if not collector.depths:
        raise RuntimeError(f'no {options.topic} came within {SILENCE_S:.0f} s; is the depth node running and active?')
    return collector.depths


def _waiting(collector, options, rest):
    """A function that rests a moment and tells whether it is worth while to wait on."""
    progress = tqdm(total=options.frames, desc='acceptance', unit='frame', disable=None)
    since = [time.monotonic()]

    def wait() -> bool:
        rest(0.1)
        new = len(collector.depths) - progress.n
        if new:
            since[0] = time.monotonic()
            progress.update(new)
        return time.monotonic() - since[0] < SILENCE_S

    return wait


if __name__ == '__main__':
    raise SystemExit(main())
