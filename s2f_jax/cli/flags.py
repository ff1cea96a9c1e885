"""Flags that several commands share."""

import dataclasses
import re
from typing import TypeVar

from s2f_jax.apps.server.limits import PageLimits
from s2f_jax.cli.command import Flag, Flags, flag

RUN = "workdir of a run, or one of its checkpoint steps"
MODEL = (
    "workdir of a run, one of its checkpoint steps, an exported bundle, or the name of a model that"
    " comes with this package"
)
# With their names in other tools.
IMAGE = "--image|--source_image|--face FILE"
AUDIO = "--audio|--driven_audio|--driving_audio FILE"
OUTPUT = "--output|--outfile FILE"

CONFIG = flag(
    "--config FILE|NAME[:PRESET]",
    "config file, or name of a config in configs/; --config.FIELD=VALUE changes a field",
)
DATA_DIR = flag(
    "--data_dir DIR",
    "folder of the shards; default: config.data.dir, else TFDS_DATA_DIR, else ~/tensorflow_datasets",
)
WORKDIR = flag("--workdir DIR", "folder of the run; default: runs/CONFIG_NAME")
SPLIT = flag("--split SPLIT", "train, val or test; default: test")
SEED = flag("--seed N", "seed of the spontaneous motion, in [0, 4294967295]; default: 0", type=int)
ALIGNED = flag("--aligned", "the image is a face crop of the model's size; no face is searched")
BADGE = flag("--badge", "add a small visible mark that the video is synthetic")
JSON = "--json FILE"
LISTEN = (
    flag("--host HOST", "address to listen on; default: 127.0.0.1. Others demand a token"),
    flag("--port N", "port in [1, 65535], or 0 for any free port; default: 8000", type=int),
    flag(
        "--token TOKEN",
        "secret of at least 12 letters and digits that opens the page; default: random, unless only this machine"
        " can reach it",
    ),
    flag(
        "--tls_certificate PEM",
        "certificate for https, which browsers require for the microphone on other machines",
    ),
    flag("--tls_key PEM", "private key of --tls_certificate"),
)
Limits = TypeVar("Limits", bound=PageLimits)


def limit_flags(limits: type[PageLimits]) -> list[Flag]:
    """Declares a flag for each field of a dataclass of limits.

    Args:
      limits: The dataclass; its defaults and the Attributes of its docstring are shown in the help.

    Returns:
      The flags.
    """
    documentation = "\n".join(kind.__doc__ or "" for kind in reversed(limits.__mro__))
    descriptions = dict(re.findall(r"^ +(\w+): (.+)\.$", documentation, re.MULTILINE))
    return [
        flag(f"--{f.name} N", f"{descriptions[f.name]}; default: {f.default}", type=int)
        for f in dataclasses.fields(limits)
    ]


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
