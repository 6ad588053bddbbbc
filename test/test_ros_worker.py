"""The worker: every item is served or dropped, exactly once and in order, whatever the number of hands."""

import threading
import time

import numpy as np
import pytest

from dfd_depth_ros.ros.worker import Worker


class Bench:
    """A worker whose work can be held back."""

    def __init__(self, capacity):
        self.served, self.dropped = [], []
        self.go, self.busy = threading.Semaphore(0), threading.Semaphore(0)
        self.worker = Worker(self.serve, self.dropped.append, capacity)

    def serve(self, item, turn):
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


class Hands:
    """A worker of several hands: `look` may be held back for each item, `done` is what came after its turn."""

    def __init__(self, hands, capacity=100):
        self.looked, self.done, self.inside, self.most = [], [], 0, 0
        self.gates = [threading.Event() for _ in range(10)]
        self.lock, self.dropped = threading.Lock(), []
        self.worker = Worker(self.serve, self.dropped.append, capacity, hands)

    def serve(self, item, turn):
        with self.lock:
            self.looked.append(item)
            self.inside += 1
            self.most = max(self.most, self.inside)
        assert self.gates[item].wait(10)
        turn()
        self.done.append(item)
        with self.lock:
            self.inside -= 1

    def until(self, condition):
        end = time.monotonic() + 10
        while not condition():
            assert time.monotonic() < end
            time.sleep(0.001)


def test_two_hands_look_at_two_items_at_once_and_finish_them_in_order():
    hands = Hands(2)
    for item in range(4):
        hands.worker.offer(item)
    hands.until(lambda: len(hands.looked) == 2)
    hands.gates[1].set()  # the second one is ready first, and waits
    time.sleep(0.02)
    assert sorted(hands.looked) == [0, 1] and hands.done == []
    for gate in hands.gates:
        gate.set()
    hands.until(lambda: len(hands.done) == 4)
    assert hands.worker.stop(10) and hands.done == [0, 1, 2, 3] and hands.most == 2 and hands.dropped == []


def test_an_errand_waits_for_all_hands_and_all_hands_for_the_errand():
    hands, seen, go = Hands(3), [], threading.Event()
    for item in range(2):
        hands.worker.offer(item)
    hands.until(lambda: len(hands.looked) == 2)

    def errand():
        seen.append(list(hands.done))
        assert go.wait(10)
        seen.append(list(hands.looked))

    hands.worker.errand(errand)
    hands.worker.offer(2)
    time.sleep(0.02)
    assert seen == [] and len(hands.looked) == 2  # a hand is free, and keeps away
    for gate in hands.gates:
        gate.set()
    hands.until(lambda: seen)
    time.sleep(0.02)
    go.set()
    hands.until(lambda: len(hands.done) == 3)
    assert hands.worker.stop(10) and seen[0] == [0, 1] and sorted(seen[1]) == [0, 1] and hands.done == [0, 1, 2]


@pytest.mark.parametrize('hands', [1, 2, 5])
def test_order_holds_whatever_takes_how_long(hands):
    rng, done, dropped = np.random.default_rng(hands), [], []
    waits = rng.uniform(0, 0.004, 60)

    def serve(item, turn):
        time.sleep(waits[item])
        if item % 7 == 3:
            return  # it failed before its turn
        turn()
        done.append(item)

    worker = Worker(serve, dropped.append, 60, hands)
    for item in range(60):
        worker.offer(item)
    end = time.monotonic() + 20
    while len(done) < 51 and time.monotonic() < end:
        time.sleep(0.002)
    assert worker.stop(10) and done == [item for item in range(60) if item % 7 != 3] and dropped == []


def test_hands_stop_together_and_tell_where_one_does_not():
    hands = Hands(2)
    for item in range(3):
        hands.worker.offer(item)
    hands.until(lambda: len(hands.looked) == 2)
    assert not hands.worker.stop(0.02) and hands.dropped == ['deactivated']
    for gate in hands.gates:
        gate.set()
    hands.until(lambda: hands.done == [0, 1])
    assert hands.worker.stop(10)
