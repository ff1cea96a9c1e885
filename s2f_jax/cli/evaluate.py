"""`evaluate`: scores a run, or any two folders of videos."""

from collections.abc import Mapping, Sequence
from typing import Any

from data_pipelines.common.errors import UserError
from s2f_jax.cli.command import Command, Flags, flag, load_config, reject_extra, workdir_of
from s2f_jax.cli.flags import CONFIG, DATA_DIR, SPLIT, WORKDIR


def run(flags: Flags, extra: Sequence[str]) -> int:
    """Scores, and prints the table of the report.

    Args:
      flags: The flags that were given.
      extra: --config.FIELD=VALUE arguments.

    Returns:
      Exit code.
    """
    if flags.get("videos"):
        return _compare(flags, extra)
    from s2f_jax.evaluation.evaluators import evaluate

    config = load_config(flags, extra)
    rows = tuple(flags["rows"].split(",")) if flags.get("rows") else ()
    workdir, split = workdir_of(flags, config), flags.get("split", "test")
    return _print(*evaluate(config, workdir, flags.get("data_dir"), split, rows))


def _compare(flags: Flags, extra: Sequence[str]) -> int:
    from s2f_jax.evaluation.video_folders import compare_folders

    if not (flags.get("reference") and flags.get("output")):
        raise UserError("--videos: needs --reference=DIR and --output=DIR, too")
    if not flags.get("config"):
        reject_extra(extra)
    config = load_config(flags, extra) if flags.get("config") else None
    videos, reference, output = (flags[name] for name in ("videos", "reference", "output"))
    report = compare_folders(videos, reference, output, config, flags.get("aligned", False))
    return _print(report, output)


def _print(report: Mapping[str, Any], folder: object) -> int:
    from s2f_jax.reports import formats

    print(formats.markdown(report))
    print(f"{folder}/report.html")
    return 0


COMMAND = Command(
    run=run,
    flags=(
        *(CONFIG, DATA_DIR, WORKDIR, SPLIT),
        flag(
            "--rows ROW,...",
            "rows of the report; default: all. ground_truth and frozen_still need no run",
        ),
        flag("--videos DIR", "score this folder of videos instead of a run"),
        flag("--reference DIR", "with --videos: the real videos, equally named"),
        flag("--output DIR", "with --videos: folder for the report"),
        flag("--aligned", "with --videos: frames are face crops already, like those of the shards"),
    ),
    summary="score a run, or a folder of videos against real ones",
    example="--config=grid --workdir=runs/grid",
)
