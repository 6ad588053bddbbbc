"""Quality of service: one place that says how this package subscribes and publishes, open to `qos_overrides`."""

from collections.abc import Callable

from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy, qos_policy_name_from_kind
from rclpy.qos_overriding_options import QoSOverridingOptions


def sensor_data(depth: int = 10) -> QoSProfile:
    """Best effort, as camera drivers expect their listeners to be."""
    return QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=depth, reliability=ReliabilityPolicy.BEST_EFFORT)


def reliable(depth: int = 5) -> QoSProfile:
    """Reliable, so that best-effort and reliable listeners both connect."""
    return QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=depth, reliability=ReliabilityPolicy.RELIABLE)


def latched() -> QoSProfile:
    """The last message is kept for whoever comes later."""
    profile = reliable(1)
    profile.durability = DurabilityPolicy.TRANSIENT_LOCAL
    return profile


def subscribe(
    node,
    kind,
    topic: str,
    callback: Callable,
    on_problem: Callable[[str, str], None],
    on_lost: Callable[[int], None],
    profile: QoSProfile | None = None,
):
    """Subscription with overrides; profile: sensor data unless given. on_problem gets the topic and a sentence for each
    incompatible publisher, on_lost the number of messages that the middleware has just lost."""

    def incompatible(event):
        policy = qos_policy_name_from_kind(event.last_policy_kind)
        on_problem(topic, f'a publisher of {topic} offers an incompatible {policy}')

    return node.create_subscription(
        kind,
        topic,
        callback,
        profile or sensor_data(),
        event_callbacks=SubscriptionEventCallbacks(
            incompatible_qos=incompatible, message_lost=lambda event: on_lost(event.total_count_change)
        ),
        qos_overriding_options=QoSOverridingOptions.with_default_policies(),
    )


def publisher(node, kind, topic: str, on_problem: Callable[[str, str], None], profile: QoSProfile | None = None):
    """Lifecycle publisher with overrides; profile: reliable unless given. on_problem gets the topic and a sentence for
    each incompatible subscriber."""

    def incompatible(event):
        policy = qos_policy_name_from_kind(event.last_policy_kind)
        on_problem(topic, f'a subscriber of {topic} wants an incompatible {policy}')

    return node.create_lifecycle_publisher(
        kind,
        topic,
        profile or reliable(),
        event_callbacks=PublisherEventCallbacks(incompatible_qos=incompatible),
        qos_overriding_options=QoSOverridingOptions.with_default_policies(),
    )
