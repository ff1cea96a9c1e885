"""One thread, everybody in turn."""

import threading

import pytest

from s2f_jax.apps.live_demo.turns import RoundRobinScheduler


class Steps:
    """Work of so many steps; its name goes to a list at each."""

    def __init__(self, name, count, done, turns):
        self.name, self.left, self.done, self.turns = name, count, done, turns
        self.ended = threading.Event()
        self.alone = []

    def step(self, only_job):
        self.done.append(self.name)
        self.alone.append(only_job)
        self.left -= 1
        if not self.left:
            self.turns.remove(self)
            self.ended.set()
        return self.left > 0


class Gate:
    """Holds the thread until everybody is there."""

    def __init__(self):
        self.open = threading.Event()

    def step(self, only_job):
        self.open.wait()
        return False


@pytest.fixture
def turns():
    turns = RoundRobinScheduler()
    yield turns
    turns.close()


def test_a_long_work_does_not_hold_up_a_short_one(turns):
    done, gate = [], Gate()
    turns.add(gate)
    works = [Steps(name, count, done, turns) for name, count in (("a", 6), ("b", 2), ("c", 3))]
    for work in works:
        turns.add(work)
    gate.open.set()
    for work in works:
        assert work.ended.wait(10)
    assert "".join(done) == "abcabcacaaa"


def test_work_is_alone_once_the_others_have_left(turns):
    gate = Gate()
    turns.add(gate)
    long, short = Steps("l", 4, [], turns), Steps("s", 2, [], turns)
    turns.add(long)
    turns.add(short)
    turns.remove(gate)
    gate.open.set()
    assert long.ended.wait(10) and short.ended.wait(10)
    assert long.alone == [False, False, True, True] and short.alone == [False, False]


def test_who_has_left_is_not_woken(turns):
    done = []
    work = Steps("a", 1, done, turns)
    turns.add(work)
    assert work.ended.wait(10)
    turns.wake(work)
    other = Steps("b", 1, done, turns)
    turns.add(other)
    assert other.ended.wait(10) and done == ["a", "b"]


def test_closed_it_does_no_more_steps(turns):
    turns.close()
    done = []
    turns.add(Steps("a", 1, done, turns))
    assert not done
