"""`benchmark`: measures how fast a config runs on this machine."""

from collections.abc import Sequence

from s2f_jax.cli.command import AddFlag, Command, Flags, load_config
from s2f_jax.cli.flags import add_config


def add_flags(add: AddFlag) -> None:
    """Adds the command's flags.

    Args:
      add: argparse's add_argument.
    """
    add_config(add)
    add("--json", dest="json_file", metavar="FILE", help="write the figures to a file")
    add("--compare", metavar="FILE", help="earlier figures of --json, to print beside these")
    add(
        "--only",
        metavar="SECTION,...",
        help="some of train,networks,generate,stream,metrics,faces,loader,checkpoint,prepare; default:"
        " all",
    )
    add("--manual_dir", metavar="DIR", help="copy of the corpus, to measure `prepare` on")
    add(
        "--seconds",
        type=float,
        help="measuring time of each figure, at least 0; slow ones take longer; default: 5",
    )


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
    add_flags=add_flags,
    summary="measure how fast a config runs on this machine",
    example="--config=configs/demo.py --json=before.json",
)
