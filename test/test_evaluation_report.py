"""The report: complete, self-contained, and the same for the same input."""

import re

import cv2
import numpy as np
import pytest
from test_evaluation_scoring import Fake, frame, video

from dfd_depth_ros.evaluation import pictures
from dfd_depth_ros.evaluation.gallery import Picture
from dfd_depth_ros.evaluation.report import render, write_report
from dfd_depth_ros.evaluation.scoring import evaluate

COMMAND = "evaluate 'my <frames>' --report out"


@pytest.fixture(scope='module')
def evaluation():
    return evaluate(
        [*video(3), *(frame(n, metres=n / 4) for n in (12, 13, 14)), frame(7, metres=2.2, name='<b>odd & name</b>')],
        Fake(),
    )


@pytest.fixture(scope='module')
def page(evaluation):
    return render(evaluation, COMMAND)


def test_every_section_is_there(page):
    for heading in ('Errors', 'Where the errors are', 'Frames', 'How this was made'):
        assert f'<h2>{heading}</h2>' in page
    for title in ('Error by depth', 'Error by blur', 'Side of focus', 'Calibration of sigma', 'Error by frame'):
        assert f'<h3>{title}</h3><svg' in page
    for title in ('Worst frame', 'Median frame', 'Best frame'):
        assert f'<h3>{title} ' in page
    for caption in ('Input', 'CoC', 'Depth', 'Ground truth', 'Error', 'Sigma'):
        assert page.count(f'<figcaption>{caption}</figcaption>') == 3
    assert '50 mm f/2 focused at 2 m' in page and 'f' * 64 in page and 'prefers-color-scheme: dark' in page


def test_nothing_is_loaded_from_outside(page):
    sources = re.findall(r'(?:src|href)\s*=\s*"([^"]*)"', page)
    assert sources and all(source.startswith(('data:image/png;base64,', '#')) for source in sources)
    assert not re.search(r'@import|<script|<link|url\((?!#)', page)


def test_text_is_escaped(page):
    assert 'evaluate &#x27;my &lt;frames&gt;&#x27; --report out' in page
    assert '&lt;b&gt;odd &amp; name&lt;/b&gt;' in page and '<b>odd' not in page


def test_plots_take_the_colours_of_the_page(page):
    for variable in ('--ink-2', '--line', '--blue', '--orange'):
        assert f'var({variable})' in page
    assert not re.search('#0[1-4]0[1-4]0[1-4]', page)


def test_the_same_evaluation_makes_the_same_page(evaluation, page):
    assert render(evaluation, COMMAND) == page


def test_notes_are_shown(evaluation):
    evaluation.numbers['truncated'] = ['bag.mcap is cut']
    assert '<p class="note">bag.mcap is cut</p>' in render(evaluation, COMMAND)


def test_without_truth_there_are_pictures_and_no_error_plots(tmp_path):
    path = write_report(tmp_path / 'new' / 'out', evaluate([frame(depth=None)], Fake()), COMMAND)
    page = path.read_text()
    assert path.name == 'index.html' and 'Only frame' in page and 'Error by depth' not in page
    assert '<figcaption>Ground truth</figcaption>' not in page and 'nan' not in page.lower()


def decoded(uri):
    import base64

    data = np.frombuffer(base64.b64decode(uri.partition(',')[2]), np.uint8)
    return cv2.cvtColor(cv2.imdecode(data, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


def test_scales_are_shared_and_unknown_is_grey():
    low, high = (np.full((8, 8), metres, np.float32) for metres in (1.0, 4.0))
    low[0, 0] = np.inf
    image = np.zeros((8, 8, 3), np.uint8)
    both = [Picture('a', 0.1, image, low - 3, low, low, low), Picture('b', 0.2, image, high, high, high, high)]
    scales = pictures.scales(both)
    panels = [dict(pictures.panels(picture, scales)) for picture in both]
    np.testing.assert_array_equal(decoded(panels[0]['Depth'])[0, 0], pictures.UNKNOWN)
    assert panels[0]['Depth'] == panels[0]['Ground truth']
    assert (decoded(panels[0]['Depth'])[4, 4] != decoded(panels[1]['Depth'])[4, 4]).any()
    assert scales['coc'].ticks() == ('-4', '0', '4') and scales['depth'].ticks()[1] == '2'
    assert scales['coc'].gradient().startswith('linear-gradient(90deg, #')


def test_error_is_relative_signed_and_unknown_where_depth_is():
    depth = np.array([[2.2, 1.8, np.inf]], np.float32)
    picture = Picture('a', 0.1, np.zeros((1, 3, 3), np.uint8), depth, depth, depth, np.full((1, 3), 2.0, np.float32))
    np.testing.assert_allclose(pictures.relative_error(picture), [[0.1, -0.1, np.nan]], rtol=1e-5)
