"""The networks of a config. Of this folder, only this module reads sections of the config."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from data_pipelines.common.errors import UserError
from s2f_jax.config import schema
from s2f_jax.models.context_readout import ContextReadout
from s2f_jax.models.discriminator import Discriminator
from s2f_jax.models.discriminators import DISCRIMINATORS, network_name
from s2f_jax.models.generator import Generator
from s2f_jax.models.lip_expert import LipExpert
from s2f_jax.models.sequence_negatives import NEGATIVES
from s2f_jax.models.sync_network import FRAMES, SyncNetwork, sound_window


def _check_sizes(data: Mapping[str, Any]) -> None:
    """Raises UserError for sizes and rates that no network here can have."""
    height, width = data["height"], data["width"]
    halvings = int(math.log2(max(height, width))) - 2
    if halvings < 2 or height % 2**halvings or width % 2**halvings:
        raise UserError(
            f"--config.data.height={height} and --config.data.width={width}: must be divisible by"
            f" {2 ** max(halvings, 2)}, e.g. 128 and 96, or 64 and 48"
        )
    if (rate := data["audio_rate"]) % 1000:
        raise UserError(
            f"--config.data.audio_rate={rate}: must be a multiple of 1000, e.g. 16000, 25000, 48000"
            " or 50000"
        )


def check_form(data: Mapping[str, Any]) -> None:
    """Refuses sizes and rates that no shards have, since these hold whole frames' samples.

    A generator in use has no need of that: its frames/s are its rate over its stride.

    Args:
      data: The config's section of that name.

    Raises:
      UserError: The audio rate is not a multiple of the frame rate, or as `generator` does.
    """
    _check_sizes(data)
    rate, fps = data["audio_rate"], data["fps"]
    if rate % fps:
        raise UserError(
            f"--config.data.audio_rate={rate}: must be a multiple of --config.data.fps={fps}, e.g."
            " 16000, 25000, 48000 or 50000"
        )


def compute_type(name: str) -> Any:
    """Finds a compute type.

    Args:
      name: "float32", "bfloat16" or "float64", which is there to tell rounding from mistakes.

    Returns:
      The type; of "float64" float32 unless JAX's 64-bit types are on.
    """
    return jax.dtypes.canonicalize_dtype(name)


def generator(data: Mapping[str, Any], model: Mapping[str, Any]) -> Generator:
    """Builds a generator from the config's sections of those names.

    Args:
      data: Sizes in pixels, rates in Hz.
      model: The generator's own fields.

    Returns:
      The module, without parameters.

    Raises:
      UserError: Sizes and rates that the networks cannot have.
    """
    schema.check_sections({"data": data, "model": model})
    _check_sizes(data)
    fps = data["fps"]
    window = round(1000 * model["window"])  # Milliseconds, the step of the first audio layer.
    if window < 1000 / fps or not math.isclose(window, 1000 * model["window"]):
        raise UserError(
            f"--config.model.window={model['window']}: must be a whole number of milliseconds that"
            f" covers a frame, 1/{fps} s, e.g. 0.16 or 0.2"
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
    """Reads the field model.face.

    Args:
      model: The config's section of that name.

    Returns:
      Five points (x, y) in pixels of the aligned image, or none.

    Raises:
      UserError: The value is anything else.
    """
    given = model["face"]
    try:
        points = np.array(given, np.float64).reshape(len(given), 2)
    except (TypeError, ValueError):
        points = np.full((1, 2), np.nan)
    a_face = len(points) == 5 and np.isfinite(points).all() and np.ptp(points, axis=0).min() >= 1
    if len(points) and not a_face:
        raise UserError(
            f"--config.model.face={given}: must be five points ((x,y),(x,y),...) in pixels, or () for"
            " those of the shards"
        )
    return tuple((float(x), float(y)) for x, y in points)


def variables(generator_: Generator) -> Any:
    """The shapes of a generator's parameters and statistics.

    Args:
      generator_: The module.

    Returns:
      {"params": ..., "batch_stats": ...} of ShapeDtypeStructs.
    """
    g = generator_
    inputs = ((1, g.height, g.width_px, 3), (1, g.window), (1, 1, g.noise_features))
    shapes = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in inputs]
    return jax.eval_shape(g.init, jax.random.key(0), *shapes)


def _check_negatives(discriminators: Mapping[str, Any]) -> None:
    negatives = discriminators.get("sequence", {}).get("negatives", ())
    if unknown := [kind for kind in negatives if kind not in NEGATIVES]:
        raise UserError(
            f"--config.discriminators.sequence.negatives={unknown[0]}: must be of"
            f" {', '.join(NEGATIVES)}, e.g. ('held','shuffled')"
        )


READOUT = "context_readout"
EXPERT = "lip_expert"


class Networks(NamedTuple):
    """The networks that train together.

    Attributes:
      generator: The generator (paper 2.1).
      discriminators: Discriminators whose term has a weight (paper 2.2), by the names of their parameters,
        e.g. "frame_discriminator".
      readout: What loss.deep_supervision reads z_c with; None without that term.
      expert: The trained lip reader of loss.lip_reading and deep_lip_reading, which does not learn; None
        without these terms.
    """

    generator: Generator
    discriminators: dict[str, Discriminator]
    readout: ContextReadout | None = None
    expert: LipExpert | None = None

    def by_name(self) -> dict[str, nn.Module]:
        """Lists all of them.

        Returns:
          Each under the name that labels its parameters and its optimizer.
        """
        helpers = {READOUT: self.readout, EXPERT: self.expert}
        helping = {name: network for name, network in helpers.items() if network is not None}
        return {"generator": self.generator, **helping, **self.discriminators}


def build(
    data: Mapping[str, Any],
    model: Mapping[str, Any],
    discriminators: Mapping[str, Any],
    loss: Mapping[str, Any],
    expert: LipExpert | None = None,
) -> Networks:
    """Builds the networks to be trained.

    Args:
      data: The config's section `data`.
      model: The config's section `model`.
      discriminators: The config's section `discriminators`; one whose weight is 0 is not built.
      loss: The config's section `loss`, whose weights say which further networks there are.
      expert: The lip reader of loss.lip_reading.

    Returns:
      The generator and its discriminators, in the order of the registry.

    Raises:
      UserError: Sizes and rates that the networks or the shards cannot have, a face that is none, or
        a section of a discriminator that does not exist.
    """
    check_form(data)
    generator_ = generator(data, model)
    face(model)  # Not used in training, but a generator with a wrong one cannot be restored.
    if unknown := sorted(set(discriminators) - set(DISCRIMINATORS)):
        raise UserError(
            f"--config.discriminators.{unknown[0]}: must be one of {', '.join(DISCRIMINATORS)}"
        )
    _check_negatives(discriminators)
    built = {
        network_name(name): network_class.from_config(discriminators[name], generator_)
        for name, network_class in DISCRIMINATORS.items()
        if name in discriminators and discriminators[name]["weight"]
    }
    readout = ContextReadout(generator_.dtype) if loss["deep_supervision"] else None
    return Networks(generator_, built, readout, expert)


def sync_network(data: Mapping[str, Any], sizes: Mapping[str, Any], dtype: str) -> SyncNetwork:
    """Builds a sync network.

    Args:
      data: The config's section of that name.
      sizes: `features`, `width` and `audio_width`.
      dtype: Dtype of the computation.

    Returns:
      The module, without parameters.

    Raises:
      UserError: Sizes and rates that it cannot have.
    """
    check_form(data)
    features, width, audio_width = (sizes[name] for name in ("features", "width", "audio_width"))
    return SyncNetwork(data["audio_rate"], features, width, audio_width, compute_type(dtype))


def sync_params(network: SyncNetwork, data: Mapping[str, Any], key: jax.Array) -> Any:
    """Initializes a sync network.

    Args:
      network: The module.
      data: The config's section of that name, for the size of the faces.
      key: Random key for the parameters.

    Returns:
      The parameters.
    """
    frames = jnp.zeros((1, FRAMES, data["height"], data["width"], 3), jnp.float32)
    sound = jnp.zeros((1, sound_window(network.audio_rate)), jnp.float32)
    return network.init(key, frames, sound)["params"]
