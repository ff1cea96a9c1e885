"""What a config costs before it is run: parameters, and FLOPs, bytes, memory (by XLA)."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax

from s2f_jax.config.schema import Config


class Cost(NamedTuple):
    """Cost of one run of a compiled function; bytes of memory are those of each device.

    XLA counts the body of a loop once, so one frame of the GRUs: by hand, 0.3 % of a full-size step
    is missing and 3 % of the demo's.

    Attributes:
      flops: Floating-point operations, over all devices.
      bytes_accessed: Bytes read and written, over all devices.
      arguments: Bytes of the arguments, per device.
      outputs: Bytes of the outputs, per device, without those in a donated argument's place.
      temporaries: Bytes of temporaries, per device.
    """

    flops: float
    bytes_accessed: float
    arguments: int
    outputs: int
    temporaries: int

    @property
    def memory(self) -> int:
        """Bytes of each device, of arguments, outputs and temporaries."""
        return self.arguments + self.outputs + self.temporaries


def measure(traced: Any, devices: int, accumulate: int = 1) -> Cost:
    """Measures a traced function's cost by XLA's analysis.

    A CPU runs its convolutions in loops and by algorithms with fewer products: there the FLOPs are
    those of the plain ones, before XLA has optimized anything, so that its share of the peak may
    pass 1.

    Args:
      traced: What a jitted function's `trace` returns.
      devices: Number of devices that the function is split over.
      accumulate: Parts that a step's batch goes through in, a loop whose body is nearly the whole
        step.

    Returns:
      The cost.
    """
    compiled = traced.lower().compile()
    counts: Any = compiled.cost_analysis()
    memory: Any = compiled.memory_analysis()
    flops = devices * counts["flops"]
    if jax.default_backend() == "cpu":
        flops = traced.lower(lowering_platforms=("tpu",)).cost_analysis()["flops"]
    return Cost(
        accumulate * flops,
        devices * accumulate * counts["bytes accessed"],
        memory.argument_size_in_bytes,
        memory.output_size_in_bytes - memory.alias_size_in_bytes,
        memory.temp_size_in_bytes,
    )


def parameters(params: Mapping[str, Any]) -> dict[str, int]:
    """Counts the parameters of each network.

    Args:
      params: Parameters by network.

    Returns:
      Counts by network.
    """
    return {name: sum(leaf.size for leaf in jax.tree.leaves(tree)) for name, tree in params.items()}


def steps(task: Any) -> dict[str, bool]:
    """Lists the kinds of steps that a run makes.

    Args:
      task: Task of the run.

    Returns:
      By name, whether all networks train in them.
    """
    return {"train_l1": False, "train": True} if task.adversarial_start_step else {"train": True}


def dry_run(config: Config, trainer: Any) -> int:
    """Prints, on the first process, what a run would be.

    Args:
      config: Config of the run.
      trainer: Trainer of the run.

    Returns:
      Exit code 0.
    """
    counts = parameters(trainer.like().params)
    batch = trainer.task.batch_shapes()
    devices = jax.device_count()
    lines = [
        "parameters: "
        + ", ".join(f"{name} {count:,}" for name, count in counts.items())
        + f", in all {sum(counts.values()):,}",
        f"steps per epoch: {trainer.steps_per_epoch:,} of {config.batch_size} clips of"
        f" {config.clip_frames} frames",
    ]
    for kind, adversarial_phase in steps(trainer.task).items():
        cost = measure(trainer.traced(adversarial_phase, batch), devices, config.accumulate)
        lines += [
            f"{kind} step: {si(cost.flops)}FLOPs, {si(cost.bytes_accessed)}B accessed",
            f"{kind} memory per device (of {devices}): {si(cost.memory)}B (arguments"
            f" {si(cost.arguments)}B, other outputs {si(cost.outputs)}B, temporaries"
            f" {si(cost.temporaries)}B)",
        ]
    if jax.process_index() == 0:
        print("\n".join(lines))
        print("dry run: nothing was written")
    return 0


def si(value: float) -> str:
    """Formats a number with four figures and a prefix: 20010000000 is '20.01 G'.

    Args:
      value: A number, not negative.

    Returns:
      The text.
    """
    thousands = int(math.log10(max(abs(value), 1))) // 3
    return f"{value / 1000**thousands:.4g} {' kMGTPE'[thousands]}".rstrip()
