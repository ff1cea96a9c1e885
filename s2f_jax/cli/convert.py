"""`convert`: the authors' weights to a run, and back."""

from collections.abc import Sequence

from data_pipelines.common.errors import UserError
from s2f_jax.cli.command import AddFlag, Command, Given, load_config, refuse_rest
from s2f_jax.cli.flags import RUN


def add_flags(add: AddFlag) -> None:
    """Its flags."""
    add("--sda", metavar="FILE", help="as the authors released it: grid.dat, timit.dat, crema.dat")
    add("--checkpoint", help=f"for the way back: {RUN}")
    add("--output", required=True, help="the folder of the run, or the .dat file of the way back")
    add(
        "--config",
        metavar="FILE:PRESET",
        help="for what the file does not say; default that of its corpus, else configs/base.py:sda",
    )


def run(given: Given, rest: Sequence[str]) -> int:
    """Converts one way or the other."""
    from s2f_jax.sda import convert

    if bool(given.get("sda")) == bool(given.get("checkpoint")):
        raise UserError("give --sda=FILE for a run, or --checkpoint=DIR for the way back")
    if "sda" in given:
        config = given.get("config") or convert.default_config(given["sda"])
        convert.from_sda(given["sda"], given["output"], load_config({"config": config}, rest))
    else:
        refuse_rest(rest)
        convert.to_sda(given["checkpoint"], given["output"])
    return 0


COMMAND = Command(
    run=run,
    add_flags=add_flags,
    summary="the authors' weights to a run, or back",
    example="--sda=grid.dat --output=runs/sda_grid",
)
