"""`evaluate`: scores a run, or any two folders of videos."""

from collections.abc import Mapping, Sequence
from typing import Any

from data_pipelines.common.errors import UserError
from s2f_jax.cli.command import AddFlag, Command, Flags, load_config, reject_extra, workdir_of
from s2f_jax.cli.flags import add_config, add_split, add_workdir


def add_flags(add: AddFlag) -> None:
    """Adds the command's flags.

    Args:
      add: argparse's add_argument.
    """
    add_config(add)
    add_workdir(add)
    add_split(add)
    add(
        "--rows",
        metavar="ROW,...",
        help="rows of the report; default: all. ground_truth and frozen_still need no run",
    )
    add("--videos", metavar="DIR", help="score this folder of videos instead of a run")
    add("--reference", metavar="DIR", help="with --videos: the real videos, equally named")
    add("--output", metavar="DIR", help="with --videos: folder for the report")
    add(
        "--aligned",
        action="store_true",
        help="with --videos: frames are aligned face crops already, as those of the shards",
    )


def run(flags: Flags, extra: Sequence[str]) -> int:
    """Scores, and prints the table of the report.

    Args:
      flags: The flags that were given.
      extra: --config.FIELD=VALUE arguments.

    Returns:
      Exit code.
    """
    if "videos" in flags:
        return _compare(flags, extra)
    from s2f_jax.evaluation.evaluators import evaluate

    config = load_config(flags, extra)
    rows = tuple(flags["rows"].split(",")) if flags.get("rows") else ()
    workdir, split = workdir_of(flags, config), flags.get("split", "test")
    _print_report(*evaluate(config, workdir, flags.get("data_dir"), split, rows))
    return 0


def _compare(flags: Flags, extra: Sequence[str]) -> int:
    from s2f_jax.evaluation.video_folders import compare

    if not (flags.get("reference") and flags.get("output")):
        raise UserError("--videos: needs --reference=DIR and --output=DIR, too")
    if "config" not in flags:
        reject_extra(extra)
    config = load_config(flags, extra) if "config" in flags else None
    options = {name: flags[name] for name in ("aligned",) if name in flags}
    report = compare(flags["videos"], flags["reference"], flags["output"], config, **options)
    _print_report(report, flags["output"])
    return 0


def _print_report(report: Mapping[str, Any], folder: object) -> None:
    from s2f_jax.reports import scores

    print(scores.markdown(report))
    print(f"{folder}/report.html")


COMMAND = Command(
    run=run,
    add_flags=add_flags,
    summary="score a run, or a folder of videos against real ones",
    example="--config=configs/grid.py --workdir=runs/grid",
)
