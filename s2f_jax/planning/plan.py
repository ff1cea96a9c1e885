"""The command `plan`: what a training would take on accelerators that are not here."""

import dataclasses
import json
import pathlib
from collections.abc import Callable, Sequence

from data_pipelines.common.errors import UserError
from s2f_jax.config import read
from s2f_jax.planning import compiler, counts
from s2f_jax.planning.chips import CHIPS, Target, parse_target
from s2f_jax.planning.estimate import estimate

CLIPS = 33_000  # Of GRID.
EPOCHS = 30
_FRACTION = 1 / 64  # Of the largest number of clips, within which it is found.
GB = 1e9


@dataclasses.dataclass
class Plan:
    """What a step is on a target.

    Attributes:
      target: The target's name.
      chips: Number of chips.
      batch: Clips of a step, over all chips.
      dtype: Of activations.
      keep_activations: As in the config.
      memory_limit: Bytes that a program may have on each chip.
      memory: Bytes that the step needs on each chip.
      arguments: Of these, of state and batch; None where the compiler refused the step.
      temporaries: Of these, of all else.
      largest: The largest buffers, with their bytes.
      tflop: Operations asked for on each chip, two for a multiplication and addition, 10^12.
      tflop_made: Operations of the compiled program.
      bytes_moved: Between main memory and the chip.
      iterations: Of loops, one after the other.
      kernels: Instructions outside of loops.
      kernels_in_loops: Instructions in loops.
      collectives: Kind, devices of a group, number and bytes of each.
      seconds: Least time of a step, by what it is for.
      largest_clips_per_chip: Most clips that a chip holds; None: not searched.
      hours_per_epoch: Least hours of an epoch.
      price: Of the run, in the unit of --price; None: not asked for.
    """

    target: str
    chips: int
    batch: int
    dtype: str
    keep_activations: str
    memory_limit: int
    memory: int
    arguments: int | None = None
    temporaries: int | None = None
    largest: tuple[compiler.Buffer, ...] = ()
    tflop: float | None = None
    tflop_made: float | None = None
    bytes_moved: int | None = None
    iterations: int | None = None
    kernels: int | None = None
    kernels_in_loops: int | None = None
    collectives: tuple[counts.Collective, ...] = ()
    seconds: dict[str, float] | None = None
    largest_clips_per_chip: int | None = None
    hours_per_epoch: float | None = None
    price: float | None = None

    @property
    def fits(self) -> bool:
        """Whether a chip's memory is enough."""
        return self.memory <= self.memory_limit


def plan(
    config: str,
    overrides: Sequence[str],
    on: str,
    clips_per_chip: int | None = None,
    largest: bool = False,
    clips: int = CLIPS,
    epochs: int = EPOCHS,
    price: str = "",
    json_file: str | None = None,
) -> int:
    """Plans a run on each target, and prints the figures.

    Args:
      config: Config of the run: a file or a name.
      overrides: --config.FIELD=VALUE arguments.
      on: Targets, with commas between.
      clips_per_chip: Clips of a step on each chip; None: config.batch_size over the chips.
      largest: Whether the largest number of clips that a chip holds is searched.
      clips: Training clips of an epoch.
      epochs: Epochs of a run.
      price: Prices of a chip's hour: v5e=1.2,h100=3.
      json_file: File for the figures; None: none.

    Returns:
      Exit code: 0 if all fits, else 1.

    Raises:
      UserError: A value is impossible, or a compiler is missing.
    """
    for name, value in (("clips_per_chip", clips_per_chip), ("clips", clips), ("epochs", epochs)):
        if value is not None and value < 1:
            raise UserError(f"--{name}={value}: must be an integer of at least 1")
    loaded = read.load_config(config, overrides)
    if not loaded.clip_frames:
        raise UserError(
            "--config.clip_frames=0: the longest clip is not known here; give its frames"
        )
    targets = [parse_target(text) for text in on.split(",")]
    prices = _prices(price)
    for target in targets:
        compiler.check_compiler(target)
        count = (clips_per_chip or 0) * target.chips or loaded.batch_size
        if count % (target.chips * loaded.accumulate):
            raise UserError(
                f"--on={target.name}: {target.chips} chips cannot share --config.batch_size={count}; give"
                " --clips_per_chip"
            )
    plans = []
    for target in targets:
        batch = (clips_per_chip or 0) * target.chips or loaded.batch_size
        made = plan_step(target, batch, clips, config, overrides)
        if largest:
            made.largest_clips_per_chip = largest_that_fits(
                lambda count, target=target: (
                    plan_step(target, count * target.chips, clips, config, overrides).memory
                ),
                made.memory_limit,
                batch // target.chips,
                made.memory,
            )
        if made.seconds:
            made.hours_per_epoch = hours = sum(made.seconds.values()) * clips / batch / 3600
            if target.chip.name in prices:
                made.price = hours * epochs * target.chips * prices[target.chip.name]
        print(describe(made, epochs), flush=True)
        plans.append(made)
    if json_file:
        entries = [{**dataclasses.asdict(each), "fits": each.fits} for each in plans]
        pathlib.Path(json_file).write_text(json.dumps({"schema": 1, "plans": entries}, indent=1))
    return 0 if all(each.fits for each in plans) else 1


def _prices(text: str) -> dict[str, float]:
    prices = {}
    for part in text.split(",") if text else ():
        name, _, value = part.partition("=")
        try:
            prices[name] = float(value)
        except ValueError:
            prices[name] = -1.0
        if name not in CHIPS or not 0 <= prices[name] < float("inf"):
            raise UserError(
                f"--price={part}: must be a chip, {', '.join(CHIPS)}, and the price of its hour: v5e=1.2"
            )
    return prices


def plan_step(
    target: Target, batch: int, clips: int, config: str, overrides: Sequence[str]
) -> Plan:
    """Compiles one step.

    Args:
      target: What for.
      batch: Its clips, over all chips.
      clips: Training clips of an epoch.
      config: Config of the run.
      overrides: --config.FIELD=VALUE arguments.

    Returns:
      The plan, without what is searched or priced.
    """
    overrides = [*overrides, f"--config.batch_size={batch}"]
    loaded = read.load_config(config, overrides)
    chip = target.chip
    known = (
        target.name,
        target.chips,
        batch,
        loaded.model.dtype,
        loaded.keep_activations,
        chip.memory,
    )
    try:
        program = compiler.compile_step(target, clips, config, overrides)
    except compiler.TooLarge as error:
        return Plan(*known, error.needed)
    counted, memory = counts.count_program(program.module), program.memory
    return Plan(
        *known,
        memory.total,
        memory.arguments,
        memory.temporaries,
        memory.largest,
        2 * counts.products(program.asked) / 1e12 / target.chips,
        2 * counts.products(program.module) / 1e12,
        counted.bytes,
        counted.iterations,
        counted.kernels,
        counted.kernels_in_loops,
        counted.collectives,
        estimate(program.module, counted, chip)._asdict(),
    )


def largest_that_fits(
    memory_of: Callable[[int], int], limit: int, first: int, first_memory: int
) -> int:
    """Finds the largest number of clips whose step fits.

    Memory grows about evenly with the clips, so that two compiles tell where to look.

    Args:
      memory_of: Compiles a step of so many clips; returns its bytes.
      limit: Bytes there are.
      first: A number of clips whose bytes are known.
      first_memory: Its bytes.

    Returns:
      The number, to within a 64th of it; 0: not even one fits.
    """
    known = {first: first_memory, 2 * first: memory_of(2 * first)}
    while True:
        fits = max((n for n, used in known.items() if used <= limit), default=0)
        fails = min((n for n, used in known.items() if used > limit and n > fits), default=None)
        if fails is not None and fails - fits <= max(1, fits * _FRACTION):
            return fits
        (a, of_a), (b, of_b) = sorted(known.items(), key=lambda item: abs(item[1] - limit))[:2]
        slope = (of_b - of_a) / (b - a)
        guess = int(a + (limit - of_a) / slope) if slope > 0 else 2 * max(known)
        guess = max(fits + 1, min(guess, fails - 1 if fails else 4 * max(known)))
        if guess in known:
            guess = (fits + (fails or 2 * fits)) // 2
        known[guess] = memory_of(guess)


def describe(made: Plan, epochs: int) -> str:
    """Says what a plan found.

    Args:
      made: The plan.
      epochs: Epochs of the run.

    Returns:
      Lines of text.
    """
    lines = [
        f"{made.target}: {made.batch} clips a step on {made.chips} chips, {made.dtype},"
        f" keep_activations={made.keep_activations}",
        f"  memory a chip: {made.memory / GB:.2f} GB of {made.memory_limit / GB:.2f} GB:"
        f" {'fits' if made.fits else 'DOES NOT FIT'}",
    ]
    if made.largest_clips_per_chip is not None:
        lines.append(f"  most clips a chip holds: {made.largest_clips_per_chip}")
    if made.seconds is None or made.arguments is None or made.temporaries is None:
        return "\n".join(lines)
    lines[1] += (
        f" (state and batch {made.arguments / GB:.2f}, the rest {made.temporaries / GB:.2f})"
    )
    lines += [f"    {size / GB:.2f} GB: {arrays}" for size, arrays in made.largest[:4]]
    lines.append(
        f"  a chip's step: {made.tflop_made:.2f} TFLOP ({made.tflop:.2f} asked for),"
        f" {(made.bytes_moved or 0) / GB:.1f} GB moved, {made.iterations} iterations of loops,"
        f" {made.kernels_in_loops} instructions in loops and {made.kernels} outside"
    )
    for kind, group, number, size in made.collectives:
        lines.append(f"    {number} {kind} over {group} chips, {size / 1e6:.1f} MB")
    total = sum(made.seconds.values())
    parts = ", ".join(f"{name} {1e3 * value:.1f}" for name, value in made.seconds.items())
    lines.append(
        f"  at best {1e3 * total:.1f} ms a step (ms: {parts}), {made.batch / total:.0f} clips/s,"
        f" {made.hours_per_epoch or 0:.2f} hours an epoch,"
        f" {(made.hours_per_epoch or 0) * epochs:.1f} hours for {epochs}; planned, never measured"
    )
    if made.price is not None:
        lines.append(f"  the chips' hours of these epochs: {made.price:.2f}")
    return "\n".join(lines)
