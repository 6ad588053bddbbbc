"""Shared by tests: a ROS domain that no other process on the machine uses, and made-up rooms that start at once."""

import contextlib
import fcntl
import os
import pathlib
import tempfile

import pytest

# Threads of two processes that wait for each other's cores take ten times as long.
if 'PYTEST_XDIST_WORKER' in os.environ:
    os.environ.setdefault('OMP_NUM_THREADS', '1')


@contextlib.contextmanager
def free_domain():
    """A domain id held through a lock file, so that test runs side by side never hear each other."""
    for domain in range(1, 101):
        with open(pathlib.Path(tempfile.gettempdir()) / f'dfd_depth_ros_domain_{domain}.lock', 'w') as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            yield domain
            return
    raise RuntimeError('all ROS domains from 1 to 100 are taken')


@pytest.fixture(scope='session')
def ros_domain(tmp_path_factory):
    """Environment of every ROS process that the tests start: own domain, loopback only, own log folder."""
    pytest.importorskip('rclpy')
    with free_domain() as domain, pytest.MonkeyPatch.context() as patch:
        patch.setenv('ROS_DOMAIN_ID', str(domain))
        patch.setenv('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
        patch.setenv('ROS_LOG_DIR', str(tmp_path_factory.mktemp('ros_log')))
        yield domain


@pytest.fixture
def ros(ros_domain):
    """rclpy, initialised for one test."""
    import rclpy

    rclpy.init(signal_handler_options=rclpy.SignalHandlerOptions.NO)
    yield rclpy
    rclpy.try_shutdown()


@pytest.fixture(scope='module')
def few_textures():
    """Made-up rooms are painted with six textures, so that nobody waits for all of them."""
    from dfd_depth_ros.scenes import textures

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(textures, 'COUNT', 6)
        yield
