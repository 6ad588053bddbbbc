"""JPEG and PNG before they are decoded: their size, and whether they are whole. Bytes from the network may lie.

Sources: ITU-T T.81 annex B (markers of JPEG), ISO/IEC 15948 section 5 (chunks of PNG).
"""

_JPEG, _PNG = b'\xff\xd8\xff', b'\x89PNG\r\n\x1a\n'
_END_OF_JPEG, _END_OF_PNG = b'\xff\xd9', b'IEND\xaeB`\x82'
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # markers of a frame; the three others are tables and extensions
_SCAN = 0xDA


def size_of(data: bytes) -> tuple[int, int] | None:
    """(height, width) that the header of a whole JPEG or PNG tells; None where the bytes are neither, or cut off."""
    if data.startswith(_PNG):
        return _png_size(data)
    return _jpeg_size(data) if data.startswith(_JPEG) else None


def _png_size(data: bytes) -> tuple[int, int] | None:
    if data[12:16] != b'IHDR' or data.find(_END_OF_PNG) < 0:
        return None
    return int.from_bytes(data[20:24], 'big'), int.from_bytes(data[16:20], 'big')


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Segments are 0xFF, a marker, and two bytes of length that count themselves; the picture follows the first scan,
    and within it 0xFF 0xD9 can only be the end."""
    place, size = 2, None
    while place + 4 <= len(data) and data[place] == 0xFF:
        marker, length = data[place + 1], int.from_bytes(data[place + 2 : place + 4], 'big')
        if marker == 0xFF:  # a fill byte
            place += 1
            continue
        if marker == _SCAN:
            return size if data.find(_END_OF_JPEG, place) > 0 else None
        if marker in _FRAMES and size is None:
            head = data[place + 5 : place + 9]
            size = int.from_bytes(head[:2], 'big'), int.from_bytes(head[2:], 'big')
        place += 2 + max(length, 2)
    return None
