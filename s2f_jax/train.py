"""The training loop: the only place that jits, shards and donates."""

import dataclasses
import functools
import json
import math
import signal
import time
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from etils import epath
from ml_collections import ConfigDict

from data_pipelines import loader, media
from data_pipelines.corpus import CorpusConfig
from data_pipelines.errors import UserError
from data_pipelines.prepare import data_dir as shards_dir
from s2f_jax import networks as nets
from s2f_jax import optim, rngs, runs, sharding, step
from s2f_jax.checkpoint import Checkpoints
from s2f_jax.metrics import image
from s2f_jax.progress import Log
from s2f_jax.state import TrainState

STOPPED = 75  # Exit code of a run that a signal ended after saving: rerun the same command.


class TrainingFailed(Exception):
    """A loss that is not finite: which term, at which step, on which clips."""


@dataclasses.dataclass
class EarlyStopping:
    """Paper 2.3: no better PSNR or SSIM on the validation set for `patience` epochs."""

    patience: int
    best_psnr: float = -math.inf
    best_ssim: float = -math.inf
    epochs_without: int = 0

    def update(self, psnr: float, ssim: float) -> bool:
        """True: stop."""
        better = psnr > self.best_psnr or ssim > self.best_ssim
        self.best_psnr = max(self.best_psnr, psnr) if psnr == psnr else self.best_psnr
        self.best_ssim = max(self.best_ssim, ssim) if ssim == ssim else self.best_ssim
        self.epochs_without = 0 if better else self.epochs_without + 1
        return self.epochs_without >= self.patience


def open_clips(config: ConfigDict, split: str, data_dir: epath.PathLike) -> loader.Clips:
    form = CorpusConfig(
        height=config.data.height,
        width=config.data.width,
        audio_rate=config.data.audio_rate,
        fps=config.data.fps,
    )
    return loader.Clips(config.data.corpus, form, split, data_dir)


def optimizers(config: ConfigDict, steps_per_epoch: int) -> dict[str, optim.Schedule]:
    """The learning rate of each network over its own updates."""
    o, start = config.optim, config.loss.adversarial_from
    decay = functools.partial(optim.epoch_decay, steps_per_epoch=steps_per_epoch)
    return {
        "generator": decay(o.generator_rate, after=o.decay_after, rate=o.decay),
        "frame_discriminator": decay(
            o.frame_rate, after=o.decay_after, rate=o.decay, first_step=start
        ),
        "sequence_discriminator": decay(
            o.sequence_rate, after=o.decay_after, rate=1.0, first_step=start
        ),
    }


def generate_frames(
    variables: Any, batch: step.Batch, root: jax.Array, *, generator: Any
) -> jax.Array:
    """What the model makes of a batch's stills and sound, float32 [B, T, H, W, 3] in [-1, 1]."""
    clips = step.normalise(batch)
    noise = rngs.frame_noise(
        root, clips.mask.shape[1], generator.noise_features, generator.noise_std
    )
    noise = jax.numpy.broadcast_to(noise, (clips.mask.shape[0], *noise.shape))
    return generator.apply(variables, clips.still, clips.audio, noise)


def validation_step(
    variables: Any, batch: step.Batch, root: jax.Array, *, generator: Any
) -> tuple[jax.Array, jax.Array]:
    """-> PSNR [B], SSIM [B]."""
    generated = image.to_uint8(generate_frames(variables, batch, root, generator=generator))
    scored = (generated, batch["frames"], batch["mask"])
    return image.psnr(*scored), image.ssim(*scored)


class Trainer:
    """A run: its data, its state and the compiled functions between them."""

    def __init__(self, config: ConfigDict, workdir: epath.Path, data_dir: epath.PathLike):
        self.config, self.workdir = config, workdir
        self.clips = open_clips(config, "train", data_dir)
        self.validation = open_clips(config, "val", data_dir)
        devices = jax.device_count()
        for field in ("batch_size", "eval_batch_size"):
            if config[field] % devices or config[field] < 1:
                raise UserError(
                    f"{field}={config[field]} is not a multiple of the {devices} devices:"
                    f" set --config.{field}"
                )
        examples = len(self.clips) * (2 if config.mirror else 1)
        self.steps_per_epoch = max(1, examples // config.batch_size)
        self.networks = nets.build(config.data, config.model)
        self.generator = self.networks["generator"]
        self.schedules = optimizers(config, self.steps_per_epoch)
        self.root = jax.random.key(config.seed)
        self._compile()

    def _compile(self) -> None:
        c = self.config
        mesh = sharding.mesh()
        everywhere, self.by_example = sharding.replicated(mesh), sharding.by_example(mesh)
        tx = optim.multi_adam(self.schedules, c.optim.b1, c.optim.b2)
        self.init = jax.jit(
            functools.partial(step.init, self.networks, tx), out_shardings=everywhere
        )
        self.train_steps = {
            adversarial: jax.jit(
                functools.partial(
                    step.train_step,
                    networks=self.networks,
                    tx=tx,
                    weights={
                        "reconstruction": c.loss.reconstruction,
                        "frame_discriminator": c.loss.frame,
                        "sequence_discriminator": c.loss.sequence,
                    },
                    frames_per_clip=c.loss.frames_per_clip,
                    adversarial=adversarial,
                ),
                in_shardings=(everywhere, self.by_example, everywhere),
                out_shardings=(everywhere, everywhere, self.by_example),
                donate_argnums=0,
            )
            for adversarial in (False, True)
        }
        self.validate_batch = jax.jit(
            functools.partial(validation_step, generator=self.generator),
            in_shardings=(everywhere, self.by_example, everywhere),
            out_shardings=everywhere,
        )
        self.generate_batch = jax.jit(functools.partial(generate_frames, generator=self.generator))

    def batches(self) -> Any:
        return loader.training_batches(
            self.clips,
            batch_size=self.config.batch_size,
            clip_frames=self.config.clip_frames,
            window=self.generator.window,
            mirror=self.config.mirror,
            seed=self.config.seed,
            process=jax.process_index(),
            processes=jax.process_count(),
            workers=self.config.loader_workers,
        )

    def variables(self, state: TrainState) -> Any:
        return {
            "params": state.params["generator"],
            "batch_stats": state.batch_stats["generator"],
        }

    def validate(self, state: TrainState) -> dict[str, float]:
        """Mean PSNR and SSIM over the validation clips, each process decoding its share."""
        count = len(self.validation)
        if self.config.validation_clips:
            count = min(count, self.config.validation_clips)
        size, scores = self.config.eval_batch_size, []
        mine = slice(*(size * (jax.process_index() + i) // jax.process_count() for i in (0, 1)))
        for first in range(0, count, size):
            rows = np.minimum(np.arange(first, first + size), count - 1)
            frames = max(len(self.validation[i]) for i in rows)
            batch = loader.whole_clips(self.validation, rows[mine], self.generator.window, frames)
            values = self.validate_batch(
                self.variables(state),
                sharding.put(batch, self.by_example),
                rngs.key(self.root, "validation"),
            )
            scores.append(np.stack(jax.device_get(values), axis=1)[: count - first])
        psnr, ssim = np.concatenate(scores).mean(axis=0)
        return {"psnr": float(psnr), "ssim": float(ssim)}

    def write_samples(self, state: TrainState, log: Log) -> None:
        """Generated beside real, with sound, for validation clips spread over the speakers."""
        if not self.config.sample_clips or jax.process_index():
            return
        number = int(state.step)
        folder = self.workdir / "samples" / str(number)
        folder.mkdir(parents=True, exist_ok=True)
        variables = jax.device_get(self.variables(state))
        count = min(self.config.sample_clips, len(self.validation))
        for index in np.linspace(0, len(self.validation) - 1, count).round().astype(int):
            clip = self.validation[index]
            batch = loader.whole_clips(self.validation, [index], self.generator.window)
            root = rngs.key(self.root, "validation")
            generated = image.to_uint8(self.generate_batch(variables, batch, root))
            pair = np.concatenate([np.asarray(generated[0]), clip.frames], axis=2)
            media.write_video(
                folder / f"{clip.id}.mp4", pair, clip.fps, clip.audio, clip.audio_rate
            )
            log.video(f"samples/{clip.id}", pair, clip.fps, clip.audio, clip.audio_rate, number)


def _check_finite(metrics: dict[str, float], terms: Any, ids: list[str], number: int) -> None:
    bad = [name for name, value in metrics.items() if not math.isfinite(value)]
    if not bad:
        return
    clips = set()
    for values in terms.values():
        for shard in values.addressable_shards:
            first = shard.index[0].start or 0
            rows = np.flatnonzero(~np.isfinite(np.asarray(shard.data)))
            clips |= {ids[first + row] for row in rows if first + row < len(ids)}
    raise TrainingFailed(
        f"{', '.join(bad)} stopped being finite at step {number}"
        f" (clips {', '.join(sorted(clips)) or 'unknown'}); the last checkpoint is kept"
    )


class _StopSignal:
    """Notes SIGTERM and SIGINT; a second SIGINT interrupts at once."""

    def __init__(self):
        self.received = None
        self._before = {s: signal.signal(s, self._note) for s in (signal.SIGTERM, signal.SIGINT)}

    def _note(self, number: int, _frame: Any) -> None:
        if self.received is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.received = signal.Signals(number).name

    def restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)


def _resume(
    trainer: Trainer, checkpoints: Checkpoints, batches: Any
) -> tuple[TrainState, EarlyStopping, bool]:
    """The newest checkpoint of this workdir, else a fresh state; -> also whether it had ended."""
    patience = trainer.config.patience
    newest = checkpoints.latest()
    if newest is None:
        return trainer.init(rngs.key(trainer.root, "init")), EarlyStopping(patience), False
    shapes = jax.eval_shape(trainer.init, rngs.key(trainer.root, "init"))
    like = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(
            leaf.shape, leaf.dtype, sharding=sharding.replicated(sharding.mesh())
        ),
        shapes,
    )
    state, data, progress = checkpoints.restore(newest, like)
    batches.set_state(data)
    return state, EarlyStopping(patience, **progress["stopping"]), progress["ended"]


def train(config: ConfigDict, workdir: str, data_dir: str | None) -> int:
    """Trains, or goes on training, the run in this workdir; -> exit code."""
    folder = runs.open_workdir(config, workdir)
    trainer = Trainer(config, folder, shards_dir(config.data, data_dir))
    runs.write(config, folder)
    checkpoints = Checkpoints(folder, config.keep_latest)
    batches = trainer.batches()
    state, stopping, ended = _resume(trainer, checkpoints, batches)
    log = Log(
        folder,
        int(state.step),
        config.max_epochs * trainer.steps_per_epoch,
        enabled=jax.process_index() == 0,
    )
    signals = _StopSignal()
    try:
        if ended:
            log.say(f"{folder}: this run has ended at step {int(state.step)}")
            return 0
        return _loop(trainer, state, stopping, batches, checkpoints, log, signals)
    finally:
        signals.restore()
        checkpoints.close()
        batches.close()
        log.close()


def _loop(
    trainer: Trainer,
    state: TrainState,
    stopping: EarlyStopping,
    batches: Iterator[dict[str, np.ndarray]],
    checkpoints: Checkpoints,
    log: Log,
    signals: _StopSignal,
) -> int:
    config, per_epoch = trainer.config, trainer.steps_per_epoch
    number, total = int(state.step), config.max_epochs * trainer.steps_per_epoch
    log.say(f"{trainer.workdir}: step {number}, {per_epoch} steps an epoch")
    meter = Meter(config.batch_size)
    pending = None  # The step before, logged while the device works on this one.

    def save(ended: bool, metrics: dict[str, float] | None) -> None:
        kept = dataclasses.asdict(stopping)
        kept.pop("patience")
        checkpoints.save(state, batches.get_state(), {"stopping": kept, "ended": ended}, metrics)

    while number < total:
        with meter.waiting():
            batch = next(batches)
        clips = batch.pop("clip")
        adversarial = number >= config.loss.adversarial_from
        state, metrics, terms = trainer.train_steps[adversarial](
            state, sharding.put(batch, trainer.by_example), trainer.root
        )
        number += 1
        if pending is not None:
            _log_step(trainer, log, meter, *pending)
        pending = (number, metrics, terms, clips)
        at_end = number % per_epoch == 0
        if at_end or signals.received:
            _log_step(trainer, log, meter, *pending)
            pending = None
        if at_end:
            scores = trainer.validate(state)
            epoch = number // per_epoch
            stop = stopping.update(scores["psnr"], scores["ssim"])
            log.scalars(number, epoch, {f"validation/{k}": v for k, v in scores.items()})
            log.say(
                f"epoch {epoch}: validation PSNR {scores['psnr']:.3f} dB, SSIM"
                f" {scores['ssim']:.4f}; {stopping.epochs_without} of {config.patience} epochs"
                " without a better one"
            )
            save(stop or number >= total, scores)
            trainer.write_samples(state, log)
            if stop:
                log.say(f"no better PSNR or SSIM for {config.patience} epochs: the run has ended")
                return 0
            meter.restart()
        if signals.received:
            if not at_end:
                save(False, None)
            log.say(f"{signals.received}: saved at step {number}; rerun the command to go on")
            return STOPPED
    return 0


class Meter:
    """Rates since the last log event: clips/s, and the share of time spent waiting for data."""

    def __init__(self, batch_size: int):
        self._batch_size = batch_size
        self.restart()

    def restart(self) -> None:
        self._start, self._waited, self._steps = time.monotonic(), 0.0, 0

    def waiting(self) -> Any:
        return self

    def __enter__(self) -> None:
        self._entered = time.monotonic()

    def __exit__(self, *_: Any) -> None:
        self._waited += time.monotonic() - self._entered
        self._steps += 1

    def read(self) -> dict[str, float]:
        elapsed = max(time.monotonic() - self._start, 1e-9)
        rates = {
            "clips_per_s": self._steps * self._batch_size / elapsed,
            "steps_per_s": self._steps / elapsed,
            "data_wait_percent": 100 * self._waited / elapsed,
        }
        self.restart()
        return rates


def _log_step(
    trainer: Trainer, log: Log, meter: Meter, number: int, metrics: Any, terms: Any, clips: Any
) -> None:
    values = {name: float(value) for name, value in jax.device_get(metrics).items()}
    if not all(map(math.isfinite, values.values())):
        ids = [trainer.clips[i].id for i in clips]
        _check_finite(values, terms, ids, number)
    if number % trainer.config.log_every:
        return
    start = trainer.config.loss.adversarial_from
    for name, schedule in trainer.schedules.items():
        if name == "generator" or number > start:
            count = number - 1 - (0 if name == "generator" else start)
            values[f"{name}/learning_rate"] = float(schedule(count))
    values |= meter.read()
    epoch = (number - 1) // trainer.steps_per_epoch + 1
    log.scalars(number, epoch, values)
    text = f"L1 {values['generator/reconstruction']:.4f}"
    for name, short in (("frame_discriminator", "D_frame"), ("sequence_discriminator", "D_seq")):
        if f"{name}/loss" in values:
            real, fake = values[f"{name}/accuracy_real"], values[f"{name}/accuracy_fake"]
            text += f", {short} real {real:.0%} fake {fake:.0%}"
    text += f", {values['clips_per_s']:.2f} clips/s, data wait {values['data_wait_percent']:.1f}%"
    log.line(number, epoch, text)
