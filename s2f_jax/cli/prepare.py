"""`prepare`: makes the shards of a corpus, or checks them."""

from collections.abc import Sequence

from s2f_jax.cli.command import Command, Flags, flag, load_config
from s2f_jax.cli.flags import CONFIG, DATA_DIR


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
    prepare(*corpus, *(flags[name] for name in ("beam_pipeline_options",) if name in flags))
    return 0


COMMAND = Command(
    run=run,
    flags=(
        *(CONFIG, DATA_DIR),
        flag("--manual_dir DIR", "local copy of the corpus; default: download it"),
        flag(
            "--beam_pipeline_options runner=RUNNER,NAME=VALUE,...",
            "run on Apache Beam with these options, as `tfds build` takes them",
        ),
        flag(
            "--check",
            "check existing shards: write a page and check.json beside them; exit code 1 on errors, 0 on"
            " warnings alone",
        ),
    ),
    summary="make the shards of a corpus: align faces, resample, split",
    example="--config=grid --manual_dir=GRID",
)
