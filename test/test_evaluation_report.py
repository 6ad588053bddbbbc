"""The report: complete, self-contained, and the same for the same input."""

import json
import re
from dataclasses import replace
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
from test_evaluation_scoring import Fake, frame, video

from dfd_depth_ros.evaluation import pictures
from dfd_depth_ros.evaluation.comparison import compare
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
    for heading in ('All numbers', 'Where the errors are', 'Frames', 'How this was made'):
        assert f'<h2>{heading}</h2>' in page
    for title in (
        'Error by depth',
        'Error by blur',
        'Error by texture',
        'Side of focus',
        'Calibration of sigma',
        'Error by frame',
        'Estimation time',
    ):
        assert f'<h3>{title}</h3><svg' in page
    for title in ('Worst frame', 'Median frame', 'Best frame'):
        assert f'<h3>{title} ' in page
    for caption in ('Input', 'CoC', 'Depth', 'Ground truth', 'Error', 'Sigma'):
        assert page.count(f'<figcaption>{caption}</figcaption>') == 4  # three frames and the viewer
    assert '50 mm f/2 focused at 2 m' in page and 'f' * 64 in page and 'color-scheme: light dark' in page


def test_nothing_is_loaded_from_outside(page):
    sources = re.findall(r'(?:src|href)\s*=\s*"([^"]*)"', page)
    assert sources and all(source.startswith(('data:image/png;base64,', '#')) for source in sources)
    assert not re.search(r'@import|<script[^>]*src|<link|url\((?!#)|fetch\(|https?://(?!www\.w3\.org)', page)


def test_plots_lie_beside_the_page_on_a_sheet_of_their_own(evaluation, tmp_path):
    write_report(tmp_path, evaluation, COMMAND)
    text = (tmp_path / 'plots.svg').read_text()
    space = '{http://www.w3.org/2000/svg}'
    sheet = ElementTree.fromstring(text)
    parts = sheet.findall(f'{space}g')
    assert [part.find(f'{space}text').text for part in parts][:3] == [
        'Error by depth',
        'Error by blur',
        'Error by texture',
    ]
    assert len(parts) == 7 and all(len(part.findall(f'{space}svg')) == 1 for part in parts)
    assert len({part.get('transform') for part in parts}) == 7
    colours = set(re.findall(r'var\((--[a-z0-9-]+)\)', text))
    assert colours and all(f'{colour}: #' in text for colour in colours)


def test_text_is_escaped(page):
    assert 'evaluate &#x27;my &lt;frames&gt;&#x27; --report out' in page
    assert '&lt;b&gt;odd &amp; name&lt;/b&gt;' in page and '<b>odd' not in page


def test_plots_take_the_colours_of_the_page(page):
    for variable in ('--ink-2', '--line', '--blue', '--orange'):
        assert f'var({variable})' in page
    assert not re.search('#0[1-4]0[1-4]0[1-4]', page)


def test_the_same_evaluation_makes_the_same_page(evaluation, page):
    assert render(evaluation, COMMAND) == page


def steps(page):
    return json.loads(re.search(r'id="frames-data">(.*?)</script>', page, re.DOTALL).group(1))


def test_one_can_step_through_frames_with_values(evaluation, page):
    frames = steps(page)
    assert len(frames) == evaluation.numbers['frames'] == 7
    assert frames[-1]['title'].startswith('<b>odd & name</b> (AbsRel 1.0')
    assert list(frames[0]['panels']) == ['Input', 'CoC', 'Depth', 'Ground truth', 'Error', 'Sigma']
    assert all(uri.startswith('data:image/webp;base64,') for uri in frames[0]['panels'].values())
    rows = frames[0]['values']['Depth']
    assert (len(rows), len(rows[0])) == (24, 32) and rows[0][0] == 4.4 and frames[0]['values']['Error'][3][5] == 10
    assert 'type="range" min="0" max="6"' in page and 'aria-label="Frame; arrow keys step"' in page


def test_without_javascript_nothing_empty_is_shown(page):
    for tag in re.findall(r'<(?:section|button)[^>]*>', page):
        assert tag.endswith('hidden>')


def test_a_single_frame_has_nothing_to_step_through():
    page = render(evaluate([frame()], Fake()), COMMAND)
    assert 'frames-data"' not in page and 'Only frame' in page


def test_comparison_is_a_section(evaluation):
    numbers = evaluation.numbers | compare(evaluation.numbers['per_frame'], evaluation.numbers['per_frame'])
    numbers['compared'] |= {side: {'input': f'<{side}>', 'weights': 'w', 'filter': 'none'} for side in 'ab'}
    page = render(replace(evaluation, numbers=numbers), COMMAND)
    assert '<h2>Comparison</h2>' in page and '<dd>&lt;a&gt;, w, none</dd>' in page
    assert '<th scope="row">abs_rel</th>' in page and '<td>+0.0000</td>' in page


def test_notes_are_shown(evaluation):
    evaluation.numbers['truncated'] = ['bag.mcap is cut']
    assert '<p class="note">bag.mcap is cut</p>' in render(evaluation, COMMAND)


def test_without_truth_there_are_pictures_and_no_error_plots(tmp_path):
    path = write_report(tmp_path / 'new' / 'out', evaluate([frame(depth=None)], Fake()), COMMAND)
    page = path.read_text()
    assert path.name == 'index.html' and 'Only frame' in page and 'Error by depth' not in page
    assert 'Estimation time</h3><svg' in page
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
