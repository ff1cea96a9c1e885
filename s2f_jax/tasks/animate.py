"""The task "animate": the generator against its discriminators (paper 2.3)."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
import optax

from data_pipelines.loading import dataset, training_examples
from data_pipelines.loading.dataset import ClipDataset
from s2f_jax import optim, step
from s2f_jax.config.schema import Config
from s2f_jax.models import networks
from s2f_jax.runs.log import DISCRIMINATORS
from s2f_jax.state import TrainState
from s2f_jax.tasks.animate_validation import AnimateValidation


class AnimateTask:
    """A Task, as s2f_jax.tasks.task says."""

    features = dataset.TRAINING_FEATURES
    watched = ("psnr", "ssim")  # "The reconstruction metrics" (paper 2.3).

    def __init__(self, config: Config):
        self.config = config
        self.networks = networks.build(config.data, config.model, config.loss)
        self.generator: Any = self.networks["generator"]
        self.start = config.loss.adversarial_from
        self.example = functools.partial(
            training_examples.training_example,
            frames=config.clip_frames,
            window=self.generator.window,
            augment=training_examples.Augmentation(**config.augment),
        )

    def schedules(self, steps_per_epoch: int) -> dict[str, optim.Schedule]:
        o = self.config.optim
        decay = functools.partial(
            optim.epoch_decay, steps_per_epoch=steps_per_epoch, after=o.decay_after
        )
        rates = {
            "generator": decay(o.generator_rate, rate=o.decay),
            "frame_discriminator": decay(o.frame_rate, rate=o.decay),
            "sequence_discriminator": decay(o.sequence_rate, rate=1.0),
            "sync_discriminator": decay(o.sync_rate, rate=1.0),
        }
        return {name: rates[name] for name in self.networks}

    def init(self, tx: optax.GradientTransformation, key: jax.Array) -> TrainState:
        return step.init(self.networks, tx, key)

    def step(self, tx: optax.GradientTransformation, begun: bool) -> Callable[..., Any]:
        config = self.config
        return functools.partial(
            step.train_step,
            networks=self.networks,
            tx=tx,
            weights=networks.weights(config.loss),
            reconstruction_top=config.loss.reconstruction_top,
            frames_per_clip=config.loss.frames_per_clip,
            moments_per_clip=config.loss.moments_per_clip,
            keep_activations=config.keep_activations,
            accumulate=config.accumulate,
            adversarial=begun and len(self.networks) > 1,
        )

    def batch_shapes(self) -> dict[str, jax.ShapeDtypeStruct]:
        clips, frames, g = self.config.batch_size, self.config.clip_frames, self.generator
        size = (g.height, g.width_px, 3)
        samples = (frames - 1) * g.stride + g.window
        return {
            "frames": jax.ShapeDtypeStruct((clips, frames, *size), np.uint8),
            "still": jax.ShapeDtypeStruct((clips, *size), np.uint8),
            "audio": jax.ShapeDtypeStruct((clips, samples), np.int16),
            "mask": jax.ShapeDtypeStruct((clips, frames), np.bool_),
            "example_index": jax.ShapeDtypeStruct((clips,), np.uint32),
        }

    def validation(self, clips: ClipDataset, key: jax.Array) -> AnimateValidation:
        size, most = self.config.eval_batch_size, self.config.validation_clips
        return AnimateValidation(clips, self.generator, size, most, key)

    def progress(self, values: Mapping[str, float]) -> str:
        text = f"L1 {values['generator/reconstruction']:.4f}"
        judged = [
            f"{short} {values[f'{name}/accuracy_real']:.0%}/{values[f'{name}/accuracy_fake']:.0%}"
            for name, (short, _, _) in DISCRIMINATORS.items()
            if f"{name}/loss" in values
        ]
        if judged:
            text += f", right on real/fake (chance 50%): {', '.join(judged)}"
        return text

    def verdict(self, scores: Mapping[str, float]) -> str:
        return f"PSNR {scores['psnr']:.3f} dB, SSIM {scores['ssim']:.4f}"
