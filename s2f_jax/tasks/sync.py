"""The task "sync": learns from real clips whether lips and audio are in sync (SyncNet)."""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from etils import epath
from typing_extensions import override

from data_pipelines.common import files
from data_pipelines.common.errors import UserError
from data_pipelines.loading import dataset, loader, training_examples
from s2f_jax import optim, rngs, sharding
from s2f_jax.config.schema import Config
from s2f_jax.metrics import sync
from s2f_jax.models import networks, pixels
from s2f_jax.models.layers import full_precision
from s2f_jax.models.sync_network import FRAMES, SyncNetwork, sound_window
from s2f_jax.runs.log import Log
from s2f_jax.sharding import Gather, leave
from s2f_jax.state import TrainState
from s2f_jax.tasks.task import Interrupted, Step, Task, Validation, never

NAME = "sync_network"
Batch = Mapping[str, jax.Array]


def losses(seen: jax.Array, heard: jax.Array, valid: jax.Array) -> tuple[jax.Array, jax.Array]:
    """InfoNCE within each clip, from pictures to audio and from audio to pictures.

    The negatives are of one voice and face: only time tells them apart.

    Args:
      seen: Codes of pictures, [B, n, features].
      heard: Codes of audio, [B, n, features].
      valid: bool [B, n].

    Returns:
      The mean loss over a clip's windows, and the share of its pictures that are nearest to audio
      within a frame of theirs, [B] each.
    """
    squares = jnp.sum(seen**2, axis=-1)[:, :, None] + jnp.sum(heard**2, axis=-1)[:, None]
    squares = squares - 2 * jnp.einsum("bif,bjf->bij", seen, heard)
    logits = -jnp.sqrt(jnp.maximum(squares, 0) + 1e-6)
    logits = jnp.where(valid[:, :, None] & valid[:, None], logits, -1e9)
    moments = np.arange(valid.shape[1])
    normalisers = jax.nn.logsumexp(logits, axis=1) + jax.nn.logsumexp(logits, axis=2)
    per_window = normalisers / 2 - logits[:, moments, moments]
    near = jnp.abs(jnp.argmax(logits, axis=2) - moments[None]) <= 1

    def mean(values: jax.Array) -> jax.Array:
        return jnp.sum(jnp.where(valid, values, 0), axis=1) / jnp.maximum(valid.sum(axis=1), 1)

    return mean(per_window), mean(near.astype(logits.dtype))


def encode(
    params: Any, batch: Batch, *, network: SyncNetwork, stride: int
) -> tuple[jax.Array, jax.Array]:
    """Encodes a batch of integers.

    Args:
      params: Parameters of the network.
      batch: Arrays of the clips, as the loader makes them.
      network: The module.
      stride: Samples per video frame.

    Returns:
      The codes of pictures and of audio, [B, T - 4, features] each.
    """
    frames = pixels.from_uint8(batch["frames"])
    audio = batch["audio"].astype(jnp.float32) / 32768
    codes: Any = network.apply({"params": params}, frames, audio, stride, method="encode")
    return codes


def train_step(
    state: TrainState,
    batch: Batch,
    key: jax.Array,
    *,
    network: SyncNetwork,
    stride: int,
    tx: optax.GradientTransformation,
    gather: Gather = leave,
) -> tuple[TrainState, dict[str, jax.Array], dict[str, jax.Array]]:
    """Updates the network once.

    Args:
      state: The state before the step.
      batch: B clips.
      key: The run's root key; nothing is drawn here.
      network: The module.
      stride: Samples per video frame.
      tx: Optimizer of the network.
      gather: Makes parameters whole where devices share them.

    Returns:
      The new state, the means of what is logged, the terms per clip [B].
    """

    def objective(params: Any) -> tuple[jax.Array, dict[str, jax.Array]]:
        seen, heard = encode(params[NAME], batch, network=network, stride=stride)
        loss, right = losses(seen, heard, batch["mask"][:, FRAMES - 1 :])
        return loss.mean(), {f"{NAME}/loss": loss, f"{NAME}/windows_right": right}

    grads, terms = jax.grad(objective, has_aux=True)(gather(state.params))
    updates, opt_state = tx.update(grads, state.opt_state, state.params)
    params: Any = optax.apply_updates(state.params, updates)
    metrics = {name: values.mean() for name, values in terms.items()}
    metrics[f"{NAME}/gradient_norm"] = optax.tree.norm(grads)
    return TrainState(state.step + 1, params, state.batch_stats, opt_state), metrics, terms


class SyncValidation(Validation):
    """The validation clips' offsets, found by SyncNet's protocol.

    Args:
      clips: The validation split.
      config: Config of the run.
      network: The module.
    """

    def __init__(self, clips: dataset.ClipDataset, config: Config, network: SyncNetwork):
        super().__init__(clips, config.eval_batch_size, config.validation_clips)
        self._window = sound_window(network.audio_rate)
        self._chosen = [i for i, frames in enumerate(self._lengths) if frames >= sync.MIN_FRAMES]
        if not self._chosen:
            raise UserError(
                f"no validation clip has the {sync.MIN_FRAMES} frames that an offset takes: give a"
                " corpus of longer clips"
            )
        stride = config.data.audio_rate // config.data.fps
        self._encode = self._compiled(encode, network=network, stride=stride)

    @override
    def scores(
        self, state: TrainState, interrupted: Interrupted = never
    ) -> dict[str, float] | None:
        """Scores by shares of clips, and of windows alone, whose offset is found to a frame.

        Beside them the mean confidence, and the one that 95 % of the clips stay below with another
        clip's audio.

        Args:
          state: State of the training.
          interrupted: Called between batches, on all processes at the same points; True ends the
            scoring.

        Returns:
          The scores; None if interrupted.
        """
        distances = self.distances(state, interrupted)
        if distances is None:
            return None
        found = [abs(own.argmin(axis=1) - sync.MAX_LAG) <= 1 for own, _ in distances]
        curves = [own.mean(axis=0) for own, _ in distances]
        other_confidences = [sync.confidence(other.mean(axis=0)) for _, other in distances]
        return {
            "windows_right": float(np.concatenate(found).mean()),
            "clips_right": float(np.mean([abs(sync.offset(curve)) <= 1 for curve in curves])),
            "confidence": float(np.mean([sync.confidence(curve) for curve in curves])),
            "chance_confidence": float(np.percentile(other_confidences, 95)),
        }

    def distances(
        self, state: TrainState, interrupted: Interrupted = never
    ) -> list[tuple[np.ndarray, np.ndarray]] | None:
        """Measures each clip's pictures against its own audio, and against another clip's.

        The other one is of about its length.

        Args:
          state: State of the training.
          interrupted: Called between batches.

        Returns:
          sync.distances to both for each clip, on every process; None if interrupted.
        """
        distances, before, mine = {}, None, sharding.process_rows(self._size)
        lengths = [self._lengths[i] for i in self._chosen]
        for batch in loader.batch_by_length(lengths, self._size):
            if interrupted():
                return None
            rows = self._whole_batch(batch)
            room = loader.padded_length(max(lengths[i] for i in rows))
            indices = [self._chosen[i] for i in rows]
            share = loader.whole_clip_batch(self._clips, indices[mine], self._window, room)
            codes = self._encode(state.params[NAME], sharding.put(share, self._by_example))
            for i, seen, heard in zip(batch, *map(np.asarray, codes), strict=False):
                moments = lengths[i] - FRAMES + 1
                seen, heard = seen[:moments], heard[:moments]
                # The longest come first; the first has none before it, and hears itself backwards.
                other = heard[::-1] if before is None else before[:moments]
                distances[i] = sync.lag_distances(seen, heard), sync.lag_distances(seen, other)
                before = heard
        return [distances[i] for i in range(len(lengths))]

    @override
    def write_samples(self, state: TrainState, workdir: epath.Path, count: int, log: Log) -> None:
        """The offsets and confidences of `count` clips, as a table."""
        if not count or (distances := self.distances(state)) is None or jax.process_index():
            return
        lines = ["| clip | offset, frames | confidence |", "|---|---|---|"]
        for i in self._spread(count, len(distances)):
            clip, curve = self._clips[self._chosen[i]], distances[i][0].mean(axis=0)
            lines.append(f"| {clip.id} | {sync.offset(curve)} | {sync.confidence(curve):.2f} |")
        path = workdir / "samples" / str(int(state.step)) / "offsets.md"
        files.write_atomically(path, ("\n".join(lines) + "\n").encode())


class SyncTask(Task):
    """A sync network learns whether lips and audio are in sync.

    Args:
      config: Config of a run.
    """

    whole_batch = "the sync network"

    watched = ("windows_right",)

    def __init__(self, config: Config):
        self.config = config
        self.network = networks.sync_network(config.data, config.sync_network, config.model.dtype)
        self.networks = {NAME: self.network}
        self.stride = config.data.audio_rate // config.data.fps
        self.window = sound_window(config.data.audio_rate)
        augmentations = training_examples.augmentations(config.augment)
        self.features = (*dataset.TRAINING_FEATURES, *augmentations["appearance"].features)
        self.example = functools.partial(
            training_examples.training_example,
            frames=config.clip_frames,
            window=self.window,
            **augmentations,
        )

    @override
    def schedules(self, steps_per_epoch: int) -> dict[str, optim.Schedule]:
        o, rate = self.config.optim, self.config.sync_network.rate
        return {NAME: optim.epoch_decay(rate, steps_per_epoch, o.decay_after, o.decay)}

    @override
    def init(self, tx: optax.GradientTransformation, key: jax.Array) -> TrainState:
        dtype = self.network.dtype
        params = networks.sync_params(self.network, self.config.data, rngs.key(key, NAME))
        params = {NAME: jax.tree.map(lambda leaf: leaf.astype(full_precision(dtype)), params)}
        return TrainState(jnp.zeros((), jnp.int32), params, {NAME: {}}, tx.init(params))

    @override
    def step(self, tx: optax.GradientTransformation, adversarial_phase: bool) -> Step:
        fields = {"network": self.network, "stride": self.stride, "tx": tx, "gather": self.gather}
        return functools.partial(train_step, **fields)

    @override
    def batch_shapes(self) -> dict[str, jax.ShapeDtypeStruct]:
        clips, frames, data = self.config.batch_size, self.config.clip_frames, self.config.data
        samples = (frames - 1) * self.stride + self.window
        return {
            "frames": jax.ShapeDtypeStruct((clips, frames, data.height, data.width, 3), np.uint8),
            "audio": jax.ShapeDtypeStruct((clips, samples), np.int16),
            "mask": jax.ShapeDtypeStruct((clips, frames), np.bool_),
            "example_index": jax.ShapeDtypeStruct((clips,), np.uint32),
        }

    @override
    def validation(self, clips: dataset.ClipDataset, key: jax.Array) -> SyncValidation:
        return SyncValidation(clips, self.config, self.network)

    @override
    def progress(self, values: Mapping[str, float]) -> str:
        loss, right = (values[f"{NAME}/{name}"] for name in ("loss", "windows_right"))
        return f"loss {loss:.3f}, {right:.0%} of the windows found"

    @override
    def verdict(self, scores: Mapping[str, float]) -> str:
        return (
            f"offset found to a frame in {scores['clips_right']:.1%} of the clips and from"
            f" {scores['windows_right']:.1%} of the windows, confidence {scores['confidence']:.2f}"
            f" (95 % below {scores['chance_confidence']:.2f} with another clip's sound)"
        )
