"""`prepare`: a corpus to shards, and what is odd in them."""

from collections.abc import Sequence

from s2f_jax.cli.command import AddFlag, Command, Given, load_config
from s2f_jax.cli.flags import add_config


def add_flags(add: AddFlag) -> None:
    """Its flags."""
    add_config(add)
    add("--manual_dir", help="a local copy of the corpus; without it, it is downloaded")
    add(
        "--beam_pipeline_options",
        metavar="runner=RUNNER,NAME=VALUE,...",
        help="let Apache Beam do the work, as in `tfds build`",
    )
    add(
        "--check",
        action="store_true",
        help="look at the shards made before: a page and check.json beside them; exit code 1 if"
        " there are errors, 0 with warnings alone",
    )


def run(given: Given, rest: Sequence[str]) -> int:
    """Makes the shards, or with --check measures those that are there."""
    from data_pipelines.prepare import data_dir, prepare

    config = load_config(given, rest)
    corpus = config.data, given.get("manual_dir"), data_dir(config.data, given.get("data_dir"))
    if given.get("check"):
        from data_pipelines.quality.check import check_shards

        return 1 if check_shards(*corpus)["errors"] else 0
    prepare(*corpus, given.get("beam_pipeline_options", ""))
    return 0


COMMAND = Command(
    run=run,
    add_flags=add_flags,
    summary="corpus to shards",
    example="--config=configs/grid.py --manual_dir=GRID",
)
