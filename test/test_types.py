"""The types of the whole package, by mypy with the settings of pyproject.toml."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip('mypy', reason='mypy is not installed; it comes with the extra "test"')

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted((ROOT / 'dfd_depth_ros').rglob('*.py'))
MOST_IGNORED = 10  # places where a stub knows less than the library does
WRONG = """
import cv2


def area(side: int) -> str:
    return side * side


def perimeter(side):
    return (4).nothing * side


diagonal: int = ''  # type: ignore
contours = cv2.what_no_stub_knows()
"""


def mypy(tmp_path, *targets):
    command = [
        sys.executable,
        '-m',
        'mypy',
        '--config-file',
        ROOT / 'pyproject.toml',
        '--cache-dir',
        tmp_path / 'cache',
    ]
    return subprocess.run([*command, *targets], cwd=ROOT, capture_output=True, text=True)


def test_the_package_is_typed(tmp_path):
    run = mypy(tmp_path)
    assert run.returncode == 0, f'{run.stdout}{run.stderr}'
    assert f'no issues found in {len(SOURCES)} source files' in run.stdout


def test_the_settings_let_nothing_wrong_pass(tmp_path):
    """Nor in a function without annotations, nor behind an ignore that does not say what it ignores."""
    path = tmp_path / 'wrong.py'
    path.write_text(WRONG)
    run = mypy(tmp_path, path)
    errors = [line for line in run.stdout.splitlines() if ': error: ' in line]
    codes = [line.rpartition('[')[2].rstrip(']') for line in errors]
    assert codes == ['return-value', 'attr-defined', 'ignore-without-code'], f'{run.stdout}{run.stderr}'


def test_few_errors_are_ignored():
    ignored = [
        line for path in SOURCES for line in path.read_text(encoding='utf-8').splitlines() if 'type: ignore' in line
    ]
    assert len(ignored) <= MOST_IGNORED, '\n'.join(ignored)
