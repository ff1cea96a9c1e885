"""What training changes: data, and nothing else."""

from typing import Any

import flax.struct
import jax


class TrainState(flax.struct.PyTreeNode):
    """Parameters, statistics and optimizer state.

    Attributes:
      step: int32; updates made so far.
      params: One top-level key per network.
      batch_stats: Likewise, the running statistics of BatchNorm.
      opt_state: Of multi_adam.
    """

    step: jax.Array
    params: dict[str, Any]
    batch_stats: dict[str, Any]
    opt_state: Any

    def variables(self, network: str) -> dict[str, Any]:
        """What one network's `apply` takes.

        Args:
          network: Its name.

        Returns:
          {"params": ..., "batch_stats": ...}.
        """
        return {"params": self.params[network], "batch_stats": self.batch_stats[network]}
