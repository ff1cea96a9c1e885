"""`convert`: a generator that the paper's authors released to one of our runs, and back."""

import io
import pathlib
import reprlib
import zipfile
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from etils import epath

from data_pipelines.common import download, files
from data_pipelines.common.errors import UserError
from data_pipelines.faces.alignment import STABLE, canonical_points
from s2f_jax.config.schema import Config
from s2f_jax.models import networks
from s2f_jax.models.generator import Generator
from s2f_jax.runs import output_folder, restore
from s2f_jax.runs.checkpoint import Checkpoints
from s2f_jax.runs.workdir import write_config, write_provenance
from s2f_jax.sda import weights
from s2f_jax.sda.file import STATE_DICTS, read_sda, write_sda
from s2f_jax.state import TrainState

# Beside a converted run's config: the header and the tensors that the run itself cannot hold.
RETAINED_FILE = "sda.npz"


_MAX_FEATURES = 1 << 16
_FIELDS = {  # Integers of the header: the config's section and field, and the range.
    "audio_rate": ("data", "audio_rate", 1000, 192_000),
    "video_rate": ("data", "fps", 1, 240),
    "id_enc_dim": ("model", "id_features", 1, _MAX_FEATURES),
    "rnn_gen_dim": ("model", "context_features", 1, _MAX_FEATURES),
    "aud_enc_dim": ("model", "context_features", 1, _MAX_FEATURES),
    "aux_latent": ("model", "noise_features", 1, _MAX_FEATURES),
}
_CONFIGS = {"grid": "grid", "timit": "tcd_timit", "crema": "crema_d"}  # By the file's name.
_SIDES = 8, 1024  # Range of an image's sides, pixels.
_HEADER = (*_FIELDS, "audio_feat_len", "audio_feat_samples", "img_size", "sequential_noise")
_LANDMARKS = (68, 2)


def default_config(path: str) -> str:
    """Chooses the config for a released file by the file's name.

    Args:
      path: The .dat file.

    Returns:
      What --config takes: the preset `sda` of the corpus's config, or of base.
    """
    return f"{_CONFIGS.get(pathlib.Path(path).stem, 'base')}:sda"


def from_sda(path: str, output: str, config: Config) -> None:
    """Converts a released file to the workdir of a run, written completely or not at all.

    Args:
      path: The .dat file.
      output: The workdir, missing or empty.
      config: Supplies what the file does not say; updated with what it says.

    Raises:
      UserError: The file is not such a generator, the folder is in use, or the config describes other
        networks.
    """
    _check_architecture("--config", config)
    target = output_folder.require_empty_output_dir(output)
    contents = read_sda(path)
    if problems := _header_problems(contents):
        raise UserError(_refusal(path, problems))
    _update_config(config, contents)
    try:
        generator = networks.generator(config.data, config.model)
        face = networks.face(config.model)
    except UserError as error:
        raise UserError(f"{path} has sizes that our networks do not support: {error}") from error
    state_dicts = {key: contents[key] for key in STATE_DICTS}
    if problems := weights.find_problems(generator, state_dicts):
        raise UserError(_refusal(path, problems))
    header = {name: np.array(contents[name]) for name in _HEADER}
    if "mean_face" in contents:
        header["mean_face"] = contents["mean_face"]
    with output_folder.atomic_directory(target) as folder:
        write_config(config, folder)
        file = pathlib.Path(path)
        source = {"file": file.name, "sha256": download.file_digest(file, "sha256")}
        write_provenance(config.seed, folder, 0, converted=source)
        _save_checkpoint(folder, weights.to_variables(generator, state_dicts))
        _write_retained(folder, header | weights.retained_tensors(state_dicts))
    unknown = sorted(str(key) for key in contents.keys() - {*_HEADER, *STATE_DICTS, "mean_face"})
    if unknown:
        print(f"{path}: ignored keys that a generator does not need: {', '.join(unknown)}")
    data, reference = config.data, "the file's mean face" if face else "the canonical face"
    print(
        f"{output}: {data.width}x{data.height}, {data.fps} frames/s, {data.audio_rate} Hz, windows of"
        f" {config.model.window:g} s, faces aligned to {reference}"
    )


def to_sda(checkpoint: str, output: str) -> None:
    """Converts a run's generator to a file that the authors' program loads.

    Args:
      checkpoint: A workdir (its best checkpoint) or a checkpoint step's folder.
      output: The .dat file, which must not exist.

    Raises:
      UserError: The generator's architecture is not the authors', or the file exists.
    """
    if epath.Path(output).exists():
        raise UserError(f"--output={output} exists: give another name")
    run = restore.restore_generator(checkpoint)
    _check_architecture(str(run.workdir), run.config)
    retained = _read_retained(run.workdir)
    variables = jax.tree.map(np.asarray, run.variables)
    state_dicts = weights.to_state_dicts(run.generator, variables)
    if retained:
        state_dicts = weights.with_retained_tensors(state_dicts, retained)
    write_sda(output, _header(run.config, run.generator, retained) | state_dicts)
    print(f"{output}: step {run.step} of {run.workdir}")


def _refusal(path: str, problems: list[str]) -> str:
    why = "; ".join(problems)
    return f"{path} is not a generator that the authors released ({why}): give another"


def _brief(value: Any) -> str:
    # reprlib visits few elements: a hostile list can contain itself a billion times.
    try:
        return f"{reprlib.repr(value):.40}"
    except ValueError:  # Python refuses to print integers of so many digits.
        return f"a {type(value).__name__} of too many digits"


def _is_integer(value: Any, low: int, high: int) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and low <= value <= high and value % 1 == 0


def _header_problems(contents: Any) -> list[str]:
    """Returns what keeps this from being the authors' dictionary, apart from its tensors."""
    if not isinstance(contents, dict):
        return [f"it holds a {type(contents).__name__}, not a dictionary"]
    if missing := [key for key in (*_HEADER, *STATE_DICTS) if key not in contents]:
        return [f"{key} is missing" for key in missing]
    problems = [
        f"{key}={_brief(contents[key])} must be an integer in [{low}, {high}]"
        for key, (_, _, low, high) in _FIELDS.items()
        if not _is_integer(contents[key], low, high)
    ]
    problems += [
        f"{key} is a {type(contents[key]).__name__}, not a dictionary of tensors"
        for key in STATE_DICTS
        if not isinstance(contents[key], dict)
    ]
    size, (low, high) = contents["img_size"], _SIDES
    pair = isinstance(size, tuple | list) and len(size) == 2
    if not pair or not all(_is_integer(side, low, high) for side in size):
        problems.append(f"img_size={_brief(size)} must be height and width in [{low}, {high}]")
    if contents["sequential_noise"] is not True:
        problems.append(f"sequential_noise={_brief(contents['sequential_noise'])} must be True")
    if not problems:  # The window's checks compute with the numbers above.
        problems += _window_problems(contents)
    if "mean_face" in contents and not _is_mean_face(face := contents["mean_face"]):
        form = f"{face.dtype} {list(face.shape)}" if isinstance(face, np.ndarray) else _brief(face)
        problems.append(f"mean_face ({form:.40}) must be 68 points, the stable ones finite")
    return problems


def _window_problems(contents: Mapping[str, Any]) -> list[str]:
    problems = []
    if (codes := contents["aud_enc_dim"]) != (states := contents["rnn_gen_dim"]):
        problems.append(f"aud_enc_dim={codes} and rnn_gen_dim={states} must be equal")
    seconds, samples = contents["audio_feat_len"], contents["audio_feat_samples"]
    rate = contents["audio_rate"]
    if not _is_integer(samples, 1, 10 * rate):
        problems.append(
            f"audio_feat_samples={_brief(samples)} must be an integer in [1, {10 * rate}]"
        )
    elif not isinstance(seconds, float) or not abs(seconds * rate - samples) < 0.5:
        problems.append(f"audio_feat_len={_brief(seconds)} is not the seconds of {samples} samples")
    return problems


def _is_mean_face(points: Any) -> bool:
    return (
        isinstance(points, np.ndarray)
        and points.shape == _LANDMARKS
        and points.dtype.kind in "fiu"
        and bool(np.isfinite(points[list(STABLE)]).all())
    )


def _update_config(config: Config, contents: Mapping[str, Any]) -> None:
    # What the file says of its network; widths are those of the first convolutions.
    for key, (section, field, _, _) in _FIELDS.items():
        config[section][field] = int(contents[key])
    config.data.height, config.data.width = (int(side) for side in contents["img_size"])
    config.model.window = contents["audio_feat_len"]
    face = contents["mean_face"][list(STABLE)] if "mean_face" in contents else ()
    config.model.face = tuple((float(x), float(y)) for x, y in face)
    for field, key, name in (
        ("width", "encoder_id", "cl.0.0.weight"),
        ("audio_width", "encoder", "encoder.cl.0.weight"),
    ):
        weight = contents[key].get(name)
        if isinstance(weight, np.ndarray) and weight.ndim and 0 < len(weight) < 1 << 12:
            config.model[field] = len(weight)


def _check_architecture(source: str, config: Config) -> None:
    # UserError if the generator's architecture is not the authors'; sizes do not matter.
    model = config.model
    wrong = [
        f"{name}={value}"
        for name, value, allowed in (
            ("task", config.task, ("animate",)),
            ("model.copy_path", model.copy_path, (False,)),
            ("model.recurrent", model.recurrent, (True,)),
            ("model.skips", model.skips, (True,)),
            ("model.dtype", model.dtype, ("float32", "bfloat16")),  # Parameters are float32.
        )
        if value not in allowed
    ]
    if not model.noise_features:
        wrong.append("model.noise_features=0")
    if wrong:
        raise UserError(
            f"{source} has a generator that the authors' program does not support"
            f" ({', '.join(wrong)}): give one with their networks"
        )


def _header(
    config: Config, generator: Generator, retained: Mapping[str, np.ndarray]
) -> dict[str, Any]:
    """Returns the file's entries beside its tensors, with the retained ones where they still apply."""
    size = (generator.height, generator.width_px)
    header: dict[str, Any] = {key: config[s][field] for key, (s, field, *_) in _FIELDS.items()}
    header |= {
        "audio_feat_len": config.model.window,
        "audio_feat_samples": generator.window,
        "img_size": size,  # Their program checks that it is a tuple.
        "sequential_noise": True,
    }
    for key, value in header.items():  # Equal numbers of other types: 25 or 25.0.
        if key in retained and retained[key].ndim == 0 and retained[key] == value:
            header[key] = retained[key].item()
    face = np.array(networks.face(config.model) or canonical_points(*size))
    original = retained.get("mean_face")
    if original is not None and np.array_equal(original[list(STABLE)], face):
        return header | {"mean_face": original}
    if original is None and retained and not networks.face(config.model):
        return header  # The authors' first release had no mean face.
    # Their program aligns by the stable points, which are all that a run knows of a mean face.
    points = np.full(_LANDMARKS, np.nan)
    points[list(STABLE)] = face
    return header | {"mean_face": points}


def _save_checkpoint(folder: epath.Path, variables: Mapping[str, Any]) -> None:
    # A checkpoint of step 0 that holds the generator alone.
    params, stats = (
        {"generator": jax.tree.map(jnp.asarray, variables[name])}
        for name in ("params", "batch_stats")
    )
    checkpoints = Checkpoints(folder)
    checkpoints.save(TrainState(jnp.int32(0), params, stats, {}), {}, {}, None)
    checkpoints.close()


def _write_retained(folder: epath.Path, arrays: dict[str, Any]) -> None:
    encoded = io.BytesIO()
    np.savez(encoded, **arrays)
    files.write_atomically(folder / RETAINED_FILE, encoded.getvalue())


def _read_retained(workdir: epath.Path) -> dict[str, np.ndarray]:
    # Empty for a run that was not converted.
    path = workdir / RETAINED_FILE
    if not path.exists():
        return {}
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
            return dict(arrays)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} is damaged ({error}): convert the authors' file again") from error
