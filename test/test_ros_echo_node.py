"""`echo_node` answers every image with an empty depth image of its size and stamp."""

import numpy as np
import pytest

pytest.importorskip('rclpy')

from node_bench import NodeBench, wait  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402

from dfd_depth_ros.cli import nodes  # noqa: E402
from dfd_depth_ros.ros import messages  # noqa: E402
from dfd_depth_ros.ros.echo_node import EchoNode, RCLError  # noqa: E402


def test_each_image_is_answered_at_its_size(ros):
    with NodeBench(EchoNode(), {'image_raw': Image}) as bench:
        bench.listen('depth/image_rect')
        bench.start()
        publisher, seen = bench.publishers['image_raw'], bench.received['depth/image_rect']
        wait(lambda: publisher.get_subscription_count() and bench.node.count_subscribers('depth/image_rect'))
        for stamp, size in enumerate([(6, 8), (4, 4)], start=1):
            wait(lambda stamp=stamp, size=size: send(bench, stamp, size) or answer(seen, stamp), 'an answer')
            depth = messages.to_depth(answer(seen, stamp)[0])
            assert depth.shape == size and np.isnan(depth).all()


class BrokenPublisher:
    """Fails as a publisher does whose context has ended."""

    def publish(self, message):
        raise RCLError('the context is invalid')


def test_an_interrupt_in_the_middle_of_an_answer_ends_it_quietly(ros):
    node, message = EchoNode(), messages.to_image(np.zeros((2, 2, 3), np.uint8), messages.to_header(1, 'camera'))
    node._output = BrokenPublisher()
    with pytest.raises(RCLError, match='the context is invalid'):
        node._answer(message)
    ros.shutdown()
    node._answer(message)
    assert not node.context.ok()


def send(bench, stamp, size):
    """Publish an image; best effort may lose it."""
    bench.send(stamp, np.zeros((*size, 3), np.uint8))


def answer(seen, stamp):
    """The depth images with the stamp of that image."""
    wanted = messages.to_stamp((1000 + stamp) * 10**9)
    return [message for message in seen if message.header.stamp == wanted]


def test_it_is_no_executable_of_the_package_but_starts_like_one(capsys):
    with pytest.raises(SystemExit) as done:
        nodes.echo_node(['--help'])
    assert done.value.code == 0
    assert 'Answers each image at once with an empty depth image, for benchmarks.' in capsys.readouterr().out
