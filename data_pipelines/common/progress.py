"""Progress: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Collection

import tqdm

_SECONDS_PER_LINE = 10  # Of progress, where there is no terminal.


class Progress:
    """Rate, time left and the count of quarantined clips: a bar on a terminal, else lines."""

    def __init__(self, done_what: str, total: int, bad: Collection, unit: str = "clip"):
        self._done_what, self._total, self._bad, self._done = done_what, total, bad, 0
        self._unit = unit
        self._terminal = sys.stderr.isatty()
        self._bar = tqdm.tqdm(total=total, desc=done_what, unit=unit, disable=not self._terminal)
        self._start = self._shown = time.monotonic()

    def step(self) -> None:
        """One more is done."""
        self.reached(self._done + 1)

    def reached(self, done: int) -> None:
        """So many are done."""
        self._done = done
        now = time.monotonic()
        self._bar.set_postfix(quarantined=len(self._bad), refresh=False)
        self._bar.update(done - self._bar.n)
        if done == self._total:
            self._bar.close()
        due = done == self._total or now - self._shown > _SECONDS_PER_LINE
        if due and done and not self._terminal:
            rate, self._shown = done / (now - self._start), now
            print(
                f"{self._done_what} {done} of {self._total} {self._unit}s, "
                f"{rate:.2f} {self._unit}s/s, "
                f"{(self._total - done) / rate / 60:.1f} min left, {len(self._bad)} quarantined",
                flush=True,
            )
