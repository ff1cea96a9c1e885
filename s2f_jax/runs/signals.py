"""SIGTERM and SIGINT to a run of one or many processes."""

import signal
from typing import Any

from s2f_jax.runs.cluster import AnyProcess


class StopSignal:
    """SIGTERM or SIGINT to any process of the run; a second SIGINT interrupts at once."""

    def __init__(self):
        self._received = ""
        self._vote = AnyProcess()
        self._before = {s: signal.signal(s, self._note) for s in (signal.SIGTERM, signal.SIGINT)}

    def _note(self, number: int, _frame: Any) -> None:
        if self._received and number == signal.SIGINT:
            raise KeyboardInterrupt
        self._received = signal.Signals(number).name

    def agreed(self) -> bool:
        """Asks whether to stop here; all processes ask at the same points.

        Returns:
          The same answer on every process.
        """
        return self._vote.any(bool(self._received))

    def __str__(self) -> str:
        return self._received or "a signal to another process"

    def close(self) -> None:
        """Restores the signal handlers of before."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
