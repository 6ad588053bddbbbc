"""Documents that name a test name one that is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = [*sorted((ROOT / 'docs').glob('*.md')), ROOT / 'SECURITY.md']
FILES = {path.relative_to(ROOT).as_posix(): path.read_text() for path in (ROOT / 'test').glob('*.py')}
FUNCTIONS = {name for text in FILES.values() for name in re.findall(r'^def (test_\w+)', text, flags=re.MULTILINE)}


@pytest.mark.parametrize('page', PAGES, ids=lambda path: path.name)
def test_named_tests_are_there(page):
    text = page.read_text()
    assert set(re.findall(r'`(test/\w+\.py)`', text)) <= set(FILES)
    assert set(re.findall(r'`(test_\w+)`', text)) <= FUNCTIONS


def test_some_are_named():
    field = (ROOT / 'docs' / 'field.md').read_text()
    assert len(re.findall(r'`test_\w+`', field)) > 10 and len(FUNCTIONS) > 300
