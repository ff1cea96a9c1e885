"""The training state: all that a training step changes."""

from typing import Any

import flax.struct
import jax

GENERATOR = "generator"
AVERAGED = "generator_ema"  # Beside the generator, if optim.generator_ema is not 0.


class TrainState(flax.struct.PyTreeNode):
    """Parameters, statistics and optimizer state.

    Attributes:
      step: int32; updates made so far.
      params: Parameters; one top-level key per network, and one for the generator's average.
      batch_stats: BatchNorm's running statistics; one top-level key per network.
      opt_state: State of the optimizer, optim.multi_adam.
    """

    step: jax.Array
    params: dict[str, Any]
    batch_stats: dict[str, Any]
    opt_state: Any

    def variables(self, network: str) -> dict[str, Any]:
        """Returns the variables that one network's `apply` takes.

        Args:
          network: The network's name.

        Returns:
          {"params": ..., "batch_stats": ...}.
        """
        return {"params": self.params[network], "batch_stats": self.batch_stats[network]}

    def inference_variables(self) -> dict[str, Any]:
        """Returns the generator's variables for all but training: the average, if there is one.

        Returns:
          {"params": ..., "batch_stats": ...}.
        """
        return self.variables(AVERAGED if AVERAGED in self.params else GENERATOR)
