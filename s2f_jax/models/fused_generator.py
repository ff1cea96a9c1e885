"""The generator for inference, with the parts that only training needs fused away.

BatchNorm's running statistics are folded into the convolution before it, a GRU's three gates are
stacked into one matrix, and the two halves of a skip layer are split. On a CPU the decoder's kernels
are packed once for the number of frames that is generated at a time. The outputs equal those of
`Generator` up to rounding.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from s2f_jax.models.context_encoder import audio_layers
from s2f_jax.models.generator import Carry, Generator, IdentityFeatures
from s2f_jax.ops import convolutions, gru

Array = jax.Array
Weights = dict[str, Any]  # Nested dicts and lists of arrays; the top level is one key per network.
Layer = Callable[[Array, Array], Array]  # Maps and kernel to maps.

_EPSILON = 1e-5  # BatchNorm's, as in layers.BatchNorm.


def fuse_weights(generator: Generator, variables: Mapping[str, Any]) -> Weights:
    """Converts a generator's variables to the weights that this module's functions take.

    Args:
      generator: The module that the variables belong to.
      variables: The generator's collections `params` and `batch_stats`.

    Returns:
      The fused weights, float32 NumPy arrays.
    """
    params, stats = (
        jax.tree.map(np.asarray, variables[name]) for name in ("params", "batch_stats")
    )

    def fold_norm(network: str, layer: dict[str, Any], norm: str, repeats: int = 1) -> Weights:
        # Folds the BatchNorm after a layer into the layer's kernel and bias.
        norm_params, norm_stats = params[network], stats[network]
        for name in norm.split("/"):
            norm_params, norm_stats = norm_params[name], norm_stats[name]
        norm_params, norm_stats = norm_params["norm"], norm_stats["norm"]
        scale = norm_params["scale"] / np.sqrt(norm_stats["var"] + _EPSILON)
        shift = (layer.get("bias", 0) - norm_stats["mean"]) * scale + norm_params["bias"]
        kernel = layer["kernel"] * np.tile(scale, repeats)
        return {"kernel": kernel, "bias": np.tile(shift, repeats)}

    def fuse_encoder(network: str) -> Weights:
        cnn = params[network]["cnn"]
        count = sum(name.startswith("conv") for name in cnn)
        layers = [fold_norm(network, cnn[f"conv{i}"], f"cnn/norm{i}") for i in range(count)]
        return {"layers": layers, "code": dict(cnn["code"])}

    def fuse_gru(layers: dict[str, Any]) -> list[Weights]:
        return [_stack_gates(layers[f"layer{i}"]) for i in range(len(layers))]

    decoder = params["frame_decoder"]
    stages = sum(name.startswith("mix_norm") for name in decoder)
    positions = int(np.prod(_initial_size(generator)))
    weights = {
        "identity_encoder": fuse_encoder("identity_encoder"),
        "context_encoder": fuse_encoder("context_encoder"),
        "noise_generator": {},
        "frame_decoder": {
            "start": fold_norm("frame_decoder", decoder["start"], "start_norm", positions),
            "stages": [],
            "pixels": dict(decoder["pixels"]),
        },
    }
    if generator.recurrent:
        weights["context_encoder"]["gru"] = fuse_gru(params["context_encoder"]["gru"])
    if generator.noise_features:
        weights["noise_generator"]["gru"] = fuse_gru(params["noise_generator"]["gru"])
    for i in range(stages):
        mix = fold_norm("frame_decoder", decoder[f"mix_{i}"], f"mix_norm_{i}")
        channels = mix["kernel"].shape[3]
        if generator.skips:
            # A convolution of concatenated maps is the sum of one of each; the skip's half is
            # the same for all frames of a clip.
            mix["of_skip"] = mix["kernel"][:, :, channels:]
            mix["kernel"] = mix["kernel"][:, :, :channels]
        double = fold_norm("frame_decoder", decoder[f"double_{i}"], f"double_norm_{i}")
        weights["frame_decoder"]["stages"].append({"mix": mix, "double": double})
    return jax.tree.map(np.ascontiguousarray, weights)


def _initial_size(generator: Generator) -> tuple[int, int]:
    # Height and width of the decoder's first maps.
    factor = 2 ** (max(generator.height, generator.width_px).bit_length() - 3)
    return generator.height // factor, generator.width_px // factor


def _stack_gates(cell: dict[str, Any]) -> Weights:
    # A GRU cell's gates r, z, n side by side.
    return {
        "input": np.concatenate([cell[f"i{gate}"]["kernel"] for gate in "rzn"], axis=1),
        "bias": np.concatenate([cell[f"i{gate}"]["bias"] for gate in "rzn"]),
        "hidden": np.concatenate([cell[f"h{gate}"]["kernel"] for gate in "rzn"], axis=1),
        "hidden_bias": cell["hn"]["bias"],  # Only n has one: r multiplies it.
    }


def pack_kernels(generator: Generator, weights: Weights, frames: Any) -> Weights:
    """Packs the decoder's kernels for the CPU's convolution algorithms; other backends keep theirs.

    Args:
      generator: The module that the weights belong to.
      weights: The result of `fuse_weights`.
      frames: Frames that are generated at a time: a number, or a symbolic dimension of an exported
        program, which runs on any platform.

    Returns:
      The weights with packed kernels.
    """
    decoder = weights["frame_decoder"]
    height, width = _initial_size(generator)

    def pack(layer: Any, weights: Weights) -> Weights:
        kernel = weights["kernel"]
        shape = (frames, height, width, kernel.shape[2])
        return weights | {"kernel": convolutions.pack_kernel(layer, kernel, shape)}

    stages = []
    for stage in decoder["stages"]:
        mix = pack(convolutions.conv3x3, stage["mix"])
        double = pack(convolutions.conv_transpose4x4_stride2, stage["double"])
        stages.append({"mix": mix, "double": double})
        height, width = 2 * height, 2 * width
    pixels = pack(convolutions.conv_transpose4x4_stride2, decoder["pixels"])
    return weights | {"frame_decoder": decoder | {"stages": stages, "pixels": pixels}}


def _add_bias(x: Array, bias: Array) -> Array:
    # The rank is given in full: implicit rank promotion is an error in the tests.
    return x + bias.reshape(*(1,) * (x.ndim - 1), -1)


def _bias_relu(x: Array, bias: Array) -> Array:
    return jax.nn.relu(_add_bias(x, bias))


def _convolve(layer: Layer, x: Array, kernel: Array | convolutions.PackedKernel) -> Array:
    return kernel(x) if isinstance(kernel, convolutions.PackedKernel) else layer(x, kernel)


def _gru(
    layers: list[Weights], x: Array, carry: tuple[Array, ...]
) -> tuple[tuple[Array, ...], Array]:
    # x [B, T, C], carry one [B, features] a layer -> new carry, [B, T, features].
    # One layer after the other: for a piece of one frame a loop over all of them would be longer.
    new_carry, x = [], x.swapaxes(0, 1)
    for layer, h in zip(layers, carry, strict=True):
        (h,), x = gru.gru([gru.GRUWeights(**layer)], [h], x)
        new_carry.append(h)
    return tuple(new_carry), x.swapaxes(0, 1)


def encode_identity(weights: Weights, still: Array) -> IdentityFeatures:
    """Encodes the still once per clip.

    Args:
      weights: The result of `fuse_weights`.
      still: [B, H, W, 3] in [-1, 1].

    Returns:
      The code z_id [B, id_features] and the decoder's precomputed skip terms.
    """
    encoder, x, maps = weights["identity_encoder"], still, []
    x = x.astype(encoder["code"]["kernel"].dtype)
    for layer in encoder["layers"]:
        x = _bias_relu(convolutions.conv(x, layer["kernel"], 2, 1), layer["bias"])
        maps.append(x)
    code = jnp.tanh(convolutions.conv(x, encoder["code"]["kernel"])).reshape(still.shape[0], -1)
    stages = weights["frame_decoder"]["stages"]
    skip_terms: Any = [None] * len(stages)
    # The encoder's last maps are as large as the decoder's first; its own first have no partner.
    for i, (stage, skip) in enumerate(zip(stages, reversed(maps), strict=False)):
        if "of_skip" in stage["mix"]:
            skip_terms[i] = convolutions.conv3x3(skip, stage["mix"]["of_skip"])
    return IdentityFeatures(still, code, skip_terms)


def _encode_context(
    generator: Generator, weights: Weights, windows: Array, carry: tuple[Array, ...]
) -> tuple[tuple[Array, ...], Array]:
    # windows [B, T, window] -> new carry, z_c [B, T, features].
    batch, frames, window = windows.shape
    x = windows.reshape(batch * frames, window, 1).astype(weights["code"]["kernel"].dtype)
    layers, _ = audio_layers(generator.audio_rate, window)
    for (_, stride, padding), layer in zip(layers, weights["layers"], strict=True):
        x = _bias_relu(convolutions.conv(x, layer["kernel"], stride, padding), layer["bias"])
    code = weights["code"]
    codes = jnp.tanh(_add_bias(convolutions.conv(x, code["kernel"]), code["bias"]))
    codes = codes.reshape(batch, frames, -1)
    return _gru(weights["gru"], codes, carry) if generator.recurrent else (carry, codes)


def _decode(generator: Generator, weights: Weights, z: Array, identity: IdentityFeatures) -> Array:
    # z [B, T, Z] -> frames [B, T, H, W, 3] in [-1, 1].
    batch, frames, codes = z.shape
    start, pixels = weights["start"], weights["pixels"]
    x = _bias_relu(z.reshape(-1, codes) @ start["kernel"], start["bias"])
    x = x.reshape(batch * frames, *_initial_size(generator), -1)
    upsample = convolutions.conv_transpose4x4_stride2
    for stage, skip_term in zip(weights["stages"], identity.skip_terms, strict=True):
        mix, double = stage["mix"], stage["double"]
        x = _convolve(convolutions.conv3x3, x, mix["kernel"])
        if skip_term is not None:
            x = x.reshape(batch, frames, *x.shape[1:]) + skip_term[:, None]
            x = x.reshape(-1, *x.shape[2:])
        x = _bias_relu(x, mix["bias"])
        x = _bias_relu(_convolve(upsample, x, double["kernel"]), double["bias"])
    x = _convolve(upsample, x, pixels["kernel"]).astype(jnp.float32)
    x = x.reshape(batch, frames, *x.shape[1:])
    generated = jnp.tanh(x[..., :3])
    if not generator.copy_path:
        return generated
    share = jax.nn.sigmoid(x[..., 3:] - 3)
    return share * generated + (1 - share) * identity.still[:, None]


def animate(
    generator: Generator,
    weights: Weights,
    identity: IdentityFeatures,
    windows: Array,
    noise: Array,
    carry: Carry,
) -> tuple[Carry, Array]:
    """Generates the next frames of each clip.

    Args:
      generator: The module that the weights belong to.
      weights: The result of `fuse_weights` or `pack_kernels`.
      identity: The result of `encode_identity`.
      windows: [B, T, window] in [-1, 1], the audio window of each frame.
      noise: [B, T, noise_features], Gaussian with standard deviation noise_std.
      carry: The GRU states after the frames before these; at first `Generator.initial_carry`.

    Returns:
      The new carry and the frames, float32 [B, T, H, W, 3] in [-1, 1].
    """
    context, z_c = _encode_context(generator, weights["context_encoder"], windows, carry.context)
    noise_carry, z_n = carry.noise, noise.astype(z_c.dtype)
    if generator.noise_features:
        noise_carry, z_n = _gru(weights["noise_generator"]["gru"], z_n, carry.noise)
        z_n = jnp.tanh(z_n)
    z_id = jnp.broadcast_to(identity.z_id[:, None], (*z_c.shape[:2], identity.z_id.shape[1]))
    z = jnp.concatenate([z_c, z_n, z_id], axis=-1)
    frames = _decode(generator, weights["frame_decoder"], z, identity)
    return Carry(context, noise_carry), frames
