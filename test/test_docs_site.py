"""The documentation builds into a site without a warning, holds every page, and promises no file that is not there."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
QUIET = os.environ | {'NO_MKDOCS_2_WARNING': '1'}  # the theme's advertisement
DOCS = sorted((ROOT / 'docs').glob('*.md'))
TEXTS = [*DOCS, *(ROOT / name for name in ('README.md', 'CONTRIBUTING.md'))]


def pages(tree):
    """Every page that a navigation names."""
    for item in tree:
        for value in item.values():
            yield from pages(value) if isinstance(value, list) else [value]


def nav():
    """The navigation of mkdocs.yml."""
    return yaml.safe_load((ROOT / 'mkdocs.yml').read_text())['nav']


def test_every_page_is_in_the_navigation_once():
    assert sorted(pages(nav())) == sorted(path.name for path in DOCS)


def test_site_builds_without_a_warning(tmp_path):
    pytest.importorskip('mkdocs')
    command = [sys.executable, '-m', 'mkdocs', 'build', '--strict', '--site-dir', str(tmp_path / 'site')]
    done = subprocess.run(command, cwd=ROOT, env=QUIET, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert 'WARNING' not in done.stderr
    assert {path.with_suffix('.html').name for path in DOCS} <= {path.name for path in (tmp_path / 'site').iterdir()}


@pytest.mark.parametrize('path', TEXTS, ids=lambda path: path.name)
def test_links_lead_to_files(path):
    targets = re.findall(r'\]\(([^)#\s]+)', path.read_text())
    here = [target for target in targets if '://' not in target]
    assert [target for target in here if not (path.parent / target).exists()] == []


@pytest.mark.parametrize('path', TEXTS, ids=lambda path: path.name)
def test_launch_files_and_configurations_that_are_named_exist(path):
    text = path.read_text()
    launch = {f'launch/{name}' for name in re.findall(r'dfd_depth_ros (\w+\.launch\.py)', text)}
    named = set(re.findall(r'\b((?:config|launch)/[\w./-]+\.\w+)', text)) | launch
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []
