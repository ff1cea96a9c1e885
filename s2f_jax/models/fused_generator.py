"""The generator for use: training's parts folded away, as plain arrays and functions of them.

BatchNorm's running statistics go into the convolution before it, a GRU's three gates into one
matrix, the two halves of a skip layer apart. On a CPU the kernels of the decoder are arranged once
for as many frames as are drawn at a time. The numbers are those of `Generator`, to rounding.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from s2f_jax.models.context_encoder import audio_layers
from s2f_jax.models.generator import Carry, Generator, IdentityFeatures
from s2f_jax.ops import convolutions

Array = jax.Array
Weights = dict[str, Any]  # Of each network, by its name: arrays in dicts and lists.

EPSILON = 1e-5  # Of BatchNorm.


def fold(generator: Generator, variables: dict[str, Any]) -> Weights:
    """A generator's variables -> what the functions below take, float32."""
    params, stats = (
        jax.tree.map(np.asarray, variables[name]) for name in ("params", "batch_stats")
    )

    def folded(network: str, layer: dict[str, Any], norm: str, repeats: int = 1) -> Weights:
        """A layer with bias or without, and the BatchNorm after it."""
        of, at = (each[network] for each in (params, stats))
        for name in norm.split("/"):
            of, at = of[name], at[name]
        scale = of["norm"]["scale"] / np.sqrt(at["norm"]["var"] + EPSILON)
        shift = (layer.get("bias", 0) - at["norm"]["mean"]) * scale + of["norm"]["bias"]
        kernel = layer["kernel"] * np.tile(scale, repeats)
        return {"kernel": kernel, "bias": np.tile(shift, repeats)}

    def encoder(network: str) -> Weights:
        cnn = params[network]["cnn"]
        count = sum(name.startswith("conv") for name in cnn)
        layers = [folded(network, cnn[f"conv{i}"], f"cnn/norm{i}") for i in range(count)]
        return {"layers": layers, "code": dict(cnn["code"])}

    def gru(layers: dict[str, Any]) -> list[Weights]:
        return [_stacked(layers[f"layer{i}"]) for i in range(len(layers))]

    decoder = params["frame_decoder"]
    stages = sum(name.startswith("mix_norm") for name in decoder)
    top = int(np.prod(_top(generator)))
    weights = {
        "identity_encoder": encoder("identity_encoder"),
        "context_encoder": encoder("context_encoder"),
        "noise_generator": {},
        "frame_decoder": {
            "start": folded("frame_decoder", decoder["start"], "start_norm", top),
            "stages": [],
            "pixels": dict(decoder["pixels"]),
        },
    }
    if generator.recurrent:
        weights["context_encoder"]["gru"] = gru(params["context_encoder"]["gru"])
    if generator.noise_features:
        weights["noise_generator"]["gru"] = gru(params["noise_generator"]["gru"])
    for i in range(stages):
        mix = folded("frame_decoder", decoder[f"mix_{i}"], f"mix_norm_{i}")
        channels = mix["kernel"].shape[3]
        if generator.skips:
            mix["of_skip"] = mix["kernel"][:, :, channels:]
            mix["kernel"] = mix["kernel"][:, :, :channels]
        double = folded("frame_decoder", decoder[f"double_{i}"], f"double_norm_{i}")
        weights["frame_decoder"]["stages"].append({"mix": mix, "double": double})
    return jax.tree.map(np.ascontiguousarray, weights)


def _top(generator: Generator) -> tuple[int, int]:
    """Height and width of the decoder's first maps."""
    halvings = 2 ** (max(generator.height, generator.width_px).bit_length() - 3)
    return generator.height // halvings, generator.width_px // halvings


def _stacked(cell: dict[str, Any]) -> Weights:
    """A GRU cell's gates r, z, n side by side."""
    return {
        "input": np.concatenate([cell[f"i{gate}"]["kernel"] for gate in "rzn"], axis=1),
        "bias": np.concatenate([cell[f"i{gate}"]["bias"] for gate in "rzn"]),
        "hidden": np.concatenate([cell[f"h{gate}"]["kernel"] for gate in "rzn"], axis=1),
        "hidden_bias": cell["hn"]["bias"],  # Of n alone, inside its gate.
    }


def pack_kernels(generator: Generator, weights: Weights, frames: Any) -> Weights:
    """The decoder's kernels made ready for so many frames at a time, where that is on a CPU.

    frames: a number, or a symbol of an exported program, which any platform can run.
    """
    decoder = weights["frame_decoder"]
    height, width = _top(generator)

    def ready(layer: Any, kernel: Array) -> Any:
        shape = (frames, height, width, kernel.shape[2])
        return convolutions.pack_kernel(layer, kernel, shape)

    stages = []
    for stage in decoder["stages"]:
        mix, double = stage["mix"], stage["double"]
        mix = mix | {"kernel": ready(convolutions.conv3x3, mix["kernel"])}
        double = double | {
            "kernel": ready(convolutions.conv_transpose4x4_stride2, double["kernel"])
        }
        stages.append({"mix": mix, "double": double})
        height, width = 2 * height, 2 * width
    pixels = {"kernel": ready(convolutions.conv_transpose4x4_stride2, decoder["pixels"]["kernel"])}
    return weights | {"frame_decoder": decoder | {"stages": stages, "pixels": pixels}}


def _plus(x: Array, bias: Array) -> Array:
    return x + bias.reshape(*(1,) * (x.ndim - 1), -1)


def _relu(x: Array, bias: Array) -> Array:
    return jax.nn.relu(_plus(x, bias))


def _layer(layer: Any, x: Array, kernel: Any) -> Array:
    arranged = isinstance(kernel, convolutions.PackedKernel)
    return kernel(x) if arranged else layer(x, kernel)


def _gru(layers: list[Weights], x: Array, carry: tuple[Array, ...]) -> tuple[Any, Array]:
    """x [B, T, C], carry one [B, features] a layer -> new carry, [B, T, features]."""
    last = []
    for layer, h in zip(layers, carry, strict=True):

        def cell(h: Array, x: Array, layer: Weights = layer) -> tuple[Array, Array]:
            x_r, x_z, x_n = jnp.split(x, 3, axis=-1)
            h_r, h_z, h_n = jnp.split(h @ layer["hidden"], 3, axis=-1)
            r, z = jax.nn.sigmoid(x_r + h_r), jax.nn.sigmoid(x_z + h_z)
            n = jnp.tanh(x_n + r * (_plus(h_n, layer["hidden_bias"])))
            h = (1 - z) * n + z * h
            return h, h

        of_input = _plus(x @ layer["input"], layer["bias"])
        h, x = lax.scan(cell, h, of_input.swapaxes(0, 1))
        x = x.swapaxes(0, 1)
        last.append(h)
    return tuple(last), x


def encode_identity(weights: Weights, still: Array) -> IdentityFeatures:
    """still [B, H, W, 3] in [-1, 1] -> Identity."""
    encoder, x, maps = weights["identity_encoder"], still, []
    x = x.astype(encoder["code"]["kernel"].dtype)
    for layer in encoder["layers"]:
        x = _relu(convolutions.conv(x, layer["kernel"], 2, 1), layer["bias"])
        maps.append(x)
    code = jnp.tanh(convolutions.conv(x, encoder["code"]["kernel"])).reshape(still.shape[0], -1)
    of_skips: Any = [None] * len(weights["frame_decoder"]["stages"])
    for i, (stage, skip) in enumerate(
        zip(weights["frame_decoder"]["stages"], maps[::-1], strict=False)
    ):
        if "of_skip" in stage["mix"]:
            of_skips[i] = convolutions.conv3x3(skip, stage["mix"]["of_skip"])
    return IdentityFeatures(still, code, of_skips)


def _context(
    generator: Generator, weights: Weights, windows: Array, carry: Any
) -> tuple[Any, Array]:
    """windows [B, T, window] -> new carry, z_c [B, T, features]."""
    batch, frames, window = windows.shape
    x = windows.reshape(batch * frames, window, 1).astype(weights["code"]["kernel"].dtype)
    layers, _ = audio_layers(generator.audio_rate, window)
    for (_, stride, padding), layer in zip(layers, weights["layers"], strict=True):
        x = _relu(convolutions.conv(x, layer["kernel"], stride, padding), layer["bias"])
    code = weights["code"]
    codes = jnp.tanh(_plus(convolutions.conv(x, code["kernel"]), code["bias"])).reshape(
        batch, frames, -1
    )
    return _gru(weights["gru"], codes, carry) if generator.recurrent else (carry, codes)


def _decode(generator: Generator, weights: Weights, z: Array, identity: IdentityFeatures) -> Array:
    """z [B, T, Z] -> frames [B, T, H, W, 3] in [-1, 1]."""
    batch, frames, codes = z.shape
    start, pixels = weights["start"], weights["pixels"]
    x = _relu(z.reshape(-1, codes) @ start["kernel"], start["bias"])
    x = x.reshape(batch * frames, *_top(generator), -1)
    for stage, of_skip in zip(weights["stages"], identity.skip_terms, strict=True):
        mix, double = stage["mix"], stage["double"]
        x = _layer(convolutions.conv3x3, x, mix["kernel"])
        if of_skip is not None:
            x = x.reshape(batch, frames, *x.shape[1:]) + of_skip[:, None]
            x = x.reshape(-1, *x.shape[2:])
        x = _relu(x, mix["bias"])
        x = _relu(
            _layer(convolutions.conv_transpose4x4_stride2, x, double["kernel"]), double["bias"]
        )
    x = _layer(convolutions.conv_transpose4x4_stride2, x, pixels["kernel"]).astype(jnp.float32)
    x = x.reshape(batch, frames, *x.shape[1:])
    drawn = jnp.tanh(x[..., :3])
    if not generator.copy_path:
        return drawn
    share = jax.nn.sigmoid(x[..., 3:] - 3)
    return share * drawn + (1 - share) * identity.still[:, None]


def animate(
    generator: Generator,
    weights: Weights,
    identity: IdentityFeatures,
    windows: Array,
    noise: Array,
    carry: Carry,
) -> tuple[Carry, Array]:
    """windows [B, T, window] in [-1, 1], noise [B, T, noise_features] of the scale noise_std
    -> new carry, frames [B, T, H, W, 3] in [-1, 1], float32."""
    context, z_c = _context(generator, weights["context_encoder"], windows, carry.context)
    spontaneous, z_n = carry.noise, noise.astype(z_c.dtype)
    if generator.noise_features:
        spontaneous, z_n = _gru(weights["noise_generator"]["gru"], z_n, carry.noise)
        z_n = jnp.tanh(z_n)
    z_id = jnp.broadcast_to(identity.z_id[:, None], (*z_c.shape[:2], identity.z_id.shape[1]))
    z = jnp.concatenate([z_c, z_n, z_id], axis=-1)
    frames = _decode(generator, weights["frame_decoder"], z, identity)
    return Carry(context, spontaneous), frames
