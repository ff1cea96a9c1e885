"""`convert`: converts the authors' released weights to a run, or back."""

from collections.abc import Sequence

from data_pipelines.common.errors import UserError
from s2f_jax.cli.command import Command, Flags, flag, load_config, reject_extra
from s2f_jax.cli.flags import RUN


def run(flags: Flags, extra: Sequence[str]) -> int:
    """Converts one way or the other.

    Args:
      flags: The flags that were given.
      extra: --config.FIELD=VALUE arguments.

    Returns:
      Exit code.

    Raises:
      UserError: Not exactly one of --sda and --checkpoint was given.
    """
    from s2f_jax.sda import convert

    if bool(flags.get("sda")) == bool(flags.get("checkpoint")):
        raise UserError("give either --sda=FILE, or --checkpoint=DIR to convert a model back")
    if flags.get("sda"):
        config = flags.get("config") or convert.default_config(flags["sda"])
        convert.from_sda(flags["sda"], flags["output"], load_config({"config": config}, extra))
    else:
        reject_extra(extra)
        convert.to_sda(flags["checkpoint"], flags["output"])
    return 0


COMMAND = Command(
    run=run,
    flags=(
        flag("--sda FILE", "released weights: grid.dat, timit.dat or crema.dat"),
        flag("--checkpoint DIR", f"model to convert back: {RUN}"),
        flag(
            "--output DIR|FILE",
            "workdir of the new run; or the .dat file, if a model is converted back",
            required=True,
        ),
        flag(
            "--config FILE|NAME[:PRESET]",
            "for what the file does not hold; default: that of its corpus, else configs/base.py:sda",
        ),
    ),
    summary="convert the authors' released weights to a run, or back",
    example="--sda=grid.dat --output=runs/sda_grid",
)
