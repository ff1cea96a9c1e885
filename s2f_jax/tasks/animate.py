"""The task "animate": the generator against its discriminators (paper 2.3)."""

import functools
from collections.abc import Mapping

import jax
import numpy as np
import optax
from typing_extensions import override

from data_pipelines.common.errors import UserError
from data_pipelines.loading import dataset, training_examples
from s2f_jax import losses, optim, step
from s2f_jax.config.schema import Config
from s2f_jax.metrics import liveliness
from s2f_jax.models import networks
from s2f_jax.models.discriminators import SUFFIX, network_name
from s2f_jax.models.lip_expert import LipExpert
from s2f_jax.state import TrainState
from s2f_jax.tasks import lipread
from s2f_jax.tasks.animate_validation import AnimateValidation
from s2f_jax.tasks.task import Step, Task

# Weights in config.loss.
_TERMS = (
    "reconstruction",
    "spectrum",
    "variety",
    "drawn_share",
    "deep_supervision",
    "deep_lip_reading",
    "lip_reading",
)


def lip_expert(config: Config) -> LipExpert:
    """Builds the lip reader of loss.lip_reading, of the sizes of the config's section `lipreader`.

    Args:
      config: Config of a run.

    Returns:
      The module, without parameters.

    Raises:
      UserError: Nothing says where its parameters are.
    """
    if not config.loss.lip_expert:
        name = "lip_reading" if config.loss.lip_reading else "deep_lip_reading"
        raise UserError(
            f"--config.loss.{name}={config.loss[name]} needs a trained lip reader: give its"
            " workdir, --config.loss.lip_expert=DIR"
        )
    return LipExpert(lipread.network(config), lipread.crop(config))


class AnimateTask(Task):
    """The generator against its discriminators, L1 alone before loss.adversarial_from.

    Args:
      config: Config of a run.
    """

    watched = ("psnr", "ssim")  # "The reconstruction metrics" (paper 2.3).

    def __init__(self, config: Config):
        self.config = config
        sections = config.data, config.model, config.discriminators, config.loss
        loss = config.loss
        if loss.deep_lip_reading and not loss.deep_supervision:
            raise UserError(
                f"--config.loss.deep_lip_reading={loss.deep_lip_reading}: it reads what deep supervision"
                " draws; give --config.loss.deep_supervision a weight, too"
            )
        if loss.drawn_share and not config.model.copy_path:
            raise UserError(
                f"--config.loss.drawn_share={loss.drawn_share}: it is of the copy path's mask; give"
                " --config.model.copy_path, too"
            )
        expert = lip_expert(config) if loss.lip_reading or loss.deep_lip_reading else None
        self.built = networks.build(*sections, expert)
        if expert is not None:
            self.pretrained = {networks.EXPERT: (config.loss.lip_expert, lipread.NAME)}
        self.networks = self.built.by_name()
        self.generator = self.built.generator
        self.adversarial_start_step = config.loss.adversarial_from
        self.late = tuple(self.built.discriminators)
        augmentations = training_examples.augmentations(config.augment)
        self.features = (*dataset.TRAINING_FEATURES, *augmentations["appearance"].features)
        self.example = functools.partial(
            training_examples.training_example,
            frames=config.clip_frames,
            window=self.generator.window,
            **augmentations,
        )

    @override
    def schedules(self, steps_per_epoch: int) -> dict[str, optim.Schedule]:
        o = self.config.optim
        span = steps_per_epoch, o.decay_after
        rate = optim.epoch_decay(o.generator_rate, *span, o.decay)
        rates = {"generator": rate, networks.READOUT: rate}
        for name, section in self.config.discriminators.items():
            decay = o.decay if section.decays else 1.0
            rates[network_name(name)] = optim.epoch_decay(section.rate, *span, decay)
        return {name: rates[name] for name in self.networks if name in rates}

    @override
    def init(self, tx: optax.GradientTransformation, key: jax.Array) -> TrainState:
        return step.init(self.built, tx, key, self.config.optim.generator_ema > 0)

    @override
    def step(self, tx: optax.GradientTransformation, adversarial_phase: bool) -> Step:
        config = self.config
        return functools.partial(
            step.train_step,
            networks=self.built,
            tx=tx,
            gather=self.gather,
            weights=self._weights(),
            options=losses.LossOptions(**{n: config.loss[n] for n in losses.LossOptions._fields}),
            keep_activations=config.keep_activations,
            accumulate=config.accumulate,
            generator_ema=config.optim.generator_ema,
            adversarial=adversarial_phase and self._has_second_phase,
        )

    @property
    def _has_second_phase(self) -> bool:
        """Whether there are terms that begin at loss.adversarial_from."""
        return bool(self.built.discriminators or self.config.loss.lip_reading)

    def _weights(self) -> dict[str, float]:
        """Of the generator's terms."""
        sections = self.config.discriminators.items()
        weights = {network_name(name): section.weight for name, section in sections}
        loss = self.config.loss
        own = {name: loss[name] for name in _TERMS}
        return own | weights

    @override
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

    @override
    def validation(self, clips: dataset.ClipDataset, key: jax.Array) -> AnimateValidation:
        c = self.config
        window = c.loss.adversarial_frames or c.clip_frames
        sizes = c.eval_batch_size, c.validation_clips, window
        return AnimateValidation(clips, self.built, *sizes, self.adversarial_start_step, key)

    @override
    def progress(self, values: Mapping[str, float]) -> str:
        text = f"L1 {values['generator/reconstruction']:.4f}"
        judged = [
            f"D_{name.removesuffix(SUFFIX)} {values[f'{name}/accuracy_real']:.0%}"
            f"/{values[f'{name}/accuracy_fake']:.0%}"
            for name in self.built.discriminators
            if f"{name}/loss" in values
        ]
        if judged:
            text += f", right on real/fake (chance 50%): {', '.join(judged)}"
        return text

    @override
    def tradeoffs(self, scores: Mapping[str, float]) -> dict[str, float]:
        return {
            "psnr_mouth": scores["psnr_mouth"],
            "sharpness": -liveliness.distance_from_1(scores["sharpness"]),
            "eye_motion": -liveliness.distance_from_1(scores["eye_motion"]),
        }

    @override
    def verdict(self, scores: Mapping[str, float]) -> str:
        text = f"PSNR {scores['psnr']:.3f} dB, SSIM {scores['ssim']:.4f}"
        text += f", of the mouth {scores['psnr_mouth']:.2f} dB"
        text += f", sharpness {scores['sharpness']:.2f} and motion of the eyes {scores['eye_motion']:.2f}"
        text += f" of the real; the noise moves the eyes by {scores['spread_eyes']:.2f} levels"
        for name in self.built.discriminators:
            if f"{name}/logit_real" not in scores:
                continue
            real = scores[f"{name}/logit_real"]
            below = [
                f"{key.partition('/logit_')[2].replace('_', ' ')} {real - value:.2f}"
                for key, value in scores.items()
                if key.startswith(f"{name}/logit_") and key != f"{name}/logit_real"
            ]
            text += f"; below real in D_{name.removesuffix(SUFFIX)}: {', '.join(below)}"
        return text
