"""Fast DDS, the middleware that ROS 2 uses by default, made fit for images."""

import os
from collections.abc import Mapping

from dfd_depth_ros.paths import share_directory

PROFILE = 'config/fastdds_large_images.xml'
OLD_NAME, NAME = 'FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE'
OLD_DISTRIBUTIONS = ('humble', 'iron', 'jazzy')


def large_image_profile(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The variable that makes Fast DDS carry images above 512 kB, with its value; empty where the user has a profile.

    It has the name that the sourced ROS reads: newer ones warn about the old name, older ones know no other.
    """
    if NAME in environment or OLD_NAME in environment:
        return {}
    name = OLD_NAME if environment.get('ROS_DISTRO') in OLD_DISTRIBUTIONS else NAME
    return {name: str(share_directory() / PROFILE)}
