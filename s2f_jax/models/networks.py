"""The networks of a config, under the names that label their parameters and optimizers."""

import math
import reprlib
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from data_pipelines.common.errors import UserError
from s2f_jax.models.frame_discriminator import FrameDiscriminator
from s2f_jax.models.generator import Generator
from s2f_jax.models.sequence_discriminator import SequenceDiscriminator
from s2f_jax.models.sync_discriminator import SyncDiscriminator
from s2f_jax.models.sync_network import FRAMES, SyncNetwork, sound_window

_LIMITS = {  # Of the numbers that a generator is made from; whole ones, unless they have a point.
    "data": {
        "height": (8, 8192),
        "width": (8, 8192),
        "audio_rate": (1000, 768_000),
        "fps": (1, 1000),
    },
    "model": {
        "window": (0.001, 10.0),
        "id_features": (1, 1 << 16),
        "context_features": (1, 1 << 16),
        "noise_features": (0, 1 << 16),
        "noise_std": (0.0, 1e3),
        "width": (1, 1 << 12),
        "audio_width": (1, 1 << 12),
    },
}
_SWITCHES = ("copy_path", "recurrent", "skips")
_DTYPES = ("float32", "bfloat16", "float64")


def _check_fields(data: Mapping[str, Any], model: Mapping[str, Any]) -> None:
    """Raises UserError for what is no number, or one that no generator can have: the config of a
    run can hold anything."""
    for section, fields in (("data", data), ("model", model)):
        if not hasattr(fields, "keys"):
            raise UserError(f"--config.{section}={reprlib.repr(fields)} is no section: restore it")
        for name, (least, most) in _LIMITS[section].items():
            value, kinds = fields[name], (int,) if isinstance(least, int) else (int, float)
            number = isinstance(value, kinds) and not isinstance(value, bool)
            if not number or not least <= value <= most:
                raise UserError(
                    f"--config.{section}.{name}={reprlib.repr(value)} is no number from {least} to"
                    f" {most}{' without a point' if kinds == (int,) else ''}: give one"
                )
    for name, of in (*((name, (False, True)) for name in _SWITCHES), ("dtype", _DTYPES)):
        value = model[name]
        if not isinstance(value, type(of[0])) or value not in of:
            raise UserError(
                f"--config.model.{name}={reprlib.repr(value)} is not one of"
                f" {', '.join(map(str, of))}: give one of them"
            )


def _check_sizes(data: Mapping[str, Any]) -> None:
    """Raises UserError for sizes and rates that no network here can have."""
    height, width = data["height"], data["width"]
    halvings = int(math.log2(max(height, width))) - 2
    if halvings < 2 or height % 2**halvings or width % 2**halvings:
        raise UserError(
            f"--config.data.height={height} and --config.data.width={width} cannot be halved"
            f" {halvings} times: give e.g. 128 and 96, or 64 and 48"
        )
    if (rate := data["audio_rate"]) % 1000:
        raise UserError(
            f"--config.data.audio_rate={rate} is not a multiple of 1000: give 16000, 25000, 48000 or"
            " 50000"
        )


def check_form(data: Mapping[str, Any]) -> None:
    """Raises UserError for sizes and rates of no shards here, which hold whole frames' samples.

    A generator in use has no need of that: its frames/s are its rate over its stride.
    """
    _check_sizes(data)
    rate, fps = data["audio_rate"], data["fps"]
    if rate % fps:
        raise UserError(
            f"--config.data.audio_rate={rate} is not a multiple of"
            f" --config.data.fps={fps}: give 16000, 25000, 48000 or 50000"
        )


def compute_type(name: str) -> Any:
    """The type of that name; jax's 64-bit types are on with float64, and off without it."""
    dtype = jnp.dtype(name)
    # Slow: there to tell rounding from mistakes.
    jax.config.update("jax_enable_x64", bool(dtype == "float64"))
    return dtype


def generator(data: Mapping[str, Any], model: Mapping[str, Any]) -> Generator:
    """From the config's sections of those names.

    Raises UserError for sizes and rates that the networks cannot have.
    """
    _check_fields(data, model)
    _check_sizes(data)
    fps = data["fps"]
    window = round(1000 * model["window"])  # Milliseconds, the step of the first audio layer.
    if window < 1000 / fps or not math.isclose(window, 1000 * model["window"]):
        raise UserError(
            f"--config.model.window={model['window']} is not a whole number of milliseconds that"
            f" covers a frame, 1/{fps} s: give e.g. 0.16 or 0.2"
        )
    return Generator(
        height=data["height"],
        width_px=data["width"],
        audio_rate=data["audio_rate"],
        fps=data["fps"],
        window=round(model["window"] * data["audio_rate"]),
        id_features=model["id_features"],
        context_features=model["context_features"],
        noise_features=model["noise_features"],
        noise_std=model["noise_std"],
        width=model["width"],
        audio_width=model["audio_width"],
        copy_path=model["copy_path"],
        recurrent=model["recurrent"],
        skips=model["skips"],
        dtype=compute_type(model["dtype"]),
    )


def face(model: Mapping[str, Any]) -> tuple[tuple[float, float], ...]:
    """The field model.face: five points (x, y) of the aligned image, or none.

    Raises UserError for anything else.
    """
    given = model["face"]
    try:
        points = np.array(given, np.float64).reshape(len(given), 2)
    except (TypeError, ValueError):
        points = np.full((1, 2), np.nan)
    a_face = len(points) == 5 and np.isfinite(points).all() and np.ptp(points, axis=0).min() >= 1
    if len(points) and not a_face:
        raise UserError(
            f"--config.model.face={given} is no face: give five points ((x,y),(x,y),...), in pixels,"
            " or () for that of the shards"
        )
    return tuple((float(x), float(y)) for x, y in points)


def variables(generator_: Generator) -> Any:
    """The shapes of a generator's parameters and statistics."""
    g = generator_
    inputs = ((1, g.height, g.width_px, 3), (1, g.window), (1, 1, g.noise_features))
    shapes = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in inputs]
    return jax.eval_shape(g.init, jax.random.key(0), *shapes)


def weights(loss: Mapping[str, Any]) -> dict[str, float]:
    """The config's section of that name -> the weights of the generator's terms."""
    return {
        "reconstruction": loss["reconstruction"],
        "frame_discriminator": loss["frame"],
        "sequence_discriminator": loss["sequence"],
        "sync_discriminator": loss["sync"],
    }


def build(
    data: Mapping[str, Any], model: Mapping[str, Any], loss: Mapping[str, Any]
) -> dict[str, nn.Module]:
    """The generator, and the discriminators whose terms have a weight, to be trained.

    Raises UserError like `generator`, and for rates that no shards have.
    """
    check_form(data)
    generator_ = generator(data, model)
    every = {
        "generator": generator_,
        "frame_discriminator": FrameDiscriminator(
            model["frame_width"], model["frame_still"], generator_.dtype
        ),
        "sequence_discriminator": SequenceDiscriminator(
            audio_rate=generator_.audio_rate,
            stride=generator_.stride,
            window=generator_.window,
            features=model["sequence_features"],
            width=model["sequence_width"],
            audio_width=model["sequence_audio_width"],
            fusion=model["sequence_fusion"],
            audio=model["sequence_audio"],
            dtype=generator_.dtype,
        ),
        "sync_discriminator": SyncDiscriminator(
            audio_rate=generator_.audio_rate,
            stride=generator_.stride,
            window=generator_.window,
            features=model["sync_features"],
            width=model["sync_width"],
            audio_width=model["sync_audio_width"],
            dtype=generator_.dtype,
        ),
    }
    weight = weights(loss)
    return {name: network for name, network in every.items() if weight.get(name, 1)}


def sync_network(data: Mapping[str, Any], sizes: Mapping[str, Any], dtype: str) -> SyncNetwork:
    """sizes: features, width and audio_width. Raises UserError like `generator`."""
    check_form(data)
    return SyncNetwork(
        audio_rate=data["audio_rate"],
        features=sizes["features"],
        width=sizes["width"],
        audio_width=sizes["audio_width"],
        dtype=compute_type(dtype),
    )


def sync_params(network: SyncNetwork, data: Mapping[str, Any], key: jax.Array) -> Any:
    """Fresh parameters for faces of that size."""
    frames = jnp.zeros((1, FRAMES, data["height"], data["width"], 3))
    return network.init(key, frames, jnp.zeros((1, sound_window(network.audio_rate))))["params"]
