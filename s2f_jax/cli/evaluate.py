"""`evaluate`: scores a run, or any two folders of videos."""

from collections.abc import Sequence
from typing import Any

from data_pipelines.common.errors import UserError
from s2f_jax.cli.command import AddFlag, Command, Given, default_workdir, load_config, refuse_rest
from s2f_jax.cli.flags import add_config, add_split, add_workdir


def add_flags(add: AddFlag) -> None:
    """Its flags."""
    add_config(add)
    add_workdir(add)
    add_split(add)
    add("--rows", metavar="ROW,...", help="e.g. ground_truth,frozen_still, which need no run")
    add("--videos", help="score this folder of videos instead of a run")
    add("--reference", help="with --videos: the real videos, equally named")
    add("--output", help="with --videos: the folder for the report")
    add(
        "--aligned",
        action="store_true",
        help="with --videos: every frame shows the face as the shards do",
    )


def run(given: Given, rest: Sequence[str]) -> int:
    """Scores, and prints the table of the report."""
    if "videos" in given:
        return _compare(given, rest)
    from s2f_jax.evaluation.evaluators import evaluate

    config = load_config(given, rest)
    rows = tuple(given["rows"].split(",")) if given.get("rows") else ()
    workdir, split = default_workdir(given, config), given.get("split", "test")
    _print_report(*evaluate(config, workdir, given.get("data_dir"), split, rows))
    return 0


def _compare(given: Given, rest: Sequence[str]) -> int:
    from s2f_jax.evaluation.video_folders import compare_folders

    if not (given.get("reference") and given.get("output")):
        raise UserError("--videos goes with --reference=DIR and --output=DIR: give them too")
    if "config" not in given:
        refuse_rest(rest)
    config = load_config(given, rest) if "config" in given else None
    folders = given["videos"], given["reference"], given["output"]
    _print_report(compare_folders(*folders, config, given.get("aligned", False)), given["output"])
    return 0


def _print_report(report: Any, folder: Any) -> None:
    from s2f_jax.reports import formats

    print(formats.markdown(report))
    print(f"{folder}/report.html")


COMMAND = Command(
    run=run,
    add_flags=add_flags,
    summary="score a run",
    example="--config=configs/grid.py --workdir=runs/grid",
)
