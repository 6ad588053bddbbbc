"""What the node knows about itself: counts, latencies and conditions, and the diagnostics message made from them.

inputs = outputs + drops + pending holds at every instant.
"""

import collections
import threading
import time

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

WINDOW_S = 10.0
LOG_PERIOD_S = 5.0
EARLIEST_S, LATEST_S = -0.1, 5.0  # ages of an image, from its stamp to its depth, that may be true
LOSS_ADVICE = 'with Fast DDS load config/fastdds_large_images.xml on both sides'


class Monitor:
    """Counts of one node, safe to use from several threads. usual: causes of drops that are no reason to warn.
    `log(severity, text)` gets each condition that lasts until a report as a 'warning', and other warnings and errors of
    one cause at most every five seconds."""

    def __init__(self, log, usual: tuple[str, ...] = ()):
        self._log, self._usual = log, usual
        self._lock = threading.RLock()
        self._inputs = self._outputs = self._errors = self._lost = 0
        self._drops: collections.Counter[str] = collections.Counter()
        self._conditions: dict[str, str] = {}
        self._reported: dict[str, str] = {}
        self._facts: dict[str, str] = {}
        self._served: collections.deque = collections.deque(maxlen=2000)
        self._logged: dict[str, float] = {}
        self._warnings: list[str] = []
        self._previous: dict[str, int] = {}
        self._last_error = self._failure = ''

    def received(self) -> None:
        """One image came in."""
        with self._lock:
            self._inputs += 1

    def lost(self, count: int) -> None:
        """Messages that were sent to this node got lost on the way; they are no inputs."""
        with self._lock:
            self._lost += count

    def published(self, latency_s: float, processing_s: float) -> None:
        """One depth image went out. latency_s: from its stamp; one that can hardly be true counts in no percentile and
        is a condition. processing_s: in the worker thread."""
        with self._lock:
            self._outputs += 1
            is_likely = EARLIEST_S <= latency_s <= LATEST_S
            self._served.append((time.monotonic(), latency_s if is_likely else np.nan, processing_s))
            if is_likely or not self._conditions.get('stamps'):  # the sentence stays as it is while it lasts
                self._conditions['stamps'] = '' if is_likely else _stamp_complaint(latency_s)

    def dropped(self, cause: str, error: str = '') -> None:
        """One image will never become a depth image; error is the sentence for the user, where it is one."""
        with self._lock:
            self._drops[cause] += 1
        if error:
            self.error(cause, error)

    def error(self, cause: str, text: str) -> None:
        """Something went wrong once."""
        with self._lock:
            self._errors += 1
            self._last_error = text
        self._log_seldom('error', cause, text)

    def warning(self, cause: str, text: str) -> None:
        """Something happened that the next report is to mention."""
        with self._lock:
            self._warnings.append(text)
        self._log_seldom('warning', cause, text)

    def failure(self, text: str) -> None:
        """The node cannot work at all, or (empty text) it can again."""
        with self._lock:
            self._failure = text
        if text:
            self._log('error', text)

    def condition(self, name: str, text: str) -> None:
        """Something is not as it should be from now on, or (empty text) it is again."""
        with self._lock:
            self._conditions[name] = text

    def fact(self, **values) -> None:
        """Values to show as they are."""
        with self._lock:
            self._facts.update({name: str(value) for name, value in values.items()})

    def counts(self) -> dict[str, int]:
        """inputs, outputs, drops and pending."""
        with self._lock:
            drops = sum(self._drops.values())
            pending = self._inputs - self._outputs - drops
            return {'inputs': self._inputs, 'outputs': self._outputs, 'drops': drops, 'pending': pending}

    def report(self, active: bool, well: str = '') -> tuple[bytes, str, dict[str, str]]:
        """Level, message and values since the last report. active: images are expected. well: the message when there is
        nothing to complain about, unless empty."""
        with self._lock:
            counts = self.counts()
            conditions = {name: text for name, text in self._conditions.items() if text}
            news = [text for name, text in conditions.items() if text != self._reported.get(name)]
            self._reported = conditions
            values = {
                **{name: str(count) for name, count in counts.items()},
                **{f'drops.{cause}': str(count) for cause, count in sorted(self._drops.items())},
                'errors': str(self._errors),
                'lost': str(self._lost),
                **_rates([entry for entry in self._served if entry[0] > time.monotonic() - WINDOW_S]),
                **self._facts,
                **{f'condition.{name}': text for name, text in conditions.items()},
                'last_error': self._last_error,
            }
            counts |= {'errors': self._errors, 'lost': self._lost}
            counts['drops'] -= sum(self._drops[cause] for cause in self._usual)
            well = well or (f'depth at {values["rate_hz"]} Hz' if active else 'not active')
            level, message = self._verdict(active, counts, well)
        for text in news:
            self._log('warning', text)
        return level, message, values

    def _verdict(self, active: bool, counts: dict[str, int], well: str) -> tuple[bytes, str]:
        new = {name: count - self._previous.get(name, 0) for name, count in counts.items()}
        warnings = [*self._reported.values(), *self._warnings]
        self._previous, self._warnings = counts, []
        if new['drops']:
            warnings.append(f'images dropped since the last report: {new["drops"]}')
        if new['lost']:
            warnings.append(f'messages lost by the middleware since the last report: {new["lost"]}; {LOSS_ADVICE}')
        if self._failure or new['errors']:
            return DiagnosticStatus.ERROR, self._failure or self._last_error
        if warnings:
            return DiagnosticStatus.WARN, '; '.join(warnings)
        return DiagnosticStatus.OK, well

    def _log_seldom(self, severity: str, cause: str, text: str) -> None:
        now = time.monotonic()
        if now - self._logged.get(cause, -LOG_PERIOD_S) >= LOG_PERIOD_S:
            self._logged[cause] = now
            self._log(severity, text)


def to_message(name: str, level: bytes, text: str, values: dict[str, str], stamp) -> DiagnosticArray:
    """Diagnostics message with one status."""
    pairs = [KeyValue(key=key, value=value) for key, value in values.items()]
    message = DiagnosticArray(status=[DiagnosticStatus(name=name, level=level, message=text, values=pairs)])
    message.header.stamp = stamp
    return message


def _stamp_complaint(latency_s: float) -> str:
    way = f'{latency_s:.1f} s behind' if latency_s > 0 else f'{-latency_s:.1f} s ahead of'
    return (
        f'image stamps are {way} the clock of this node; clocks differ, use_sim_time is missing or superfluous, or '
        'images wait too long'
    )


def _rates(served: list) -> dict[str, str]:
    """Rate over the window, and those latencies of it that are known."""
    if len(served) < 2:
        return {'rate_hz': '0.0'}
    times, latency, processing = np.array(served).T
    values = {'rate_hz': f'{(len(times) - 1) / max(times[-1] - times[0], 1e-9):.1f}'}
    for name, seconds in (('latency', latency[np.isfinite(latency)]), ('processing', processing)):
        for percentile in (50, 99) if len(seconds) else ():
            values[f'{name}_p{percentile}_ms'] = f'{1000 * np.percentile(seconds, percentile):.1f}'
    return values
