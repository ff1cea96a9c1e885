"""The sections of `benchmark`: each times one part of a config's pipeline on synthetic data."""

import contextlib
import dataclasses
import functools
import itertools
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

import cv2
import jax
import jax.numpy as jnp
import numpy as np

from data_pipelines.common.errors import UserError
from data_pipelines.loading import dataset, loader
from data_pipelines.prepare import data_dir as shards_dir
from data_pipelines.quality import throughput
from s2f_jax import sharding, train
from s2f_jax.config.schema import Config
from s2f_jax.inference.animator import Animator
from s2f_jax.metrics.pictures import ImageScorer
from s2f_jax.metrics.scoring import ClipPair
from s2f_jax.metrics.throughput import landmark_throughput
from s2f_jax.models import fused_generator
from s2f_jax.models.clip_batch import normalize
from s2f_jax.models.discriminator import Discriminator
from s2f_jax.models.generator import Generator
from s2f_jax.runs import cost
from s2f_jax.runs.checkpoint import Checkpoints
from s2f_jax.state import TrainState

Measurements = dict[str, np.ndarray]  # Name of a figure -> its value in each timed run.

MIN_RUNS = 3  # Timed runs of each figure.
MIN_STREAM_FRAMES = 100  # Fewer have no 99th percentile.
STREAM_QUANTILES = {"stream.p95_ms": 0.95, "stream.p99_ms": 0.99}
FACES_CLIPS = 8  # In which faces are searched in each run: the batch of an evaluation.
LOADER_BATCHES = 4  # Per run; more than the loader prefetches, or its rest would be timed.
MATRIX_SIZE = {"cpu": 2048}  # Rows of the square matrices of peak_flops, by backend,
DEFAULT_MATRIX_SIZE = 8192  # and for any other.


@dataclasses.dataclass
class Workload:
    """What the sections measure: a config with synthetic data, each part made when first used.

    Attributes:
      config: The config.
      seconds: Seconds for which each figure is measured, at least MIN_RUNS runs.
      data_dir: Folder of the shards; None: the default.
      manual_dir: Folder of the corpus's raw clips; None: not measured.
    """

    config: Config
    seconds: float
    data_dir: str | None
    manual_dir: str | None = None

    @functools.cached_property
    def trainer(self) -> train.Trainer:
        """The config's trainer, for an epoch of one batch."""
        return train.Trainer(self.config, self.config.batch_size)

    @property
    def generator(self) -> Generator:
        """The generator's module."""
        generator = self.trainer.task.networks["generator"]
        assert isinstance(generator, Generator)
        return generator

    @functools.cached_property
    def state(self) -> TrainState:
        """A freshly initialised training state."""
        return self.trainer.fresh()

    @functools.cached_property
    def batch(self) -> dict[str, np.ndarray]:
        """A training batch of noise, without padding."""
        rng = np.random.default_rng(0)
        shapes = self.trainer.task.batch_shapes()
        batch = {name: rng.integers(0, 256, x.shape).astype(x.dtype) for name, x in shapes.items()}
        return batch | {"mask": np.ones(batch["mask"].shape, bool)}

    @functools.cached_property
    def animator(self) -> Animator:
        """The untrained generator, ready to animate."""
        variables = jax.device_get(self.state.variables("generator"))
        return Animator(self.generator, fused_generator.fuse_weights(self.generator, variables))

    def train_clips(self) -> dataset.ClipDataset:
        """Opens the training split.

        Returns:
          The clips.

        Raises:
          UserError: There are no shards.
        """
        shards = shards_dir(self.config.data, self.data_dir)
        return dataset.open_dataset(self.config.data, "train", shards, self.trainer.task.features)


Section = Callable[[Workload], Measurements]
SECTIONS: dict[str, Section] = {}  # By name, in the order in which they run.


def _section(name: str, optional: bool = False) -> Callable[[Section], Section]:
    # Registers a section. Of an optional one, UserError means that its input is not there.
    def register(section: Section) -> Section:
        def measure(workload: Workload) -> Measurements:
            try:
                return section(workload)
            except UserError as reason:
                if not optional:
                    raise
                print(f"no {name} figures: {reason}")
                return {}

        SECTIONS[name] = measure
        return measure

    return register


def _runs(seconds: float, least: int = MIN_RUNS) -> Iterator[None]:
    """Yields once to warm up (and compile), then for each timed run."""
    yield
    started, runs = time.perf_counter(), 0
    while runs < least or time.perf_counter() - started < seconds:
        yield
        runs += 1


def time_calls(function: Callable[[], Any], seconds: float, least: int = MIN_RUNS) -> np.ndarray:
    """Times calls of a function, after one that compiles and warms up.

    Args:
      function: Function to be timed, whose result is waited for.
      seconds: Seconds for which the function is called.
      least: Minimum number of timed calls.

    Returns:
      Seconds of each call, float64 [N], N >= least.
    """
    ends = []
    for _ in _runs(seconds, least):
        jax.block_until_ready(function())
        ends.append(time.perf_counter())
    return np.diff(ends)


def peak_flops(workload: Workload) -> np.ndarray:
    """Measures a large matrix product: an upper bound of what a training step can reach.

    Args:
      workload: Workload whose compute dtype and devices are used.

    Returns:
      FLOP/s of all devices together in each run.
    """
    dtype = jnp.dtype(workload.config.model.dtype)
    size = MATRIX_SIZE.get(jax.default_backend(), DEFAULT_MATRIX_SIZE)
    devices, rng, trainer = jax.device_count(), np.random.default_rng(0), workload.trainer
    left = rng.normal(size=(devices, size, size)).astype(dtype)
    left = jax.device_put(left, trainer.by_example)
    right = jax.device_put(rng.normal(size=(size, size)).astype(dtype), trainer.everywhere)
    product = jax.jit(lambda left, right: jnp.einsum("dij,jk->dik", left, right))
    return devices * 2 * size**3 / time_calls(lambda: product(left, right), workload.seconds)


@_section("train")
def _measure_training(workload: Workload) -> Measurements:
    # Steps as the loop makes them, but for the loader.
    trainer = workload.trainer
    figures = {"peak.flops_per_s": peak_flops(workload)}
    for kind, adversarial_phase in cost.steps(trainer.task).items():
        traced = trainer.traced(adversarial_phase, workload.batch)
        flops = cost.measure(traced, jax.device_count(), workload.config.accumulate).flops
        update = _training_step(
            workload, trainer.task.adversarial_start_step if adversarial_phase else 0
        )
        seconds = time_calls(update, workload.seconds)
        figures |= {
            f"{kind}.steps_per_s": 1 / seconds,
            f"{kind}.clips_per_s": workload.config.batch_size / seconds,
            f"{kind}.flops_per_step": np.array([flops]),
            f"{kind}.flops_per_s": flops / seconds,
            f"{kind}.peak_share": flops / seconds / np.median(figures["peak.flops_per_s"]),
        }
    return figures


def _training_step(workload: Workload, number: int) -> Callable[[], Any]:
    """Returns a function that dispatches step `number` and returns the previous one's metrics."""
    update = functools.partial(workload.trainer.update, number=number, batch=workload.batch)
    state, metrics, _ = jax.block_until_ready(update(workload.trainer.fresh()))

    def run() -> Any:
        # Waiting for the previous step's metrics, as the loop does, keeps the device busy.
        nonlocal state, metrics
        previous = metrics
        state, metrics, _ = update(state)
        return previous

    return run


@_section("networks")
def _measure_networks(workload: Workload) -> Measurements:
    # Each network alone on a training batch, forward only and with its gradients.
    networks, trainer = workload.trainer.task.networks, workload.trainer
    clips = normalize(sharding.put(workload.batch, trainer.by_example))
    noise = jnp.zeros((*clips.mask.shape, workload.generator.noise_features))
    inputs: dict[str, tuple[Any, ...]] = {"generator": (clips.still, clips.audio, noise)}
    for name, network in networks.items():
        if isinstance(network, Discriminator):
            sample = network.sample(trainer.key, clips)
            inputs[name] = network.inputs(clips.frames, clips, sample)
    figures = {}
    for name, network in networks.items():
        padding = {"mask": clips.mask} if name == "generator" else {}

        def forward(params, first, rest, stats, padding, network=network) -> jax.Array:
            variables = {"params": params, "batch_stats": stats}
            output, _ = network.apply(
                variables, first, *rest, **padding, train=True, mutable=["batch_stats"]
            )
            return output.mean()

        # A discriminator passes a gradient on to the generator; the still needs none.
        argnums = 0 if name == "generator" else (0, 1)
        first, *rest = inputs[name]
        state = workload.state
        arguments = (state.params[name], first, rest, state.batch_stats[name], padding)
        for kind, passes in (("forward", forward), ("gradient", jax.grad(forward, argnums))):
            run = functools.partial(jax.jit(passes), *arguments)
            figures[f"{name}.{kind}_ms"] = 1000 * time_calls(run, workload.seconds)
    return figures


@_section("generate")
def _measure_generation(workload: Workload) -> Measurements:
    # One clip offline, as `generate` makes it.
    frames, still = workload.config.clip_frames, workload.batch["still"][:1]
    audio = workload.batch["audio"][0, : frames * workload.generator.stride]
    run = functools.partial(workload.animator.generate_clips, still, [audio])
    return {"generate.frames_per_s": frames / time_calls(run, workload.seconds)}


@_section("stream")
def _measure_streaming(workload: Workload) -> Measurements:
    # One frame at a time: from a frame's audio on the host to its pixels on the host.
    stream = workload.animator.stream(workload.batch["still"][0], aligned=True)
    audio = np.resize(workload.batch["audio"][0], workload.generator.stride)
    stream.push(np.resize(audio, workload.generator.window))  # Afterwards each push is a frame.
    times = 1000 * time_calls(lambda: stream.push(audio), workload.seconds, MIN_STREAM_FRAMES)
    quantiles = {name: np.quantile(times, [share]) for name, share in STREAM_QUANTILES.items()}
    return {"stream.p50_ms": times, **quantiles}


@_section("metrics")
def _measure_metrics(workload: Workload) -> Measurements:
    # The image metrics of a training batch's clips: PSNR, SSIM, CPBD and FDBM together.
    real = workload.batch["frames"]
    silence = np.zeros(0, np.int16)
    pairs = [
        ClipPair(str(i), "", "", video, clip, workload.config.data.fps, silence, 0, aligned=True)
        for i, (video, clip) in enumerate(zip(np.roll(real, 1, axis=1), real, strict=True))
    ]
    scorer = ImageScorer()
    seconds = time_calls(lambda: scorer(pairs), workload.seconds)
    return {"metrics.image_clips_per_s": len(pairs) / seconds}


@_section("faces", optional=True)
def _measure_landmark_metrics(workload: Workload) -> Measurements:
    # The landmark metrics on real frames; needs shards and the landmark model.
    clips = workload.train_clips()
    indices = range(min(len(clips), FACES_CLIPS))
    return landmark_throughput([clips[i].frames for i in indices], workload.seconds)


@_section("loader", optional=True)
def _measure_loader(workload: Workload) -> Measurements:
    # Training batches from the shards.
    config, clips = workload.config, workload.train_clips()
    open_batches = functools.partial(
        loader.training_batches,
        clips,
        workload.trainer.task.examples_of(clips),
        batch_size=config.batch_size,
        mirror=config.mirror,
        seed=config.seed,
        max_corrupt=config.data.max_corrupt,
    )
    with contextlib.closing(open_batches(workers=config.loader_workers)) as batches:
        seconds = time_calls(lambda: _fetch(batches), workload.seconds)
    loaded = LOADER_BATCHES * config.batch_size / seconds
    figures = {"loader.clips_per_s": loaded, "loader.frames_per_s": config.clip_frames * loaded}
    with contextlib.closing(open_batches(threads=0)) as batches:
        return figures | _measure_loader_per_core(clips, batches, workload.seconds)


def _fetch(batches: Any) -> list[dict[str, np.ndarray]]:
    return [next(batches) for _ in range(LOADER_BATCHES)]


def _measure_loader_per_core(
    clips: dataset.ClipDataset, batches: Any, seconds: float
) -> Measurements:
    # CPU time of the loader in this thread, alternating with bare decoding of as many frames of the
    # same clips, so that both meet the same load of the machine.
    rows = []
    for _ in _runs(seconds):
        start = time.process_time()
        fetched = _fetch(batches)
        loaded = time.process_time()
        indices, masks = (np.concatenate([b[name] for b in fetched]) for name in ("clip", "mask"))
        counts = masks.sum(axis=1)
        jpegs = [clips[i].jpegs[:count] for i, count in zip(indices, counts, strict=True)]
        decoding = time.process_time()
        for jpeg in itertools.chain(*jpegs):
            cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR_RGB)
        frames = int(counts.sum())
        rows.append(((loaded - start) / frames, (time.process_time() - decoding) / frames))
    loader_s, jpeg_s = np.array(rows[1:]).T
    return {
        "loader.core_frames_per_s": 1 / loader_s,
        "loader.jpeg_frames_per_s": 1 / jpeg_s,
        "loader.share_of_jpeg": jpeg_s / loader_s,
    }


@_section("checkpoint")
def _measure_checkpoints(workload: Workload) -> Measurements:
    # How long a save blocks the loop, and how long it takes until it is on the disk.
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for _ in _runs(workload.seconds):
            checkpoints = Checkpoints(folder)
            start = time.perf_counter()
            checkpoints.save(workload.state, {}, {}, None)
            blocked = time.perf_counter()
            checkpoints.close()
            rows.append((blocked - start, time.perf_counter() - start))
            shutil.rmtree(checkpoints.folder)
    blocking, whole = 1000 * np.array(rows[1:]).T
    return {"checkpoint.blocking_ms": blocking, "checkpoint.whole_ms": whole}


@_section("prepare", optional=True)
def _measure_preparation(workload: Workload) -> Measurements:
    # Raw clips to examples, beside the landmark model alone; needs raw clips.
    return throughput.measure(workload.config.data, workload.manual_dir, workload.seconds)
