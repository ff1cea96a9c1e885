"""The generator as three ONNX graphs, whose weights lie in model.safetensors beside them.

    identity.onnx    still [b, H, W, 3] -> z_id, of_skip_0, ...
    audio_step.onnx  windows [b, t, window], noise [b, t, codes], state -> z [b, t, ...], next_<state>
    decode.onnx      z, z_id, of_skip_0, ..., still -> frames [b, t, H, W, 3]

One frame is t = 1. ONNX has channels before height and width; what passes from one graph to another
stays so. Weights are turned once, when a runtime loads the graph and folds what is constant.
"""

import json
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from s2f_jax.bundle import bundle
from s2f_jax.models.context_encoder import audio_layers
from s2f_jax.models.generator import Generator

OPSET, IR = 17, 8  # Of 2022: every runtime in use reads them.
Shapes = Mapping[str, tuple[int, ...]]  # Of the weights, by name.
_TYPES = {"F32": TensorProto.FLOAT, "BF16": TensorProto.BFLOAT16, "I8": TensorProto.INT8}


class Stored:
    """Where a safetensors file holds each tensor."""

    def __init__(self, data: bytes):
        (length,) = struct.unpack_from("<Q", data)
        self._entries = json.loads(data[8 : 8 + length])
        self._first = 8 + length

    def __contains__(self, name: str) -> bool:
        return name in self._entries

    def tensor(self, name: str) -> TensorProto:
        """An initializer that is read from there."""
        entry = self._entries[name]
        start, end = entry["data_offsets"]
        tensor = TensorProto(name=name, data_type=_TYPES[entry["dtype"]], dims=entry["shape"])
        tensor.data_location = TensorProto.EXTERNAL
        place = {"location": bundle.WEIGHTS, "offset": self._first + start, "length": end - start}
        for key, value in place.items():
            tensor.external_data.add(key=key, value=str(value))
        return tensor


class Graph:
    """A graph as it grows. Values go by name; calling it adds a node and gives its output's name."""

    def __init__(self, name: str, stored: Stored):
        self._name, self._stored = name, stored
        self._nodes: list[Any] = []
        self._initializers: dict[str, TensorProto] = {}
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []

    def input(self, name: str, *shape: str | int) -> str:
        self._inputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))
        return name

    def output(self, name: str, value: str, *shape: str | int) -> None:
        self._nodes.append(helper.make_node("Identity", [value], [name]))
        self._outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape))

    def __call__(self, op: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:
        names = [f"{op}_{len(self._nodes)}_{i}" for i in range(outputs)]
        self._nodes.append(helper.make_node(op, inputs, names, **attributes))
        return names[0] if outputs == 1 else names

    def constant(self, values: Any, dtype: Any = np.int64) -> str:
        name = f"constant_{len(self._initializers)}"
        array = np.asarray(values, dtype)
        self._initializers[name] = numpy_helper.from_array(array, name)
        return name

    def weight(self, name: str) -> str:
        """float32, whatever it is stored as."""
        new = name not in self._initializers
        if new:
            self._initializers[name] = self._stored.tensor(name)
        if self._initializers[name].data_type == TensorProto.FLOAT:
            return name
        value = self("Cast", name, to=TensorProto.FLOAT)
        scale = f"{name}.scale"
        return self("Mul", value, self.weight(scale)) if scale in self._stored else value

    def kernel(self, name: str) -> str:
        """Of a convolution: [*space, in, out] -> [out, in, *space]."""
        rank = len(self._stored.tensor(name).dims)
        return self("Transpose", self.weight(name), perm=[rank - 1, rank - 2, *range(rank - 2)])

    def model(self) -> onnx.ModelProto:
        graph = helper.make_graph(
            self._nodes, self._name, self._inputs, self._outputs, [*self._initializers.values()]
        )
        opset = helper.make_operatorsetid("", OPSET)
        return helper.make_model(
            graph, opset_imports=[opset], ir_version=IR, producer_name="s2f_jax"
        )

    def double(self, x: str, name: str, *bias: str) -> str:
        """The kernel as a gradient has it: turned by half a turn, [in, out, *space]."""
        from_end, past_start = self.constant([-1, -1]), self.constant([np.iinfo(np.int64).min] * 2)
        axes, steps = self.constant([0, 1]), self.constant([-1, -1])
        turned = self("Slice", self.weight(name), from_end, past_start, axes, steps)
        kernel = self("Transpose", turned, perm=[2, 3, 0, 1])
        return self("ConvTranspose", x, kernel, *bias, strides=[2, 2], pads=[1, 1, 1, 1])

    def reshape(self, x: str, *sizes: int) -> str:
        return self("Reshape", x, self.constant(sizes))

    def like(self, x: str, of: str, *sizes: int) -> str:
        """x with the first two sizes of another, b and t, and these after them."""
        batch_and_frames = self("Shape", of, start=0, end=2)
        shape = self("Concat", batch_and_frames, self.constant(sizes), axis=0)
        return self("Reshape", x, shape)

    def grus(self, x: str, group: str, state: str, shapes: Shapes) -> str:
        """x [b, t, in] through a network's GRUs, as many as it has -> [b, t, features]."""
        x = self("Transpose", x, perm=[1, 0, 2])
        for i, layer in enumerate(_layers(shapes, group)):
            x = self._gru(x, layer, f"{state}_{i}", *shapes[f"{layer}.hidden_bias"])
        return self("Transpose", x, perm=[1, 0, 2])

    def _gru(self, x: str, layer: str, state: str, size: int) -> str:
        """x [t, b, in] -> [t, b, size]; adds the state's input and output."""

        def gates(name: str, axis: int) -> str:
            """r, z, n -> z, r, n, as ONNX has them."""
            r, z, n = self("Split", self.weight(name), axis=axis, outputs=3)
            return self("Concat", z, r, n, axis=axis)

        def matrix(name: str) -> str:
            turned = self("Transpose", gates(name, 1), perm=[1, 0])
            return self("Unsqueeze", turned, first)

        first, second = self.constant([0]), self.constant([1])  # Of directions, where there is one.
        before = self("Unsqueeze", self.input(state, "b", size), first)
        of_hidden = (
            self.constant(np.zeros(2 * size), np.float32),
            self.weight(f"{layer}.hidden_bias"),
        )
        bias = self("Concat", gates(f"{layer}.bias", 0), *of_hidden, axis=0)
        kernels = matrix(f"{layer}.input"), matrix(f"{layer}.hidden")
        options = {"hidden_size": size, "linear_before_reset": 1}
        bias = self("Unsqueeze", bias, first)
        codes, last = self("GRU", x, *kernels, bias, "", before, outputs=2, **options)
        self.output(f"next_{state}", self("Squeeze", last, first), "b", size)
        return self("Squeeze", codes, second)


def graphs(generator: Generator, safetensors: bytes) -> dict[str, onnx.ModelProto]:
    """identity, audio_step and decode, for the file of weights with these bytes.

    They are loaded from a folder in which that file lies as model.safetensors.
    """
    stored, shapes = Stored(safetensors), bundle.shapes(generator)
    return {
        "identity": _identity(generator, shapes, Graph("identity", stored)),
        "audio_step": _audio_step(generator, shapes, Graph("audio_step", stored)),
        "decode": _decode(generator, shapes, Graph("decode", stored)),
    }


def _layers(shapes: Shapes, group: str) -> list[str]:
    """Names of a list's layers: group.0, group.1, ..."""
    depth = group.count(".") + 2
    return sorted({".".join(n.split(".")[:depth]) for n in shapes if n.startswith(f"{group}.")})


def _maps(g: Generator, shapes: Shapes) -> list[tuple[int, int, int]]:
    """Channels, height and width of what each stage of the decoder takes, smallest first."""
    stages = _layers(shapes, "frame_decoder.stages")
    by = [2 ** (len(stages) + 1 - i) for i in range(len(stages))]
    channels = [shapes[f"{stage}.mix.kernel"][2] for stage in stages]
    return [(c, g.height // k, g.width_px // k) for c, k in zip(channels, by, strict=True)]


def _identity(g: Generator, shapes: Shapes, add: Graph) -> onnx.ModelProto:
    x = add("Transpose", add.input("still", "b", g.height, g.width_px, 3), perm=[0, 3, 1, 2])
    encoded = []
    for layer in _layers(shapes, "identity_encoder.layers"):
        kernel, bias = add.kernel(f"{layer}.kernel"), add.weight(f"{layer}.bias")
        x = add("Relu", add("Conv", x, kernel, bias, strides=[2, 2], pads=[1, 1, 1, 1]))
        encoded.append(x)
    code = add("Conv", x, add.kernel("identity_encoder.code.kernel"))
    add.output("z_id", add("Tanh", add.reshape(code, -1, g.id_features)), "b", g.id_features)
    if g.skips:
        for i, (size, x) in enumerate(zip(_maps(g, shapes), reversed(encoded), strict=False)):
            kernel = add.kernel(f"frame_decoder.stages.{i}.mix.of_skip")
            add.output(f"of_skip_{i}", add("Conv", x, kernel, pads=[1, 1, 1, 1]), "b", *size)
    return add.model()


def _audio_step(g: Generator, shapes: Shapes, add: Graph) -> onnx.ModelProto:
    windows = add.input("windows", "b", "t", g.window)
    x = add.reshape(windows, -1, 1, g.window)
    sizes, _ = audio_layers(g.audio_rate, g.window)
    for i, (_, stride, padding) in enumerate(sizes):
        layer = f"context_encoder.layers.{i}"
        kernel, bias = add.kernel(f"{layer}.kernel"), add.weight(f"{layer}.bias")
        x = add("Relu", add("Conv", x, kernel, bias, strides=[stride], pads=[padding] * 2))
    kernel = add.kernel("context_encoder.code.kernel")
    x = add("Tanh", add("Conv", x, kernel, add.weight("context_encoder.code.bias")))
    codes = add.like(x, windows, g.context_features)
    context = add.grus(codes, "context_encoder.gru", "context", shapes)
    z = [context]
    if g.noise_features:
        noise = add.input("noise", "b", "t", g.noise_features)
        z.append(add("Tanh", add.grus(noise, "noise_generator.gru", "spontaneous", shapes)))
    size = g.context_features + g.noise_features
    add.output("z", add("Concat", *z, axis=2), "b", "t", size)
    return add.model()


def _decode(g: Generator, shapes: Shapes, add: Graph) -> onnx.ModelProto:
    heard = add.input("z", "b", "t", g.context_features + g.noise_features)
    z_id = add("Unsqueeze", add.input("z_id", "b", g.id_features), add.constant([1]))
    frames = add("Concat", add("Shape", heard, start=0, end=2), add.constant([1]), axis=0)
    z = add("Concat", heard, add("Expand", z_id, frames), axis=2)
    start = add("MatMul", z, add.weight("frame_decoder.start.kernel"))
    x = add("Relu", add("Add", start, add.weight("frame_decoder.start.bias")))
    sizes = _maps(g, shapes)
    channels, height, width = sizes[0]
    x = add("Transpose", add.reshape(x, -1, height, width, channels), perm=[0, 3, 1, 2])
    for i, size in enumerate(sizes):
        stage = f"frame_decoder.stages.{i}"
        kernel, bias = add.kernel(f"{stage}.mix.kernel"), add.weight(f"{stage}.mix.bias")
        x = add("Conv", x, kernel, bias, pads=[1, 1, 1, 1])
        if g.skips:
            of_skip = add("Unsqueeze", add.input(f"of_skip_{i}", "b", *size), add.constant([1]))
            x = add.reshape(add("Add", add.like(x, heard, *size), of_skip), -1, *size)
        bias = add.weight(f"{stage}.double.bias")
        x = add("Relu", add.double(add("Relu", x), f"{stage}.double.kernel", bias))
    x = add("Transpose", add.double(x, "frame_decoder.pixels.kernel"), perm=[0, 2, 3, 1])
    x = add.like(x, heard, g.height, g.width_px, 4 if g.copy_path else 3)
    if g.copy_path:
        still = add.input("still", "b", g.height, g.width_px, 3)
        drawn, mask = add("Split", x, add.constant([3, 1]), axis=4, outputs=2)
        share = add("Sigmoid", add("Sub", mask, add.constant(3, np.float32)))
        still = add("Unsqueeze", still, add.constant([1]))
        # share * drawn + (1 - share) * still.
        more = add("Mul", share, add("Sub", add("Tanh", drawn), still))
        x = add("Add", still, more)
    else:
        x = add("Tanh", x)
    add.output("frames", x, "b", "t", g.height, g.width_px, 3)
    return add.model()
