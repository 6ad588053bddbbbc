"""Paths: every notation, and every way of installing."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dfd_depth_ros import paths
from dfd_depth_ros.paths import PathError, resolve_path, share_directory


def test_share_directory_holds_the_manifest():
    assert (share_directory() / 'package.xml').is_file()


@pytest.mark.parametrize('text', ['package://dfd_depth_ros/config/x.yaml', 'config/x.yaml'])
def test_package_and_share_relative_paths_mean_the_share_directory(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert resolve_path(text) == share_directory() / 'config' / 'x.yaml'


def test_absolute_path_is_itself(tmp_path):
    assert resolve_path(str(tmp_path / 'weights.safetensors')) == tmp_path / 'weights.safetensors'
    assert resolve_path(tmp_path) == tmp_path


def test_home_directory(monkeypatch, tmp_path):
    monkeypatch.setenv('HOME', str(tmp_path))
    assert resolve_path('~/lens.yaml') == tmp_path / 'lens.yaml'


def test_existing_file_in_the_working_directory_wins(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'config').mkdir()
    (tmp_path / 'config' / 'x.yaml').touch()
    assert resolve_path('config/x.yaml') == tmp_path / 'config' / 'x.yaml'


def test_other_ros_package(tmp_path, monkeypatch):
    pytest.importorskip('ament_index_python')
    index = tmp_path / 'share' / 'ament_index' / 'resource_index' / 'packages'
    index.mkdir(parents=True)
    (index / 'my_robot').touch()
    (tmp_path / 'share' / 'my_robot').mkdir()
    monkeypatch.setenv('AMENT_PREFIX_PATH', str(tmp_path))
    assert resolve_path('package://my_robot/lens.yaml') == tmp_path / 'share' / 'my_robot' / 'lens.yaml'


@pytest.mark.parametrize(
    ('text', 'message'),
    [('', 'path is empty'), ('package://no_such_robot/lens.yaml', "package 'no_such_robot' is not installed")],
)
def test_bad_paths_say_why(text, message):
    with pytest.raises(PathError) as error:
        resolve_path(text)
    assert str(error.value) == message


@pytest.mark.parametrize('site', ['lib/python3.11/site-packages', 'local/lib/python3.12/dist-packages'])
def test_installed_prefix(site, tmp_path):
    """A copy laid out as pip and colcon lay it out finds the share directory of its own prefix."""
    package = tmp_path / 'prefix' / site / 'dfd_depth_ros'
    share = tmp_path / 'prefix' / site.split('lib/')[0] / 'share' / 'dfd_depth_ros'
    package.mkdir(parents=True)
    share.mkdir(parents=True)
    (package / '__init__.py').touch()
    shutil.copy(paths.__file__, package)
    (share / 'package.xml').touch()
    program = 'from dfd_depth_ros.paths import resolve_path; print(resolve_path("models/x"))'
    printed = subprocess.check_output([sys.executable, '-c', program], cwd=package.parent, text=True)
    assert Path(printed.strip()) == share / 'models' / 'x'
