"""The generator as three ONNX graphs, whose weights are in model.safetensors beside them.

    identity.onnx    still [b, H, W, 3] -> z_id, of_skip_0, ...
    audio_step.onnx  windows [b, t, window], noise [b, t, codes], state -> z [b, t, ...], next_<state>
    decode.onnx      z, z_id, of_skip_0, ..., still -> frames [b, t, H, W, 3]

One frame is t = 1. ONNX has channels before height and width, and so have the maps that one graph
passes to another. Weights are transposed once, when a runtime loads a graph and folds its constants.
"""

import json
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import ArrayLike, DTypeLike
from onnx import TensorProto, helper, numpy_helper

from s2f_jax.bundle import bundle
from s2f_jax.models.context_encoder import audio_layers
from s2f_jax.models.generator import Generator

OPSET, IR_VERSION = 17, 8  # Of 2022: every runtime in use reads them.
Shapes = Mapping[str, tuple[int, ...]]  # Of the weights, by name.
_DATA_TYPES = {"F32": TensorProto.FLOAT, "BF16": TensorProto.BFLOAT16, "I8": TensorProto.INT8}


class SafetensorsIndex:
    """Where a safetensors file holds each tensor.

    Args:
      data: The file's content.
    """

    def __init__(self, data: bytes):
        (length,) = struct.unpack_from("<Q", data)
        self._entries = json.loads(data[8 : 8 + length])
        self._body_offset = 8 + length

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def initializer(self, name: str) -> TensorProto:
        """Makes an initializer whose values are read from the file.

        Args:
          name: A tensor of the file.

        Returns:
          An external tensor.
        """
        entry = self._entries[name]
        start, end = entry["data_offsets"]
        tensor = TensorProto(name=name, data_type=_DATA_TYPES[entry["dtype"]], dims=entry["shape"])
        tensor.data_location = TensorProto.EXTERNAL
        offset, location = self._body_offset + start, bundle.WEIGHTS_FILE
        fields = {"location": location, "offset": offset, "length": end - start}
        for key, value in fields.items():
            tensor.external_data.add(key=key, value=str(value))
        return tensor


class GraphBuilder:
    """Builds one ONNX graph node by node; values are identified by their names.

    Args:
      name: Name of the graph.
      index: Index of the weights' file.
    """

    def __init__(self, name: str, index: SafetensorsIndex):
        self._name, self._index = name, index
        self._nodes: list[onnx.NodeProto] = []
        self._initializers: dict[str, TensorProto] = {}
        self._inputs: list[onnx.ValueInfoProto] = []
        self._outputs: list[onnx.ValueInfoProto] = []

    def input(self, name: str, *shape: str | int) -> str:
        """Declares a float32 input of the graph.

        Args:
          name: Name of the input.
          *shape: Sizes, or names of those that are free.

        Returns:
          The name.
        """
        self._inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
        return name

    def output(self, name: str, value: str, *shape: str | int) -> None:
        """Declares a float32 output of the graph.

        Args:
          name: Name of the output.
          value: The output.
          *shape: Sizes, or names of those that are free.
        """
        self._nodes.append(helper.make_node("Identity", [value], [name]))
        self._outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))

    def add_node(self, op: str, *inputs: str, outputs: int, **attributes: Any) -> list[str]:
        """Adds a node with several outputs.

        Args:
          op: The operator.
          *inputs: Values.
          outputs: Number of outputs.
          **attributes: Attributes of the operator.

        Returns:
          The outputs.
        """
        names = [f"{op}_{len(self._nodes)}_{i}" for i in range(outputs)]
        self._nodes.append(helper.make_node(op, inputs, names, **attributes))
        return names

    def __call__(self, op: str, *inputs: str, **attributes: Any) -> str:
        """Adds a node with one output.

        Args:
          op: The operator.
          *inputs: Values.
          **attributes: Attributes of the operator.

        Returns:
          The output.
        """
        return self.add_node(op, *inputs, outputs=1, **attributes)[0]

    def constant(self, values: ArrayLike, dtype: DTypeLike = np.int64) -> str:
        """Adds a constant.

        Args:
          values: Values of any shape.
          dtype: Dtype of the constant.

        Returns:
          The value.
        """
        name = f"constant_{len(self._initializers)}"
        array = np.asarray(values, dtype)
        self._initializers[name] = numpy_helper.from_array(array, name)
        return name

    def weight(self, name: str) -> str:
        """Adds a weight, cast to float32 from its storage type.

        Args:
          name: Name of the weight in the file.

        Returns:
          The value.
        """
        if name not in self._initializers:
            self._initializers[name] = self._index.initializer(name)
        if self._initializers[name].data_type == TensorProto.FLOAT:
            return name
        value = self("Cast", name, to=TensorProto.FLOAT)
        scale = f"{name}.scale"
        return self("Mul", value, self.weight(scale)) if scale in self._index else value

    def kernel(self, name: str) -> str:
        """Adds a convolution's kernel, transposed from [*space, in, out] to [out, in, *space].

        Args:
          name: Name of the weight in the file.

        Returns:
          The value.
        """
        rank = len(self._index.initializer(name).dims)
        return self("Transpose", self.weight(name), perm=[rank - 1, rank - 2, *range(rank - 2)])

    def build(self) -> onnx.ModelProto:
        """Completes the graph.

        Returns:
          The model.
        """
        graph = helper.make_graph(
            self._nodes, self._name, self._inputs, self._outputs, [*self._initializers.values()]
        )
        opset = helper.make_operatorsetid("", OPSET)
        return helper.make_model(
            graph, opset_imports=[opset], ir_version=IR_VERSION, producer_name="s2f_jax"
        )

    def conv_transpose(self, x: str, name: str, *bias: str) -> str:
        """Adds a 4x4 transposed convolution of stride 2, which doubles height and width.

        ONNX defines it as a convolution's gradient, for which the kernel is rotated by 180 degrees
        and becomes [in, out, *space].

        Args:
          x: Maps [n, in, h, w].
          name: Name of the kernel in the file.
          *bias: A value [out], or nothing.

        Returns:
          Maps [n, out, 2 * h, 2 * w].
        """
        last, before_first = self.constant([-1, -1]), self.constant([np.iinfo(np.int64).min] * 2)
        axes, steps = self.constant([0, 1]), self.constant([-1, -1])
        rotated = self("Slice", self.weight(name), last, before_first, axes, steps)
        kernel = self("Transpose", rotated, perm=[2, 3, 0, 1])
        return self("ConvTranspose", x, kernel, *bias, strides=[2, 2], pads=[1, 1, 1, 1])

    def reshape(self, x: str, *sizes: int) -> str:
        """Adds a reshape to a fixed shape.

        Args:
          x: A value.
          *sizes: One of them may be -1.

        Returns:
          The value.
        """
        return self("Reshape", x, self.constant(sizes))

    def reshape_like(self, x: str, reference: str, *sizes: int) -> str:
        """Adds a reshape to [b, t, *sizes].

        Args:
          x: A value.
          reference: A value of shape [b, t, ...].
          *sizes: What follows b and t.

        Returns:
          The value.
        """
        batch_and_frames = self("Shape", reference, start=0, end=2)
        shape = self("Concat", batch_and_frames, self.constant(sizes), axis=0)
        return self("Reshape", x, shape)

    def gru_stack(self, x: str, network: str, state: str, shapes: Shapes) -> str:
        """Adds all GRU layers of a network, with an input and an output for each one's state.

        Args:
          x: [b, t, in].
          network: The weights' prefix.
          state: The states' prefix.
          shapes: Shapes of all weights.

        Returns:
          The last layer's states [b, t, features].
        """
        x = self("Transpose", x, perm=[1, 0, 2])
        for i, layer in enumerate(_layers(shapes, network)):
            x = self._gru(x, layer, f"{state}_{i}", *shapes[f"{layer}.hidden_bias"])
        return self("Transpose", x, perm=[1, 0, 2])

    def _gru(self, x: str, layer: str, state: str, size: int) -> str:
        # x [t, b, in] -> [t, b, size].

        def reorder_gates(name: str, axis: int) -> str:
            # r, z, n -> z, r, n, as ONNX has them.
            r, z, n = self.add_node("Split", self.weight(name), axis=axis, outputs=3)
            return self("Concat", z, r, n, axis=axis)

        def matrix(name: str) -> str:
            transposed = self("Transpose", reorder_gates(name, 1), perm=[1, 0])
            return self("Unsqueeze", transposed, first)

        # ONNX has an axis of directions, here of size 1.
        first, second = self.constant([0]), self.constant([1])
        initial = self("Unsqueeze", self.input(state, "b", size), first)
        hidden_bias = (
            self.constant(np.zeros(2 * size), np.float32),
            self.weight(f"{layer}.hidden_bias"),
        )
        bias = self("Concat", reorder_gates(f"{layer}.bias", 0), *hidden_bias, axis=0)
        kernels = matrix(f"{layer}.input"), matrix(f"{layer}.hidden")
        bias = self("Unsqueeze", bias, first)
        # linear_before_reset: r multiplies the hidden product with its bias, as in our cell.
        options = {"hidden_size": size, "linear_before_reset": 1}
        codes, last = self.add_node("GRU", x, *kernels, bias, "", initial, outputs=2, **options)
        self.output(f"next_{state}", self("Squeeze", last, first), "b", size)
        return self("Squeeze", codes, second)


def build_graphs(generator: Generator, safetensors: bytes) -> dict[str, onnx.ModelProto]:
    """Builds the three graphs.

    Args:
      generator: The module.
      safetensors: The content of the weights' file, which must be in the folder that the graphs are
        loaded from, as model.safetensors.

    Returns:
      identity, audio_step and decode.
    """
    index, shapes = SafetensorsIndex(safetensors), bundle.weight_shapes(generator)
    builders = {"identity": _identity, "audio_step": _audio_step, "decode": _decode}
    return {
        name: build(generator, shapes, GraphBuilder(name, index))
        for name, build in builders.items()
    }


def _layers(shapes: Shapes, group: str) -> list[str]:
    # Names of the layers in a list of weights: group.0, group.1, ...
    depth = group.count(".") + 2
    names = (name.split(".") for name in shapes if name.startswith(f"{group}."))
    return sorted({".".join(parts[:depth]) for parts in names})


def _map_sizes(g: Generator, shapes: Shapes) -> list[tuple[int, int, int]]:
    # Channels, height and width of the input of each stage of the decoder, smallest first.
    stages = _layers(shapes, "frame_decoder.stages")
    factors = [2 ** (len(stages) + 1 - i) for i in range(len(stages))]
    channels = [shapes[f"{stage}.mix.kernel"][2] for stage in stages]
    return [(c, g.height // k, g.width_px // k) for c, k in zip(channels, factors, strict=True)]


def _identity(g: Generator, shapes: Shapes, add: GraphBuilder) -> onnx.ModelProto:
    x = add("Transpose", add.input("still", "b", g.height, g.width_px, 3), perm=[0, 3, 1, 2])
    maps = []
    for layer in _layers(shapes, "identity_encoder.layers"):
        kernel, bias = add.kernel(f"{layer}.kernel"), add.weight(f"{layer}.bias")
        x = add("Relu", add("Conv", x, kernel, bias, strides=[2, 2], pads=[1, 1, 1, 1]))
        maps.append(x)
    code = add("Conv", x, add.kernel("identity_encoder.code.kernel"))
    add.output("z_id", add("Tanh", add.reshape(code, -1, g.id_features)), "b", g.id_features)
    if g.skips:
        for i, (size, x) in enumerate(zip(_map_sizes(g, shapes), reversed(maps), strict=False)):
            kernel = add.kernel(f"frame_decoder.stages.{i}.mix.of_skip")
            add.output(f"of_skip_{i}", add("Conv", x, kernel, pads=[1, 1, 1, 1]), "b", *size)
    return add.build()


def _audio_step(g: Generator, shapes: Shapes, add: GraphBuilder) -> onnx.ModelProto:
    windows = add.input("windows", "b", "t", g.window)
    x = add.reshape(windows, -1, 1, g.window)
    sizes, _ = audio_layers(g.audio_rate, g.window)
    for i, (_, stride, padding) in enumerate(sizes):
        layer = f"context_encoder.layers.{i}"
        kernel, bias = add.kernel(f"{layer}.kernel"), add.weight(f"{layer}.bias")
        x = add("Relu", add("Conv", x, kernel, bias, strides=[stride], pads=[padding] * 2))
    kernel = add.kernel("context_encoder.code.kernel")
    x = add("Tanh", add("Conv", x, kernel, add.weight("context_encoder.code.bias")))
    codes = add.reshape_like(x, windows, g.context_features)
    context = add.gru_stack(codes, "context_encoder.gru", "context", shapes)
    z = [context]
    if g.noise_features:
        noise = add.input("noise", "b", "t", g.noise_features)
        z.append(add("Tanh", add.gru_stack(noise, "noise_generator.gru", "spontaneous", shapes)))
    size = g.context_features + g.noise_features
    add.output("z", add("Concat", *z, axis=2), "b", "t", size)
    return add.build()


def _decode(g: Generator, shapes: Shapes, add: GraphBuilder) -> onnx.ModelProto:
    audio_codes = add.input("z", "b", "t", g.context_features + g.noise_features)
    z_id = add("Unsqueeze", add.input("z_id", "b", g.id_features), add.constant([1]))
    frames = add("Concat", add("Shape", audio_codes, start=0, end=2), add.constant([1]), axis=0)
    z = add("Concat", audio_codes, add("Expand", z_id, frames), axis=2)
    start = add("MatMul", z, add.weight("frame_decoder.start.kernel"))
    x = add("Relu", add("Add", start, add.weight("frame_decoder.start.bias")))
    sizes = _map_sizes(g, shapes)
    channels, height, width = sizes[0]
    x = add("Transpose", add.reshape(x, -1, height, width, channels), perm=[0, 3, 1, 2])
    for i, size in enumerate(sizes):
        stage = f"frame_decoder.stages.{i}"
        kernel, bias = add.kernel(f"{stage}.mix.kernel"), add.weight(f"{stage}.mix.bias")
        x = add("Conv", x, kernel, bias, pads=[1, 1, 1, 1])
        if g.skips:
            skip_term = add.input(f"of_skip_{i}", "b", *size)
            skip_term = add("Unsqueeze", skip_term, add.constant([1]))
            x = add("Add", add.reshape_like(x, audio_codes, *size), skip_term)
            x = add.reshape(x, -1, *size)
        bias = add.weight(f"{stage}.double.bias")
        x = add("Relu", add.conv_transpose(add("Relu", x), f"{stage}.double.kernel", bias))
    x = add("Transpose", add.conv_transpose(x, "frame_decoder.pixels.kernel"), perm=[0, 2, 3, 1])
    x = add.reshape_like(x, audio_codes, g.height, g.width_px, 4 if g.copy_path else 3)
    if g.copy_path:
        still = add.input("still", "b", g.height, g.width_px, 3)
        pixels, mask = add.add_node("Split", x, add.constant([3, 1]), axis=4, outputs=2)
        share = add("Sigmoid", add("Sub", mask, add.constant(3, np.float32)))
        still = add("Unsqueeze", still, add.constant([1]))
        # share * generated + (1 - share) * still.
        difference = add("Sub", add("Tanh", pixels), still)
        x = add("Add", still, add("Mul", share, difference))
    else:
        x = add("Tanh", x)
    add.output("frames", x, "b", "t", g.height, g.width_px, 3)
    return add.build()
