"""What comes with this package, by name: models, with their example, and what reads and hears them.

Imports no jax: `generate` looks for its inputs before it loads that.
"""

import os
import pathlib

from etils import epath

from data_pipelines.common.errors import UserError
from s2f_jax.bundle.bundle_runtime import CHECKSUMS_FILE

FOLDER = pathlib.Path(__file__).parents[1] / "checkpoints"
# Of a bundle that was exported with --example: a crop of the model's size, and speech.
STILL_FILE, SPEECH_FILE = "still.png", "speech.wav"


def model_names() -> list[str]:
    """Lists the models that come with this package.

    Returns:
      Their names, each that of a bundle in FOLDER, sorted.
    """
    return sorted(path.parent.name for path in FOLDER.glob(f"*/{CHECKSUMS_FILE}"))


def resolve(checkpoint: epath.PathLike) -> epath.PathLike:
    """Finds a checkpoint by its path, or else by the name of a model that comes with this package.

    Args:
      checkpoint: A path, or a name such as "grid_s1". What exists at that path goes before a model of
        that name.

    Returns:
      The path as it was given, or the model's folder.

    Raises:
      UserError: There is neither.
    """
    names = model_names()
    if not names or epath.Path(checkpoint).exists():
        return checkpoint
    if str(checkpoint) in names:
        return FOLDER / str(checkpoint)
    raise UserError(
        f"there is no checkpoint at {checkpoint}: give a run's workdir, a bundle, or the name of a"
        f" model that comes with this package ({', '.join(names)})"
    )


def resolve_network(run: epath.PathLike) -> epath.PathLike:
    """Finds the run of a lip reader or a sync network by its path, or else by its name in this package.

    Args:
      run: A path, or a name such as "lipreader_s1". What exists at that path goes before a run of that
        name.

    Returns:
      The run's folder in this package, else the path as it was given.
    """
    names = {path.parent.name for path in FOLDER.glob("*/checkpoints")}
    return FOLDER / str(run) if str(run) in names and not epath.Path(run).exists() else run


def example_file(checkpoint: epath.PathLike, name: str) -> epath.Path | None:
    """Finds a file of the example that a model comes with.

    Args:
      checkpoint: A path, or the name of a model that comes with this package.
      name: STILL_FILE or SPEECH_FILE.

    Returns:
      The file; None where there is none, as for a run.

    Raises:
      UserError: There is no such checkpoint.
    """
    folder = epath.Path(resolve(checkpoint))
    is_there = (folder / CHECKSUMS_FILE).exists() and (folder / name).exists()
    return folder / name if is_there else None


def require_example(checkpoint: epath.PathLike, name: str, flag: str) -> str:
    """Finds a file of the example that a model comes with, in place of a flag that is not given.

    Args:
      checkpoint: A path, or the name of a model that comes with this package.
      name: STILL_FILE or SPEECH_FILE.
      flag: The flag's name, for the message.

    Returns:
      The file's path.

    Raises:
      UserError: There is no such checkpoint or file.
    """
    file = example_file(checkpoint, name)
    if file is None:
        raise UserError(
            f"--{flag} is missing: {checkpoint} comes with none of its own; give a file"
        )
    return os.fspath(file)
