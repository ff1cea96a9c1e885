"""What `benchmark` measures, a section each: the parts of a config's way on made-up data."""

import contextlib
import dataclasses
import functools
import itertools
import shutil
import tempfile
import time
from collections.abc import Callable
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
from s2f_jax.metrics.throughput import landmark_throughput as landmarks_speed
from s2f_jax.models import fused_generator
from s2f_jax.models.clip_batch import normalize
from s2f_jax.models.discriminator import Discriminator
from s2f_jax.runs import cost
from s2f_jax.runs.checkpoint import Checkpoints

Samples = dict[str, np.ndarray]  # A figure's name -> its value in each run.

LEAST = 3  # Timed runs of anything.
LEAST_FRAMES = 100  # Of a stream, or there is no 99th percentile.
STREAM_QUANTILES = {"stream.p95_ms": 0.95, "stream.p99_ms": 0.99}
FACES_CLIPS = 8  # In which faces are searched in each round: what an evaluation takes at once.
LOADER_BATCHES = 4  # A run; more than the loader keeps ready, or it would be timed at rest.
PEAK_SIZE = {"cpu": 2048}  # Rows of the square matrices whose product measures the peak.


def durations(run: Callable[[], Any], seconds: float, least: int = LEAST) -> np.ndarray:
    """Seconds that each call takes, for at least so many, after one that compiles and warms up."""
    jax.block_until_ready(run())
    ends = [time.perf_counter()]
    while len(ends) <= least or ends[-1] - ends[0] < seconds:
        jax.block_until_ready(run())
        ends.append(time.perf_counter())
    return np.diff(ends)


@dataclasses.dataclass
class Bench:
    """What the sections measure: a config on made-up data."""

    config: Config
    seconds: float  # For each figure.
    data_dir: str | None
    manual_dir: str | None = None  # Raw clips.

    @functools.cached_property
    def trainer(self) -> train.Trainer:
        return train.Trainer(self.config, self.config.batch_size)

    @property
    def generator(self) -> Any:
        return self.trainer.task.networks["generator"]

    @functools.cached_property
    def state(self) -> Any:
        return self.trainer.fresh()

    @functools.cached_property
    def batch(self) -> dict[str, np.ndarray]:
        """Noise for pictures and sound, and no padding."""
        rng = np.random.default_rng(0)
        shapes = self.trainer.task.batch_shapes()
        batch = {name: rng.integers(0, 256, x.shape).astype(x.dtype) for name, x in shapes.items()}
        return batch | {"mask": np.ones(batch["mask"].shape, bool)}

    @functools.cached_property
    def animator(self) -> Animator:
        variables = jax.device_get(self.state.variables("generator"))
        return Animator(self.generator, fused_generator.fuse_weights(self.generator, variables))


def peak(bench: Bench) -> np.ndarray:
    """FLOP/s of all devices in a large matrix product: what a step could reach at most."""
    dtype = jnp.dtype(bench.config.model.dtype)
    size = PEAK_SIZE.get(jax.default_backend(), 8192)
    devices, rng = jax.device_count(), np.random.default_rng(0)
    left = jax.device_put(
        rng.normal(size=(devices, size, size)).astype(dtype), bench.trainer.by_example
    )
    right = jax.device_put(rng.normal(size=(size, size)).astype(dtype), bench.trainer.everywhere)
    product = jax.jit(lambda left, right: jnp.einsum("dij,jk->dik", left, right))
    return devices * 2 * size**3 / durations(lambda: product(left, right), bench.seconds)


def _train(bench: Bench) -> Samples:
    """Steps as the loop makes them, but for the loader."""
    trainer = bench.trainer
    figures = {"peak.flops_per_s": peak(bench)}
    for kind, begun in cost.steps(trainer.task).items():
        traced = trainer.traced(begun, bench.batch)
        flops = cost.of(traced, jax.device_count(), bench.config.accumulate).flops
        seconds = durations(
            _stepping(bench, trainer.task.adversarial_start_step if begun else 0), bench.seconds
        )
        figures |= {
            f"{kind}.steps_per_s": 1 / seconds,
            f"{kind}.clips_per_s": bench.config.batch_size / seconds,
            f"{kind}.flops_per_step": np.array([flops]),
            f"{kind}.flops_per_s": flops / seconds,
            f"{kind}.peak_share": flops / seconds / np.median(figures["peak.flops_per_s"]),
        }
    return figures


def _stepping(bench: Bench, number: int) -> Callable[[], Any]:
    """Dispatches step `number` once more and gives the last one's metrics, as the loop does."""
    update = functools.partial(bench.trainer.update, number=number, batch=bench.batch)
    state, metrics, _ = jax.block_until_ready(update(bench.trainer.fresh()))

    def run() -> Any:
        nonlocal state, metrics
        last = metrics
        state, metrics, _ = update(state)
        return last

    return run


def _networks(bench: Bench) -> Samples:
    """Each network by itself on a training batch, forward alone and with its gradients."""
    networks = bench.trainer.task.networks
    batch = sharding.put(bench.batch, bench.trainer.by_example)
    clips = normalize(batch)
    generator = bench.generator
    noise = jnp.zeros((*clips.mask.shape, generator.noise_features))
    inputs: dict[str, tuple[Any, ...]] = {"generator": (clips.still, clips.audio, noise)}
    for name, network in networks.items():
        if isinstance(network, Discriminator):
            sample = network.sample(bench.trainer.key, clips)
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

        # A discriminator passes the generator's gradient on; the still has no use for one.
        wanted = 0 if name == "generator" else (0, 1)
        first, *rest = inputs[name]
        state = bench.state
        given = (state.params[name], first, rest, state.batch_stats[name], padding)
        for kind, passes in (("forward", forward), ("gradient", jax.grad(forward, wanted))):
            run = functools.partial(jax.jit(passes), *given)
            figures[f"{name}.{kind}_ms"] = 1000 * durations(run, bench.seconds)
    return figures


def _generate(bench: Bench) -> Samples:
    """One clip offline, as `generate` makes it."""
    animator = bench.animator
    frames = bench.config.clip_frames
    audio = bench.batch["audio"][0, : frames * animator.generator.stride]

    def run() -> Any:
        return animator.generate_clips(bench.batch["still"][:1], [audio])

    return {"generate.frames_per_s": frames / durations(run, bench.seconds)}


def _stream(bench: Bench) -> Samples:
    """One frame at a time: from a frame's sound on the host to its pixels on the host."""
    stream = bench.animator.stream(bench.batch["still"][0], aligned=True)
    sound = np.resize(bench.batch["audio"][0], bench.generator.stride)
    stream.push(np.resize(sound, bench.generator.window))  # From here on each push is a frame.
    times = 1000 * durations(lambda: stream.push(sound), bench.seconds, LEAST_FRAMES)
    quantiles = {name: np.quantile(times, [share]) for name, share in STREAM_QUANTILES.items()}
    return {"stream.p50_ms": times, **quantiles}


def _train_clips(bench: Bench, what: str) -> dataset.ClipDataset | None:
    """Of the shards; None where there are none, which it says."""
    data = bench.config.data
    try:
        shards = shards_dir(data, bench.data_dir)
        return dataset.open_dataset(data, "train", shards, dataset.TRAINING_FEATURES)
    except UserError as reason:
        print(f"no {what} figures: {reason}")


def _loader(bench: Bench) -> Samples:
    """Training batches from the shards; where there are none, nothing."""
    config, clips = bench.config, _train_clips(bench, "loader")
    if not clips:
        return {}
    open_batches = functools.partial(
        loader.training_batches,
        clips,
        bench.trainer.task.example,
        batch_size=config.batch_size,
        mirror=config.mirror,
        seed=config.seed,
        max_corrupt=config.data.max_corrupt,
    )
    with contextlib.closing(open_batches(workers=config.loader_workers)) as batches:
        seconds = durations(lambda: _fetch(batches), bench.seconds)
    loaded = LOADER_BATCHES * config.batch_size / seconds
    figures = {"loader.clips_per_s": loaded, "loader.frames_per_s": config.clip_frames * loaded}
    with contextlib.closing(open_batches(threads=0)) as batches:
        return figures | _one_core(clips, batches, bench.seconds)


def _fetch(batches: Any) -> list[dict[str, np.ndarray]]:
    return [next(batches) for _ in range(LOADER_BATCHES)]


def _one_core(clips: dataset.ClipDataset, batches: Any, seconds: float) -> Samples:
    """The loader in this thread, in turns with the bare decoding of as many frames of its clips."""
    rows = []
    started = time.perf_counter()
    while len(rows) <= LEAST or time.perf_counter() - started < seconds:
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
    loader_s, jpeg_s = np.array(rows[1:]).T  # The first warms up.
    return {
        "loader.core_frames_per_s": 1 / loader_s,
        "loader.jpeg_frames_per_s": 1 / jpeg_s,
        "loader.share_of_jpeg": jpeg_s / loader_s,
    }


def _prepare(bench: Bench) -> Samples:
    """Raw clips to examples, beside the landmark model alone; where there are none, nothing."""
    try:
        return throughput.measure(bench.config.data, bench.manual_dir, bench.seconds)
    except UserError as reason:
        print(f"no prepare figures: {reason}")
        return {}


def _metrics(bench: Bench) -> Samples:
    """A training batch's clips scored by their pixels: PSNR, SSIM, CPBD and FDBM together."""
    videos, real = np.roll(bench.batch["frames"], 1, axis=1), bench.batch["frames"]
    silence = np.zeros(0, np.int16)
    pairs = [
        ClipPair(str(i), "", "", video, clip, bench.config.data.fps, silence, 0, aligned=True)
        for i, (video, clip) in enumerate(zip(videos, real, strict=True))
    ]
    pictures = ImageScorer()
    seconds = durations(lambda: pictures(pairs), bench.seconds)
    return {"metrics.image_clips_per_s": len(pairs) / seconds}


def _faces(bench: Bench) -> Samples:
    """The metrics of landmarks on real frames; where there are none, or no landmark model, nothing."""
    clips = _train_clips(bench, "faces")
    if not clips:
        return {}
    try:
        some = range(min(len(clips), FACES_CLIPS))
        return landmarks_speed([clips[i].frames for i in some], bench.seconds)
    except UserError as reason:
        print(f"no faces figures: {reason}")
        return {}


def _checkpoint(bench: Bench) -> Samples:
    """How long a save holds the loop, and how long it takes until it is on the disk."""
    rows = []
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        # The first save warms up.
        while len(rows) <= LEAST or time.perf_counter() - started < bench.seconds:
            checkpoints = Checkpoints(folder)
            start = time.perf_counter()
            checkpoints.save(bench.state, {}, {}, None)
            blocked = time.perf_counter()
            checkpoints.close()
            rows.append((blocked - start, time.perf_counter() - start))
            shutil.rmtree(checkpoints.folder)
    blocking, whole = 1000 * np.array(rows[1:]).T
    return {"checkpoint.blocking_ms": blocking, "checkpoint.whole_ms": whole}


SECTIONS: dict[str, Callable[[Bench], Samples]] = {
    "train": _train,
    "networks": _networks,
    "generate": _generate,
    "stream": _stream,
    "metrics": _metrics,
    "faces": _faces,
    "loader": _loader,
    "checkpoint": _checkpoint,
    "prepare": _prepare,
}
