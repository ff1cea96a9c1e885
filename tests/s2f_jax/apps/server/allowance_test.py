"""So many a minute in the long run, each for themselves, in bounded memory."""

from s2f_jax.apps.server import allowance
from s2f_jax.apps.server.allowance import Allowance
from tests.s2f_jax.apps.voters import Clock


def test_a_minutes_worth_at_once_then_one_every_so_often():
    clock = Clock()
    asked = Allowance(30, clock)
    assert [asked.wait("a") for _ in range(32)] == [0] * 30 + [2, 2]
    assert asked.wait("b") == 0
    clock.now += 1.9
    assert asked.wait("a") == 1
    clock.now += 0.2
    assert [asked.wait("a"), asked.wait("a")] == [0, 2]
    clock.now += 3600
    assert [asked.wait("a") for _ in range(31)] == [0] * 30 + [2]


def test_those_who_have_been_away_are_forgotten():
    clock = Clock()
    asked = Allowance(10, clock)
    for n in range(allowance._KEPT):
        asked.wait(f"{n}")
    clock.now += 60
    asked.wait("new")
    assert len(asked._left) == 1
