"""A run's folder: which config it holds, and what made it."""

import importlib.metadata
import json
import subprocess
import sys
from typing import Any

import jax
import ml_collections
from etils import epath

from data_pipelines.common import files
from data_pipelines.common.errors import UserError
from s2f_jax.config.schema import SCHEMA, Config, as_json, fixed_fields, migrate

PACKAGES = (
    *("s2f_jax", "jax", "jaxlib", "flax", "optax", "numpy", "orbax-checkpoint"),
    *("tensorflow-datasets", "grain"),
)


def read_config(workdir: epath.PathLike) -> Config:
    """Reads the config that a run was made with, migrated to this version's fields.

    Args:
      workdir: The run's folder.

    Returns:
      The config.

    Raises:
      UserError: There is no run, or one of a schema that this version does not know.
    """
    path = epath.Path(workdir) / "config.json"
    if not path.is_file():
        raise UserError(f"{workdir} holds no run (it has no config.json): give a run's workdir")
    try:
        config = json.loads(path.read_text())
        if "format_version" in config:
            raise UserError(
                f"{workdir} is an exported bundle: give the workdir of the run it is from"
            )
        schema = config["schema"]
        if known := type(schema) is int and 1 <= schema <= SCHEMA:
            migrate(config)
        fields_ = ml_collections.ConfigDict(config)
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise UserError(
            f"{path} is damaged ({type(error).__name__}, {str(error)[:200]}): restore it, or give another"
            " run's workdir"
        ) from error
    if not known:
        raise UserError(
            f"{path} has schema {schema!r:.40} and this version reads 1 to {SCHEMA}:"
            " use the version of s2f_jax in the run's run.json"
        )
    return fields_


def open_workdir(config: Config, workdir: epath.PathLike) -> epath.Path:
    """Opens the folder of a run.

    Args:
      config: Config of the run.
      workdir: Folder of the run, which need not exist.

    Returns:
      The folder.

    Raises:
      UserError: The workdir holds a run of another config.
    """
    folder = epath.Path(workdir)
    if (folder / "config.json").exists():
        before, now = (fixed_fields(each, config.task) for each in (read_config(folder), config))
        names = sorted(before.keys() | now.keys())
        differ = [
            f"{name}: {before.get(name)} there, {now.get(name)} now"
            for name in names
            if before.get(name) != now.get(name)
        ]
        if differ:
            raise UserError(
                f"{folder} holds a run of another config ({'; '.join(differ)}):"
                " choose another --workdir"
            )
    elif folder.exists() and not folder.is_dir():
        raise UserError(f"--workdir={folder} is a file, not a folder: choose another")
    return folder


def _git(*arguments: str) -> str:
    folder = epath.Path(__file__).parent
    try:
        result = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return ""  # Installed without its history.
    return result.stdout.strip()


def version(package: str) -> str:
    """Looks up the version of an installed package.

    Args:
      package: The package's name.

    Returns:
      The version, or "not installed".
    """
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"  # A checkout that is run in place.


def describe(seed: int) -> dict[str, Any]:
    """Describes what makes a run: versions, git commit and dirty flag, devices, seed.

    Args:
      seed: Seed of the run.

    Returns:
      For run.json.
    """
    return {
        "versions": {name: version(name) for name in PACKAGES},
        "python": sys.version.split()[0],
        "git": {"commit": _git("rev-parse", "HEAD"), "dirty": bool(_git("status", "--porcelain"))},
        "devices": [device.device_kind for device in jax.devices()],
        "processes": jax.process_count(),
        "seed": seed,
    }


def write_config(config: Config, folder: epath.Path) -> None:
    """Writes config.json, on the first process.

    Args:
      config: Config of the run.
      folder: The run's folder.

    Raises:
      UserError: The folder cannot be written to.
    """
    if jax.process_index():
        return
    try:
        _write_json(folder / "config.json", as_json(config))
    except UserError as error:
        reason = getattr(error.__cause__, "strerror", error)
        raise UserError(
            f"--workdir={folder} cannot be written ({reason}): choose another"
        ) from error


def write_provenance(seed: int, folder: epath.Path, step: int, **more: Any) -> dict[str, str]:
    """Writes run.json, on the first process, before what it held.

    Args:
      seed: Seed of the run.
      folder: The run's folder.
      step: Step at which the run starts or is resumed.
      **more: Further entries.

    Returns:
      What changed since run.json was last written, as `changes` finds it; empty on other processes.
    """
    path = folder / "run.json"
    if jax.process_index():
        return {}
    before = json.loads(path.read_text()) if path.exists() else None
    now = describe(seed)
    changed = changes(before, now) if before else {}
    if changed:
        more["changed"] = changed
    earlier = before.pop("earlier", []) + [before] if before else []
    _write_json(path, now | more | {"from_step": step, "earlier": earlier})
    return changed


def changes(before: dict[str, Any], now: dict[str, Any]) -> dict[str, str]:
    """Compares two descriptions of a run by what its numbers depend on, to the last bit.

    Args:
      before: The earlier result of `describe`; of an older version of s2f_jax it has fewer entries.
      now: The later one.

    Returns:
      Name of a package, "commit", "devices" or "processes" -> "<before> -> <now>".
    """
    before, now = (
        each["versions"]
        | {
            "commit": each["git"]["commit"][:9],
            "devices": f"{len(each['devices'])} of {', '.join(sorted(set(each['devices'])))}",
            "processes": each["processes"],
        }
        for each in (before, now)
    )
    return {
        name: f"{before[name]} -> {value}"
        for name, value in now.items()
        if before.get(name, value) != value
    }


def _write_json(path: epath.Path, value: Any) -> None:
    files.write_atomically(path, (json.dumps(value, indent=2) + "\n").encode())
