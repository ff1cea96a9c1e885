"""The task "lipread": LipNet learns to read the mouths of a corpus's training speakers."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from etils import epath
from typing_extensions import override

from data_pipelines.common import files
from data_pipelines.common.errors import UserError
from data_pipelines.loading import charset, lipreading_examples, loader, splicing
from data_pipelines.loading.dataset import ClipDataset
from s2f_jax import optim, rngs, sharding
from s2f_jax.config.schema import Config
from s2f_jax.metrics.speech import cer, wer
from s2f_jax.models import networks
from s2f_jax.models.layers import full_precision
from s2f_jax.models.lipnet import LipNet
from s2f_jax.runs.log import Log
from s2f_jax.sharding import Gather, leave
from s2f_jax.state import TrainState
from s2f_jax.tasks import ctc, language_model
from s2f_jax.tasks.task import Interrupted, Step, Task, Validation, never

NAME = "lipreader"  # Of the network.
_WARM_UP = 60  # Steps, over which the learning rate rises to its value.
_LEAST = 15  # Pixels of a side, which one stride and three poolings halve.
Batch = Mapping[str, jax.Array]


def crop(config: Config) -> lipreading_examples.MouthCrop:
    """Selects what the reader of a config sees of a face.

    Args:
      config: Config of a run.

    Returns:
      The crop.
    """
    r = config.lipreader
    return lipreading_examples.MouthCrop(r.height, r.width, r.mouth)


def network(config: Config) -> LipNet:
    """Builds the lip reader of a config.

    Args:
      config: Config of a run.

    Returns:
      The module, without parameters.
    """
    r = config.lipreader
    dtype = networks.compute_type(config.model.dtype)
    sizes = charset.BLANK + 1, tuple(r.widths), r.features, r.dropout
    return LipNet(*sizes, r.steps_per_frame, r.centered, r.front_end, r.noise, dtype)


def initial(config: Config, key: jax.Array) -> Any:
    """Initializes a lip reader.

    Args:
      config: Config of a run.
      key: Random key for the parameters.

    Returns:
      Variables of the network.
    """
    r = config.lipreader
    frames = jnp.zeros((1, 1, r.height, r.width, 3), jnp.float32)
    return network(config).init(key, frames, jnp.ones((1, 1), bool), False)


def losses(logits: jax.Array, mask: jax.Array, spelled: jax.Array) -> jax.Array:
    """Computes the CTC loss of each clip, in nats.

    Args:
      logits: [B, n * T, 28], n of each frame.
      mask: bool [B, T]; False where there is padding.
      spelled: Letters, int [B, L], -1 after the last.

    Returns:
      [B].
    """
    absent = spelled < 0
    mask = jnp.repeat(mask, logits.shape[1] // mask.shape[1], axis=1)
    padding, no_letter = (~mask).astype(logits.dtype), absent.astype(logits.dtype)
    letters = jnp.where(absent, 0, spelled)
    return optax.ctc_loss(logits, padding, letters, no_letter, blank_id=charset.BLANK)


def alignment_losses(logits: jax.Array, steps: jax.Array) -> jax.Array:
    """Computes the cross-entropy with the letters where they are said, in nats a clip.

    CTC alone learns for a long time which letters are frequent before it looks at a mouth; the words' times
    tell it where to look.

    Args:
      logits: [B, n, 28].
      steps: Classes, int [B, n], -1 where unknown.

    Returns:
      [B].
    """
    known = steps >= 0
    nats = optax.softmax_cross_entropy_with_integer_labels(logits, jnp.where(known, steps, 0))
    return jnp.where(known, nats, 0).sum(axis=1)


def objective(
    params: Any,
    batch_stats: Any,
    batch: Batch,
    key: jax.Array,
    *,
    network: LipNet,
    alignment: float = 0.0,
) -> tuple[jax.Array, tuple[jax.Array, Any]]:
    """Computes the mean loss of a batch.

    Args:
      params: Parameters of the network.
      batch_stats: BatchNorm statistics of the network.
      batch: Arrays of the clips, as the loader makes them.
      key: Random key of the step.
      network: The module.
      alignment: Weight of `alignment_losses`.

    Returns:
      The mean loss, and the CTC loss of each clip [B] with the new batch statistics.
    """
    variables = {"params": params, "batch_stats": batch_stats}
    frames, mask = batch["frames"].astype(jnp.float32) / 255, batch["mask"]
    keys = rngs.per_example_keys(key, "dropout", batch["example_index"])
    logits, new = network.apply(variables, frames, mask, True, keys, mutable=["batch_stats"])
    clip_losses = losses(logits, mask, batch["letters"])
    total = clip_losses.mean()
    if alignment:
        total += alignment * alignment_losses(logits, batch["steps"]).mean()
    return total, (clip_losses, new["batch_stats"])


def train_step(
    state: TrainState,
    batch: Batch,
    key: jax.Array,
    *,
    network: LipNet,
    tx: optax.GradientTransformation,
    clip_norm: float,
    alignment: float = 0.0,
    gather: Gather = leave,
) -> tuple[TrainState, dict[str, jax.Array], dict[str, jax.Array]]:
    """Updates the network once.

    Args:
      state: The state before the step.
      batch: B clips.
      key: The run's root key.
      network: The module.
      tx: Optimizer of the network.
      clip_norm: Largest norm of the gradient.
      alignment: Weight of `alignment_losses`.
      gather: Makes parameters whole where devices share them.

    Returns:
      The new state, the means of what is logged, the terms per clip [B].
    """
    loss = functools.partial(objective, network=network, alignment=alignment)
    gradient = jax.grad(loss, has_aux=True)
    params, stats = state.params[NAME], state.batch_stats[NAME]
    grads, (ctc_loss, stats) = gradient(gather(params), stats, batch, key)
    norm = optax.tree.norm(grads)
    grads = jax.tree.map(lambda leaf: leaf * jnp.minimum(1, clip_norm / norm), grads)
    updates, opt_state = tx.update({NAME: grads}, state.opt_state, state.params)
    updated: Any = optax.apply_updates(state.params, updates)
    new = TrainState(state.step + 1, updated, {NAME: stats}, opt_state)
    terms = {f"{NAME}/ctc": ctc_loss}
    metrics = {name: values.mean() for name, values in terms.items()}
    return new, metrics | {f"{NAME}/gradient_norm": norm}, terms


def read(variables: Any, frames: jax.Array, mask: jax.Array, *, network: LipNet) -> jax.Array:
    """Applies a lip reader.

    Args:
      variables: Variables of the network.
      frames: Mouths, uint8 [B, T, H, W, 3].
      mask: bool [B, T].
      network: The module.

    Returns:
      Logits [B, steps_per_frame * T, 28].
    """
    logits: Any = network.apply(variables, frames.astype(jnp.float32) / 255, mask, False)
    return logits


class LipReadValidation(Validation):
    """The validation clips, read greedily after each epoch.

    Args:
      clips: The validation split.
      config: Config of the run.
    """

    def __init__(self, clips: ClipDataset, config: Config):
        super().__init__(clips, config.eval_batch_size, config.validation_clips)
        self._crop, self._read = crop(config), self._compiled(read, network=network(config))

    @functools.cached_property
    def _transcripts(self) -> list[str]:
        return [charset.clean(self._clips[i].transcript) for i in range(self._count)]

    @override
    def scores(
        self, state: TrainState, interrupted: Interrupted = never
    ) -> dict[str, float] | None:
        """1 - WER and 1 - CER over the clips, the same on every process; None if interrupted."""
        readings = self.readings(state, range(self._count), interrupted)
        if readings is None:
            return None
        pairs = list(zip(self._transcripts, readings, strict=True))
        return {"words_right": 1 - wer(pairs), "letters_right": 1 - cer(pairs)}

    def readings(
        self, state: TrainState, chosen: Sequence[int], interrupted: Interrupted = never
    ) -> list[str] | None:
        """Reads some clips; each process decodes its share of their pictures.

        Args:
          state: State of the training.
          chosen: Indices of clips.
          interrupted: Called between batches.

        Returns:
          The text read in each clip; None if interrupted.
        """
        texts, mine = {}, sharding.process_rows(self._size)
        for batch in loader.batch_by_length([self._lengths[i] for i in chosen], self._size):
            if interrupted():
                return None
            rows = [chosen[i] for i in self._whole_batch(batch)]
            lengths = np.array([self._lengths[i] for i in rows])
            videos = [self._crop(self._clips[i].frames) for i in rows[mine]]
            frames, mask = side_by_side(videos, loader.padded_length(lengths.max()))
            share = sharding.put({"frames": frames, "mask": mask}, self._by_example)
            logits = self._read(state.variables(NAME), share["frames"], share["mask"])
            steps = logits.shape[1] // share["mask"].shape[1] * lengths  # Of each clip.
            texts |= zip(batch, ctc.greedy(np.asarray(logits), steps), strict=False)
        return [texts[i] for i in range(len(chosen))]

    @override
    def write_samples(self, state: TrainState, workdir: epath.Path, count: int, log: Log) -> None:
        """What was said and what is read in `count` clips, as a table."""
        if not count:
            return
        chosen = self._spread(count, self._count)
        readings = self.readings(state, chosen)
        if jax.process_index() or readings is None:
            return
        lines = ["| clip | said | read |", "|---|---|---|"] + [
            f"| {self._clips[i].id} | {self._transcripts[i]} | {text} |"
            for i, text in zip(chosen, readings, strict=True)
        ]
        path = workdir / "samples" / str(int(state.step)) / "readings.md"
        files.write_atomically(path, ("\n".join(lines) + "\n").encode())


def side_by_side(videos: Sequence[np.ndarray], frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Stacks videos, padded with zeros.

    Args:
      videos: uint8 [T_i, H, W, 3].
      frames: Frames of the batch.

    Returns:
      [B, frames, H, W, 3] and its mask bool [B, frames].
    """
    batch = np.zeros((len(videos), frames, *videos[0].shape[1:]), np.uint8)
    for row, video in zip(batch, videos, strict=True):
        row[: len(video)] = video
    return batch, np.arange(frames) < np.array([len(video) for video in videos])[:, None]


class LipReadTask(Task):
    """LipNet learns to read the mouths of a corpus.

    Args:
      config: Config of a run.
    """

    whole_batch = "a lip reader"

    features = lipreading_examples.FEATURES
    watched = ("words_right", "letters_right")

    def __init__(self, config: Config):
        if config.best_by not in self.watched:
            raise UserError(
                f"--config.best_by={config.best_by} is no score of a lip reader: give"
                f" {' or '.join(self.watched)}"
            )
        least = min(config.lipreader.height, config.lipreader.width)
        if least < _LEAST:
            raise UserError(
                f"--config.lipreader.height and width: {least} pixels are halved four times to"
                f" nothing; give {_LEAST} or more"
            )
        if len(config.lipreader.widths) != 3:
            raise UserError(
                f"--config.lipreader.widths={tuple(config.lipreader.widths)}: LipNet has three"
                " convolutions; give (32,64,96), say"
            )
        r = config.lipreader
        if r.noise and r.front_end != "cosines":
            raise UserError(
                f"--config.lipreader.noise={r.noise}: it is the noise of the frequencies that"
                ' front_end "cosines" sees; give that, or 0'
            )
        self.config = config
        self.network = network(config)
        self.networks = {NAME: self.network}
        self.example = functools.partial(
            lipreading_examples.lipreading_example,
            crop=crop(config),
            frames=config.clip_frames,
            max_letters=r.letters,
            jitter=r.jitter,
            shift=r.shift,
            steps_per_frame=r.steps_per_frame,
        )

    @override
    def examples_of(self, clips: ClipDataset) -> loader.MakeExample:
        share = self.config.lipreader.splice
        if not share:
            return self.example
        return splicing.splicing(self.example, clips, share, self.config.clip_frames)

    @override
    def write_files(self, clips: ClipDataset, folder: epath.Path) -> None:
        if order := self.config.lipreader.language_order:
            said = (charset.clean(clips[i].transcript) for i in range(len(clips)))
            language_model.write(folder, said, order)

    @override
    def schedules(self, steps_per_epoch: int) -> dict[str, optim.Schedule]:
        o, rate = self.config.optim, self.config.lipreader.rate
        decayed = optim.epoch_decay(rate, steps_per_epoch, o.decay_after, o.decay)

        def schedule(step: jax.typing.ArrayLike) -> jax.Array:
            return decayed(step) * jnp.minimum(1, (jnp.asarray(step) + 1) / _WARM_UP)

        return {NAME: schedule}

    @override
    def init(self, tx: optax.GradientTransformation, key: jax.Array) -> TrainState:
        variables = initial(self.config, rngs.key(key, NAME))
        dtype = full_precision(network(self.config).dtype)
        variables = jax.tree.map(lambda leaf: leaf.astype(dtype), variables)
        params, stats = ({NAME: variables[kind]} for kind in ("params", "batch_stats"))
        return TrainState(jnp.zeros((), jnp.int32), params, stats, tx.init(params))

    @override
    def step(self, tx: optax.GradientTransformation, adversarial_phase: bool) -> Step:
        r = self.config.lipreader
        options = {"clip_norm": r.clip_norm, "alignment": r.alignment, "gather": self.gather}
        return functools.partial(train_step, network=self.network, tx=tx, **options)

    @override
    def batch_shapes(self) -> dict[str, jax.ShapeDtypeStruct]:
        clips, frames, r = self.config.batch_size, self.config.clip_frames, self.config.lipreader
        return {
            "frames": jax.ShapeDtypeStruct((clips, frames, r.height, r.width, 3), np.uint8),
            "mask": jax.ShapeDtypeStruct((clips, frames), np.bool_),
            "letters": jax.ShapeDtypeStruct((clips, r.letters), np.int32),
            "steps": jax.ShapeDtypeStruct((clips, r.steps_per_frame * frames), np.int32),
            "example_index": jax.ShapeDtypeStruct((clips,), np.uint32),
        }

    @override
    def validation(self, clips: ClipDataset, key: jax.Array) -> LipReadValidation:
        return LipReadValidation(clips, self.config)

    @override
    def progress(self, values: Mapping[str, float]) -> str:
        return f"CTC {values[f'{NAME}/ctc']:.2f} nats a clip"

    @override
    def verdict(self, scores: Mapping[str, float]) -> str:
        return f"WER {1 - scores['words_right']:.3f}, CER {1 - scores['letters_right']:.3f}"
