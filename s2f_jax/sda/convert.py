"""`convert`: a generator that the authors released to a run of this project's, and the way back."""

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
from s2f_jax.sda.file import STATES, read_sda, write_sda
from s2f_jax.state import TrainState

KEPT = "sda.npz"  # Beside the config of a run: what the file said and the run has no place for.

_FIELDS = {  # The file's key, the config's section and field; whole numbers from ... to.
    "audio_rate": ("data", "audio_rate", 1000, 192_000),
    "video_rate": ("data", "fps", 1, 240),
    "id_enc_dim": ("model", "id_features", 1, 1 << 16),
    "rnn_gen_dim": ("model", "context_features", 1, 1 << 16),
    "aud_enc_dim": ("model", "context_features", 1, 1 << 16),
    "aux_latent": ("model", "noise_features", 1, 1 << 16),
}
# Of the released files, by their names: what they were trained on.
_CONFIGS = {"grid": "grid", "timit": "tcd_timit", "crema": "crema_d"}
_SIDES = 8, 1024  # Pixels of an image, from ... to.
_HEADER = (*_FIELDS, "audio_feat_len", "audio_feat_samples", "img_size", "sequential_noise")
_LANDMARKS = (68, 2)


def config_of(path: str) -> str:
    """The config of a file as the command line takes it: of its corpus, if its name tells that."""
    return f"{_CONFIGS.get(pathlib.Path(path).stem, 'base')}:sda"


def from_sda(path: str, output: str, config: Config) -> None:
    """A file as the authors released it -> the workdir of a run, whole or not at all.

    config: what the file says nothing of is taken from there.
    Raises UserError for a file that is no such generator, a folder that is not free, and a config
    of other networks.
    """
    _check_networks("--config", config)
    target = output_folder.require_empty_output_dir(output)
    contents = read_sda(path)
    if faults := _header_faults(contents):
        raise UserError(_refusal(path, faults))
    _describe(config, contents)
    try:
        generator = networks.generator(config.data, config.model)
        face = networks.face(config.model)
    except UserError as error:
        raise UserError(f"{path} has sizes that no network here can have: {error}") from error
    given = {key: contents[key] for key in STATES}
    if faults := weights.faults(generator, given):
        raise UserError(_refusal(path, faults))
    header = {name: np.array(contents[name]) for name in _HEADER}
    if "mean_face" in contents:
        header["mean_face"] = contents["mean_face"]
    with output_folder.atomic_directory(target) as folder:
        write_config(config, folder)
        file = pathlib.Path(path)
        made_from = {"file": file.name, "sha256": download.file_digest(file, "sha256")}
        write_provenance(config.seed, folder, 0, converted=made_from)
        _save(folder, weights.variables(generator, given))
        _write_kept(folder, header | weights.kept(given))
    unknown = sorted(str(key) for key in contents.keys() - {*_HEADER, *STATES, "mean_face"})
    if unknown:
        print(f"{path}: passed over, since no generator needs it: {', '.join(unknown)}")
    data, at = config.data, "the file's mean face" if face else "the canonical face"
    print(
        f"{output}: {data.width}x{data.height}, {data.fps} frames/s, {data.audio_rate} Hz, windows of"
        f" {config.model.window:g} s, faces aligned to {at}"
    )


def to_sda(checkpoint: str, output: str) -> None:
    """A run's generator -> a file that the authors' program loads.

    Raises UserError for a generator of another shape than theirs, and for a name that is taken.
    """
    if epath.Path(output).exists():
        raise UserError(f"--output={output} exists: give another name")
    trained = restore.restore_generator(checkpoint)
    _check_networks(str(trained.workdir), trained.config)
    kept = _read_kept(trained.workdir)
    variables = jax.tree.map(np.asarray, trained.variables)
    states = weights.states(trained.generator, variables)
    contents = _contents(trained.config, trained.generator, kept)
    write_sda(output, contents | (weights.restored(states, kept) if kept else states))
    print(f"{output}: step {trained.step} of {trained.workdir}")


def _refusal(path: str, faults: list[str]) -> str:
    return f"{path} is no generator as the authors released it ({'; '.join(faults)}): give another"


def _brief(value: Any) -> str:
    """As repr has it, but in few characters and soon: a list may hold itself a billion times."""
    try:
        return f"{reprlib.repr(value):.40}"
    except ValueError:  # Python writes no number of so many digits.
        return f"a {type(value).__name__} of too many digits"


def _is_whole(value: Any, low: int, high: int) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and low <= value <= high and value % 1 == 0


def _header_faults(contents: Any) -> list[str]:
    """What keeps this from being the authors' dictionary, but for its tensors."""
    if not isinstance(contents, dict):
        return [f"it holds a {type(contents).__name__}, not a dictionary"]
    missing = [key for key in (*_HEADER, *STATES) if key not in contents]
    if missing:
        return [f"{key} is missing" for key in missing]
    found = [
        f"{key}={_brief(contents[key])} is no whole number from {low} to {high}"
        for key, (_, _, low, high) in _FIELDS.items()
        if not _is_whole(contents[key], low, high)
    ]
    found += [
        f"{key} is a {type(contents[key]).__name__}, not a dictionary of tensors"
        for key in STATES
        if not isinstance(contents[key], dict)
    ]
    size = contents["img_size"]
    pair = isinstance(size, tuple | list) and len(size) == 2
    if not pair or not all(_is_whole(side, *_SIDES) for side in size):
        found.append(
            f"img_size={_brief(size)} is no height and width from {_SIDES[0]} to {_SIDES[1]}"
        )
    if contents["sequential_noise"] is not True:
        found.append(f"sequential_noise={_brief(contents['sequential_noise'])}, wanted True")
    if not found:  # What is left is said of the numbers above.
        found += _window_faults(contents)
    if "mean_face" in contents and not _is_face(face := contents["mean_face"]):
        form = f"{face.dtype} {list(face.shape)}" if isinstance(face, np.ndarray) else _brief(face)
        found.append(f"mean_face ({form:.40}) is not 68 points whose stable ones are finite")
    return found


def _window_faults(contents: Mapping[str, Any]) -> list[str]:
    found = []
    if (codes := contents["aud_enc_dim"]) != (states := contents["rnn_gen_dim"]):
        found.append(f"aud_enc_dim={codes} and rnn_gen_dim={states} differ, one size is wanted")
    seconds, samples = contents["audio_feat_len"], contents["audio_feat_samples"]
    rate = contents["audio_rate"]
    if not _is_whole(samples, 1, 10 * rate):
        found.append(
            f"audio_feat_samples={_brief(samples)} is no whole number from 1 to {10 * rate}"
        )
    elif not isinstance(seconds, float) or not abs(seconds * rate - samples) < 0.5:
        found.append(f"audio_feat_len={_brief(seconds)} is not the seconds of {samples} samples")
    return found


def _is_face(points: Any) -> bool:
    return (
        isinstance(points, np.ndarray)
        and points.shape == _LANDMARKS
        and points.dtype.kind in "fiu"
        and bool(np.isfinite(points[list(STABLE)]).all())
    )


def _describe(config: Config, contents: Mapping[str, Any]) -> None:
    """What the file says of its network, into the config."""
    for key, (section, field, _, _) in _FIELDS.items():
        config[section][field] = int(contents[key])
    config.data.height, config.data.width = (int(side) for side in contents["img_size"])
    config.model.window = contents["audio_feat_len"]
    face = contents["mean_face"][list(STABLE)] if "mean_face" in contents else ()
    config.model.face = tuple((float(x), float(y)) for x, y in face)
    for field, state, name in (
        ("width", "encoder_id", "cl.0.0.weight"),
        ("audio_width", "encoder", "encoder.cl.0.weight"),
    ):
        weight = contents[state].get(name)
        if isinstance(weight, np.ndarray) and weight.ndim and 0 < len(weight) < 1 << 12:
            config.model[field] = len(weight)


def _check_networks(where: str, config: Config) -> None:
    """Raises UserError for a config whose generator is not of the authors' kind, whatever its sizes."""
    model = config.model
    kind = (
        ("task", config.task, ("animate",)),
        ("model.copy_path", model.copy_path, (False,)),
        ("model.recurrent", model.recurrent, (True,)),
        ("model.skips", model.skips, (True,)),
        ("model.dtype", model.dtype, ("float32", "bfloat16")),  # Whose parameters are float32.
    )
    wrong = [f"{name}={value}" for name, value, of in kind if value not in of]
    if not model.noise_features:
        wrong.append("model.noise_features=0")
    if wrong:
        raise UserError(
            f"{where} has a generator that the authors' program has no place for"
            f" ({', '.join(wrong)}): give one with their networks"
        )


def _contents(
    config: Config, generator: Generator, kept: Mapping[str, np.ndarray]
) -> dict[str, Any]:
    """What the file says beside its tensors; as it was said before, where it still holds."""
    contents: dict[str, Any] = {
        key: config[section][field] for key, (section, field, _, _) in _FIELDS.items()
    }
    size = (generator.height, generator.width_px)
    contents |= {
        "audio_feat_len": config.model.window,
        "audio_feat_samples": generator.window,
        "img_size": size,  # Their program asks whether it is a tuple.
        "sequential_noise": True,
    }
    for key, value in contents.items():  # 25 or 25.0.
        if key in kept and kept[key].ndim == 0 and kept[key] == value:
            contents[key] = kept[key].item()
    face = np.array(networks.face(config.model) or canonical_points(*size))
    before = kept.get("mean_face")
    if before is not None and np.array_equal(before[list(STABLE)], face):
        return contents | {"mean_face": before}
    if before is None and kept and not networks.face(config.model):
        return contents  # As it was in the first release.
    # Their program aligns by the stable points, which are all that a run knows of a mean face.
    points = np.full(_LANDMARKS, np.nan)
    points[list(STABLE)] = face
    return contents | {"mean_face": points}


def _save(folder: epath.Path, variables: Mapping[str, Any]) -> None:
    """As a checkpoint of step 0 that holds the generator alone."""
    params, stats = (
        {"generator": jax.tree.map(jnp.asarray, variables[name])}
        for name in ("params", "batch_stats")
    )
    checkpoints = Checkpoints(folder)
    checkpoints.save(TrainState(jnp.int32(0), params, stats, {}), {}, {}, None)
    checkpoints.close()


def _write_kept(folder: epath.Path, arrays: dict[str, Any]) -> None:
    encoded = io.BytesIO()
    np.savez(encoded, **arrays)
    files.write_atomically(folder / KEPT, encoded.getvalue())


def _read_kept(workdir: epath.Path) -> dict[str, np.ndarray]:
    """Of a run that was converted; of any other, nothing."""
    path = workdir / KEPT
    if not path.exists():
        return {}
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as arrays:
            return dict(arrays)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} is damaged ({error}): convert the authors' file again") from error
