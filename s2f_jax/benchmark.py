"""`benchmark`: how fast a config trains, generates, loads and saves on this machine."""

import contextlib
import dataclasses
import functools
import itertools
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import cv2
import jax
import jax.numpy as jnp
import numpy as np
from etils import epath

from data_pipelines import loader, media, stored, throughput
from data_pipelines.errors import UserError
from data_pipelines.prepare import data_dir as shards_dir
from s2f_jax import cost, rngs, runs, sharding, step, train
from s2f_jax.animate import Animator
from s2f_jax.checkpoint import Checkpoints
from s2f_jax.metrics.image import to_uint8
from s2f_jax.runs import Config

Samples = dict[str, np.ndarray]  # A figure's name -> its value in each run.

LEAST = 3  # Timed runs of anything.
LEAST_FRAMES = 100  # Of a stream, or there is no 99th percentile.
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
    def variables(self) -> Any:
        """The generator's, on one device, as an Animator has them."""
        variables = jax.device_get(self.state.variables("generator"))
        return jax.device_put(variables, jax.devices()[0])


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
        seconds = durations(_stepping(bench, trainer.task.start if begun else 0), bench.seconds)
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
    networks, config = bench.trainer.task.networks, bench.config
    batch = sharding.put(bench.batch, bench.trainer.by_example)
    clips = step.normalise(batch)
    generator = bench.generator
    noise = jnp.zeros((*clips.mask.shape, generator.noise_features))
    drawn = config.loss.frames_per_clip, config.loss.moments_per_clip
    picks = step.pick(bench.trainer.key, batch, *drawn)
    inputs: dict[str, tuple[Any, ...]] = {"generator": (clips.still, clips.audio, noise)}
    inputs |= {name: of(clips.frames, clips, picks) for name, of in step.INPUTS.items()}
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
    animator = Animator(bench.generator, bench.variables)
    frames = bench.config.clip_frames
    audio = bench.batch["audio"][0, : frames * animator.generator.stride]

    def run() -> Any:
        return animator.generate_clips(bench.batch["still"][:1], [audio])

    return {"generate.frames_per_s": frames / durations(run, bench.seconds)}


def _stream(bench: Bench) -> Samples:
    """One frame at a time: from a window of sound on the host to pixels on the host."""
    generator = bench.generator
    root = jax.random.key(0)

    @jax.jit
    def frame(variables, identity, window, number, carry) -> Any:
        noise = rngs.frame_noise(root, 1, generator.noise_features, generator.noise_std, number)
        carry, frames = generator.apply(
            variables, identity, window[None, None], noise[None], carry, method="animate"
        )
        return carry, to_uint8(frames)[0, 0]

    clips = step.normalise({name: jnp.asarray(x[:1]) for name, x in bench.batch.items()})
    identity = jax.jit(functools.partial(generator.apply, method="identify"))(
        bench.variables, clips.still
    )
    window = np.asarray(clips.audio)[0, : generator.window]
    carry, number = generator.initial_carry(1), 0

    def run() -> np.ndarray:
        nonlocal carry, number
        carry, pixels = frame(bench.variables, identity, window, number, carry)
        number += 1
        return np.asarray(pixels)

    times = 1000 * durations(run, bench.seconds, LEAST_FRAMES)
    return {"stream.p50_ms": times, "stream.p99_ms": np.quantile(times, [0.99])}


def _loader(bench: Bench) -> Samples:
    """Training batches from the shards; where there are none, nothing."""
    config = bench.config
    try:
        shards = shards_dir(config.data, bench.data_dir)
        clips = stored.open_clips(config.data, "train", shards, stored.TRAINED_ON)
    except UserError as reason:
        print(f"no loader figures: {reason}")
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


def _one_core(clips: stored.Clips, batches: Any, seconds: float) -> Samples:
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
    "loader": _loader,
    "checkpoint": _checkpoint,
    "prepare": _prepare,
}


def run(
    config: Config,
    data_dir: str | None = None,
    *,
    json_file: str | None = None,
    compare: str | None = None,
    only: str | None = None,
    seconds: float = 5,
    manual_dir: str | None = None,
) -> dict[str, Any]:
    """Measures the sections in `only` (separated by commas; None: all), prints a table as it goes.

    seconds: for each figure, which gets LEAST runs however long they take.
    Returns what is written to json_file: each figure's median by its name, its quartiles, its
    number of runs, and what it was measured on.
    Raises UserError for sections that there are not, and for files that cannot be used.
    """
    sections = _sections(only)
    if not seconds >= 0:
        raise UserError(f"--seconds={seconds} is out of range: give 0 or more")
    _check_output(json_file)
    saved, before = _read(compare) if compare else ({}, {})
    train.check_devices(config)
    if not config.clip_frames:
        shards = shards_dir(config.data, data_dir)
        config = train.with_clip_frames(config, stored.open_clips(config.data, "train", shards))
    made = _describe(config)
    print(
        f"{config.name}: batches of {config.batch_size} clips of {config.clip_frames} frames,"
        f" {config.model.dtype}; {made['devices']} of {made['device']}, {made['cores']} cores;"
        f" commit {made['commit']}"
    )
    if saved:
        _say_what_differs(made, saved, str(compare))
    print(_row("", "median", "quartiles", "runs", *(("saved", "ratio") if saved else ())))
    bench, figures = Bench(config, seconds, data_dir, manual_dir), {}
    quartiles, counts = {}, {}
    for name in sections:
        for figure, values in SECTIONS[name](bench).items():
            low, median, high = np.quantile(values, [0.25, 0.5, 0.75])
            figures[figure], quartiles[figure] = float(median), [float(low), float(high)]
            counts[figure] = len(values)
            print(
                _line(figure, figures[figure], quartiles[figure], len(values), before), flush=True
            )
    if saved:
        print("~: the quartiles overlap, so that the difference may be chance")
    result = {**figures, "quartiles": quartiles, "runs": counts, **made}
    if json_file:
        media.write_atomically(
            epath.Path(json_file), (json.dumps(result, indent=2) + "\n").encode()
        )
    return result


def _sections(only: str | None) -> Sequence[str]:
    if only is None:
        return list(SECTIONS)
    names = only.split(",")
    for name in names:
        if name not in SECTIONS:
            raise UserError(
                f"--only={only}: there is no section {name!r}; give {', '.join(SECTIONS)}"
            )
    return names


def _check_output(json_file: str | None) -> None:
    """What can be known before the work."""
    if json_file:
        target = epath.Path(json_file)
        if target.is_dir() or not target.parent.is_dir():
            raise UserError(f"--json={json_file} cannot be a file there: give another name")


def _read(path: str) -> tuple[dict[str, Any], dict[str, list[float]]]:
    """-> what was saved, and of each figure the median and the quartiles."""
    try:
        saved = json.loads(epath.Path(path).read_text())
        figures = {
            name: [float(saved[name]), *map(float, quartiles)]
            for name, quartiles in saved["quartiles"].items()
        }
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise UserError(
            f"--compare={path} cannot be read ({type(error).__name__}, {error}): give a file that"
            " `benchmark --json` wrote"
        ) from error
    return saved, figures


def _describe(config: Config) -> dict[str, Any]:
    made = runs.describe(config.seed)
    return {
        "device": made["devices"][0],
        "devices": len(made["devices"]),
        "cores": os.cpu_count(),
        "commit": made["git"]["commit"] + ("+changes" if made["git"]["dirty"] else ""),
        "versions": made["versions"],
        "config": config.name,
        "batch_size": config.batch_size,
        "clip_frames": config.clip_frames,
        "dtype": config.model.dtype,
    }


def _say_what_differs(made: Mapping[str, Any], saved: Mapping[str, Any], path: str) -> None:
    for field in ("device", "devices", "cores", "config", "batch_size", "clip_frames", "dtype"):
        if made[field] != saved.get(field):
            print(f"{field} is {made[field]} here and {saved.get(field)} in {path}")


def _line(
    figure: str, median: float, quartiles: list[float], count: int, saved: Mapping[str, list[float]]
) -> str:
    low, high = quartiles
    spread = f"{cost.si(low)} - {cost.si(high)}" if count > 1 else ""
    cells = [figure, cost.si(median), spread, str(count)]
    if figure in saved:
        before, before_low, before_high = saved[figure]
        ratio = median / before if before else float("nan")
        overlap = low <= before_high and before_low <= high
        cells += [cost.si(before), f"{ratio:.2f}{' ~' if overlap else '  '}"]
    return _row(*cells)


def _row(figure: str, *cells: str) -> str:
    widths = (10, 22, 6, 10, 9)
    return f"{figure:34}" + "".join(f"{x:>{n}}" for x, n in zip(cells, widths, strict=False))
