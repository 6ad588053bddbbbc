"""`export`: the networks as one file for other runtimes, checked against the networks themselves."""

import argparse
import json
import sys
from pathlib import Path

from dfd_depth_ros.networks.export import WRITERS, export
from dfd_depth_ros.networks.weights import load_weights
from dfd_depth_ros.optics.lens import SIDES
from dfd_depth_ros.paths import resolve_path


def main(argv=None) -> int:
    """Returns 0 when the file is written and gives what the networks give, else 1 with one sentence."""
    parser = argparse.ArgumentParser(prog='export', description=__doc__.split(': ', 1)[1])
    parser.add_argument('--weights', default='models/dfd_small.safetensors', help='weights file (default: %(default)s)')
    parser.add_argument('--format', choices=WRITERS, default='onnx', help='of the file (default: %(default)s)')
    parser.add_argument('--size', type=int, nargs=2, default=(480, 640), metavar=('HEIGHT', 'WIDTH'), help='of images')
    parser.add_argument('--side', choices=SIDES, default='both', help='of focus (default: %(default)s)')
    parser.add_argument('--out', type=Path, required=True, metavar='FILE', help='file to write')
    parser.add_argument('--json', type=Path, metavar='FILE', help='write the numbers of the check here')
    options = parser.parse_args(argv)
    try:
        model, _, digest = load_weights(resolve_path(options.weights))
        about = {'architecture': model.architecture, 'weights_digest': digest}
        worst = export(model, options.format, tuple(options.size), options.out, about, options.side)
    except (ValueError, OSError) as error:
        print(f'export: {error}', file=sys.stderr)
        return 1
    numbers = {'file': str(options.out), 'format': options.format, 'size': list(options.size), **about, **worst}
    text = json.dumps(numbers, indent=2)
    print(text)
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(text + '\n')
    return 0


if __name__ == '__main__':
    sys.exit(main())
