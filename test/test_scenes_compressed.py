"""Headers of JPEG and PNG: the size before decoding, and pictures that are cut off or lie."""

import struct
import zlib

import cv2
import numpy as np
import pytest

from dfd_depth_ros.scenes.compressed import size_of
from dfd_depth_ros.scenes.encodings import EncodingError, decode_compressed

PICTURE = np.random.default_rng(0).integers(0, 256, (24, 40, 3), np.uint8)
JPEG, PNG = (cv2.imencode(ending, PICTURE)[1].tobytes() for ending in ('.jpg', '.png'))
PROGRESSIVE = cv2.imencode('.jpg', PICTURE, [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[1].tobytes()


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack('>I', len(data)) + name + data + struct.pack('>I', zlib.crc32(name + data))


def png_bomb(side: int) -> bytes:
    """A black PNG of side x side pixels in a few hundred kilobytes: a thousandth of what it becomes."""
    rows = zlib.compress(bytes(side * (side // 8 + 1)), 9)
    header = struct.pack('>IIBBBBB', side, side, 1, 0, 0, 0, 0)
    return PNG[:8] + chunk(b'IHDR', header) + chunk(b'IDAT', rows) + chunk(b'IEND', b'')


@pytest.mark.parametrize(
    'data', [JPEG, PNG, PROGRESSIVE, JPEG + bytes(100)], ids=['jpeg', 'png', 'progressive', 'padded']
)
def test_the_size_is_that_of_the_decoded_picture(data):
    assert size_of(data) == (24, 40) == decode_compressed(data, 'any').shape[:2]


@pytest.mark.parametrize('data', [JPEG, PNG, PROGRESSIVE], ids=['jpeg', 'png', 'progressive'])
def test_a_picture_that_is_cut_off_is_refused_wherever_it_is_cut(data):
    for length in range(len(data) - 1):
        assert size_of(data[:length]) is None
    with pytest.raises(EncodingError, match='cannot be decoded'):
        decode_compressed(data[:-12], 'any')


def test_a_thumbnail_within_does_not_count():
    thumbnail = b'\xff\xe1' + struct.pack('>H', len(JPEG) + 2) + JPEG
    assert size_of(PROGRESSIVE[:2] + thumbnail + PROGRESSIVE[2:]) == (24, 40)
    large = cv2.imencode('.jpg', np.zeros((64, 64, 3), np.uint8))[1].tobytes()
    assert size_of(large[:2] + thumbnail + large[2:]) == (64, 64)
    assert size_of(large[:2] + thumbnail + large[2:-2]) is None


def test_a_fill_byte_before_a_marker_is_passed_over():
    assert size_of(JPEG[:2] + b'\xff' + JPEG[2:]) == (24, 40)


def test_a_bomb_is_refused_before_it_is_decoded(monkeypatch):
    bomb = png_bomb(20_000)
    assert len(bomb) < 100_000
    monkeypatch.setattr(cv2, 'imdecode', None)
    with pytest.raises(EncodingError) as error:
        decode_compressed(bomb, 'png')
    assert str(error.value) == 'image is 20000x20000 = 400000000 pixels; the limit is 16000000'


def test_a_jpeg_that_says_it_is_huge_is_refused_before_it_is_decoded(monkeypatch):
    place = JPEG.index(b'\xff\xc0') + 5
    monkeypatch.setattr(cv2, 'imdecode', None)
    with pytest.raises(EncodingError, match='image is 65535x65535 = 4294836225 pixels; the limit is 16000000'):
        decode_compressed(JPEG[:place] + b'\xff' * 4 + JPEG[place + 4 :], 'jpeg')


@pytest.mark.parametrize('ending', ['.bmp', '.tiff', '.webp'])
def test_other_formats_are_not_read(ending):
    data = cv2.imencode(ending, PICTURE)[1].tobytes()
    assert size_of(data) is None
    with pytest.raises(EncodingError, match=f'with {len(data)} bytes cannot be decoded'):
        decode_compressed(data, ending)


def test_random_bytes_neither_crash_nor_hang():
    rng = np.random.default_rng(1)
    for start in (b'', JPEG[:2], JPEG[:30], PNG[:8], PNG[:20]):
        for length in range(0, 200, 7):
            assert size_of(start + rng.bytes(length)) is None
