"""Early stopping (paper 2.3)."""

import dataclasses
import math
from collections.abc import Mapping


@dataclasses.dataclass
class EarlyStopping:
    """Ends a run whose validation scores no longer improve (paper 2.3).

    Attributes:
      patience: Epochs without a better score, of those that count.
      best: The best of each score so far, over the epochs that count.
      epochs: Number of epochs scored so far.
      epochs_without: Since any score was better.
    """

    patience: int
    best: dict[str, float] = dataclasses.field(default_factory=dict)
    epochs: int = 0
    epochs_without: int = 0

    def update(self, scores: Mapping[str, float], counts: bool = True) -> None:
        """Takes the scores of one more epoch.

        Args:
          scores: Higher is better, and a NaN never.
          counts: Whether the epoch uses up patience or restores it: those before all networks train
            do not. L1 alone has a better PSNR than what follows, and would end every run.
        """
        if not counts:
            self.epochs += 1
            return
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
