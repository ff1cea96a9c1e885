"""The bundle format: fused weights by name in safetensors, a config, and checksums."""

import os
import pathlib
import re
from collections.abc import Mapping
from typing import Any

import jax
import ml_collections
import ml_dtypes
import numpy as np
import safetensors.numpy
from etils import epath
from flax import traverse_util

from data_pipelines.common import download
from data_pipelines.common.errors import UserError
from s2f_jax.bundle import bundle_runtime
from s2f_jax.config import schema
from s2f_jax.models import fused_generator, networks
from s2f_jax.models.generator import Generator

CONFIG_FILE, WEIGHTS_FILE = "config.json", "model.safetensors"
WEIGHT_TYPES = ("float32", "bfloat16", "int8")
_CHECKPOINT_FIELDS = ("run", "config_sha256", "step", "sum")  # Those of provenance.marks.model.

NamedWeights = dict[str, np.ndarray]  # Keys such as `frame_decoder.stages.0.mix.kernel`.


def flatten_weights(weights: fused_generator.Weights) -> dict[str, Any]:
    """Flattens fused weights to a dict by dotted name.

    Args:
      weights: Nested dicts and lists, of arrays or of anything else.

    Returns:
      The leaves by name, such as `frame_decoder.stages.0.mix.kernel`.
    """
    leaves = jax.tree_util.tree_leaves_with_path(weights)
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in leaves}


def unflatten_weights(weights: Mapping[str, Any]) -> fused_generator.Weights:
    """Inverts `flatten_weights`.

    Args:
      weights: The leaves by dotted name.

    Returns:
      Nested dicts and, where all keys are numbers, lists.
    """

    def restore_lists(node: Any) -> Any:
        if not isinstance(node, dict):
            return node
        children = {name: restore_lists(child) for name, child in node.items()}
        if all(name.isdigit() for name in children):
            return [children[str(i)] for i in range(len(children))]
        return children

    return restore_lists(traverse_util.unflatten_dict(dict(weights), sep="."))


def convert_weights(weights: Mapping[str, np.ndarray], weight_type: str) -> NamedWeights:
    """Converts float32 weights to a storage type; biases, which are few, stay float32.

    int8 is symmetric, with one float32 scale [F] per output channel under `<name>.scale`: a weight is
    its integer in [-127, 127] times its channel's scale.

    Args:
      weights: float32, by name.
      weight_type: One of `WEIGHT_TYPES`.

    Returns:
      The tensors to store, by name.
    """
    if weight_type == "float32":
        return dict(weights)
    result = {}
    for name, value in weights.items():
        if value.ndim == 1:
            result[name] = value
        elif weight_type == "bfloat16":
            result[name] = value.astype(ml_dtypes.bfloat16)
        else:
            largest = np.abs(value).max(axis=tuple(range(value.ndim - 1)))
            scale = np.where(largest > 0, largest / 127, 1).astype(np.float32)
            result[name] = np.rint(value / scale).astype(np.int8)
            result[f"{name}.scale"] = scale
    return result


def to_safetensors(tensors: Mapping[str, np.ndarray]) -> bytes:
    """Serializes tensors as a safetensors file.

    Args:
      tensors: Arrays by name, from `convert_weights`.

    Returns:
      The content of the file.
    """
    return safetensors.numpy.save(dict(tensors), {"format": "np"})


def weight_shapes(generator: Generator) -> dict[str, tuple[int, ...]]:
    """Returns the shapes of a generator's fused weights, by name.

    Args:
      generator: The module; no weights are needed.

    Returns:
      A shape per name.
    """
    zeros = jax.tree.map(lambda leaf: np.zeros(leaf.shape, "f4"), networks.variables(generator))
    weights = flatten_weights(fused_generator.fuse_weights(generator, zeros))
    return {name: leaf.shape for name, leaf in weights.items()}


def write_checksums(folder: epath.PathLike) -> None:
    """Writes SHA256SUMS for all files of a folder, in the format of sha256sum.

    Args:
      folder: A local folder; an old SHA256SUMS is replaced.
    """
    files = sorted(path for path in pathlib.Path(folder).rglob("*") if path.is_file())
    lines = [
        f"{download.file_digest(path, 'sha256')}  {path.relative_to(folder).as_posix()}\n"
        for path in files
        if path.name != bundle_runtime.CHECKSUMS_FILE
    ]
    (pathlib.Path(folder) / bundle_runtime.CHECKSUMS_FILE).write_text("".join(lines))


def is_bundle(path: epath.PathLike) -> bool:
    """Whether a folder is a bundle, complete or not, rather than a run.

    Args:
      path: Any path.

    Returns:
      True where it holds weights or checksums of a bundle.
    """
    folder = epath.Path(path)
    return any((folder / name).exists() for name in (WEIGHTS_FILE, bundle_runtime.CHECKSUMS_FILE))


def read_bundle(path: epath.PathLike) -> tuple[schema.Config, fused_generator.Weights]:
    """Reads a bundle and checks it against its checksums and its own config.

    Args:
      path: The bundle's folder.

    Returns:
      The config, whose sections `data` and `model` are the run's, and the fused weights, float32.

    Raises:
      UserError: The bundle is damaged, incomplete, or of another format or schema.
    """
    folder = epath.Path(path)
    try:
        config = bundle_runtime.read_config(folder)
        weights = bundle_runtime.read_weights(folder)
    except bundle_runtime.BundleError as error:
        raise UserError(str(error)) from error
    if config.get("schema") not in schema.GENERATOR_SCHEMAS:
        raise UserError(
            f"{folder / CONFIG_FILE} has schema {config.get('schema')} and this version reads"
            f" {schema.SCHEMA}: use the version of s2f_jax that it names under made_with"
        )
    try:
        sections = ml_collections.ConfigDict(config)
    except (ValueError, TypeError, RecursionError) as error:  # Names that no field can have.
        raise UserError(
            f"{folder / CONFIG_FILE} is damaged ({error}): export the run again"
        ) from error
    for name, value in weights.items():
        if not np.isfinite(value).all():
            raise UserError(f"{folder / WEIGHTS_FILE}: {name} is not finite; export the run again")
    expected = _expected_shapes(sections, folder, sum(value.size for value in weights.values()))
    actual = {name: value.shape for name, value in weights.items()}
    for name in sorted(actual.keys() | expected.keys()):
        if actual.get(name) != expected.get(name):
            raise UserError(
                f"{folder / WEIGHTS_FILE} does not fit {CONFIG_FILE}: {name} is {actual.get(name)}"
                f" instead of {expected.get(name)}; export the run again"
            )
    return sections, unflatten_weights(weights)


def model_identity(path: epath.PathLike) -> dict[str, Any]:
    """Returns what tells a bundle's model from any other.

    Args:
      path: The bundle's folder.

    Returns:
      The checkpoint that it was made from, as the config's `source` has it (run, config_sha256, step,
      sum), and the type and checksum of its own weights (weights, weights_sha256).

    Raises:
      UserError: The bundle is damaged, incomplete or of another format.
    """
    folder = epath.Path(path)
    try:
        config = bundle_runtime.read_config(folder)
        checksum = bundle_runtime.recorded_checksum(folder, WEIGHTS_FILE)
        source = {name: config["source"][name] for name in _CHECKPOINT_FIELDS}
        return source | {"weights": config["weights"], "weights_sha256": checksum}
    except bundle_runtime.BundleError as error:
        raise UserError(str(error)) from error
    except (LookupError, TypeError) as error:
        raise UserError(_missing_field(folder, error)) from error


def _expected_shapes(
    config: schema.Config, folder: epath.Path, stored_size: int
) -> dict[str, tuple[int, ...]]:
    # The shapes of the config's networks; stored_size: how many numbers the bundle holds.
    try:
        generator = networks.generator(config.data, config.model)
        networks.face(config.model)
    except (AttributeError, KeyError) as error:
        raise UserError(_missing_field(folder, error)) from error
    except UserError as error:
        raise UserError(f"{folder / CONFIG_FILE} describes no generator: {error}") from error
    # Checked before arrays of that size are made: a config may ask for any. Unfused weights are
    # somewhat more than fused ones, never twice as many.
    size = sum(leaf.size for leaf in jax.tree.leaves(networks.variables(generator)))
    if size > 2 * stored_size:
        raise UserError(
            f"{folder / WEIGHTS_FILE} does not fit {CONFIG_FILE}: it has {stored_size} numbers"
            f" instead of {size}; export the run again"
        )
    return weight_shapes(generator)


def _missing_field(folder: epath.Path, error: Exception) -> str:
    field = str(error).strip("'\"")
    return (
        f"{folder / CONFIG_FILE} lacks the field {field}: use the version of s2f_jax that it names"
        " under made_with"
    )


def portable_section(fields: Any) -> dict[str, Any]:
    """Converts a section of a run's config for publication, without this machine's folders.

    Args:
      fields: The section, a ConfigDict.

    Returns:
      A JSON object in which absolute paths and addresses are cut to their last part.
    """

    def strip_folders(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {name: strip_folders(child) for name, child in value.items()}
        is_path = isinstance(value, str) and (os.path.isabs(value) or re.match(r"\w+://", value))
        return epath.Path(value).name if is_path else value

    return strip_folders(schema.as_json(fields))
