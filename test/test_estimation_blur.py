"""Readings of blur and the table of what the networks read."""

import json

import numpy as np
import pytest

from dfd_depth_ros.estimation import blur
from dfd_depth_ros.networks.model import DfdModel
from dfd_depth_ros.networks.precision import stored

ROWS = [
    {'coc_px': 0.5, 'read_px': 1.2, 'spread_px': 0.5, 'error_px': 0.6, 'cells': 9},
    {'coc_px': 2.0, 'read_px': 1.9, 'spread_px': 0.5, 'error_px': 1.0, 'cells': 9},
    {'coc_px': 8.0, 'read_px': 7.0, 'spread_px': 1.5, 'error_px': 2.0, 'cells': 9},
    {'coc_px': 16.0, 'read_px': 6.0, 'spread_px': 3.0, 'error_px': 4.0, 'cells': 9},
]


def write(folder, value):
    (folder / 'net.blur.json').write_text(value if isinstance(value, str) else json.dumps(value))
    return folder / 'net.safetensors'


def test_table_between_and_beyond_its_rows(tmp_path):
    table = blur.read_table(write(tmp_path, {'by_coc': ROWS}))
    assert table.read(5.0) == pytest.approx((1.9 + 7.0) / 2)
    assert table.read(16.0) == table.read(40.0) == 7.0  # what falls again is no reading
    assert table.read(0.0) == 1.2
    assert table.spread(5.0) == pytest.approx(1.0)
    assert table.error(2.0) == 1.0 and table.error(32.0) == pytest.approx(8.0)


def test_the_shipped_weights_have_a_table():
    table = blur.read_table('models/dfd_small.safetensors')
    assert table.coc_px[0] < 0.5 and table.coc_px[-1] > 15
    assert 3 < table.read(4.0) < 5 and 0 < table.error(4.0) < 2


def test_missing_table(tmp_path):
    with pytest.raises(blur.BlurTableError) as error:
        blur.read_table(tmp_path / 'net.safetensors')
    path = tmp_path / 'net.blur.json'
    weights = tmp_path / 'net.safetensors'
    how = f'benchmark blur --weights {weights} --json {path}'
    assert str(error.value) == f'{path} does not exist; make it with: {how}'


@pytest.mark.parametrize(
    'content',
    ['not json', '[]', {'by_coc': ROWS[:1]}, {'by_coc': ROWS[::-1]}, {'by_coc': [{'coc_px': 1}] * 3}, {'by_coc': None}],
)
def test_damaged_table(tmp_path, content):
    with pytest.raises(blur.BlurTableError) as error:
        blur.read_table(write(tmp_path, content))
    sentence = f'{tmp_path}/net.blur.json is no table of blur readings; make it anew with benchmark blur'
    assert str(error.value) == sentence


def test_texture_and_saturation():
    rng = np.random.default_rng(0)
    image = np.full((96, 128, 3), 120, np.uint8)
    image[:, 64:] = rng.integers(60, 200, (96, 64, 3))
    image[:32, :32] = 255
    textured, white = blur.texture(image)
    assert not textured[60:, :48].any() and textured[:, 80:].all()
    assert white[:30, :30].all() and not white[40:, 40:].any()


def test_cells_are_means_and_ranges_of_their_pixels():
    values = np.random.default_rng(1).random((32, 40)).astype(np.float32)
    means, spans = blur.cell_means(values), blur.cell_range(values)
    assert means.shape == spans.shape == (8, 10)
    for row, column in ((0, 0), (3, 7), (7, 9)):
        assert means[row, column] == pytest.approx(values[4 * row : 4 * row + 4, 4 * column : 4 * column + 4].mean())
    window = values[4 * 3 + 2 - 6 : 4 * 3 + 2 + 6, 4 * 5 + 2 - 6 : 4 * 5 + 2 + 6]
    assert spans[3, 5] == pytest.approx(window.max() - window.min())
    assert blur.by_cell(values > 0.5, 1.0)[2, 2] == (values[8:12, 8:12] > 0.5).all()


def test_a_reading_has_a_value_for_each_cell():
    image = np.random.default_rng(2).integers(0, 200, (70, 100, 3), dtype=np.uint8)
    reading = blur.read_blur(DfdModel().eval(), image)
    assert reading.magnitude.shape == reading.usable.shape == (16, 24)
    assert reading.textured > 0.9 and reading.saturated == 0 and (reading.magnitude >= 0).all()


def test_networks_stored_in_half_precision_read_the_same():
    image = np.random.default_rng(3).integers(0, 200, (64, 96, 3), dtype=np.uint8)
    model = DfdModel().eval()
    exact = blur.read_blur(model, image).magnitude
    np.testing.assert_allclose(blur.read_blur(stored(model), image).magnitude, exact, rtol=0.1, atol=0.1)
