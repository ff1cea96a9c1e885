"""`benchmark`: how fast a config runs on this machine."""

from collections.abc import Sequence

from s2f_jax.cli.command import AddFlag, Command, Given, load_config
from s2f_jax.cli.flags import add_config


def add_flags(add: AddFlag) -> None:
    """Its flags."""
    add_config(add)
    add("--json", dest="json_file", metavar="FILE", help="the figures to a file")
    add("--compare", metavar="FILE", help="figures of before, to print beside these")
    add(
        "--only",
        metavar="SECTIONS",
        help="train,networks,generate,stream,metrics,faces,loader,checkpoint,prepare",
    )
    add("--manual_dir", help="a copy of the corpus, whose raw clips `prepare` is timed on")
    add("--seconds", type=float, help="for each figure; slow ones take longer")


def run(given: Given, rest: Sequence[str]) -> int:
    """Measures, and prints the figures."""
    from s2f_jax.diagnostics.benchmark import benchmark

    config = load_config(given, rest)
    given = {name: value for name, value in given.items() if name != "config"}
    benchmark(config, given.pop("data_dir", None), **given)
    return 0


COMMAND = Command(
    run=run,
    add_flags=add_flags,
    summary="how fast a config runs here",
    example="--config=configs/demo.py --json=before.json",
)
