"""The training loop: the only place that jits, shards and donates the step."""

import contextlib
import copy
import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from etils import epath
from jax.experimental import multihost_utils

from data_pipelines.common.errors import STOPPED, TrainingFailed, UserError
from data_pipelines.loading import dataset, loader
from data_pipelines.prepare import data_dir as shards_dir
from s2f_jax import optim, rngs, sharding
from s2f_jax.config.schema import Config, parse_profile
from s2f_jax.runs import branch, cost, warm_start
from s2f_jax.runs.checkpoint import Checkpoints, DamagedCheckpoint, any_in
from s2f_jax.runs.checks import check_devices, check_finite, check_types
from s2f_jax.runs.early_stopping import EarlyStopping
from s2f_jax.runs.log import Log, Meter
from s2f_jax.runs.profile import Profile
from s2f_jax.runs.signals import StopSignal
from s2f_jax.runs.workdir import open_workdir, write_config, write_provenance
from s2f_jax.state import TrainState
from s2f_jax.tasks.registry import build
from s2f_jax.tasks.task import Validation

COMPILER_OPTIONS: dict[str, dict[str, Any]] = {
    # Without it some gradients add up in another order each time, and a resumed run drifts.
    "gpu": {"xla_gpu_deterministic_ops": True},
}


class Trainer:
    """A run's networks and the compiled functions over them.

    Args:
      config: Config of the run.
      examples: Number of training examples per epoch.
      devices: Devices that share its steps; None for all there are.
    """

    def __init__(self, config: Config, examples: int, devices: Sequence[Any] | None = None):
        self.config, self.examples = config, examples
        self.steps_per_epoch = max(1, examples // config.batch_size)
        self.task = task = build(config)
        self.key = jax.random.key(config.seed)
        self.starts = {
            name: task.adversarial_start_step if name in task.late else 0 for name in task.networks
        }
        self.schedules = task.schedules(self.steps_per_epoch)
        # Compiled, since jax keeps some 8 kB of each call otherwise.
        self._rates = jax.jit(
            lambda step: {name: schedule(step) for name, schedule in self.schedules.items()}
        )
        # A network's optimizer counts its own updates.
        rates = {
            name: optim.delayed(schedule, self.starts[name])
            for name, schedule in self.schedules.items()
        }
        frozen = [name for name in task.networks if name not in rates]
        tx = optim.multi_adam(rates, config.optim.b1, config.optim.b2, frozen)
        mesh = sharding.mesh(devices)
        self.everywhere, self.by_example = sharding.replicated(mesh), sharding.by_example(mesh)
        init = functools.partial(task.init, tx)
        self._shapes = jax.eval_shape(init, self.key)
        self.state_shardings = sharding.state_shardings(mesh, self._shapes, config.split_state)
        self._init = jax.jit(init, out_shardings=self.state_shardings)
        if config.split_state:
            task.gather = sharding.gather(mesh)
        platform = mesh.devices.flat[0].platform
        self.steps = {
            adversarial_phase: jax.jit(
                task.step(tx, adversarial_phase),
                in_shardings=(self.state_shardings, self.by_example, self.everywhere),
                out_shardings=(self.state_shardings, self.everywhere, self.by_example),
                donate_argnums=0,
                compiler_options=COMPILER_OPTIONS.get(platform),
            )
            for adversarial_phase in (False, True)
        }

    def fresh(self) -> TrainState:
        """Makes a fresh state.

        Returns:
          The state before the first step.

        Raises:
          UserError: A network that comes trained is not there.
        """
        state = self._init(rngs.key(self.key, "init"))
        for name, source in self.task.pretrained.items():
            state = warm_start.take(state, name, source)
        return state

    def branch(
        self, fresh: TrainState, source: epath.PathLike
    ) -> tuple[tuple[int, TrainState, Any, Any], dict[str, Any]]:
        """Starts where the first phase of another run ends, which this one shares (runs/branch.py).

        Args:
          fresh: A fresh state.
          source: The other run's folder.

        Returns:
          Step, state, data position and progress, and an entry for run.json that names the other run.

        Raises:
          UserError: The other run is no such one, or its checkpoint is damaged.
        """
        theirs = branch.open_source(source, self.config)
        late = {*self.task.late, *build(theirs).late}
        step = self.task.adversarial_start_step
        checkpoints = Checkpoints(source, read_only=True)
        try:
            restored = checkpoints.restore(step, Trainer(theirs, self.examples).like())
        except DamagedCheckpoint as error:
            raise UserError(f"--branch_from={source}: checkpoint {step} {error}") from error
        finally:
            checkpoints.close()
        state, position, progress = restored
        origin = {"branched_from": {"run": epath.Path(source).resolve().name, "step": step}}
        return (step, branch.join(fresh, state, late), position, progress), origin

    def like(self) -> TrainState:
        """Describes the state, to restore into.

        Returns:
          Shapes, types and shardings of its leaves.
        """
        return jax.tree.map(
            lambda leaf, where: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=where),
            self._shapes,
            self.state_shardings,
        )

    def update(self, state: TrainState, number: int, batch: dict[str, np.ndarray]) -> Any:
        """Makes one training step.

        Args:
          state: The state before the step; donated.
          number: Number of the step, counted from 0.
          batch: This process's share of the batch.

        Returns:
          New state, metrics, terms per clip.
        """
        shares = sharding.put(batch, self.by_example)
        with jax.profiler.StepTraceAnnotation("train", step_num=number + 1):
            return self.steps[number >= self.task.adversarial_start_step](state, shares, self.key)

    def traced(self, adversarial_phase: bool, batch: Mapping[str, Any]) -> Any:
        """Traces a step as `update` runs it, for its cost.

        Args:
          adversarial_phase: Whether all networks train in it.
          batch: Arrays, or their shapes.

        Returns:
          The traced step, as jax.jit's `trace` returns it.
        """
        shapes = {
            name: jax.ShapeDtypeStruct(array.shape, array.dtype, sharding=self.by_example)
            for name, array in batch.items()
        }
        key = jax.ShapeDtypeStruct(self.key.shape, self.key.dtype, sharding=self.everywhere)
        return self.steps[adversarial_phase].trace(self.like(), shapes, key)

    def rates(self, number: int) -> dict[str, float]:
        """Evaluates the learning rates of the networks that train.

        Args:
          number: Number of the step, counted from 0.

        Returns:
          The rates by their names in the log.
        """
        return {
            f"{name}/learning_rate": float(rate)
            for name, rate in self._rates(number).items()
            if number >= self.starts[name]
        }


def with_clip_frames(config: Config, clips: dataset.ClipDataset) -> Config:
    """Resolves `clip_frames` of 0.

    Args:
      config: Config of the run.
      clips: Training clips of the run.

    Returns:
      A copy, with the length of the longest training clip in place of a 0.
    """
    config = copy.deepcopy(config)
    config.clip_frames = config.clip_frames or clips.longest
    return config


def train(
    config: Config,
    workdir: str,
    data_dir: str | None,
    start_from: str | None = None,
    branch_from: str | None = None,
) -> int:
    """Trains the run in a workdir, or resumes its training.

    Args:
      config: Config of the run.
      workdir: Folder of the run.
      data_dir: Folder of the shards; None for the default.
      start_from: A run whose networks a new run begins with (warm_start.py).
      branch_from: A run that is the same before loss.adversarial_from, where a new run begins
        (branch.py).

    Returns:
      Exit code: 0 at the end, STOPPED after a signal.

    Raises:
      UserError: The workdir holds another config's run, there are no shards, or the config is not
        possible here.
      TrainingFailed: A loss is not finite, or the disk is full.
    """
    if jax.process_index() == 0:
        print(f"workdir {workdir}", flush=True)
    check_devices(config)
    check_types(config)
    with contextlib.ExitStack() as closing:  # Each is closed, whatever closing another one raises.
        try:
            return _train(config, workdir, data_dir, start_from, branch_from, closing)
        except Exception as error:
            if jax.process_count() > 1 and not isinstance(error, TrainingFailed):
                closing.pop_all()  # The others may know of nothing, and closing would wait for them.
            raise


def _train(
    config: Config,
    workdir: str,
    data_dir: str | None,
    start_from: str | None,
    branch_from: str | None,
    closing: contextlib.ExitStack,
) -> int:
    signals = StopSignal()
    closing.callback(signals.close)
    folder = open_workdir(config, workdir)
    shards = shards_dir(config.data, data_dir)
    features = build(config).features
    clips, validation_clips = (
        dataset.open_dataset(config.data, split, shards, features) for split in ("train", "val")
    )
    given_config, config = config, with_clip_frames(config, clips)
    visits = _visits(config, clips)
    trainer = Trainer(config, len(visits) * (2 if config.mirror else 1))
    if config.dry_run:
        return cost.dry_run(config, trainer)
    validation = trainer.task.validation(validation_clips, trainer.key)
    batches = loader.training_batches(
        clips,
        trainer.task.examples_of(clips),
        batch_size=config.batch_size,
        mirror=config.mirror,
        seed=config.seed,
        max_corrupt=config.data.max_corrupt,
        process=jax.process_index(),
        processes=jax.process_count(),
        workers=config.loader_workers,
        visits=visits,
    )
    closing.callback(batches.close)
    # The state to start from: 1. the newest whole checkpoint of this workdir; 2. where another run's
    # first phase ends; 3. another run's networks; 4. a fresh state.
    state, branched, origin = None, None, {}
    if not any_in(folder):
        state = trainer.fresh()
        if branch_from:
            branched, origin = trainer.branch(state, branch_from)
        elif start_from:
            state, origin = warm_start.begin(state, start_from, config.data)
    resumed = state is None
    write_config(given_config, folder)  # Only now that the run is known to be possible.
    if jax.process_index() == 0:
        trainer.task.write_files(clips, folder)
    checkpoints = Checkpoints(folder, config.keep_latest, trainer.task.adversarial_start_step)
    closing.callback(checkpoints.close)
    stopping, counts = EarlyStopping(config.patience), [len(clips), len(validation_clips)]
    since_log, corrupt = [], []
    if newest := checkpoints.restore_newest(trainer.like()) or branched:
        number, state, position, progress = newest
        if progress["clips"] != counts:
            raise UserError(
                f"{branch_from if branched else folder} was trained on {progress['clips']} training and"
                f" validation clips and {shards} has {counts}: give its --data_dir, or another --workdir"
            )
        batches.set_state(position)
        stopping = EarlyStopping(config.patience, **progress["stopping"])
        since_log, corrupt = progress["since_log"], progress["corrupt"]
    else:
        number, state = 0, state or trainer.fresh()
    changed = write_provenance(config.seed, folder, number, **origin)
    total = config.max_epochs * trainer.steps_per_epoch
    log = Log(folder, number, total, enabled=jax.process_index() == 0)
    log.say(
        f"step {number} of at most {total}, {trainer.steps_per_epoch} an epoch;"
        f" {len(clips)} training and {len(validation_clips)} validation clips"
    )
    closing.callback(log.close)
    if changed and number:
        log.say(
            f"resumed with {', '.join(f'{name} {value}' for name, value in changed.items())}: from here"
            " on the run may differ from an uninterrupted one by rounding"
        )
    for flag, given in (("branch_from", branch_from), ("start_from", start_from)):
        if given and resumed:
            log.say(f"it goes on with its own networks: --{flag}={given} is for a new --workdir")
    run = _Run(
        config, folder, trainer, counts, clips, batches, validation, checkpoints, stopping, since_log,
        set(corrupt), signals, log,
    )  # fmt: skip
    closing.callback(run.profile.close)
    return run.loop(state)


def _visits(config: Config, clips: dataset.ClipDataset) -> Sequence[int]:
    """Which clips an epoch has."""
    visits: Sequence[int] = range(len(clips))
    if config.balance_speakers:
        visits = loader.epoch_visits(clips.speaker_of_clips(), config.balance_speakers)
    examples = len(visits) * (2 if config.mirror else 1)
    passes = math.ceil(config.epoch_steps * config.batch_size / max(examples, 1))
    return visits if passes < 2 else [*visits] * passes


@dataclasses.dataclass
class _Run:
    config: Config
    folder: epath.Path
    trainer: Trainer
    counts: list[int]  # Numbers of training and validation clips.
    clips: dataset.ClipDataset
    batches: Any
    validation: Validation
    checkpoints: Checkpoints
    stopping: EarlyStopping
    since_log: list[dict[str, float]]  # Metrics of the steps since the last log event.
    corrupt: set[int]  # Clips with damaged records that all processes know of.
    signals: StopSignal
    log: Log

    def __post_init__(self):
        self.meter = Meter(self.config.batch_size)
        self.skipped: set[int] = set()  # Those that this process met, reported or not.
        # The first process's devices stand for all.
        profiled = parse_profile("" if jax.process_index() else self.config.profile)
        self.profile = Profile(profiled, self.folder, self.log.say)

    def loop(self, state: TrainState) -> int:
        """Trains whole epochs until early stopping or the last one.

        A signal ends it between two steps, or within a validation, which a resumed run repeats.

        Args:
          state: The state to begin with.

        Returns:
          Exit code.
        """
        number, per_epoch = int(state.step), self.trainer.steps_per_epoch
        every, total = self.config.checkpoint_every, self.config.max_epochs * per_epoch
        stop = False
        while True:
            if number == per_epoch * (self.stopping.epochs + 1) and not stop:
                scores = self.validation.scores(state, self.signals.agreed)
                if scores:
                    task, epoch = self.trainer.task, number // per_epoch
                    # What was made before all networks trained is no candidate for the best.
                    counts = number > task.adversarial_start_step
                    watched = {*task.watched, self.config.best_by}
                    self.stopping.update({name: scores[name] for name in watched}, counts)
                    self.log.validation(number, epoch, scores, task.verdict(scores), self.stopping)
                    self.save(state, scores if counts else None)
                else:
                    self.save(state, None)
                if scores:
                    self.validation.write_samples(
                        state, self.folder, self.config.sample_clips, self.log
                    )
                stop = not scores
            if stop:
                self.checkpoints.wait()
                self.log.say(f"{self.signals}: saved at step {number}; rerun to go on")
                return STOPPED
            if self.stopping.due() or number >= total:
                why = "by early stopping" if self.stopping.due() else "at max_epochs"
                best = self.checkpoints.best()
                self.log.say(f"the run has ended {why}, step {number}; the best is step {best}")
                return 0
            last = min((number // period + 1) * period for period in (per_epoch, every))
            if number < (first := self.trainer.task.adversarial_start_step):
                last = min(last, first)  # Where other runs may branch off.
            state, stop = self.steps(state, number, last)
            number = int(state.step)
            if stop or number % per_epoch:
                self.save(state, None)

    def steps(self, state: TrainState, first: int, last: int) -> tuple[TrainState, bool]:
        """Makes the steps first, ..., last - 1; returns the state and whether a signal ended them."""
        self.meter.restart()
        pending = None  # The step before, reported while the device works on this one.
        stop = False
        for number in range(first, last):
            self.profile.before(number + 1, state)
            with self.meter.fetching():
                batch = next(self.batches)
            indices = batch.pop("clip")
            self.skipped |= loader.corrupt_clips(
                batch.pop("requested_clip"), indices, len(self.clips)
            )
            state, metrics, terms = self.trainer.update(state, number, batch)
            self.profile.after(number + 1, state)
            if pending:
                self.report(*pending)
            pending = (number + 1, metrics, terms, indices)
            if stop := self.signals.agreed():
                break
        if pending:
            self.report(*pending)
        return state, stop

    def report(self, number: int, metrics: Any, terms: Any, indices: np.ndarray) -> None:
        """Checks the metrics of step `number`, counted from 1; every log_every steps, logs means."""
        values = {name: float(value) for name, value in jax.device_get(metrics).items()}
        self.meter.step()
        self.since_log.append(values)
        if not all(map(math.isfinite, values.values())):
            check_finite(number, values, terms, [self.clips[i].id for i in indices])
        if number % self.config.log_every == 0:
            # A single step's accuracies are those of a few clips.
            means = {
                name: float(np.mean([step[name] for step in self.since_log if name in step]))
                for name in values
            }
            self.report_corrupt(number)
            means |= self.trainer.rates(number - 1) | self.meter.read()
            means["data/corrupt_records"] = len(self.corrupt)
            self.since_log.clear()
            epoch = (number - 1) // self.trainer.steps_per_epoch + 1
            self.log.training(number, epoch, means, self.trainer.task.progress(means))

    def report_corrupt(self, number: int) -> None:
        """Reports the damaged records that any process has skipped since the last event.

        Args:
          number: Number of the step.

        Raises:
          TrainingFailed: There are more than data.max_corrupt; raised on all processes.
        """
        most = self.config.data.max_corrupt
        new = sorted(self.skipped - self.corrupt)[: most + 1]
        indices = np.full(most + 1, -1)
        indices[: len(new)] = new
        if jax.process_count() > 1:
            indices = multihost_utils.process_allgather(indices)
        reported = sorted(set(np.unique(indices).tolist()) - {-1} - self.corrupt)
        self.corrupt |= set(reported)
        for index in reported:
            self.log.say(f"{self.clips.fault(index)}; until then another clip stands in for it")
        if len(self.corrupt) > most:
            raise TrainingFailed(
                f"{len(self.corrupt)} records of the training clips are damaged by step {number},"
                f" more than --config.data.max_corrupt={most}, the last:"
                f" {self.clips.fault(reported[-1])}"
            )

    def save(self, state: TrainState, scores: Mapping[str, float] | None) -> None:
        self.report_corrupt(int(state.step))
        stopping = dataclasses.asdict(self.stopping)
        del stopping["patience"]
        progress = {"stopping": stopping, "clips": self.counts, "since_log": self.since_log}
        progress["corrupt"] = sorted(self.corrupt)
        score = scores[self.config.best_by] if scores else None
        others = self.trainer.task.tradeoffs(scores) if scores else {}
        self.checkpoints.save(state, self.batches.get_state(), progress, score, others)
        self.log.flush()
