"""`gallery`: makes animated pictures of a model's results on unseen clips."""

from s2f_jax.cli.command import AddFlag, Command, call
from s2f_jax.cli.flags import RUN, add_data_dir, add_split


def add_flags(add: AddFlag) -> None:
    """Adds the command's flags.

    Args:
      add: argparse's add_argument.
    """
    add("--checkpoint", required=True, metavar="DIR", help=RUN)
    add("--output", required=True, metavar="DIR", help="folder to write; must be new or empty")
    add_data_dir(add)
    add_split(add)
    add(
        "--seed",
        type=int,
        help="of the choice of clips and of the motion, in [0, 4294967295]; default: 0",
    )


COMMAND = Command(
    run=call("s2f_jax.render.gallery", "gallery"),
    add_flags=add_flags,
    summary="make animated pictures of a model's results on unseen clips",
    example="--checkpoint=runs/grid --output=gallery",
    atomic=True,
)
