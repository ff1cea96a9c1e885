"""What training changes: data, and nothing else."""

from typing import Any

import flax.struct
import jax


class TrainState(flax.struct.PyTreeNode):
    """Parameters, statistics and optimizer state; params have one top-level key per network."""

    step: jax.Array  # int32; updates made so far.
    params: dict[str, Any]
    batch_stats: dict[str, Any]
    opt_state: Any

    def variables(self, network: str) -> dict[str, Any]:
        """What one network's `apply` takes."""
        return {"params": self.params[network], "batch_stats": self.batch_stats[network]}
