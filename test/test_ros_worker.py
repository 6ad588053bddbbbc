"""The worker: every item is served or dropped, exactly once and in order."""

import threading

from dfd_depth_ros.ros.worker import Worker


class Bench:
    """A worker whose work can be held back."""

    def __init__(self, capacity):
        self.served, self.dropped = [], []
        self.go, self.busy = threading.Semaphore(0), threading.Semaphore(0)
        self.worker = Worker(self.serve, self.dropped.append, capacity)

    def serve(self, item):
        self.busy.release()
        self.go.acquire()
        self.served.append(item)


def test_newest_items_win_and_every_item_is_accounted_for():
    bench = Bench(capacity=2)
    bench.worker.offer(0)
    bench.busy.acquire()
    for item in range(1, 6):
        bench.worker.offer(item)
    for _ in range(3):
        bench.go.release()
    bench.busy.acquire(), bench.busy.acquire()
    assert bench.worker.stop(10)
    assert bench.served == [0, 4, 5]
    assert bench.dropped == ['overload'] * 3


def test_what_waits_at_the_end_is_dropped_and_what_is_in_work_is_finished():
    bench = Bench(capacity=1)
    bench.worker.offer(0)
    bench.busy.acquire()
    bench.worker.offer(1)
    threading.Timer(0.05, bench.go.release).start()
    assert bench.worker.stop(10)
    assert bench.served == [0] and bench.dropped == ['deactivated']


def test_stopping_tells_where_work_does_not_end():
    bench = Bench(capacity=1)
    bench.worker.offer(0)
    bench.busy.acquire()
    assert not bench.worker.stop(0.01)
    bench.go.release()


def test_an_errand_is_done_between_two_items_and_a_newer_one_replaces_it():
    bench, order = Bench(capacity=2), []
    bench.worker.offer(0)
    bench.busy.acquire()
    bench.worker.offer(1)
    bench.worker.errand(lambda: order.append('old'))
    bench.worker.errand(lambda: order.append(('new', list(bench.served))))
    bench.go.release()
    bench.busy.acquire()
    assert order == [('new', [0])]
    bench.go.release()
    assert bench.worker.stop(10)
    assert bench.served == [0, 1] and bench.dropped == []


def test_an_errand_needs_no_item():
    bench, done = Bench(capacity=1), threading.Event()
    bench.worker.errand(done.set)
    assert done.wait(10) and bench.worker.stop(10)
