"""Flags that several commands share."""

from collections.abc import Mapping
from typing import Any

from s2f_jax.cli.command import AddFlag

RUN = "a run's workdir or one of its checkpoints"
MODEL = "a run's workdir, one of its checkpoints, or a bundle"
# As other tools call them, too.
IMAGE = ("--image", "--source_image", "--face")
AUDIO = ("--audio", "--driven_audio", "--driving_audio")
OUTPUT = ("--output", "--outfile")


def add_config(add: AddFlag) -> None:
    """--config and --data_dir."""
    add(
        "--config",
        metavar="FILE|NAME[:PRESET]",
        help="and --config.FIELD=VALUE changes a field",
    )
    add("--data_dir", help="where the shards are; default TFDS_DATA_DIR")


def add_workdir(add: AddFlag) -> None:
    """--workdir of a run."""
    add("--workdir", help="the run's folder; default runs/<the config's name>")


def add_split(add: AddFlag) -> None:
    """--split."""
    add("--split", help="train, val or test; default test")


def add_drawing(add: AddFlag) -> None:
    """What videos are drawn with."""
    add("--seed", type=int, help="of the spontaneous motion; default 0")
    add_aligned(add)
    add("--badge", action="store_true", help="a small visible mark of what is synthetic")


def add_aligned(add: AddFlag) -> None:
    """--aligned."""
    add("--aligned", action="store_true", help="the image is a crop of the model's size")


def add_address(add: AddFlag) -> None:
    """Where a page is served, and to whom."""
    add("--port", type=int, help="to listen on; 0: any that is free; default 8000")
    add(
        "--host",
        help="the address to listen on, default 127.0.0.1; of any that is not this machine's own,"
        " the page demands a token",
    )
    add("--token", help="letters and digits that open the page; default: made anew each time")
    add("--tls_key", metavar="PEM", help="of --tls_certificate")


def add_limits(add: AddFlag, limits: Any, descriptions: Mapping[str, str]) -> None:
    """A flag for each field of a dataclass of limits.

    Args:
      add: argparse's add_argument.
      limits: The dataclass, whose defaults the help tells.
      descriptions: What each field limits.
    """
    for name, description in descriptions.items():
        default = getattr(limits, name)
        add(f"--{name}", type=int, metavar="N", help=f"{description}; default {default}")
