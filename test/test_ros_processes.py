"""Stepping back behind others: within a session by the policy of the process, between sessions by the group's nice
value."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip('rclpy')

STEP_BACK = """
import os, sys
from pathlib import Path
from dfd_depth_ros.ros import processes
{}
processes.step_back(Path(sys.argv[1]))
print(os.sched_getscheduler(0) == os.SCHED_IDLE, os.nice(0))
"""
NOT_ALLOWED = """
def refuse(*_):
    raise PermissionError('Operation not permitted')
os.sched_setscheduler = refuse
"""


def stepped_back(group: Path, own_session: bool, before: str = '') -> list[str]:
    """Whether a process is in the background after `step_back`, and its nice value."""
    command = [sys.executable, '-c', STEP_BACK.format(before), str(group)]
    done = subprocess.run(command, start_new_session=own_session, capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_in_a_session_of_its_own_the_group_steps_back_too(tmp_path):
    group = tmp_path / 'autogroup'
    group.write_text('before')
    assert stepped_back(group, own_session=True)[0] == 'True' and group.read_text() == '19'


def test_a_session_that_others_share_is_left_alone(tmp_path):
    group = tmp_path / 'autogroup'
    group.write_text('before')
    assert stepped_back(group, own_session=False)[0] == 'True' and group.read_text() == 'before'


def test_where_the_policy_is_not_allowed_it_is_as_nice_as_can_be(tmp_path):
    assert stepped_back(tmp_path / 'absent', own_session=True, before=NOT_ALLOWED) == ['False', '19']


def test_a_kernel_without_groups_or_one_that_refuses_is_no_error(tmp_path):
    assert stepped_back(tmp_path / 'absent', own_session=True)[0] == 'True' and not list(tmp_path.iterdir())
    assert stepped_back(tmp_path, own_session=True)[0] == 'True'  # a folder cannot be written, by root neither


@pytest.mark.skipif(not Path('/proc/self/autogroup').exists(), reason='this kernel weighs no sessions')
def test_the_kernel_takes_the_value_as_it_is_written():
    script = STEP_BACK.format('') + "print(Path('/proc/self/autogroup').read_text())"
    command = [sys.executable, '-c', script, '/proc/self/autogroup']
    done = subprocess.run(command, start_new_session=True, capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] in ('19', '0')  # 0: refused, as where many ask within a tenth of a second
