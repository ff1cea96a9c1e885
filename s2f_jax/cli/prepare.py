"""`prepare`: makes the shards of a corpus, or checks them."""

from collections.abc import Sequence

from s2f_jax.cli.command import AddFlag, Command, Flags, load_config
from s2f_jax.cli.flags import add_config


def add_flags(add: AddFlag) -> None:
    """Adds the command's flags.

    Args:
      add: argparse's add_argument.
    """
    add_config(add)
    add("--manual_dir", metavar="DIR", help="local copy of the corpus; default: download it")
    add(
        "--beam_pipeline_options",
        metavar="runner=RUNNER,NAME=VALUE,...",
        help="run on Apache Beam with these options, as `tfds build` takes them",
    )
    add(
        "--check",
        action="store_true",
        help="check existing shards: write a page and check.json beside them; exit code 1 on errors, 0"
        " on warnings alone",
    )


def run(flags: Flags, extra: Sequence[str]) -> int:
    """Makes the shards, or with --check checks those that exist.

    Args:
      flags: The flags that were given.
      extra: --config.FIELD=VALUE arguments.

    Returns:
      Exit code.
    """
    from data_pipelines.prepare import data_dir, prepare

    data = load_config(flags, extra).data
    corpus = data, flags.get("manual_dir"), data_dir(data, flags.get("data_dir"))
    if flags.get("check"):
        from data_pipelines.quality.check import check_shards

        return 1 if check_shards(*corpus)["errors"] else 0
    options = {name: flags[name] for name in ("beam_pipeline_options",) if name in flags}
    prepare(*corpus, **options)
    return 0


COMMAND = Command(
    run=run,
    add_flags=add_flags,
    summary="make the shards of a corpus: align faces, resample, split",
    example="--config=configs/grid.py --manual_dir=GRID",
)
