"""Stepping back behind others: by nice within a session, by the group's nice value between sessions."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip('rclpy')

STEP_BACK = """
import os, sys
from pathlib import Path
from dfd_depth_ros.ros.processes import step_back
step_back(int(sys.argv[1]), Path(sys.argv[2]))
print(os.nice(0))
"""


def stepped_back(nice: int, group: Path, own_session: bool) -> int:
    """The nice value that a process has after `step_back`."""
    command = [sys.executable, '-c', STEP_BACK, str(nice), str(group)]
    done = subprocess.run(command, start_new_session=own_session, capture_output=True, text=True, check=True)
    return int(done.stdout)


def test_in_a_session_of_its_own_the_group_steps_back_too(tmp_path):
    group = tmp_path / 'autogroup'
    group.write_text('before')
    reached = stepped_back(7, group, own_session=True)
    assert reached == min(os.nice(0) + 7, 19) and group.read_text() == str(reached)


def test_a_session_that_others_share_is_left_alone(tmp_path):
    group = tmp_path / 'autogroup'
    group.write_text('before')
    assert stepped_back(7, group, own_session=False) == min(os.nice(0) + 7, 19)
    assert group.read_text() == 'before'


def test_a_kernel_without_groups_or_one_that_refuses_is_no_error(tmp_path):
    reached = min(os.nice(0) + 7, 19)
    assert stepped_back(7, tmp_path / 'absent', own_session=True) == reached and not list(tmp_path.iterdir())
    assert stepped_back(7, tmp_path, own_session=True) == reached  # a folder cannot be written, by root neither


@pytest.mark.skipif(not Path('/proc/self/autogroup').exists(), reason='this kernel weighs no sessions')
def test_the_kernel_takes_the_value_as_it_is_written(tmp_path):
    script = STEP_BACK.replace('print(os.nice(0))', "print(os.nice(0), Path('/proc/self/autogroup').read_text())")
    command = [sys.executable, '-c', script, '7', '/proc/self/autogroup']
    done = subprocess.run(command, start_new_session=True, capture_output=True, text=True, check=True)
    reached, *_, group = done.stdout.split()
    assert group in (reached, '0')  # 0: refused, as where many ask within a tenth of a second
