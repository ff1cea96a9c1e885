"""`gallery`: moving pictures of what a model does with clips it has not seen."""

from s2f_jax.cli.command import AddFlag, Command, call
from s2f_jax.cli.flags import RUN, add_split


def add_flags(add: AddFlag) -> None:
    """Its flags."""
    add("--checkpoint", required=True, help=RUN)
    add("--output", required=True, metavar="DIR", help="the folder to write, not there yet")
    add("--data_dir", help="where the run's shards are; default TFDS_DATA_DIR")
    add_split(add)
    add("--seed", type=int, help="of the clips that are shown, and of the motion")


COMMAND = Command(
    run=call("s2f_jax.render.gallery", "gallery"),
    add_flags=add_flags,
    summary="what a model does with clips it has not seen, as moving pictures",
    example="--checkpoint=runs/grid --output=gallery",
    atomic=True,
)
