"""The authors' state dicts and our variables: which tensor is which, and how each is laid out.

Every number is carried over bit for bit, but for pairs of GRU biases that only ever act as their sum;
what our variables cannot hold is retained separately, so that exporting again gives every bit back.
Their program maps the last layer's output y to pixels as 125 y + 125; ours as 127.5 (y + 1), the
inverse of how both normalise the still. Theirs doubles sound that is given as an array, not sound from
a file; ours never does.
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
StateDicts = dict[str, dict[str, Array]]  # "encoder", "encoder_id", "generator" -> name -> tensor.
Path = tuple[str, ...]  # Of one array in our variables: collection, modules, name.


class Layout(NamedTuple):
    """How one tensor's axes are ordered in Flax and in PyTorch.

    Attributes:
      to_flax: Converts the PyTorch array.
      to_torch: Converts the Flax array; the inverse.
    """

    to_flax: Callable[[Array], Array]
    to_torch: Callable[[Array], Array]


class TensorMapping(NamedTuple):
    """The places of one tensor in the file and in our variables.

    Attributes:
      state_dict: Key of the state dict in the file.
      name: Name within the state dict.
      path: Path in our variables.
      layout: Layout of the two.
    """

    state_dict: str
    name: str
    path: Path
    layout: Layout


# Biases and BatchNorm vectors have one axis.
VECTOR = Layout(lambda w: w, lambda w: w)
# PyTorch has channels first, Flax last: [out, in, k] <-> [k, in, out].
CONV_1D = Layout(lambda w: w.transpose(2, 1, 0), lambda w: w.transpose(2, 1, 0))
# [out, in, kh, kw] <-> [kh, kw, in, out].
CONV_2D = Layout(lambda w: w.transpose(2, 3, 1, 0), lambda w: w.transpose(3, 2, 0, 1))
# [in, out, kh, kw] <-> [kh, kw, in, out]. PyTorch defines the transposed convolution as the gradient
# of a convolution, which runs over the kernel backwards; Flax as a convolution of the dilated input,
# which does not. Hence the flip of both spatial axes.
CONV_TRANSPOSE_2D = Layout(
    lambda w: w[..., ::-1, ::-1].transpose(2, 3, 0, 1),
    lambda w: w.transpose(2, 3, 0, 1)[..., ::-1, ::-1],
)


def _first_decoder_layer(height: int, width: int) -> Layout:
    """Returns the layout of the layer that makes a map of `height` x `width` from the latent code.

    In PyTorch a transposed convolution of a 1x1 map, [in, out, height, width]; each output position
    sees each kernel position once, so that there is no flip. In Flax a dense layer, whose output is
    the map's values in the order of height, width, out: [in, height * width * out].
    """
    return Layout(
        lambda w: w.transpose(0, 2, 3, 1).reshape(len(w), -1),
        lambda w: w.reshape(len(w), height, width, -1).transpose(0, 3, 1, 2),
    )


def _batch_norm(state_dict: str, name: str, *modules: str) -> Iterator[TensorMapping]:
    for theirs, collection, ours in (
        ("weight", "params", "scale"),
        ("bias", "params", "bias"),
        ("running_mean", "batch_stats", "mean"),
        ("running_var", "batch_stats", "var"),
    ):
        path = (collection, *modules, "norm", ours)
        yield TensorMapping(state_dict, f"{name}.{theirs}", path, VECTOR)


def _tensor_mappings(generator: Generator) -> Iterator[TensorMapping]:
    """Yields the mapping of every tensor except the GRUs'.

    The authors number layers in execution order: "cl" are convolutions, "dcl" ("deconvolution
    layer") the decoder's blocks, "activation" the BatchNorm and ReLU after one.
    """
    # Stride-2 layers of the image encoder: the smallest map's longer side is in [4, 8).
    halvings = int(math.log2(max(generator.height, generator.width_px))) - 2
    strided = len(audio_layers(generator.audio_rate, generator.window)[0])

    cnn = ("params", "context_encoder", "cnn")
    for i in range(strided + 1):
        name, ours = f"encoder.cl.{i}", f"conv{i}" if i < strided else "code"
        yield TensorMapping("encoder", f"{name}.weight", (*cnn, ours, "kernel"), CONV_1D)
        yield TensorMapping("encoder", f"{name}.bias", (*cnn, ours, "bias"), VECTOR)
    for i in range(strided):
        yield from _batch_norm("encoder", f"encoder.activations.{i}.0", *cnn[1:], f"norm{i}")

    cnn = ("params", "identity_encoder", "cnn")
    for i in range(halvings + 1):
        ours = f"conv{i}" if i < halvings else "code"
        yield TensorMapping("encoder_id", f"cl.{i}.0.weight", (*cnn, ours, "kernel"), CONV_2D)
    for i in range(halvings):
        yield from _batch_norm("encoder_id", f"cl.{i}.1", *cnn[1:], f"norm{i}")

    decoder = ("params", "frame_decoder")
    first = _first_decoder_layer(generator.height >> halvings, generator.width_px >> halvings)
    yield TensorMapping("generator", "dcl.0.0.weight", (*decoder, "start", "kernel"), first)
    yield from _batch_norm("generator", "dcl.0.1", "frame_decoder", "start_norm")
    for i in range(halvings - 1):
        # A 3x3 convolution mixes in the skip connection, a 4x4 of stride 2 doubles the map.
        for number, ours in ((1, "mix"), (2, "double")):
            block, path = f"dcl.{i + 1}", (*decoder, f"{ours}_{i}", "kernel")
            yield TensorMapping("generator", f"{block}.dcl{number}.weight", path, CONV_TRANSPOSE_2D)
            name = f"{block}.activation{number}.0"
            yield from _batch_norm("generator", name, "frame_decoder", f"{ours}_norm_{i}")
    path = (*decoder, "pixels", "kernel")
    yield TensorMapping("generator", f"dcl.{halvings}.weight", path, CONV_TRANSPOSE_2D)


class GRULayer(NamedTuple):
    """The places of one GRU layer's tensors.

    Attributes:
      state_dict: Key of the state dict in the file.
      template: Names within the state dict, with {} for one of GRU_TENSORS.
      path: Path of the cell in our variables.
    """

    state_dict: str
    template: str
    path: Path


GRU_LAYERS = (
    GRULayer("encoder", "rnn.{}_l0", ("params", "context_encoder", "gru", "layer0")),
    GRULayer("encoder", "rnn.{}_l1", ("params", "context_encoder", "gru", "layer1")),
    GRULayer("generator", "rnn_noise.{}_l0", ("params", "noise_generator", "gru", "layer0")),
)
GRU_BIASES = ("bias_ih", "bias_hh")
GRU_TENSORS = ("weight_ih", "weight_hh", *GRU_BIASES)  # Of the input and of the hidden state.
_GATES = "rzn"  # Reset, update, new: the order in which PyTorch stacks the three along axis 0.


def _gru_tensors(state_dicts: StateDicts, gru: GRULayer) -> dict[str, Array]:
    return {name: state_dicts[gru.state_dict][gru.template.format(name)] for name in GRU_TENSORS}


def _to_cell(tensors: Mapping[str, Array]) -> dict[Path, Array]:
    """Returns Flax's GRUCell, (layer, parameter) -> array, for PyTorch's four tensors of a layer.

    PyTorch adds bias_ih and bias_hh inside each gate; for r and z only the sum matters, and Flax has
    one bias, at the input. For n they differ, since r scales the hidden state's: Flax has both.
    """
    w_ih, w_hh, b_ih, b_hh = (
        dict(zip(_GATES, np.split(tensors[name], 3), strict=True)) for name in GRU_TENSORS
    )
    kernels = {(f"i{gate}", "kernel"): w_ih[gate].T for gate in _GATES}
    kernels |= {(f"h{gate}", "kernel"): w_hh[gate].T for gate in _GATES}
    sums = {(f"i{gate}", "bias"): b_ih[gate] + b_hh[gate] for gate in "rz"}
    return kernels | sums | {("in", "bias"): b_ih["n"], ("hn", "bias"): b_hh["n"]}


def _from_cell(cell: Mapping[Path, Array]) -> dict[str, Array]:
    """Returns PyTorch's four tensors of a layer, with the sum of each two biases in bias_ih."""
    # Minus zero: added to anything, even to another zero, it changes no bit.
    zeros = np.full_like(cell["hn", "bias"], -0.0)
    return {
        "weight_ih": np.concatenate([cell[f"i{gate}", "kernel"].T for gate in _GATES]),
        "weight_hh": np.concatenate([cell[f"h{gate}", "kernel"].T for gate in _GATES]),
        "bias_ih": np.concatenate([cell[f"i{gate}", "bias"] for gate in _GATES]),
        "bias_hh": np.concatenate([zeros, zeros, cell["hn", "bias"]]),
    }


def to_variables(generator: Generator, state_dicts: StateDicts) -> dict[str, Any]:
    """Converts the authors' state dicts to our variables.

    Args:
      generator: The network, of the sizes in the file.
      state_dicts: Tensors in which `find_problems` finds none.

    Returns:
      "params" and "batch_stats", as the generator's `apply` takes them.
    """
    flat = {
        mapping.path: mapping.layout.to_flax(state_dicts[mapping.state_dict][mapping.name])
        for mapping in _tensor_mappings(generator)
    }
    for gru in GRU_LAYERS:
        cell = _to_cell(_gru_tensors(state_dicts, gru))
        flat |= {(*gru.path, *path): array for path, array in cell.items()}
    return traverse_util.unflatten_dict(flat)


def to_state_dicts(generator: Generator, variables: Mapping[str, Any]) -> StateDicts:
    """Converts our variables to the authors' state dicts.

    Args:
      generator: The network.
      variables: The network's "params" and "batch_stats".

    Returns:
      The inverse of `to_variables`; the hidden biases of the gates r and z are zero.
    """
    flat: Any = traverse_util.flatten_dict(dict(variables))
    state_dicts: StateDicts = {"encoder": {}, "encoder_id": {}, "generator": {}}
    for state_dict, name, path, layout in _tensor_mappings(generator):
        state_dicts[state_dict][name] = layout.to_torch(flat[path])
    for gru in GRU_LAYERS:
        depth = len(gru.path)
        cell = {path[depth:]: array for path, array in flat.items() if path[:depth] == gru.path}
        for name, array in _from_cell(cell).items():
            state_dicts[gru.state_dict][gru.template.format(name)] = array
    return state_dicts


def find_problems(generator: Generator, state_dicts: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Finds what keeps state dicts from being this generator's.

    Args:
      generator: The network that the tensors are to fit.
      state_dicts: The file's state dicts, of any contents.

    Returns:
      A few words on every tensor that is missing, superfluous, or of a wrong shape, type or value.
    """
    shapes = networks.variables(generator)
    # Broadcast views: no memory is allocated, whatever sizes the file claims.
    empty = jax.tree.map(lambda leaf: np.broadcast_to(np.float32(0), leaf.shape), shapes)
    problems = []
    for state_dict, expected in to_state_dicts(generator, empty).items():
        tensors = state_dicts[state_dict]
        for name, template in expected.items():
            if name not in tensors:
                problems.append(f"{state_dict}/{name} is missing, expected {list(template.shape)}")
            elif problem := _tensor_problem(name, tensors[name], template):
                problems.append(f"{state_dict}/{name} {problem}")
        norms = {name.rpartition(".")[0] for name in expected if name.endswith(".running_mean")}
        for name in sorted(tensors.keys() - expected.keys(), key=str):
            tensor = tensors[name]
            if not _is_batch_count(name) or name.rpartition(".")[0] not in norms:
                problems.append(f"{state_dict}/{name} is unexpected, {_describe(tensor)}")
            elif not isinstance(tensor, Array) or tensor.shape or tensor.dtype != np.int64:
                problems.append(
                    f"{state_dict}/{name} is {_describe(tensor)}, expected an int64 scalar"
                )
    return problems


def _is_batch_count(name: Any) -> bool:
    # PyTorch from 0.4.1 on counts the batches behind a BatchNorm's statistics.
    return isinstance(name, str) and name.endswith(".num_batches_tracked")


def _describe(tensor: Any) -> str:
    if not isinstance(tensor, Array):
        return f"a {type(tensor).__name__}"
    return f"{'' if tensor.dtype == np.float32 else f'{tensor.dtype} '}{list(tensor.shape)}"


def _tensor_problem(name: str, tensor: Any, expected: Array) -> str:
    form = expected.shape, expected.dtype
    if not isinstance(tensor, Array) or (tensor.shape, tensor.dtype) != form:
        return f"is {_describe(tensor)}, expected {list(expected.shape)}"
    if bad := np.count_nonzero(~np.isfinite(tensor)):
        return f"has {bad} of {tensor.size} values that are NaN or infinite"
    if name.endswith(".running_var") and tensor.min() < 0:
        return f"is a variance and goes down to {tensor.min():g}"
    return ""


def retained_tensors(state_dicts: StateDicts) -> dict[str, Array]:
    """Selects the tensors that our variables cannot hold: GRU biases and batch counts.

    Args:
      state_dicts: Tensors in which `find_problems` finds none.

    Returns:
      The tensors by "STATE_DICT/NAME".
    """
    names = [(gru.state_dict, gru.template.format(b)) for gru in GRU_LAYERS for b in GRU_BIASES]
    names += [(key, n) for key in state_dicts for n in state_dicts[key] if _is_batch_count(n)]
    return {f"{key}/{name}": state_dicts[key][name] for key, name in names}


def with_retained_tensors(state_dicts: StateDicts, retained: Mapping[str, Array]) -> StateDicts:
    """Puts retained tensors back, as far as they still apply.

    Two retained biases are used only while they have the sum that they had: the network may have been
    trained further since.

    Args:
      state_dicts: What `to_state_dicts` made.
      retained: What `retained_tensors` selected when the file was converted.

    Returns:
      State dicts with the file's own biases and batch counts.
    """
    result = {state_dict: dict(tensors) for state_dict, tensors in state_dicts.items()}
    for label, tensor in retained.items():
        state_dict, _, name = label.partition("/")
        if _is_batch_count(name):
            result[state_dict][name] = tensor
    for gru in GRU_LAYERS:
        current = _gru_tensors(state_dicts, gru)
        names = {bias: gru.template.format(bias) for bias in GRU_BIASES}
        before = {
            bias: tensor
            for bias, name in names.items()
            if (tensor := retained.get(f"{gru.state_dict}/{name}")) is not None
            and tensor.shape == current[bias].shape
        }
        cells = _to_cell(current), _to_cell(current | before)
        if all(jax.tree.leaves(jax.tree.map(np.array_equal, *cells))):
            result[gru.state_dict] |= {names[bias]: tensor for bias, tensor in before.items()}
    return result
