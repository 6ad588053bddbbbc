"""Write the page of topics and parameters: `python -m dfd_depth_ros.cli.reference docs/reference.md`."""

import argparse
from pathlib import Path

from dfd_depth_ros.ros.reference import page


def main(argv=None) -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(description='Write the page of topics, services and parameters.')
    parser.add_argument('path', type=Path, help='Markdown file to write')
    path = parser.parse_args(argv).path
    path.write_text(page())
    return 0


if __name__ == '__main__':
    raise SystemExit(main())
