"""The fields of a config: which values they take, which may change on resume, older schemas.

configs/base.py has every field with its default, unit and meaning. FIELDS adds what a default cannot
tell; a field that is not in it takes values of its default's type: integers from 1, numbers from 0,
booleans, any text or tuple.
"""

import fnmatch
import functools
import json
import math
import re
import reprlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias

import ml_collections

from data_pipelines.common.errors import UserError

Config: TypeAlias = Any  # An ml_collections.ConfigDict, whose fields have no static types.


class Field(NamedTuple):
    """What a field of the config may be.

    Attributes:
      least: Lower bound of a number.
      most: Upper bound of a number; None: any finite number.
      choices: The only values; empty: any.
      resumable: Whether it may change between a run's start and its continuation.
      below: Whether `most` itself is excluded.
    """

    least: float | None = None
    most: float | None = None
    choices: tuple[Any, ...] = ()
    resumable: bool = False
    below: bool = False


_FREE = Field(resumable=True)
_SWITCH = Field(choices=(False, True))

FIELDS: dict[str, Field] = {  # A pattern's * stands for one name.
    # Any value, also another one on resume.
    **dict.fromkeys(("name", "data.dir", "data.max_seconds", "data.max_bad_share"), _FREE),
    **dict.fromkeys(("split_state", "max_epochs", "patience", "eval_batch_size"), _FREE),
    **dict.fromkeys(("checkpoint_every", "keep_latest", "log_every", "dry_run", "profile"), _FREE),
    **dict.fromkeys(("readers.*", "embedder.*"), _FREE),  # What judges a run does not change it.
    "seed": Field(0, 2**32 - 1),
    "data.height": Field(8, 8192),  # Pixels.
    "data.width": Field(8, 8192),  # Pixels.
    "data.audio_rate": Field(1000, 768_000),  # Hz.
    "data.fps": Field(1, 1000),  # Frames/s.
    "data.max_corrupt": Field(0, resumable=True),
    "data.max_filled": Field(0.0, 1.0, resumable=True),
    "data.prepare_workers": Field(0, resumable=True),
    "data.options.speaker_level": Field(0),
    "data.options.split_seed": Field(0),
    "model.window": Field(0.001, 10.0),  # Seconds.
    "model.id_features": Field(1, 1 << 16),
    "model.context_features": Field(1, 1 << 16),
    "model.noise_features": Field(0, 1 << 16),
    "model.noise_std": Field(0.0, 1e3),
    "model.width": Field(1, 1 << 12),
    "model.audio_width": Field(1, 1 << 12),
    **dict.fromkeys(("model.recurrent", "model.skips", "model.copy_path"), _SWITCH),
    "model.dtype": Field(choices=("float32", "bfloat16", "float64")),
    "discriminators.sequence.fusion": Field(choices=("last", "step")),
    "discriminators.sequence.differences": _SWITCH,
    "discriminators.*.norm": Field(choices=("batch", "spectral", "none")),
    "clip_frames": Field(0),
    "balance_speakers": Field(0.0, 1.0),
    "epoch_steps": Field(0),
    "augment.voice": Field(0.0, 12.0),  # Semitones.
    **dict.fromkeys(("augment.color", "augment.light"), Field(0.0, 1.0)),
    **dict.fromkeys(("augment.background", "augment.warp"), Field(0.0, 1.0)),
    "keep_activations": Field(choices=("all", "convolutions", "none")),
    "loader_workers": Field(0, resumable=True),
    "loss.reconstruction_top": Field(0.0, 1.0, below=True),
    **dict.fromkeys(("loss.reconstruction_frames", "loss.adversarial_frames"), Field(0)),
    "loss.adversarial_from": Field(0),
    "loss.rest_above": Field(0.0, 1.0),
    "loss.variety_draws": Field(2, 8),
    "lipreader.steps_per_frame": Field(1, 8),
    # How it is decoded does not change a run.
    "lipreader.language_order": Field(0, 5, resumable=True),
    **dict.fromkeys(
        ("lipreader.language_weight", "lipreader.language_bonus"), Field(0.0, 10.0, resumable=True)
    ),
    "lipreader.centered": _SWITCH,
    "lipreader.splice": Field(0.0, 1.0),
    "lipreader.front_end": Field(choices=("convolutions", "cosines")),
    "optim.decay_after": Field(0),
    "optim.generator_ema": Field(0.0, 1.0, below=True),
    "optim.b1": Field(0.0, 1.0, below=True),
    "optim.b2": Field(0.0, 1.0, below=True),
    "embedder.channels": Field(choices=("RGB", "BGR"), resumable=True),
    "validation_clips": Field(0),
    "best_by": Field(
        choices=(
            *("psnr", "ssim", "psnr_mouth", "balance"),
            *("words_right", "letters_right", "windows_right"),
        )
    ),
    "sample_clips": Field(0, resumable=True),
}
# What acts from loss.adversarial_from on alone, as patterns.
LATE = (
    *("discriminators*", "loss.adversarial_frames", "loss.adversarial_limit"),
    *("loss.rest_above", "loss.lip_reading"),
)
# Sections that only one task reads; to the runs of others they are free.
SECTION_OF = {
    **{"lipreader": "lipread", "sync_network": "sync"},
    **dict.fromkeys(("loss", "discriminators"), "animate"),
}


@functools.cache
def _field(name: str) -> Field:
    """The first that fits, a name before a pattern."""
    patterns = (pattern for pattern in FIELDS if fnmatch.fnmatchcase(name, pattern))
    return FIELDS.get(name) or FIELDS.get(next(patterns, ""), Field())


def fields(config: Config, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Lists all fields of a config.

    Args:
      config: The whole, or a section of it.
      prefix: Prefix of the field names, such as "data.".

    Yields:
      Each field's full name, as on the command line, and its value.
    """
    for name, value in config.items():
        if isinstance(value, (ml_collections.ConfigDict, dict)) and value:
            yield from fields(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def as_json(config: Config) -> dict[str, Any]:
    """Converts a config to what config.json holds.

    Args:
      config: A ConfigDict.

    Returns:
      The same of JSON's types.
    """
    return json.loads(config.to_json())


def check_field(name: str, value: Any) -> None:
    """Refuses a value that its field cannot have.

    Args:
      name: Name of the field, e.g. "model.width".
      value: A value of the default's type, or whatever a damaged file has in its place.

    Raises:
      UserError: The value is out of range, or not one of the choices.
    """
    field, shown = _field(name), reprlib.repr(value)
    shown = value if isinstance(value, str) and len(value) < 40 else shown
    if field.choices:
        # True is 1 to Python, and a ConfigDict's list is equal to no text.
        if not any(type(value) is type(choice) and value == choice for choice in field.choices):
            choices = ", ".join(map(str, field.choices))
            raise UserError(f"--config.{name}={shown}: must be one of {choices}")
        return
    if field.least is None and (isinstance(value, bool) or not isinstance(value, (int, float))):
        return
    integer = isinstance(field.least if field.least is not None else value, int)
    least = field.least if field.least is not None else int(integer)
    most = math.inf if field.most is None else field.most
    below = field.below or most == math.inf
    kinds = (int,) if integer else (int, float)
    number = value if isinstance(value, kinds) and not isinstance(value, bool) else math.nan
    if not least <= number or not (number < most if below else number <= most):
        what = "an integer" if integer else "a number"
        raise UserError(
            f"--config.{name}={shown}: must be {what} in [{least}, {most}{')' if below else ']'}"
        )


def check_sections(sections: Mapping[str, Any]) -> None:
    """Checks the fields of some sections that FIELDS names: a run's config.json can hold anything.

    Args:
      sections: Sections of a config by name, e.g. "data", "model".

    Raises:
      UserError: One of them is no section, or a value is not one that its field can have.
      KeyError: A field is missing.
    """
    for section, values in sections.items():
        if not hasattr(values, "keys"):
            raise UserError(
                f"--config.{section}={reprlib.repr(values)}: must be a section of fields; restore it"
            )
        for name, field in FIELDS.items():
            own, _, leaf = name.partition(".")
            if own == section and "." not in leaf and not field.resumable:
                check_field(name, values[leaf])


def fixed_fields(config: Config, task: str) -> dict[str, Any]:
    """Lists the fields that a run cannot change when it is resumed.

    Args:
      config: Config of a run.
      task: Name of the task of the run that is resumed.

    Returns:
      The fields' values by name, as JSON stores them.
    """
    values = as_json(config)
    for section, other in SECTION_OF.items():
        if other != task:
            values.pop(section, None)
    # A discriminator without a weight is not built, so its other fields do not matter. A damaged
    # file may lack any of this.
    if isinstance(sections := values.get("discriminators"), dict):
        values["discriminators"] = {
            name: section
            for name, section in sections.items()
            if not isinstance(section, dict) or section.get("weight", True)
        }
    return {name: value for name, value in fields(values) if not _field(name).resumable}


def first_phase_fields(config: Config) -> dict[str, Any]:
    """Lists the fields that a run's steps before loss.adversarial_from depend on.

    Args:
      config: Config of a run.

    Returns:
      The fields' values by name, as JSON stores them.
    """
    return {
        name: value
        for name, value in fixed_fields(config, config.task).items()
        if not any(fnmatch.fnmatchcase(name, pattern) for pattern in LATE)
    }


def parse_profile(profile: str) -> range:
    """Reads the field `profile`.

    Args:
      profile: "FIRST:LAST", or empty for none.

    Returns:
      The steps to profile, as they are logged, counted from 1.

    Raises:
      UserError: The value is anything else.
    """
    if not profile:
        return range(0)
    match = re.fullmatch(r"(\d+):(\d+)", profile)
    first, last = map(int, match.groups()) if match else (0, 0)
    if not 1 <= first <= last:
        raise UserError(
            f"--config.profile={profile}: must be FIRST:LAST, steps counted from 1, e.g. 11:13"
        )
    return range(first, last + 1)


# Where the fields of schema 2 are in schema 3.
RENAMED = {
    "loss.frame": "discriminators.frame.weight",
    "optim.frame_rate": "discriminators.frame.rate",
    "model.frame_width": "discriminators.frame.width",
    "model.frame_still": "discriminators.frame.still",
    "loss.frames_per_clip": "discriminators.frame.frames_per_clip",
    "loss.sequence": "discriminators.sequence.weight",
    "optim.sequence_rate": "discriminators.sequence.rate",
    "model.sequence_width": "discriminators.sequence.width",
    "model.sequence_audio_width": "discriminators.sequence.audio_width",
    "model.sequence_features": "discriminators.sequence.features",
    "model.sequence_audio": "discriminators.sequence.audio",
    "model.sequence_fusion": "discriminators.sequence.fusion",
    "loss.sync": "discriminators.sync.weight",
    "optim.sync_rate": "discriminators.sync.rate",
    "model.sync_width": "discriminators.sync.width",
    "model.sync_audio_width": "discriminators.sync.audio_width",
    "model.sync_features": "discriminators.sync.features",
    "loss.moments_per_clip": "discriminators.sync.windows_per_clip",
}


def _add_task_and_face(config: dict[str, Any]) -> None:
    """Schema 1 had one task, and no field for it."""
    config.setdefault("task", "animate")
    config["model"]["face"] = []


def _add_discriminators(config: dict[str, Any]) -> None:
    """Schema 2 had the fields of the discriminators in three sections."""
    decays = {"frame": True, "sequence": False, "sync": False}
    new = {name: {"decays": decay} for name, decay in decays.items()}
    for before, after in RENAMED.items():
        section, _, leaf = before.partition(".")
        _, discriminator, name = after.split(".")
        if leaf in config[section]:  # The first runs had no sync discriminator.
            new[discriminator][name] = config[section].pop(leaf)
    config["discriminators"] = {name: own for name, own in new.items() if "weight" in own}


# Fields newer than their schema, with the values that do what was done before.
_NEWER_FIELDS: dict[str, Any] = {
    "data.max_filled": 0.75,
    "data.train_minutes": 0.0,
    "balance_speakers": 0.0,
    "epoch_steps": 0,
    **{f"augment.{look}": 0.0 for look in ("voice", "color", "light", "background", "warp")},
    **dict.fromkeys(("loss.reconstruction_frames", "loss.adversarial_frames"), 0),
    "loss.adversarial_limit": 0.0,
    **dict.fromkeys(("loss.variety", "loss.drawn_share"), 0.0),
    **dict.fromkeys(("loss.spectrum", "loss.deep_supervision"), 0.0),
    **dict.fromkeys(("loss.deep_lip_reading", "loss.lip_reading"), 0.0),
    "loss.lip_expert": "",
    "loss.rest_above": 1.0,
    "loss.variety_draws": 2,
    "optim.generator_ema": 0.0,
    "lipreader.steps_per_frame": 1,
    "lipreader.centered": False,
    "lipreader.front_end": "convolutions",
    "lipreader.noise": 0.0,
    "lipreader.splice": 0.0,
    "lipreader.alignment": 0.0,
    "lipreader.language_order": 0,
    **dict.fromkeys(("lipreader.language_weight", "lipreader.language_bonus"), 1.0),
    "discriminators.frame.norm": "batch",
    "discriminators.sequence.norm": "batch",
    "discriminators.sequence.differences": False,
    "discriminators.sequence.negatives": [],
}

# From schema 1 to 2, and so on.
_MIGRATIONS: list[Callable[[dict[str, Any]], None]] = [_add_task_and_face, _add_discriminators]
SCHEMA = 1 + len(_MIGRATIONS)  # Of config.json.
# Whose sections `data` and `model` are as today's to a generator: a bundle holds no others.
GENERATOR_SCHEMAS = range(2, SCHEMA + 1)


def migrate(config: dict[str, Any]) -> None:
    """Brings the fields of a config.json of an older schema to this one's.

    Args:
      config: What the file holds; changed in place.
    """
    for migration in _MIGRATIONS[config["schema"] - 1 :]:
        migration(config)
    for name, value in _NEWER_FIELDS.items():
        *sections, leaf = name.split(".")
        owner: Any = config
        for section in sections:
            owner = owner.get(section) if isinstance(owner, dict) else None
        if isinstance(owner, dict):  # Else a run without that discriminator, or a damaged one.
            owner.setdefault(leaf, value)
    loss = config.get("loss")
    if isinstance(loss, dict) and not loss.get(
        "diversity"
    ):  # A term that is no longer; it was off.
        for name in ("diversity", "diversity_levels"):
            loss.pop(name, None)
    newer = {"folder": {"within_video": False}, "grid": {"clip_list": ""}}
    for name, value in newer.get(config["data"]["corpus"], {}).items():
        config["data"]["options"].setdefault(name, value)
    config["schema"] = SCHEMA
