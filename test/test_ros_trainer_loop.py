"""How the thread of trainer_node shares its time between learning and rest."""

import types

import pytest

pytest.importorskip('rclpy')


from dfd_depth_ros.ros import trainer_loop


class Loop:
    """A loop that has been stopped, to be turned by hand."""

    def __init__(self):
        learner = types.SimpleNamespace(step=lambda: 'training', close=lambda: None)
        self.settings = {'budget': 0.0, 'resume': False, 'report_dir': ''}
        self.loop = trainer_loop.TrainerLoop(learner, None, lambda: self.settings, None)
        assert self.loop.stop(10)


@pytest.mark.parametrize('budget', [0.1, 0.5, 1.0])
def test_the_rest_follows_from_the_budget(monkeypatch, budget):
    loop = Loop()
    times = iter([0.0, 2.0])
    monkeypatch.setattr(trainer_loop, 'time', types.SimpleNamespace(perf_counter=lambda: next(times)))
    loop.settings['budget'] = budget
    rest, is_idle = loop.loop._turn()
    assert 2.0 / (2.0 + rest) == pytest.approx(budget) and not is_idle


def test_the_duty_is_the_share_of_the_last_reports(monkeypatch):
    loop, now = Loop().loop, [0.0]
    monkeypatch.setattr(trainer_loop, 'time', types.SimpleNamespace(monotonic=lambda: now[0]))
    loop._marks[0] = (0.0, 0.0)
    for second in range(1, 31):
        now[0], loop._busy_s = float(second), 0.5 * min(second, 20)
        duty = loop.duty()
        assert duty == pytest.approx(0.5 if second <= 20 else 0.5 * max(0, 30 - second) / 10)


def test_without_budget_nothing_is_learned():
    loop = Loop()
    assert loop.loop._turn() == (trainer_loop.IDLE_S, True) and loop.loop.state == 'paused'


def test_what_is_asked_of_an_ending_loop_is_refused():
    assert Loop().loop.ask('save') == (False, 'the trainer is ending')
