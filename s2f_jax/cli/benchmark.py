"""`benchmark`: measures how fast a config runs on this machine."""

from collections.abc import Sequence

from s2f_jax.cli.command import Command, Flags, flag, load_config
from s2f_jax.cli.flags import CONFIG, DATA_DIR, JSON


def run(flags: Flags, extra: Sequence[str]) -> int:
    """Measures, and prints the figures.

    Args:
      flags: The flags that were given.
      extra: --config.FIELD=VALUE arguments.

    Returns:
      Exit code.
    """
    from s2f_jax.diagnostics.benchmark import benchmark

    config = load_config(flags, extra)
    benchmark(config, **{name: value for name, value in flags.items() if name != "config"})
    return 0


COMMAND = Command(
    run=run,
    flags=(
        *(CONFIG, DATA_DIR),
        flag(JSON, "write the figures to a file", dest="json_file"),
        flag("--compare FILE", "earlier figures of --json, to print beside these"),
        flag(
            "--only SECTION,...",
            "some of train,networks,generate,stream,metrics,faces,loader,checkpoint,prepare; default:"
            " all",
        ),
        flag("--manual_dir DIR", "copy of the corpus, to measure `prepare` on"),
        flag(
            "--seconds S", "least measuring time of each figure, at least 0; default: 5", type=float
        ),
    ),
    summary="measure how fast a config runs on this machine",
    example="--config=demo --json=before.json",
)
