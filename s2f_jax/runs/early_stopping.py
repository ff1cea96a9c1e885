"""When to stop: early stopping (paper 2.3), and signals."""

import dataclasses
import math
from collections.abc import Mapping


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
