"""A config from its file, with the fields that the command line changes; checked."""

import difflib
import importlib.util
import math
import os
import pathlib
import re
import runpy
import traceback
from collections.abc import Sequence

from absl import flags
from ml_collections import ConfigDict, config_flags

from data_pipelines.common.errors import UserError
from s2f_jax.config import schema

_KINDS = {int: "an integer", float: "a number", bool: "true or false"}


def load_config(name: str | None, overrides: Sequence[str]) -> schema.Config:
    """Reads a config, and changes fields of it.

    Args:
      name: A file, or the name of a config of this package, either with ":PRESET".
      overrides: Flags of the form --config.FIELD=VALUE.

    Returns:
      The config, its fields locked.

    Raises:
      UserError: The file gives no config, or there is anything but its fields, or a value that no run
        can have.
    """
    if not name:
        raise UserError("--config is missing: give e.g. --config=configs/demo.py")
    config = _load(name)
    fields = dict(schema.fields(config))
    for argument in overrides:
        field = _overridden(argument)
        if field is not None and field not in fields:
            near = difflib.get_close_matches(field, fields, n=1)
            near = [schema.RENAMED[field]] if field in schema.RENAMED else near
            cure = f"did you mean --config.{near[0]}?" if near else "configs/base.py has them all"
            raise UserError(f"{argument}: the config has no field {field!r}; {cure}")
    values, arguments = flags.FlagValues(), ["s2f", *overrides]
    try:
        config_flags.DEFINE_config_dict("config", config, flag_values=values, sys_argv=arguments)
        rest = values(arguments)[1:]
    except flags.UnrecognizedFlagError as error:
        raise UserError(f"there is no flag --{error.flagname}: see --help") from error
    except flags.IllegalFlagValueError as error:
        given = str(error).removeprefix("flag ").split(": ")[0]
        value = fields[_overridden(given) or ""]
        kind = _KINDS.get(type(value), f"a {type(value).__name__}")
        raise UserError(f"{given}: must be {kind}, e.g. {value!r}") from error
    except flags.Error as error:  # A flag without its value.
        raise UserError(f"{error}: give it as --config.FIELD=VALUE") from error
    if rest:
        raise UserError(f"{rest[0]!r} is neither a command nor a flag: see --help")
    check_config(config)
    return config


def check_config(config: schema.Config) -> None:
    """Refuses values that no run can have, whatever its data and its devices.

    Args:
      config: A config with all fields of configs/base.py.

    Raises:
      UserError: There is such a value, or a field of an older schema.
    """
    for field, value in schema.fields(config):
        if field in schema.RENAMED:  # Nobody reads it: what it asks for would not be done.
            raise UserError(
                f"--config.{field}={value}: is --config.{schema.RENAMED[field]} since schema"
                f" {schema.SCHEMA}; change it in the config's file"
            )
        schema.check_field(field, value)
    snr = config.augment.snr_db
    numbers = all(isinstance(db, (int, float)) and math.isfinite(db) for db in snr)
    if len(snr) not in (0, 2) or not numbers or sorted(snr) != list(snr):
        raise UserError(
            f"--config.augment.snr_db={snr}: must be (LOWEST,HIGHEST) in dB, or () for none"
        )
    half = 500 / config.data.fps
    if (shift := config.augment.shift_ms) > half:
        raise UserError(
            f"--config.augment.shift_ms={shift}: must be a number in [0, {half:g}], half a frame, so"
            " that sound and lips stay together"
        )
    schema.parse_profile(config.profile)


def packaged_configs() -> pathlib.Path:
    """Finds the configs that come with this package.

    Returns:
      The folder of the configs.
    """
    package = importlib.util.find_spec("configs")
    assert package is not None and package.submodule_search_locations
    return pathlib.Path(next(iter(package.submodule_search_locations)))


def config_path(path: str) -> str:
    """Finds a config's file.

    Args:
      path: Path of the file, or the name of a config that comes with this package, e.g. "grid".

    Returns:
      The file's path.

    Raises:
      UserError: There is no such file or config.
    """
    if os.path.isfile(path):
        return path
    packaged = packaged_configs() / f"{path}.py"
    if re.fullmatch(r"[a-z]\w*(/[a-z]\w*)?", path) and packaged.is_file():
        return str(packaged)
    names = ", ".join(sorted(file.stem for file in packaged.parent.glob("[a-z]*.py")))
    raise UserError(
        f"--config={path}: must be a file, e.g. configs/demo.py, or the name of a config of this"
        f" package, one of {names}"
    )


def _load(name: str) -> ConfigDict:
    path, _, preset = name.partition(":")
    path = config_path(path)
    try:
        get_config = runpy.run_path(path).get("get_config")
        config = get_config and (get_config(preset) if preset else get_config())
    except Exception as error:  # Whatever a config file does wrong is for its author to mend.
        last = traceback.extract_tb(error.__traceback__)[-1]
        where = f" ({last.filename}, line {last.lineno})"
        if isinstance(error, SyntaxError):  # Which says itself where it is.
            where = ""
        cure = "give another preset, or none" if preset else "mend it there"
        raise UserError(
            f"--config={name} cannot be used: {type(error).__name__}, {error}{where}; {cure}"
        ) from error
    if not isinstance(config, ConfigDict) or "schema" not in config:
        raise UserError(
            f"--config={path} has no get_config() that returns a config built on configs/base.py:"
            " write it like configs/demo.py"
        )
    return config


def _overridden(argument: str) -> str | None:
    """Returns the field of an override, --config.optim.b1=0 -> optim.b1; otherwise None."""
    match = re.match(r"--?(?:no)?config\.([^=]*)", argument)
    return match and match[1]
