"""`ablate`: trains and scores variants of a config, each in its own folder, and makes one table."""

import dataclasses
import os
import pathlib
import runpy
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence

import jinja2
from etils import epath

from data_pipelines.common.errors import STOPPED, UserError
from data_pipelines.common.signals import handle_signals
from s2f_jax.config import read, schema
from s2f_jax.evaluation import evaluate, scorers
from s2f_jax.reports import formats, table
from s2f_jax.reports.verdicts import BASELINE, MODEL
from s2f_jax.runs import branch
from s2f_jax.runs.checkpoint import any_in
from s2f_jax.tasks import registry


@dataclasses.dataclass(frozen=True)
class Variant:
    """One run of an ablation: a config, trained with one seed.

    Attributes:
      name: Name of the variant, and of its row in the table.
      config: What --config takes.
      workdir: Folder of its run.
      seed: Seed of the training, where it is another than the config's.
    """

    name: str
    config: str
    workdir: epath.Path
    seed: int | None = None

    @property
    def run(self) -> str:
        """Name of the run: the variant's own, or with its seed "l1_only_seed_1"."""
        return self.workdir.name

    def overrides(self, given: Sequence[str]) -> list[str]:
        """Adds the run's seed to the config's overrides.

        Args:
          given: Flags such as --config.seed=3, for all runs.

        Returns:
          Flags; the last one of a field counts.
        """
        return [*given, *([] if self.seed is None else [f"--config.seed={self.seed}"])]

    def command(
        self,
        data_dir: str | None,
        overrides: Sequence[str],
        branch_from: epath.Path | None = None,
    ) -> list[str]:
        """Builds the command that trains the variant, or resumes its training.

        Args:
          data_dir: Folder of the shards; None: the default.
          overrides: Flags such as --config.seed=3.
          branch_from: Run whose first phase it shares; None: none.

        Returns:
          Python's arguments.
        """
        data = [f"--data_dir={data_dir}"] if data_dir else []
        shared = [f"--branch_from={branch_from}"] if branch_from else []
        program = ["-m", "s2f_jax.main", f"--config={self.config}", f"--workdir={self.workdir}"]
        return [*program, *data, *shared, *self.overrides(overrides)]


def select_variants(config: str, workdir: epath.PathLike, names: str | None) -> list[Variant]:
    """Selects the variants of a config, and the config itself.

    Args:
      config: What --config takes.
      workdir: Folder of all runs.
      names: Names of variants, separated by commas; None: all.

    Returns:
      The variants in the table's order: the baseline, the config itself, the others as given.

    Raises:
      UserError: A name is unknown, or there are no variants beside the config.
    """
    file, _, preset = config.partition(":")
    file = read.config_path(file)
    folder = pathlib.Path(file).parent / "ablations"
    if not (folder / "__init__.py").is_file():
        raise UserError(
            f"--config={file}: there is no folder {folder} beside it; give one of this project's"
            " configs"
        )
    known = runpy.run_path(str(folder / "__init__.py"))["VARIANTS"]
    selected = known if names is None else tuple(name for name in names.split(",") if name)
    if unknown := [name for name in selected if name not in known]:
        raise UserError(
            f"--variants={names}: there is no variant {unknown[0]!r}; give some of {','.join(known)}"
        )
    preset = ":".join([pathlib.Path(file).stem, *([preset] if preset else [])])
    root = epath.Path(workdir)
    variants = [Variant(name, f"{folder / name}.py:{preset}", root / name) for name in selected]
    variants.append(Variant(MODEL, config, root / MODEL))
    # The sort is stable: the baseline, the model, then the order given.
    return sorted(variants, key=lambda v: {BASELINE: 0, MODEL: 1}.get(v.name, 2))


def with_seeds(variants: Sequence[Variant], first: int, count: int) -> list[Variant]:
    """Makes a run of every variant with each of several seeds.

    Args:
      variants: The variants; their runs with the first seed.
      first: Seed of the config.
      count: Number of seeds, which follow each other.

    Returns:
      All variants with the first seed, in their own folders; then all with the next one, in folders
      named after it, such as l1_only_seed_1.

    Raises:
      UserError: The number is below 1.
    """
    if count < 1:
        raise UserError(f"--seeds={count}: must be an integer of at least 1")
    runs = [*variants]
    for seed in range(first + 1, first + count):
        for variant in variants:
            folder = variant.workdir.parent / f"{variant.name}_seed_{seed}"
            runs.append(dataclasses.replace(variant, workdir=folder, seed=seed))
    return runs


def ablate(
    config: str | None,
    overrides: Sequence[str],
    workdir: str | None,
    data_dir: str | None,
    *,
    split: str = "test",
    names: str | None = None,
    seeds: int = 1,
    print_only: str | None = None,
) -> int:
    """Trains variants that are not trained, scores those not scored, and writes the table.

    Args:
      config: What --config takes.
      overrides: Flags such as --config.seed=3, for all variants.
      workdir: Folder of all runs; None: runs/ablations_<the config's name>.
      data_dir: Folder of the shards; None: the default.
      split: Split that is scored.
      names: Names of variants, separated by commas; None: all.
      seeds: Number of trainings of each variant, with the config's seed and those that follow it.
      print_only: "commands" or "slurm": prints how to train them elsewhere, and does nothing.

    Returns:
      The exit code: 0, STOPPED after a signal, or 1 if a training failed.

    Raises:
      UserError: A variant is unknown or there is none (`select_variants`), a config is unusable, or
        `seeds` is below 1.
    """
    base = read.load_config(config, overrides)
    assert config is not None  # Otherwise load_config has failed.
    variants = select_variants(config, workdir or f"runs/ablations_{base.name}", names)
    runs = with_seeds(variants, base.seed, seeds)
    configs = {v.run: read.load_config(v.config, v.overrides(overrides)) for v in runs}
    for checked in (base, *configs.values()):
        registry.build(checked)
    if print_only:  # Each may be run elsewhere, alone.
        commands = [run.command(data_dir, overrides) for run in runs]
        _print_commands(commands, slurm=print_only == "slurm")
        return 0
    failed = []
    for run in runs:
        print(f"ablate: {run.run}", flush=True)
        shared = _shared_first_phase(run, runs, configs)
        code = _run_training(run.command(data_dir, overrides, shared))
        if code == STOPPED:
            return STOPPED
        if code:
            print(f"ablate: training {run.run} failed with exit code {code}; continuing")
            failed.append(run.run)
    _score(base, [run for run in runs if run.run not in failed], configs, data_dir, split)
    report = table.write_table(
        output := variants[0].workdir.parent / split,
        {run.run: run.workdir / "evaluation" / split for run in runs},
        rows={run.run: run.name for run in runs if run.run != run.name},
        with_sequence=[v.name for v in variants if configs[v.run].discriminators.sequence.weight],
        failed=failed,
    )
    print(formats.markdown(report))
    print(f"{output}/report.html")
    return 1 if failed else 0


def _shared_first_phase(
    run: Variant, runs: Sequence[Variant], configs: Mapping[str, schema.Config]
) -> epath.Path | None:
    """The trained run that a new one is the same as up to loss.adversarial_from, if there is any."""
    config = configs[run.run]
    if any_in(run.workdir):
        return None
    others = (
        other.workdir
        for other in runs
        if other is not run and branch.shares_first_phase(config, configs[other.run])
    )
    step = config.loss.adversarial_from
    return next((each for each in others if branch.end_of_first_phase(each, step).exists()), None)


def _print_commands(commands: Sequence[Sequence[str]], slurm: bool) -> None:
    lines = [shlex.join(["python", *command]) for command in commands]
    quoted = "\n".join(f"  {shlex.quote(line)}" for line in lines)
    loader = jinja2.PackageLoader("s2f_jax.evaluation")
    environment = jinja2.Environment(loader=loader, keep_trailing_newline=True)
    script = environment.get_template("slurm.txt").render(last=len(lines) - 1, commands=quoted)
    print(script if slurm else "\n".join(lines))


def _score(
    base: schema.Config,
    trained: Sequence[Variant],
    configs: Mapping[str, schema.Config],
    data_dir: str | None,
    split: str,
) -> None:
    # Evaluates the runs whose report is missing or outdated, all with the same metric suite and, so
    # that they can stand in one table, the same seed of the noise.
    metrics: scorers.MetricSuite | None = None
    try:
        for run in trained:
            rows = evaluate.ROWS if run.run == MODEL else ("model",)
            config, workdir = configs[run.run], run.workdir
            if evaluate.is_up_to_date(config, workdir, split, rows, base.seed):
                continue
            metrics = metrics or scorers.run_metrics(base, data_dir, workdir.parent / "faces")
            print(f"ablate: scoring {run.run}", flush=True)
            evaluate.evaluate_run(
                config, str(workdir), data_dir, split, rows, metrics, seed=base.seed
            )
    finally:
        if metrics:
            metrics.close()


def _run_training(command: list[str]) -> int:
    """Returns the exit code of a training process, which handles signals: it saves and ends."""
    process = subprocess.Popen([sys.executable, *command])

    def forward(number: int, _frame: object) -> None:
        # A terminal sends Ctrl-C (SIGINT) to the child itself.
        if number == signal.SIGTERM:
            os.kill(process.pid, number)

    with handle_signals(forward, signal.SIGTERM, signal.SIGINT):
        return process.wait()
