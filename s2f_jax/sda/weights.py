"""The authors' released generators: what their state dicts call and lay out otherwise than we do.

Every number is taken over bit for bit, but for two biases of a GRU that only ever act as their sum;
what our variables do not hold is kept apart, so that the way back gives every bit again.
Their program draws pixels as 125 y + 125 of the last layer's y; ours as 127.5 (y + 1), which undoes
what both do to the still they are given. Theirs doubles sound that it is given as an array, not sound
from a file; ours never does.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import traverse_util

from s2f_jax.models import networks
from s2f_jax.models.context_encoder import audio_layers
from s2f_jax.models.generator import Generator

Array = np.ndarray
States = dict[str, dict[str, Array]]  # "encoder", "encoder_id" and "generator", as in the file.
Path = tuple[str, ...]  # Of one array in our variables.


class Layout(NamedTuple):
    """One array as the other side lays it out."""

    ours: Callable[[Array], Array]
    theirs: Callable[[Array], Array]


class WeightMapping(NamedTuple):
    """Of one array on both sides."""

    state: str
    name: str
    path: Path
    layout: Layout


VECTOR = Layout(lambda w: w, lambda w: w)
# [out, in, k] and [k, in, out].
CONV_1D = Layout(lambda w: w.transpose(2, 1, 0), lambda w: w.transpose(2, 1, 0))
# [out, in, kh, kw] and [kh, kw, in, out].
CONV_2D = Layout(lambda w: w.transpose(2, 3, 1, 0), lambda w: w.transpose(3, 2, 0, 1))
# [in, out, kh, kw] and [kh, kw, in, out]; a transposed convolution has its kernel the other way round.
TRANSPOSED = Layout(
    lambda w: w[..., ::-1, ::-1].transpose(2, 3, 0, 1),
    lambda w: w.transpose(2, 3, 0, 1)[..., ::-1, ::-1],
)


def _start(top: tuple[int, int]) -> Layout:
    """A transposed convolution of one position, [in, out, *top], is a product, [in, *top * out]."""
    return Layout(
        lambda w: w.transpose(0, 2, 3, 1).reshape(len(w), -1),
        lambda w: w.reshape(len(w), *top, -1).transpose(0, 3, 1, 2),
    )


def _norm(state: str, name: str, *path: str) -> Iterator[WeightMapping]:
    for theirs, collection, ours in (
        ("weight", "params", "scale"),
        ("bias", "params", "bias"),
        ("running_mean", "batch_stats", "mean"),
        ("running_var", "batch_stats", "var"),
    ):
        yield WeightMapping(state, f"{name}.{theirs}", (collection, *path, "norm", ours), VECTOR)


def _places(generator: Generator) -> Iterator[WeightMapping]:
    """Of everything but the GRUs."""
    halvings = int(math.log2(max(generator.height, generator.width_px))) - 2
    strided = len(audio_layers(generator.audio_rate, generator.window)[0])

    cnn = ("params", "context_encoder", "cnn")
    for i in range(strided + 1):
        name, ours = f"encoder.cl.{i}", f"conv{i}" if i < strided else "code"
        yield WeightMapping("encoder", f"{name}.weight", (*cnn, ours, "kernel"), CONV_1D)
        yield WeightMapping("encoder", f"{name}.bias", (*cnn, ours, "bias"), VECTOR)
    for i in range(strided):
        yield from _norm("encoder", f"encoder.activations.{i}.0", *cnn[1:], f"norm{i}")

    cnn = ("params", "identity_encoder", "cnn")
    for i in range(halvings + 1):
        ours = f"conv{i}" if i < halvings else "code"
        yield WeightMapping("encoder_id", f"cl.{i}.0.weight", (*cnn, ours, "kernel"), CONV_2D)
    for i in range(halvings):
        yield from _norm("encoder_id", f"cl.{i}.1", *cnn[1:], f"norm{i}")

    decoder = ("params", "frame_decoder")
    start = _start((generator.height >> halvings, generator.width_px >> halvings))
    yield WeightMapping("generator", "dcl.0.0.weight", (*decoder, "start", "kernel"), start)
    yield from _norm("generator", "dcl.0.1", "frame_decoder", "start_norm")
    for i in range(halvings - 1):
        for number, ours in ((1, "mix"), (2, "double")):
            name, path = f"dcl.{i + 1}.dcl{number}.weight", (*decoder, f"{ours}_{i}", "kernel")
            yield WeightMapping("generator", name, path, TRANSPOSED)
            name = f"dcl.{i + 1}.activation{number}.0"
            yield from _norm("generator", name, "frame_decoder", f"{ours}_norm_{i}")
    yield WeightMapping(
        "generator", f"dcl.{halvings}.weight", (*decoder, "pixels", "kernel"), TRANSPOSED
    )


class Recurrent(NamedTuple):
    """One layer of a GRU: the names of its four arrays hold {}, our cell is one of layers."""

    state: str
    names: str
    path: Path


GRUS = (
    Recurrent("encoder", "rnn.{}_l0", ("params", "context_encoder", "gru", "layer0")),
    Recurrent("encoder", "rnn.{}_l1", ("params", "context_encoder", "gru", "layer1")),
    Recurrent("generator", "rnn_noise.{}_l0", ("params", "noise_generator", "gru", "layer0")),
)
BIASES = ("bias_ih", "bias_hh")


def _arrays(states: States, gru: Recurrent) -> dict[str, Array]:
    names = ("weight_ih", "weight_hh", *BIASES)
    return {name: states[gru.state][gru.names.format(name)] for name in names}


def _gates(weights: Array) -> dict[str, Array]:
    return dict(zip("rzn", np.split(weights, 3), strict=True))


def _cell(arrays: Mapping[str, Array]) -> dict[str, Any]:
    """A layer's four arrays -> the cell of flax, in which r and z have one bias each."""
    w_i, w_h = _gates(arrays["weight_ih"]), _gates(arrays["weight_hh"])
    b_i, b_h = _gates(arrays["bias_ih"]), _gates(arrays["bias_hh"])
    cell = {f"h{gate}": {"kernel": w_h[gate].T} for gate in "rzn"}
    for gate in "rz":
        cell[f"i{gate}"] = {"kernel": w_i[gate].T, "bias": b_i[gate] + b_h[gate]}
    cell["in"] = {"kernel": w_i["n"].T, "bias": b_i["n"]}
    cell["hn"]["bias"] = b_h["n"]
    return cell


def _of_cell(cell: Mapping[str, Any]) -> dict[str, Array]:
    """The inverse of _cell, but that all of a bias that was a sum is in bias_ih."""
    # Minus zero: added to anything, even to another zero, it changes no bit.
    nothing = np.full_like(cell["hn"]["bias"], -0.0)
    return {
        "weight_ih": np.concatenate([cell[f"i{gate}"]["kernel"].T for gate in "rzn"]),
        "weight_hh": np.concatenate([cell[f"h{gate}"]["kernel"].T for gate in "rzn"]),
        "bias_ih": np.concatenate([cell[f"i{gate}"]["bias"] for gate in "rzn"]),
        "bias_hh": np.concatenate([nothing, nothing, cell["hn"]["bias"]]),
    }


def variables(generator: Generator, states: States) -> dict[str, Any]:
    """State dicts that have no `faults` -> what the generator's `apply` takes."""
    flat: dict[Path, Any] = {
        place.path: place.layout.ours(states[place.state][place.name])
        for place in _places(generator)
    }
    for gru in GRUS:
        for path, array in traverse_util.flatten_dict(_cell(_arrays(states, gru))).items():
            flat[(*gru.path, *path)] = array
    return traverse_util.unflatten_dict(flat)


def states(generator: Generator, variables: Mapping[str, Any]) -> States:
    """The inverse of `variables`; the hidden biases of r and z are zero."""
    flat: dict[Path, Any] = traverse_util.flatten_dict(dict(variables))
    found: States = {"encoder": {}, "encoder_id": {}, "generator": {}}
    for place in _places(generator):
        found[place.state][place.name] = place.layout.theirs(flat[place.path])
    for gru in GRUS:
        cell: Any = variables
        for key in gru.path:
            cell = cell[key]
        for name, array in _of_cell(cell).items():
            found[gru.state][gru.names.format(name)] = array
    return found


def faults(generator: Generator, given: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What keeps state dicts from being this generator's, every tensor of them in a few words."""
    shapes = networks.variables(generator)
    empty = jax.tree.map(lambda leaf: np.broadcast_to(np.float32(0), leaf.shape), shapes)
    found = []
    for state, wanted in states(generator, empty).items():
        arrays = given[state]
        for name, like in wanted.items():
            if name not in arrays:
                found.append(f"{state}/{name} is missing, wanted {list(like.shape)}")
            elif fault := _fault(name, arrays[name], like):
                found.append(f"{state}/{name} {fault}")
        norms = {name.rpartition(".")[0] for name in wanted if name.endswith(".running_mean")}
        for name in sorted(arrays.keys() - wanted.keys(), key=str):
            array = arrays[name]
            if not _is_count(name) or name.rpartition(".")[0] not in norms:
                found.append(f"{state}/{name} is not wanted, {_form(array)} given")
            elif not isinstance(array, Array) or array.shape != () or array.dtype != np.int64:
                found.append(f"{state}/{name} is {_form(array)}, wanted one whole number (int64)")
    return found


def _is_count(name: Any) -> bool:
    """Whether it is of how many batches a BatchNorm's statistics are, as PyTorch counts since 0.4.1."""
    return isinstance(name, str) and name.endswith(".num_batches_tracked")


def _form(array: Any) -> str:
    if not isinstance(array, Array):
        return f"a {type(array).__name__}"
    return f"{'' if array.dtype == np.float32 else f'{array.dtype} '}{list(array.shape)}"


def _fault(name: str, array: Any, like: Array) -> str:
    if not isinstance(array, Array) or array.shape != like.shape or array.dtype != like.dtype:
        return f"is {_form(array)}, wanted {list(like.shape)}"
    if bad := np.count_nonzero(~np.isfinite(array)):
        return f"has {bad} of {array.size} values that are NaN or infinite"
    if name.endswith(".running_var") and array.min() < 0:
        return f"is a variance and goes down to {array.min():g}"
    return ""


def kept(given: States) -> dict[str, Array]:
    """What our variables do not hold of state dicts without `faults`, by STATE/NAME."""
    names = [(gru.state, gru.names.format(bias)) for gru in GRUS for bias in BIASES]
    names += [(state, name) for state in given for name in given[state] if _is_count(name)]
    return {f"{state}/{name}": given[state][name] for state, name in names}


def restored(found: States, kept_: Mapping[str, Array]) -> States:
    """`states` with what was kept of the file they were made from.

    Two biases are used only while they have the sum that they had: the network may have been
    trained on since.
    """
    whole = {state: dict(arrays) for state, arrays in found.items()}
    for label, array in kept_.items():
        state, _, name = label.partition("/")
        if _is_count(name):
            whole[state][name] = array
    for gru in GRUS:
        now = _arrays(found, gru)
        before = {
            bias: array
            for bias in BIASES
            if (array := kept_.get(f"{gru.state}/{gru.names.format(bias)}")) is not None
            and array.shape == now[bias].shape
        }
        cells = _cell(now), _cell(now | before)
        if all(jax.tree.leaves(jax.tree.map(np.array_equal, *cells))):
            whole[gru.state] |= {gru.names.format(bias): array for bias, array in before.items()}
    return whole
