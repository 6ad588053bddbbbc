"""Diagnostics: counts that always add up, and the one sentence that a user reads first."""

import pytest

pytest.importorskip('rclpy')

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticStatus

from dfd_depth_ros.ros.diagnostics import Monitor, to_message

OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR


@pytest.fixture
def log():
    return []


@pytest.fixture
def monitor(log):
    return Monitor(lambda *entry: log.append(entry))


def test_inputs_are_outputs_and_drops_and_pending(monitor):
    for _ in range(10):
        monitor.received()
    for _ in range(4):
        monitor.published(0.1, 0.05)
    for cause in ('overload', 'overload', 'image'):
        monitor.dropped(cause)
    values = monitor.report(True)[2]
    assert [values[name] for name in ('inputs', 'outputs', 'drops', 'pending')] == ['10', '4', '3', '3']
    assert (values['drops.overload'], values['drops.image']) == ('2', '1')


def test_latency_percentiles(monitor):
    for milliseconds in range(1, 102):
        monitor.published(milliseconds / 1000, 0.01)
    values = monitor.report(True)[2]
    assert (values['latency_p50_ms'], values['latency_p99_ms']) == ('51.0', '100.0')
    assert values['processing_p99_ms'] == '10.0' and float(values['rate_hz']) > 0


@pytest.mark.parametrize(('latency_s', 'words'), [(1.7e9, '1700000000.0 s behind'), (-3.0, '3.0 s ahead of')])
def test_stamps_that_can_hardly_be_true_are_named_and_give_no_latency(monitor, log, latency_s, words):
    sentence = (
        f'image stamps are {words} the clock of this node; clocks differ, use_sim_time is missing or superfluous, or '
        'images wait too long'
    )
    for jitter in (0.0, 0.3):
        monitor.published(latency_s + jitter, 0.01)
        level, text, values = monitor.report(True)
        assert (level, text, values['condition.stamps']) == (WARN, sentence, sentence)
    assert 'latency_p50_ms' not in values and values['processing_p50_ms'] == '10.0'
    assert log == [('warning', sentence)]
    monitor.published(0.02, 0.01)
    level, _, values = monitor.report(True)
    assert level == OK and 'condition.stamps' not in values
    assert (values['latency_p50_ms'], values['latency_p99_ms']) == ('20.0', '20.0')


@pytest.mark.parametrize('latency_s', [-0.05, 0.0, 4.9])
def test_skew_and_delay_that_happen_are_no_complaint(monitor, latency_s):
    monitor.published(latency_s, 0.01)
    assert monitor.report(True)[0] == OK


def test_no_frame_no_latency(monitor):
    assert monitor.report(False) == (OK, 'not active', monitor.report(False)[2])
    assert monitor.report(False)[2]['rate_hz'] == '0.0'
    assert monitor.report(True)[:2] == (OK, 'depth at 0.0 Hz')


def test_an_error_is_reported_once_and_remembered(monitor, log):
    monitor.received()
    monitor.dropped('image', 'image step is 5 bytes')
    assert monitor.report(True)[:2] == (ERROR, 'image step is 5 bytes')
    monitor.received()
    level, text, values = monitor.report(True)
    assert (level, text, values['last_error']) == (OK, 'depth at 0.0 Hz', 'image step is 5 bytes')
    assert log == [('error', 'image step is 5 bytes')]


def test_drops_without_an_error_are_a_warning(monitor):
    monitor.received()
    monitor.dropped('overload')
    assert monitor.report(True)[:2] == (WARN, 'images dropped since the last report: 1')


def test_what_the_middleware_loses_is_a_warning_with_advice(monitor):
    monitor.received()
    monitor.lost(47)
    level, text, values = monitor.report(True)
    assert (level, values['lost'], values['inputs']) == (WARN, '47', '1')
    assert text == (
        'messages lost by the middleware since the last report: 47; '
        'with Fast DDS load config/fastdds_large_images.xml on both sides'
    )


def test_a_condition_lasts_until_it_is_cleared_and_is_logged_once(monitor, log):
    monitor.condition('camera', 'uncalibrated')
    for _ in range(2):
        monitor.received()
        level, text, values = monitor.report(True)
        assert (level, text, values['condition.camera']) == (WARN, 'uncalibrated', 'uncalibrated')
    monitor.condition('camera', '')
    monitor.received()
    level, _, values = monitor.report(True)
    assert level == OK and 'condition.camera' not in values
    assert log == [('warning', 'uncalibrated')]


def test_a_warning_is_in_one_report(monitor, log):
    monitor.received()
    monitor.warning('time', 'image stamp jumped back by 1.000 s')
    assert monitor.report(True)[:2] == (WARN, 'image stamp jumped back by 1.000 s')
    monitor.received()
    assert monitor.report(True)[0] == OK
    assert log == [('warning', 'image stamp jumped back by 1.000 s')]


def test_errors_of_one_cause_do_not_flood_the_log(monitor, log):
    for index in range(100):
        monitor.dropped('image', f'image {index} is bad')
        monitor.dropped('lens', f'lens {index} is bad')
    assert log == [('error', 'image 0 is bad'), ('error', 'lens 0 is bad')]
    assert monitor.report(True)[2]['errors'] == '200'


def test_a_failure_stands_above_all(monitor, log):
    monitor.failure('cannot configure: no weights')
    monitor.condition('camera', 'uncalibrated')
    assert monitor.report(False)[:2] == (ERROR, 'cannot configure: no weights')
    monitor.failure('')
    assert monitor.report(False)[0] == WARN
    assert log[0] == ('error', 'cannot configure: no weights')


def test_the_message_carries_everything(monitor):
    monitor.fact(device='cpu', lens_age_s=0.5)
    message = to_message('depth_node: depth', *monitor.report(False), Time(sec=7))
    status = message.status[0]
    assert (status.name, status.level, status.message, message.header.stamp.sec) == (
        'depth_node: depth',
        OK,
        'not active',
        7,
    )
    pairs = {pair.key: pair.value for pair in status.values}
    assert (pairs['device'], pairs['lens_age_s'], pairs['inputs']) == ('cpu', '0.5', '0')


def test_usual_drops_are_counted_without_a_warning(log):
    monitor = Monitor(lambda *entry: log.append(entry), usual=('newer',))
    monitor.received()
    monitor.dropped('newer')
    level, text, values = monitor.report(True, well='training')
    assert (level, text, values['drops']) == (OK, 'training', '1')
    monitor.received()
    monitor.dropped('image', 'image step is 5 bytes')
    assert monitor.report(True, well='training')[:2] == (ERROR, 'image step is 5 bytes')
