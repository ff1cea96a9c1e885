"""Flags that several commands share."""

import dataclasses
from collections.abc import Mapping
from typing import TypeVar

from s2f_jax.apps.server.limits import PageLimits
from s2f_jax.cli.command import AddFlag, Flags

RUN = "workdir of a run, or one of its checkpoint steps"
MODEL = "workdir of a run, one of its checkpoint steps, or an exported bundle"
# With their names in other tools.
IMAGE = ("--image", "--source_image", "--face")
AUDIO = ("--audio", "--driven_audio", "--driving_audio")
OUTPUT = ("--output", "--outfile")
Limits = TypeVar("Limits", bound=PageLimits)


def add_config(add: AddFlag) -> None:
    """Adds --config and --data_dir.

    Args:
      add: argparse's add_argument.
    """
    add(
        "--config",
        metavar="FILE|NAME[:PRESET]",
        help="config file, or name of a config in configs/; --config.FIELD=VALUE changes a field",
    )
    add_data_dir(add)


def add_data_dir(add: AddFlag) -> None:
    """Adds --data_dir.

    Args:
      add: argparse's add_argument.
    """
    add("--data_dir", metavar="DIR", help="folder of the shards; default: TFDS_DATA_DIR")


def add_workdir(add: AddFlag) -> None:
    """Adds --workdir.

    Args:
      add: argparse's add_argument.
    """
    add("--workdir", metavar="DIR", help="folder of the run; default: runs/CONFIG_NAME")


def add_split(add: AddFlag) -> None:
    """Adds --split.

    Args:
      add: argparse's add_argument.
    """
    add("--split", help="train, val or test; default: test")


def add_generation(add: AddFlag) -> None:
    """Adds --seed, --aligned and --badge.

    Args:
      add: argparse's add_argument.
    """
    add("--seed", type=int, help="of the spontaneous motion, in [0, 4294967295]; default: 0")
    add_aligned(add)
    add_badge(add)


def add_aligned(add: AddFlag) -> None:
    """Adds --aligned.

    Args:
      add: argparse's add_argument.
    """
    add(
        "--aligned",
        action="store_true",
        help="the image is an aligned face crop of the model's size; no face is searched",
    )


def add_badge(add: AddFlag) -> None:
    """Adds --badge.

    Args:
      add: argparse's add_argument.
    """
    add("--badge", action="store_true", help="add a small visible mark that the video is synthetic")


def add_listen_options(add: AddFlag) -> None:
    """Adds the flags of serving.listen.

    Args:
      add: argparse's add_argument.
    """
    add("--host", help="address to listen on; default: 127.0.0.1. Any other one demands a token")
    add("--port", type=int, help="port in [1, 65535], or 0 for any free one; default: 8000")
    add(
        "--token",
        help="at least 12 letters and digits that open the page; default: random, unless the page is"
        " for this machine alone",
    )
    add(
        "--tls_certificate",
        metavar="PEM",
        help="certificate for https, which browsers require for the microphone on other machines",
    )
    add("--tls_key", metavar="PEM", help="private key of --tls_certificate")


def add_limits(add: AddFlag, limits: type[PageLimits], descriptions: Mapping[str, str]) -> None:
    """Adds a flag for each field of a dataclass of limits.

    Args:
      add: argparse's add_argument.
      limits: The dataclass, whose defaults the help shows.
      descriptions: What each field limits.
    """
    for name, description in descriptions.items():
        default = getattr(limits, name)
        add(f"--{name}", type=int, metavar="N", help=f"{description}; default: {default}")


def pop_limits(flags: Flags, limits: type[Limits]) -> Limits:
    """Takes the limits out of the flags.

    Args:
      flags: The flags that were given; those of limits are removed.
      limits: The dataclass of limits.

    Returns:
      The limits, with defaults for what was not given.

    Raises:
      UserError: A limit is out of range.
    """
    names = [field.name for field in dataclasses.fields(limits)]
    return limits(**{name: flags.pop(name) for name in names if name in flags})
