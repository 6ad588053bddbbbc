"""Each sentence of the troubleshooting page stands in the source, and none that a node says is missing."""

import ast
import functools
import re
from pathlib import Path

import pytest
from test_layers import modules

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / 'docs' / 'troubleshooting.md'
# What a node can come to say is said in these modules; the others belong to commands, and to calls from Python.
SPOKEN = ('ros/', 'estimation/', 'networks/weights.py', 'optics/lens.py', 'scenes/encodings.py', 'scenes/lens_files.py')
SPOKEN += (
    'paths.py',
    'optics/breathing.py',
    'optics/distortion.py',
    'scenes/calibration.py',
    'scenes/lens_metadata.py',
)
SILENT = ('ros/graph.py', 'ros/player.py', 'ros/recorder.py', 'ros/camera_simulator.py')
SILENT += tuple(f'estimation/{name}.py' for name in ('flat_target', 'lens_readings', 'lens_sweep'))  # of calibrate_lens
SILENT += ('estimation/two_pictures.py', 'estimation/video.py')  # of studies
TELLING = {'error', 'condition', 'warning', 'failure'}
PLACEHOLDER = re.compile('…+')


def written(node) -> str | None:
    """A text of the source with … for each value that is put in; None where the node is no text."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        parts = [part.value if isinstance(part, ast.Constant) else '…' for part in node.values]
        return PLACEHOLDER.sub('…', ''.join(parts))
    return None


def texts(source: str) -> set[str]:
    """Every text in a module."""
    return {text for node in ast.walk(ast.parse(source)) if (text := written(node))}


def told(source: str) -> set[str]:
    """The sentences that a module raises or reports where they are written."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        given = []
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            given = node.exc.args
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in TELLING:
            given = node.args
        found |= {text for text in map(written, given) if text and ' ' in text}
    return found


def listed() -> list[str]:
    """The first column of the tables of the page."""
    return re.findall(r'^\| `([^`]+)` \|', PAGE.read_text(), flags=re.MULTILINE)


@functools.cache
def everything() -> set[str]:
    sources = [source for _, source in modules()] + [path.read_text() for path in (ROOT / 'launch').glob('*.py')]
    return set().union(*map(texts, sources))


@pytest.mark.parametrize('sentence', listed())
def test_the_sentence_is_in_the_source(sentence):
    pattern = re.compile('.*'.join(map(re.escape, PLACEHOLDER.split(sentence))))
    assert any(pattern.fullmatch(text) for text in everything())


def test_no_sentence_of_a_node_is_missing():
    known = set(listed())
    spoken = [source for path, source in modules() if path.startswith(SPOKEN) and path not in SILENT]
    assert sorted(set().union(*map(told, spoken)) - known - {'…; …'}) == []


def test_no_sentence_is_listed_twice():
    assert len(listed()) == len(set(listed())) > 80


@pytest.mark.parametrize(
    ('source', 'sentences'),
    [
        ("raise ValueError(f'lens {name} is {value!r}; no')", {'lens … is …; no'}),
        ("raise ValueError(f'{a}{b} is wrong ' 'and ends')", {'… is wrong and ends'}),
        ("monitor.condition('lens', 'not as it was')", {'not as it was'}),
        ('self._monitor.error(cause, sentence)', set()),
        ('raise ValueError(sentence) from None', set()),
    ],
)
def test_sentences_are_found(source, sentences):
    assert told(source) == sentences


def is_said(example: str) -> bool:
    """Whether an example is a sentence of the page with values put in, and perhaps with its cost behind it."""
    patterns = ('.+'.join(map(re.escape, PLACEHOLDER.split(sentence))) for sentence in listed())
    return any(re.fullmatch(f'{pattern}(; depth/points is withheld)?', example) for pattern in patterns)


def test_the_examples_on_the_page_of_lenses_are_sentences_of_this_page():
    examples = re.findall(r'^\| `([^`]+ [^`]+)` \|', (ROOT / 'docs' / 'lenses.md').read_text(), flags=re.MULTILINE)
    assert len(examples) > 10 and [example for example in examples if not is_said(example)] == []
    assert not is_said('the lens is in a good mood')
