"""The Fast DDS profile for large images."""

from xml.etree import ElementTree

import pytest

from dfd_depth_ros.paths import share_directory
from dfd_depth_ros.ros.dds import NAME, OLD_NAME, PROFILE, large_image_profile

FILE = str(share_directory() / PROFILE)


@pytest.mark.parametrize(
    ('environment', 'expected'),
    [
        ({}, {NAME: FILE}),
        ({'ROS_DISTRO': 'kilted'}, {NAME: FILE}),
        ({'ROS_DISTRO': 'jazzy'}, {OLD_NAME: FILE}),
        ({NAME: '/my/profile.xml'}, {}),
        ({'ROS_DISTRO': 'kilted', OLD_NAME: '/my/profile.xml'}, {}),
    ],
)
def test_variable(environment, expected):
    assert large_image_profile(environment) == expected


def test_segment_holds_several_large_images():
    segment = next(ElementTree.parse(FILE).iter('{http://www.eprosima.com}segment_size'))
    assert int(segment.text) >= 10 * 1920 * 1080 * 3
