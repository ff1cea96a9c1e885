"""A rate limiter: a token bucket for each client."""

import math
import threading
from collections.abc import Callable

_MAX_CLIENTS = 10_000  # Beyond that, clients with a full bucket are forgotten.


class RateLimiter:
    """A token bucket for each client: bursts are allowed, a rate per minute holds in the long run.

    The method may be called from any thread.

    Args:
      per_minute: Requests per minute, and the size of a burst.
      clock: Returns a monotonic time in seconds.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float]):
        self._capacity, self._clock, self._lock = per_minute, clock, threading.Lock()
        self._buckets: dict[str, tuple[float, float]] = {}  # Tokens, and the time of that count.

    def acquire(self, client: str) -> int:
        """Takes a token for one request if there is one.

        Args:
          client: Key of the client's bucket.

        Returns:
          0 if the request is allowed, else the seconds until the next one would be.
        """
        with self._lock:
            now = self._clock()
            if len(self._buckets) >= _MAX_CLIENTS:
                used = {
                    name: bucket
                    for name, bucket in self._buckets.items()
                    if self._refilled(bucket, now) < self._capacity
                }
                self._buckets = used if len(used) < _MAX_CLIENTS else {}
            tokens = self._refilled(self._buckets.get(client, (self._capacity, now)), now)
            if tokens < 1:
                return math.ceil((1 - tokens) * 60 / self._capacity)
            self._buckets[client] = tokens - 1, now
            return 0

    def _refilled(self, bucket: tuple[float, float], now: float) -> float:
        tokens, then = bucket
        return min(self._capacity, tokens + (now - then) * self._capacity / 60)
