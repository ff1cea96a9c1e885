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
from s2f_jax.metrics import image, liveliness
from s2f_jax.models import pixels
from s2f_jax.models.clip_batch import Batch, normalize
from s2f_jax.models.networks import Networks
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


METRICS = {
    "psnr": image.psnr,
    "ssim": image.ssim,
    "psnr_mouth": image.psnr_mouth,
    "sharpness": liveliness.sharpness,
    "eye_motion": liveliness.eye_motion,
}


def score(variables: Any, batch: Batch, key: jax.Array, *, generator: Any) -> dict[str, jax.Array]:
    """Scores what the model makes of a batch.

    Args:
      variables: Variables of the generator.
      batch: Arrays of the clips, as the loader makes them.
      key: Random key for the noise.
      generator: The module.

    Returns:
      Each of METRICS per clip, [B].
    """
    generated = generate(variables, batch, key, generator=generator)
    scored = (generated, batch["frames"], batch["mask"])
    return {name: metric(*scored) for name, metric in METRICS.items()}


def probe(
    state: TrainState,
    batch: Batch,
    key: jax.Array,
    *,
    networks: Networks,
    adversarial: bool,
) -> dict[str, jax.Array]:
    """Measures what the noise does, and what the discriminators see.

    Args:
      state: State of the training.
      batch: Arrays of windows of clips, as those that the networks train on.
      key: Random key for the noise and the samples.
      networks: The networks.
      adversarial: Whether the discriminators train.

    Returns:
      Grey levels of "spread_eyes" and "spread_mouth" (liveliness.spread_over_seeds, over two seeds),
      and the discriminators' mean logits of real clips, generated ones and real ones made wrong:
      "<discriminator>/logit_real", "/logit_generated" and "/logit_<probe>".
    """
    clips = normalize(batch)
    videos = [
        generate(
            state.inference_variables(),
            batch,
            rngs.key(key, "seed", seed),
            generator=networks.generator,
        )
        for seed in (0, 1)
    ]
    spreads = liveliness.spread_over_seeds(jnp.stack(videos), clips.mask)
    means = {
        name: x.mean() for name, x in zip(("spread_eyes", "spread_mouth"), spreads, strict=True)
    }
    for name, network in networks.discriminators.items() if adversarial else ():
        sample = network.sample(key, clips)
        inputs = {"real": network.inputs(clips.frames, clips, sample)}
        inputs["generated"] = network.inputs(pixels.from_uint8(videos[0]), clips, sample)
        for kind, arguments in (inputs | network.probes(clips, sample)).items():
            # With the batch's own statistics, as in training.
            logits, _ = network.apply(
                state.variables(name), *arguments, train=True, mutable=["batch_stats"]
            )
            means[f"{name}/logit_{kind}"] = jnp.asarray(logits).mean()
    return means


class AnimateValidation(Validation):
    """The validation clips and the compiled functions over them; the same noise every time.

    Args:
      clips: The validation split.
      networks: The networks that train.
      batch_size: Number of clips per batch.
      limit: Largest number of clips; 0: all.
      window: Frames of the windows that the discriminators are probed on.
      adversarial_start_step: The step from which they train.
      key: The run's root key.
    """

    def __init__(
        self,
        clips: dataset.ClipDataset,
        networks: Networks,
        batch_size: int,
        limit: int,
        window: int,
        adversarial_start_step: int,
        key: jax.Array,
    ):
        super().__init__(clips, batch_size, limit)
        generator = networks.generator
        self._window, self._key = generator.window, rngs.key(key, "validation")
        self._start, self._probed_frames = adversarial_start_step, window
        self._probe = {
            adversarial: self._compiled(probe, networks=networks, adversarial=adversarial)
            for adversarial in (False, True)
        }
        self._score = self._compiled(score, generator=generator)
        self._generate = self._compiled(generate, generator=generator)

    @override
    def scores(
        self, state: TrainState, interrupted: Interrupted = never
    ) -> dict[str, float] | None:
        """The means over the clips, and what `probe` measures; None if interrupted."""
        values = {name: np.empty(self._count) for name in METRICS}
        mine = sharding.process_rows(self._size)
        for indices in loader.batch_by_length(self._lengths, self._size):
            if interrupted():
                return None
            rows = self._whole_batch(indices)
            frames = loader.padded_length(max(self._lengths[i] for i in rows))
            batch = loader.whole_clip_batch(self._clips, rows[mine], self._window, frames)
            share = sharding.put(batch, self._by_example)
            scored = self._score(state.inference_variables(), share, self._key)
            for name, batch_values in jax.device_get(scored).items():
                values[name][indices] = batch_values[: len(indices)]
        means = {name: float(scores.mean()) for name, scores in values.items()}
        means["balance"] = liveliness.balance(means)
        return means | self._probe_networks(state, mine)

    def _probe_networks(self, state: TrainState, mine: slice) -> dict[str, float]:
        """On windows of a batch of clips."""
        rows = self._whole_batch(list(range(min(self._count, self._size))))
        batch = loader.whole_clip_batch(self._clips, rows[mine], self._window, self._probed_frames)
        batch |= {"example_index": np.arange(len(rows), dtype=np.uint32)[mine]}
        share = sharding.put(batch, self._by_example)
        adversarial = int(state.step) > self._start
        values = self._probe[adversarial](state, share, self._key)
        return {name: float(value) for name, value in jax.device_get(values).items()}

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
            frames = self._generate(state.inference_variables(), share, self._key)
            if jax.process_index():
                continue
            folder.mkdir(parents=True, exist_ok=True)
            generated = np.asarray(frames.addressable_data(0))[0, : len(clip)]
            pair = np.concatenate([generated, clip.frames], axis=2)
            path = folder / f"{clip.id}.mp4"
            writer.write_video(path, pair, clip.fps, clip.audio, clip.audio_rate)
            log.video(f"samples/{clip.id}", pair, clip.fps, clip.audio, clip.audio_rate, number)
