"""A bundle's folder: weights by name in safetensors, and what is needed to read them back."""

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

from data_pipelines.common import download
from data_pipelines.common.errors import UserError
from s2f_jax.bundle import bundle_runtime
from s2f_jax.config import schema
from s2f_jax.models import fused_generator, networks
from s2f_jax.models.generator import Generator

CONFIG, WEIGHTS = "config.json", "model.safetensors"
WEIGHT_TYPES = ("float32", "bfloat16", "int8")
_SOURCE = ("run", "config_sha256", "step", "sum")  # Of a checkpoint, as provenance.model has it.

Named = dict[str, np.ndarray]  # Weights, as `frame_decoder.stages.0.mix.kernel`.


def named(weights: fused_generator.Weights) -> dict[str, Any]:
    """Folded weights, or what has their structure, by name."""
    leaves = jax.tree_util.tree_leaves_with_path(weights)
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in leaves}


def nested(weights: Mapping[str, Any]) -> fused_generator.Weights:
    """The inverse of `named`."""
    tree: dict[str, Any] = {}
    for name, leaf in weights.items():
        *path, last = name.split(".")
        at = tree
        for part in path:
            at = at.setdefault(part, {})
        at[last] = leaf

    def with_lists(node: Any) -> Any:
        if not isinstance(node, dict):
            return node
        inner = {name: with_lists(value) for name, value in node.items()}
        if all(name.isdigit() for name in inner):
            return [inner[str(i)] for i in range(len(inner))]
        return inner

    return with_lists(tree)


def stored(weights: Mapping[str, np.ndarray], kind: str) -> Named:
    """Weights by name, float32 -> as one of WEIGHT_TYPES; biases, which are few, stay float32.

    int8: symmetric, with a float32 scale for each output channel, `<name>.scale` [F]: the weight is
    the whole number, -127 to 127, times its channel's scale.
    """
    if kind == "float32":
        return dict(weights)
    result = {}
    for name, value in weights.items():
        if value.ndim == 1:
            result[name] = value
        elif kind == "bfloat16":
            result[name] = value.astype(ml_dtypes.bfloat16)
        else:
            largest = np.abs(value).max(axis=tuple(range(value.ndim - 1)))
            scale = np.where(largest > 0, largest / 127, 1).astype(np.float32)
            result[name] = np.rint(value / scale).astype(np.int8)
            result[f"{name}.scale"] = scale
    return result


def serialized(tensors: Mapping[str, np.ndarray]) -> bytes:
    """What a file of weights holds."""
    return safetensors.numpy.save(dict(tensors), {"format": "np"})


def shapes(generator: Generator) -> dict[str, tuple[int, ...]]:
    """Of its folded weights, by name."""
    none = jax.tree.map(lambda leaf: np.zeros(leaf.shape, "f4"), networks.variables(generator))
    return {name: leaf.shape for name, leaf in named(fused_generator.fold(generator, none)).items()}


def write_sums(folder: epath.PathLike) -> None:
    """SHA256SUMS, of all that is in the folder by now."""
    files = sorted(path for path in pathlib.Path(folder).rglob("*") if path.is_file())
    lines = [
        f"{download.file_digest(path, 'sha256')}  {path.relative_to(folder).as_posix()}\n"
        for path in files
        if path.name != bundle_runtime.SUMS
    ]
    (pathlib.Path(folder) / bundle_runtime.SUMS).write_text("".join(lines))


def is_one(path: epath.PathLike) -> bool:
    """Whether there is a bundle, whole or not, and not a run."""
    folder = epath.Path(path)
    return any((folder / name).exists() for name in (WEIGHTS, bundle_runtime.SUMS))


def read_bundle(path: epath.PathLike) -> tuple[schema.Config, fused_generator.Weights]:
    """A bundle's config, whose sections `data` and `model` are the run's, and its folded weights,
    float32.

    Raises UserError for one that is damaged, incomplete, or of another format or schema.
    """
    folder = epath.Path(path)
    try:
        config = bundle_runtime.read_config(folder)
        weights = bundle_runtime.read_weights(folder, WEIGHTS)
    except bundle_runtime.Problem as problem:
        raise UserError(str(problem)) from problem
    if config.get("schema") not in schema.GENERATOR_SCHEMAS:
        raise UserError(
            f"{folder / CONFIG} has schema {config.get('schema')} and this version reads"
            f" {schema.SCHEMA}: use the version of s2f_jax that it names under made_with"
        )
    try:
        sections = ml_collections.ConfigDict(config)
    except (ValueError, TypeError, RecursionError) as error:  # Names that no field can have.
        raise UserError(
            f"{folder / CONFIG} is no bundle's ({error}): make the bundle again"
        ) from error
    for name, value in weights.items():
        if not np.isfinite(value).all():
            raise UserError(
                f"{folder / WEIGHTS} has weights that are not finite ({name}): make the bundle again"
            )
    wanted = _wanted(sections, folder, sum(value.size for value in weights.values()))
    found = {name: value.shape for name, value in weights.items()}
    for name in sorted(found.keys() | wanted.keys()):
        if found.get(name) != wanted.get(name):
            raise UserError(
                f"{folder / WEIGHTS} is not of {CONFIG}'s networks: {name} is {_said(found, name)}"
                f" there and {_said(wanted, name)} in them; export the run again"
            )
    return sections, nested(weights)


def identity(path: epath.PathLike) -> dict[str, Any]:
    """What tells a bundle's model from any others': `source` of its config, which is the checkpoint
    that it was made from, and the type and sum of its own weights.

    Raises UserError for one that is damaged, incomplete or of another format.
    """
    folder = epath.Path(path)
    try:
        config = bundle_runtime.read_config(folder)
        made_from = {name: config["source"][name] for name in _SOURCE}
        own = {
            "weights": config["weights"],
            "weights_sha256": bundle_runtime.sum_of(folder, WEIGHTS),
        }
        return made_from | own
    except bundle_runtime.Problem as problem:
        raise UserError(str(problem)) from problem
    except (LookupError, TypeError) as error:
        raise _lacking(folder, error) from error


def _wanted(config: schema.Config, folder: epath.Path, given: int) -> dict[str, tuple[int, ...]]:
    """The shapes of the networks; given: so many numbers are there."""
    try:
        generator = networks.generator(config.data, config.model)
        networks.face(config.model)
    except (AttributeError, KeyError) as error:
        raise _lacking(folder, error) from error
    except UserError as error:
        raise UserError(f"{folder / CONFIG} is of no generator: {error}") from error
    # Before they are folded, in memory, they are some more.
    if (
        size := sum(leaf.size for leaf in jax.tree.leaves(networks.variables(generator)))
    ) > 2 * given:
        raise UserError(
            f"{folder / WEIGHTS} is not of {CONFIG}'s networks: it has {given} numbers and they"
            f" {size}; export the run again"
        )
    return shapes(generator)


def _lacking(folder: epath.Path, error: Exception) -> UserError:
    field = str(error).strip("'\"")
    return UserError(
        f"{folder / CONFIG} lacks the field {field}: use the version of s2f_jax that it names"
        " under made_with"
    )


def _said(shapes: Mapping[str, tuple[int, ...]], name: str) -> str:
    return str(list(shapes[name])) if name in shapes else "missing"


def section(fields: Any) -> dict[str, Any]:
    """A section of a run's config for others to read: of a path on this machine its last part."""

    def shared(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {name: shared(each) for name, each in value.items()}
        outside = isinstance(value, str) and (os.path.isabs(value) or re.match(r"\w+://", value))
        return epath.Path(value).name if outside else value

    return shared(schema.as_json(fields))
