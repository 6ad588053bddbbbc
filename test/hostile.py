"""Messages that no driver means to send: strategies for every input of the nodes."""

import math

import cv2
import numpy as np
import torch
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Point, Pose, PoseStamped, Quaternion
from hypothesis import strategies as st
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, JointState, RegionOfInterest
from std_msgs.msg import Header, UInt8MultiArray

from dfd_depth_ros.networks.model import DfdModel
from dfd_depth_ros.networks.weights import to_bytes
from dfd_depth_ros.scenes.encodings import _COLOUR
from dfd_depth_ros.scenes.lens_metadata import STATE_NAMES

UINT32 = st.one_of(st.integers(0, 40), st.integers(0, 2**32 - 1), st.just(2**32 - 1))
NUMBERS = st.one_of(
    st.sampled_from([math.nan, math.inf, -math.inf, 0.0, -0.0, 1e308, -1e308, 5e-324, 1.0, -1.0]),
    st.floats(allow_subnormal=True),
)
TEXT = st.text(st.characters(exclude_categories=['Cs'], exclude_characters='\0'), max_size=20)
STAMPS = st.builds(Time, sec=st.one_of(st.integers(0, 3), st.integers(-(2**31), 2**31 - 1)), nanosec=UINT32)
HEADERS = st.builds(Header, stamp=STAMPS, frame_id=TEXT)
ENCODINGS = st.one_of(st.sampled_from([*_COLOUR, '32FC1', '16UC1', 'rgb16', 'nv21']), TEXT)
torch.manual_seed(0)
WHOLE = to_bytes(DfdModel(), {})
HEADER_END = 8 + int.from_bytes(WHOLE[:8], 'little')


@st.composite
def images(draw):
    """Any mixture of sizes, steps, encodings and lengths of data; about a third is nearly right."""
    height, width = draw(st.integers(0, 24)), draw(st.integers(0, 24))
    step = draw(st.one_of(st.just(3 * width), st.integers(0, 100), UINT32))
    length = draw(st.one_of(st.just(height * step if step < 1000 else 0), st.integers(0, 3000)))
    message = Image(header=draw(HEADERS), height=height, width=width, step=step, encoding=draw(ENCODINGS))
    message.is_bigendian = draw(st.integers(0, 255))
    message.data = draw(st.randoms(use_true_random=False)).randbytes(length)
    if draw(st.booleans()):
        message.height, message.width = draw(UINT32), draw(UINT32)
    return message


@st.composite
def compressed_images(draw):
    """Pictures with bytes changed, cut or added, and bytes that are no pictures."""
    picture = np.full((draw(st.integers(1, 24)), draw(st.integers(1, 24)), 3), draw(st.integers(0, 255)), np.uint8)
    data = bytearray(cv2.imencode(draw(st.sampled_from(['.jpg', '.png', '.bmp'])), picture)[1].tobytes())
    for _ in range(draw(st.integers(0, 6))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    data = bytes(data[: draw(st.one_of(st.just(len(data)), st.integers(0, len(data))))]) + draw(st.binary(max_size=40))
    if draw(st.booleans()) and draw(st.booleans()):
        data = draw(st.binary(max_size=200))
    return CompressedImage(header=draw(HEADERS), format=draw(TEXT), data=data)


REGIONS = st.builds(RegionOfInterest, x_offset=UINT32, y_offset=UINT32, width=UINT32, height=UINT32)
CAMERA_INFOS = st.builds(
    CameraInfo,
    header=HEADERS,
    height=UINT32,
    width=UINT32,
    distortion_model=TEXT,
    d=st.lists(NUMBERS, max_size=12),
    k=st.lists(NUMBERS, min_size=9, max_size=9),
    r=st.lists(NUMBERS, min_size=9, max_size=9),
    p=st.lists(NUMBERS, min_size=12, max_size=12),
    binning_x=UINT32,
    binning_y=UINT32,
    roi=REGIONS,
)
JOINT_STATES = st.builds(
    JointState,
    header=HEADERS,
    name=st.lists(st.one_of(st.sampled_from(STATE_NAMES), TEXT), max_size=6),
    position=st.lists(NUMBERS, max_size=6),
    velocity=st.lists(NUMBERS, max_size=3),
)
POSES = st.builds(
    PoseStamped,
    header=HEADERS,
    pose=st.builds(
        Pose,
        position=st.builds(Point, x=NUMBERS, y=NUMBERS, z=NUMBERS),
        orientation=st.builds(Quaternion, x=NUMBERS, y=NUMBERS, z=NUMBERS, w=NUMBERS),
    ),
)


@st.composite
def weights(draw):
    """Bytes that are no weights file, and weights files that are cut off or whose header has changed bytes."""
    kind = draw(st.sampled_from(['binary', 'cut', 'header', 'length', 'nested', 'pickle']))
    if kind == 'cut':
        return WHOLE[: draw(st.integers(0, len(WHOLE) - 1))]
    if kind == 'header':
        data = bytearray(WHOLE)
        data[draw(st.integers(8, HEADER_END - 1))] ^= draw(st.integers(1, 255))
        return bytes(data)
    if kind == 'length':
        return draw(st.integers(0, 2**64 - 1)).to_bytes(8, 'little') + WHOLE[8:]
    if kind == 'nested':
        text = b'{"__metadata__":' + b'[' * draw(st.integers(1, 5000))
        return len(text).to_bytes(8, 'little') + text
    return (b'\x80\x04' if kind == 'pickle' else b'') + draw(st.binary(max_size=400))


def to_weights_message(data: bytes) -> UInt8MultiArray:
    message = UInt8MultiArray()
    message.data.frombytes(data)
    return message


WEIGHTS = weights().map(to_weights_message)
