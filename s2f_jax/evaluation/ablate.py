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
from s2f_jax.tasks import registry


@dataclasses.dataclass(frozen=True)
class Variant:
    """One config of an ablation.

    Attributes:
      name: Name of the variant, and of its row in the table.
      config: What --config takes.
      workdir: Folder of its run.
    """

    name: str
    config: str
    workdir: epath.Path

    def command(self, data_dir: str | None, overrides: Sequence[str]) -> list[str]:
        """Builds the command that trains the variant, or resumes its training.

        Args:
          data_dir: Folder of the shards; None: the default.
          overrides: Flags such as --config.seed=3.

        Returns:
          Python's arguments.
        """
        data = [f"--data_dir={data_dir}"] if data_dir else []
        program = ["-m", "s2f_jax.main", f"--config={self.config}", f"--workdir={self.workdir}"]
        return [*program, *data, *overrides]


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


def ablate(
    config: str | None,
    overrides: Sequence[str],
    workdir: str | None,
    data_dir: str | None,
    *,
    split: str = "test",
    names: str | None = None,
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
      print_only: "commands" or "slurm": prints how to train them elsewhere, and does nothing.

    Returns:
      The exit code: 0, STOPPED after a signal, or 1 if a training failed.

    Raises:
      UserError: A variant is unknown or there is none (`select_variants`), or a config is unusable.
    """
    base = read.load_config(config, overrides)
    assert config is not None  # Otherwise load_config has failed.
    variants = select_variants(config, workdir or f"runs/ablations_{base.name}", names)
    configs = {variant.name: read.load_config(variant.config, overrides) for variant in variants}
    for checked in (base, *configs.values()):
        registry.build(checked)
    commands = [variant.command(data_dir, overrides) for variant in variants]
    if print_only:
        _print_commands(commands, slurm=print_only == "slurm")
        return 0
    failed = []
    for variant, command in zip(variants, commands, strict=True):
        print(f"ablate: {variant.name}", flush=True)
        code = _run_training(command)
        if code == STOPPED:
            return STOPPED
        if code:
            print(f"ablate: training {variant.name} failed with exit code {code}; continuing")
            failed.append(variant.name)
    trained = [variant for variant in variants if variant.name not in failed]
    _score(base, trained, configs, data_dir, split)
    output = variants[0].workdir.parent / split
    reports = {variant.name: variant.workdir / "evaluation" / split for variant in variants}
    with_sequence = [name for name, c in configs.items() if c.discriminators.sequence.weight]
    report = table.write_table(output, reports, with_sequence=with_sequence, failed=failed)
    print(formats.markdown(report))
    print(f"{output}/report.html")
    return 1 if failed else 0


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
    # Evaluates the variants whose report is missing or outdated, all with the same metric suite.
    metrics: scorers.MetricSuite | None = None
    try:
        for variant in trained:
            rows = evaluate.ROWS if variant.name == MODEL else ("model",)
            config, workdir = configs[variant.name], variant.workdir
            if evaluate.is_up_to_date(config, workdir, split, rows):
                continue
            metrics = metrics or scorers.run_metrics(base, data_dir, workdir.parent / "faces")
            print(f"ablate: scoring {variant.name}", flush=True)
            evaluate.evaluate_run(config, str(workdir), data_dir, split, rows, metrics)
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
