"""Memory of the processor: pages of freed tensors stay at hand, and go back to the system when they are given back."""

import resource
import sys

import pytest
import torch

from dfd_depth_ros.estimation import memory

if not hasattr(memory.ctypes.CDLL(None), 'mallopt'):
    pytest.skip('the C library is not glibc', allow_module_level=True)

MEGABYTES, PAGE = 24, resource.getpagesize()


def cleared_pages(count: int) -> int:
    """Pages that the system had to clear while tensors were made and freed, one after the other."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(count):
        torch.ones(MEGABYTES << 18)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def resident() -> int:
    """Bytes of this process in memory."""
    with open('/proc/self/statm') as file:
        return int(file.read().split()[1]) * PAGE


@pytest.mark.skipif(sys.platform != 'linux', reason='reads /proc')
def test_pages_are_kept_for_the_next_image_and_given_back_at_the_end():
    memory.keep_pages()
    cleared_pages(2)
    assert cleared_pages(10) < 0.1 * 10 * (MEGABYTES << 20) / PAGE
    tensors = [torch.ones(MEGABYTES << 18) for _ in range(8)]
    del tensors
    kept = resident()
    memory.give_back()
    assert resident() < kept - 4 * (MEGABYTES << 20)
