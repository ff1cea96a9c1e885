"""How often somebody may ask: as often as they like for a moment, so often a minute in the long run."""

import math
import threading
from collections.abc import Callable

_KEPT = 10_000  # Who has asked; of more, those are forgotten whose allowance is whole again.


class Allowance:
    """Of any number of people. Its method may be called from any thread."""

    def __init__(self, per_minute: int, clock: Callable[[], float]):
        """clock: seconds, rising."""
        self._most, self._clock, self._lock = per_minute, clock, threading.Lock()
        self._left: dict[str, tuple[float, float]] = {}  # How many, at what time.

    def wait(self, who: str) -> int:
        """Seconds until they may ask; 0: they may, and it is counted."""
        with self._lock:
            now = self._clock()
            if len(self._left) >= _KEPT:
                kept = {w: of for w, of in self._left.items() if self._now(of, now) < self._most}
                self._left = kept if len(kept) < _KEPT else {}
            left = self._now(self._left.get(who, (self._most, now)), now)
            if left < 1:
                return math.ceil((1 - left) * 60 / self._most)
            self._left[who] = left - 1, now
            return 0

    def _now(self, of: tuple[float, float], now: float) -> float:
        left, then = of
        return min(self._most, left + (now - then) * self._most / 60)
