"""Topics that ought to bring something and do not: the commonest fault in the field, and the quietest."""

import time
from collections.abc import Callable

from dfd_depth_ros.ros.diagnostics import Monitor

SILENCE_S = 5.0


class Silence:
    """Knows when each watched topic last brought a message. now(): seconds on a clock that never jumps."""

    def __init__(self, node, monitor: Monitor, now: Callable[[], float] = time.monotonic):
        self._node, self._monitor, self._now = node, monitor, now
        self._heard: dict[str, float] = {}

    def watch(self, topic: str, callback: Callable) -> Callable:
        """The callback of a subscription, which from now on tells that its topic has brought a message."""
        self._heard[topic] = self._now()

        def hear(message):
            self._heard[topic] = self._now()
            callback(message)

        return hear

    def report(self, is_expected: bool, policy: str) -> None:
        """A condition for each topic that has been silent too long; none where no data are expected. policy: that of
        the lens; one that holds the last state has no need of another."""
        for topic, heard in self._heard.items():
            may_rest = policy == 'hold' and topic.startswith('lens')
            is_silent = is_expected and not may_rest and self._now() - heard >= SILENCE_S
            self._monitor.condition(f'silent.{topic}', self._complaint(topic) if is_silent else '')

    def _complaint(self, topic: str) -> str:
        name = self._node.resolve_topic_name(topic)
        count = self._node.count_publishers(name)
        if not count:
            return f'no data on {name} for {SILENCE_S:g} s; nobody publishes it'
        return f'no data on {name} for {SILENCE_S:g} s; it has {count} publisher{"s" * (count > 1)}'
