"""Early stopping (paper 2.3)."""

import dataclasses
import math
from collections.abc import Mapping


@dataclasses.dataclass
class EarlyStopping:
    """Ends a run whose validation scores no longer improve (paper 2.3).

    Attributes:
      patience: Epochs without a better score, of those that count.
      best: The best of each score so far.
      epochs: Number of epochs scored so far.
      epochs_without: Since any score was better.
    """

    patience: int
    best: dict[str, float] = dataclasses.field(default_factory=dict)
    epochs: int = 0
    epochs_without: int = 0

    def update(self, scores: Mapping[str, float]) -> None:
        """Takes the scores of one more epoch.

        Args:
          scores: Higher is better, and a NaN never.
        """
        better = {k: score for k, score in scores.items() if score > self.best.get(k, -math.inf)}
        self.best |= better
        self.epochs += 1
        self.epochs_without = 0 if better else self.epochs_without + 1

    def due(self) -> bool:
        """Tells whether the run is to end.

        Returns:
          Whether patience is used up.
        """
        return self.epochs_without >= self.patience
