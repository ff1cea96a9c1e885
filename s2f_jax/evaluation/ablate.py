"""Variants of a config, each trained and scored in a folder of its own, and one table of them all."""

import dataclasses
import os
import pathlib
import runpy
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence

from etils import epath

from data_pipelines.common.errors import STOPPED, UserError
from s2f_jax.config import read, schema
from s2f_jax.evaluation import evaluate, scorers
from s2f_jax.reports import scores, table
from s2f_jax.reports.verdicts import BASELINE, MODEL
from s2f_jax.tasks import task

_SLURM = """#!/usr/bin/env bash
# One variant a task; afterwards the same `ablate` command without --print makes the table.
#SBATCH --job-name=ablate
#SBATCH --array=0-{last}
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=8
#SBATCH --gpus-per-task=1
#SBATCH --requeue
set -euo pipefail
commands=(
{commands}
)
# 75: saved upon a signal; the queue runs it again, and it goes on.
code=0
bash -c "exec ${{commands[$SLURM_ARRAY_TASK_ID]}}" || code=$?
if [ "$code" = 75 ]; then scontrol requeue "${{SLURM_ARRAY_JOB_ID}}_$SLURM_ARRAY_TASK_ID"; fi
exit "$code"
"""


@dataclasses.dataclass(frozen=True)
class Variant:
    name: str
    config: str  # What --config takes.
    workdir: epath.Path

    def command(self, data_dir: str | None, overrides: Sequence[str]) -> list[str]:
        """That trains it, or goes on."""
        where = [f"--data_dir={data_dir}"] if data_dir else []
        program = ["-m", "s2f_jax.main", f"--config={self.config}", f"--workdir={self.workdir}"]
        return [*program, *where, *overrides]


def variants(config: str, workdir: epath.PathLike, chosen: str | None) -> list[Variant]:
    """The config itself and its variants, or those chosen of them: "a,b", in the table's order.

    Raises UserError for a name that is none, and where there are no variants beside the config.
    """
    file, _, preset = config.partition(":")
    file = read.config_path(file)
    folder = pathlib.Path(file).parent / "ablations"
    if not (folder / "__init__.py").is_file():
        raise UserError(
            f"--config={file} has no folder {folder} beside it: give one of this project's configs"
        )
    known = runpy.run_path(str(folder / "__init__.py"))["VARIANTS"]
    names = known if chosen is None else tuple(name for name in chosen.split(",") if name)
    if wrong := [name for name in names if name not in known]:
        raise UserError(
            f"--variants={chosen}: there is no variant {wrong[0]!r}; give some of {','.join(known)}"
        )
    of = ":".join([pathlib.Path(file).stem, *([preset] if preset else [])])
    root = epath.Path(workdir)
    others = [Variant(name, f"{folder / name}.py:{of}", root / name) for name in names]
    first = [variant for variant in others if variant.name == BASELINE]
    rest = [variant for variant in others if variant.name != BASELINE]
    return [*first, Variant(MODEL, config, root / MODEL), *rest]


def ablate(
    config: str | None,
    overrides: Sequence[str],
    workdir: str | None,
    data_dir: str | None,
    *,
    split: str = "test",
    chosen: str | None = None,
    show: str | None = None,
) -> int:
    """Trains what is not trained, scores what is not scored, and writes the table; -> exit code.

    show: "commands" or "slurm": prints how to train them elsewhere, and does nothing.

    Raises UserError as `variants` does, and for a config that cannot be used.
    """
    base = read.load_config(config, overrides)
    assert config is not None  # Or it could not have been read.
    all_of_them = variants(config, workdir or f"runs/ablations_{base.name}", chosen)
    configs = {each.name: read.load_config(each.config, overrides) for each in all_of_them}
    for each in (base, *configs.values()):
        task.build(each)
    commands = [each.command(data_dir, overrides) for each in all_of_them]
    if show:
        lines = [shlex.join(["python", *command]) for command in commands]
        quoted = "\n".join(f"  {shlex.quote(line)}" for line in lines)
        slurm = _SLURM.format(last=len(lines) - 1, commands=quoted)
        print(slurm if show == "slurm" else "\n".join(lines))
        return 0
    failed = []
    for each, command in zip(all_of_them, commands, strict=True):
        print(f"ablate: {each.name}", flush=True)
        code = _train(command)
        if code == STOPPED:
            return STOPPED
        if code:
            print(
                f"ablate: the training of {each.name} ended with exit code {code}; the others go on"
            )
            failed.append(each.name)
    root = all_of_them[0].workdir.parent
    _score(
        base, [each for each in all_of_them if each.name not in failed], configs, data_dir, split
    )
    result = table.write_table(
        root / split,
        {each.name: each.workdir / "evaluation" / split for each in all_of_them},
        with_sequence=[name for name, of in configs.items() if of.loss.sequence],
        failed=failed,
    )
    print(scores.markdown(result))
    print(f"{root / split}/report.html")
    return 1 if failed else 0


def _score(
    base: schema.Config,
    trained: Sequence[Variant],
    configs: Mapping[str, schema.Config],
    data_dir: str | None,
    split: str,
) -> None:
    """Evaluates those that have not been, all by the same judges."""
    by: scorers.MetricSuite | None = None
    try:
        for each in trained:
            rows = evaluate.ROWS if each.name == MODEL else ("model",)
            config, workdir = configs[each.name], each.workdir
            if evaluate.is_done(config, workdir, split, rows):
                continue
            by = by or scorers.run_metrics(base, data_dir, workdir.parent / "faces")
            print(f"ablate: {each.name} is scored", flush=True)
            evaluate.evaluate_run(config, str(workdir), data_dir, split, rows, by)
    finally:
        if by:
            by.close()


def _train(command: list[str]) -> int:
    """Runs it; a signal is for it, which saves and ends."""
    process = subprocess.Popen([sys.executable, *command])
    before = {}

    def pass_on(number: int, _frame: object) -> None:
        # A terminal's Ctrl-C has reached the child already.
        if number == signal.SIGTERM:
            os.kill(process.pid, number)

    for number in (signal.SIGTERM, signal.SIGINT):
        before[number] = signal.signal(number, pass_on)
    try:
        return process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
