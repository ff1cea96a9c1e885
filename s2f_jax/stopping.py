"""When to stop: early stopping (paper 2.3), and signals."""

import dataclasses
import math
import signal
from collections.abc import Mapping
from typing import Any

from s2f_jax.cluster import Vote


@dataclasses.dataclass
class EarlyStopping:
    """No better score on the validation set, of those that count, for `patience` epochs."""

    patience: int
    best: dict[str, float] = dataclasses.field(default_factory=dict)
    epochs: int = 0  # Scored so far.
    epochs_without: int = 0

    def update(self, scores: Mapping[str, float]) -> None:
        """The scores of one more epoch; higher is better, and a NaN never."""
        better = {
            name: score for name, score in scores.items() if score > self.best.get(name, -math.inf)
        }
        self.best |= better
        self.epochs += 1
        self.epochs_without = 0 if better else self.epochs_without + 1

    def due(self) -> bool:
        return self.epochs_without >= self.patience


class StopSignal:
    """SIGTERM or SIGINT to any process of the run; a second SIGINT interrupts at once."""

    def __init__(self):
        self._received = ""
        self._vote = Vote()
        self._before = {s: signal.signal(s, self._note) for s in (signal.SIGTERM, signal.SIGINT)}

    def _note(self, number: int, _frame: Any) -> None:
        if self._received and number == signal.SIGINT:
            raise KeyboardInterrupt
        self._received = signal.Signals(number).name

    def agreed(self) -> bool:
        """Whether to stop here; all processes ask at the same points, and get the same answer."""
        return self._vote.any(bool(self._received))

    def __str__(self) -> str:
        return self._received or "a signal to another process"

    def close(self) -> None:
        """Signals do what they did before."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
