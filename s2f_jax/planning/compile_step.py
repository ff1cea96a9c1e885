"""Compiles a run's training step for devices that are not here; a process of its own.

    python -m s2f_jax.planning.compile_step TARGET EXAMPLES CONFIG [--config.FIELD=VALUE ...]

XLA writes what it made where XLA_FLAGS says.
"""

import sys
from collections.abc import Sequence

from jax.experimental import topologies

from s2f_jax.config import read
from s2f_jax.planning.chips import parse_target
from s2f_jax.train import Trainer


def main(arguments: Sequence[str]) -> None:
    """Compiles.

    Args:
      arguments: As above.
    """
    target, examples, config, *overrides = arguments
    target = parse_target(target)
    name, options = target.topology()
    topology = topologies.get_topology_desc(name, target.chip.platform, **options)
    trainer = Trainer(read.load_config(config, overrides), int(examples), topology.devices)
    trainer.traced(True, trainer.task.batch_shapes()).lower().compile()


if __name__ == "__main__":
    main(sys.argv[1:])
