"""The lens files that ship: each is a lens, says in prose what it is, and blurs as much as it says."""

import pytest

from dfd_depth_ros.paths import share_directory
from dfd_depth_ros.scenes.lens_files import read_lens, read_lens_values

# name: CoC at infinity in pixels, worked out by hand from f^2 / (N (s - f) p)
AT_INFINITY = {
    'acceptance_35mm_f1.4': 134.5,
    'c_mount_25mm_f1.4': 32.8,
    'dslr_35mm_f2.8': 7.5,
    'pi_camera_module_3': 9.0,
    'simulated_50mm_f1.4': 18.2,
    'webcam_1080p': 4.5,
}


def test_every_file_is_known():
    assert {path.stem for path in (share_directory() / 'config' / 'lenses').iterdir()} == set(AT_INFINITY)


@pytest.mark.parametrize(('name', 'coc'), AT_INFINITY.items())
def test_lens_file(name, coc):
    path = f'package://dfd_depth_ros/config/lenses/{name}.yaml'
    assert read_lens(path).coc(0.0) == pytest.approx(coc, abs=0.05)
    assert len(read_lens_values(path)['description'].split()) > 20
