"""Lens files: read into a lens, and each way in which one can be wrong."""

import pytest

from dfd_depth_ros.optics.lens import Lens, LensError
from dfd_depth_ros.scenes.lens_files import read_lens, read_lens_values

WHOLE = 'description: a lens\nfocal_length_m: 0.05\nf_number: 1.4\npixel_pitch_m: 5.0e-5\nfocus_distance_m: 2.0\n'


def test_a_whole_lens(tmp_path):
    file = tmp_path / 'lens.yaml'
    file.write_text(WHOLE)
    assert read_lens(file) == Lens(0.05, 1.4, 5e-5, 0.5)


def test_a_part_of_a_lens(tmp_path):
    file = tmp_path / 'lens.yaml'
    file.write_text('f_number: 2\n')
    assert read_lens_values(file) == {'f_number': 2}


@pytest.mark.parametrize(
    'content, message',
    [
        (None, 'cannot be read: No such file or directory'),
        (b'f_number: [', 'is no YAML'),
        (b'\xff\xfe\x00', 'is no YAML'),
        (b'just words', 'holds no mapping of names to values'),
        (b'', 'holds no mapping of names to values'),
    ],
)
def test_a_bad_file_is_named(tmp_path, content, message):
    file = tmp_path / 'lens.yaml'
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(LensError) as error:
        read_lens(file)
    assert str(error.value) == f'lens file {file} {message}'
