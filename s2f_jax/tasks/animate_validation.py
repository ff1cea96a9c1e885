"""The validation set after each epoch: scores, and samples to look at."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from etils import epath
from typing_extensions import override

from data_pipelines.loading import dataset, loader
from data_pipelines.media import writer
from s2f_jax import rngs, sharding
from s2f_jax.metrics import image
from s2f_jax.models import pixels
from s2f_jax.models.clip_batch import Batch, normalize
from s2f_jax.models.generator import Generator
from s2f_jax.runs.log import Log
from s2f_jax.state import TrainState
from s2f_jax.tasks.task import Interrupted, Validation, never


def generate(variables: Any, batch: Batch, key: jax.Array, *, generator: Any) -> jax.Array:
    """Draws what the model makes of a batch's stills and sound.

    Args:
      variables: Variables of the generator.
      batch: Arrays of the clips, as the loader makes them.
      key: Random key for the noise, the same for every clip.
      generator: The module.

    Returns:
      uint8 [B, T, H, W, 3].
    """
    clips = normalize(batch)
    frames = clips.mask.shape[1]
    noise = rngs.frame_noise(key, frames, generator.noise_features, generator.noise_std)
    noise = jnp.broadcast_to(noise, (clips.mask.shape[0], *noise.shape))
    return pixels.to_uint8(generator.apply(variables, clips.still, clips.audio, noise))


METRICS = {"psnr": image.psnr, "ssim": image.ssim, "psnr_mouth": image.psnr_mouth}


def score(variables: Any, batch: Batch, key: jax.Array, *, generator: Any) -> dict[str, jax.Array]:
    """Scores what the model makes of a batch.

    Args:
      variables: Variables of the generator.
      batch: Arrays of the clips, as the loader makes them.
      key: Random key for the noise.
      generator: The module.

    Returns:
      Each metric per clip, [B].
    """
    generated = generate(variables, batch, key, generator=generator)
    scored = (generated, batch["frames"], batch["mask"])
    return {name: metric(*scored) for name, metric in METRICS.items()}


class AnimateValidation(Validation):
    """The validation clips and the compiled functions over them; the same noise every time.

    Args:
      clips: The validation split.
      generator: The module.
      batch_size: Number of clips per batch.
      limit: Largest number of clips; 0: all.
      key: The run's root key.
    """

    def __init__(
        self,
        clips: dataset.ClipDataset,
        generator: Generator,
        batch_size: int,
        limit: int,
        key: jax.Array,
    ):
        super().__init__(clips, batch_size, limit)
        self._window, self._key = generator.window, rngs.key(key, "validation")
        self._score = self._compiled(score, generator=generator)
        self._generate = self._compiled(generate, generator=generator)

    @override
    def scores(
        self, state: TrainState, interrupted: Interrupted = never
    ) -> dict[str, float] | None:
        """The means over the clips, each process decoding its share; None if interrupted."""
        values = {name: np.empty(self._count) for name in METRICS}
        mine = sharding.process_rows(self._size)
        for indices in loader.batch_by_length(self._lengths, self._size):
            if interrupted():
                return None
            rows = self._whole_batch(indices)
            frames = loader.padded_length(max(self._lengths[i] for i in rows))
            batch = loader.whole_clip_batch(self._clips, rows[mine], self._window, frames)
            share = sharding.put(batch, self._by_example)
            scored = self._score(state.variables("generator"), share, self._key)
            for name, batch_values in jax.device_get(scored).items():
                values[name][indices] = batch_values[: len(indices)]
        return {name: float(scores.mean()) for name, scores in values.items()}

    @override
    def write_samples(self, state: TrainState, workdir: epath.Path, count: int, log: Log) -> None:
        """Generated beside real, with audio, for clips spread over the speakers.

        Every process generates them, since the parameters may be split over all; the first writes.
        """
        if not count:
            return
        number = int(state.step)
        folder = workdir / "samples" / str(number)
        for index in self._spread(count, self._count):
            clip = self._clips[index]
            batch = loader.whole_clip_batch(self._clips, [index], self._window)
            share = sharding.put(batch, self._everywhere)
            frames = self._generate(state.variables("generator"), share, self._key)
            if jax.process_index():
                continue
            folder.mkdir(parents=True, exist_ok=True)
            generated = np.asarray(frames.addressable_data(0))[0, : len(clip)]
            pair = np.concatenate([generated, clip.frames], axis=2)
            path = folder / f"{clip.id}.mp4"
            writer.write_video(path, pair, clip.fps, clip.audio, clip.audio_rate)
            log.video(f"samples/{clip.id}", pair, clip.fps, clip.audio, clip.audio_rate, number)
