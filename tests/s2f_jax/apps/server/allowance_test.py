"""So many a minute in the long run, each for themselves, in bounded memory."""

from s2f_jax.apps.server import allowance
from s2f_jax.apps.server.allowance import RateLimiter
from tests.s2f_jax.apps.voters import Clock


def test_a_minutes_worth_at_once_then_one_every_so_often():
    clock = Clock()
    limiter = RateLimiter(30, clock)
    assert [limiter.acquire("a") for _ in range(32)] == [0] * 30 + [2, 2]
    assert limiter.acquire("b") == 0
    clock.now += 1.9
    assert limiter.acquire("a") == 1
    clock.now += 0.2
    assert [limiter.acquire("a"), limiter.acquire("a")] == [0, 2]
    clock.now += 3600
    assert [limiter.acquire("a") for _ in range(31)] == [0] * 30 + [2]


def test_those_who_have_been_away_are_forgotten():
    clock = Clock()
    limiter = RateLimiter(10, clock)
    for n in range(allowance._MAX_CLIENTS):
        limiter.acquire(f"{n}")
    clock.now += 60
    limiter.acquire("new")
    assert len(limiter._buckets) == 1
