"""The fields of a config: their ranges, which may change on resume, migrations of older ones."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import ml_collections

from data_pipelines.common.errors import UserError

Config = Any  # An ml_collections.ConfigDict, whose fields have no static types.


# Fields that may change between a run's start and its continuation.
MAY_CHANGE_ON_RESUME = {
    "name",
    "max_epochs",
    "patience",
    "checkpoint_every",
    "keep_latest",
    "split_state",
    "log_every",
    "sample_clips",
    "loader_workers",
    "eval_batch_size",
    "dry_run",
    "profile",
    "data.dir",
    "data.max_bad_share",
    "data.max_corrupt",
    "data.max_seconds",
    "data.prepare_workers",
}


_FREE_SECTIONS = {"readers", "embedder"}  # What judges a run does not change it.


SECTION_OF = {"lipreader": "lipread", "sync_network": "sync"}  # What only one task reads.


def _with_a_face(config: dict[str, Any]) -> None:
    config.setdefault("task", "animate")  # The first configs had one task, and no field for it.
    config["model"]["face"] = []


_MIGRATIONS: list[Callable[[dict[str, Any]], None]] = [  # From schema 1 to 2, and so on.
    _with_a_face,
]


SCHEMA = 1 + len(_MIGRATIONS)  # Of config.json.


def fields(config: Config, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Each field's full name, as on the command line, and its value."""
    for name, value in config.items():
        if isinstance(value, (ml_collections.ConfigDict, dict)) and value:
            yield from fields(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def as_json(config: Config) -> dict[str, Any]:
    """The resolved config as JSON keeps it."""
    return json.loads(config.to_json())


def fixed_fields(config: Config, task: str) -> dict[str, Any]:
    """The fields, as JSON keeps them, that a run of that task cannot change when it goes on."""
    free = {section for section, other in SECTION_OF.items() if other != task} | _FREE_SECTIONS
    return {
        name: value
        for name, value in fields(as_json(config))
        if name not in MAY_CHANGE_ON_RESUME and name.split(".")[0] not in free
    }


def migrate(config: dict[str, Any]) -> None:
    """Brings the fields of a config.json of an older schema, in place, to this one's."""
    for each in _MIGRATIONS[config["schema"] - 1 :]:
        each(config)


def parse_profile(profile: str) -> range:
    """'FIRST:LAST' -> these steps, as they are logged, from 1; '' -> none.

    Raises UserError for anything else.
    """
    if not profile:
        return range(0)
    found = re.fullmatch(r"(\d+):(\d+)", profile)
    first, last = map(int, found.groups()) if found else (0, 0)
    if not 1 <= first <= last:
        raise UserError(
            f"--config.profile={profile} is not FIRST:LAST, steps counted from 1: give e.g. 11:13"
        )
    return range(first, last + 1)
