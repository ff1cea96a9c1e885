"""Evaluation of a generator on a split: the model, and sanity rows that put its scores in context."""

import collections
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from etils import epath

from data_pipelines.common import files
from data_pipelines.common.errors import UserError
from data_pipelines.loading import loader
from data_pipelines.loading.dataset import DatasetClip
from data_pipelines.media import sound
from s2f_jax.bundle import shipped
from s2f_jax.config.schema import Config
from s2f_jax.evaluation import scorers
from s2f_jax.evaluation.score_collector import ScoreCollector, open_run_split, show_progress
from s2f_jax.inference.animator import Animator
from s2f_jax.metrics import registry, spontaneous
from s2f_jax.metrics.scoring import ClipPair, Scores, merge_scores, missing_scores
from s2f_jax.reports import figures
from s2f_jax.reports.expressions import ExpressionCollector
from s2f_jax.runs.restore import find_checkpoint

ROWS = ("model", "ground_truth", "frozen_still", "shuffled_audio")
GENERATED_ROWS = {"model", "shuffled_audio"}
PIXEL_CONVENTION = "uint8 RGB, never rescaled; frame 0 counts like any other"
_CAPTION_METRICS = ("psnr", "ssim", "wer", "mouth_correlation")
_DEPENDENCIES_FILE = "made_of.json"
_NO_SPREAD = missing_scores(spontaneous.SPREAD_METRICS, spontaneous.NOT_CHOSEN)


def evaluate_run(
    config: Config,
    workdir: str,
    data_dir: str | None,
    split: str,
    rows: Sequence[str] = ROWS,
    metrics: scorers.MetricSuite | None = None,
    seed: int | None = None,
) -> tuple[dict[str, Any], epath.Path]:
    """Scores a run's best checkpoint on a split, and writes the report into the workdir.

    Args:
      config: The run's config.
      workdir: The run's folder.
      data_dir: Folder of the shards; None: the default.
      split: Name of the split.
      rows: Rows of the report, among ROWS; only GENERATED_ROWS need a checkpoint.
      metrics: What scores the videos; None: what the config names.
      seed: Seed of the noise and of what is drawn; None: the config's, which is also the training's.

    Returns:
      The contents of report.json, and the report's folder.

    Raises:
      UserError: A row is unknown, or the workdir holds no checkpoint or a run of another config.
    """
    if unknown := set(rows) - set(ROWS):
        raise UserError(f"--rows: there is no row {min(unknown)!r}; give some of {','.join(ROWS)}")
    folder, clips, output = open_run_split(config, workdir, data_dir, split)
    dependencies = _dependencies(config, workdir, rows, seed)
    generate, model_info, training = None, {}, {}
    if GENERATED_ROWS & set(rows):
        generate = Animator.load(folder).generate_clips
        model_info = {"run": folder.name, "checkpoint": str(dependencies["checkpoint"])}
        training = {"model": folder / "metrics.jsonl"}
    suite = metrics or scorers.run_metrics(config, data_dir)
    try:
        report = evaluate(
            clips,
            generate,
            suite,
            output,
            corpus=config.data.corpus,
            split=split,
            rows=rows,
            batch_size=config.eval_batch_size,
            seed=config.seed if seed is None else seed,
            model_info=model_info,
            training=training,
        )
    finally:
        if not metrics:
            suite.close()
    # Last, since it declares the report complete.
    files.write_atomically(output / _DEPENDENCIES_FILE, json.dumps(dependencies).encode())
    return report, output


def is_up_to_date(
    config: Config,
    workdir: epath.PathLike,
    split: str,
    rows: Sequence[str] = ROWS,
    seed: int | None = None,
) -> bool:
    """Checks whether a run has a report of its best checkpoint, with the same rows and networks.

    Args:
      config: The run's config.
      workdir: The run's folder.
      split: Name of the split.
      rows: Rows of the report.
      seed: Seed of the noise; None: the config's.

    Returns:
      Whether `evaluate_run` would repeat what was done.
    """
    path = epath.Path(workdir) / "evaluation" / split / _DEPENDENCIES_FILE
    return path.exists() and json.loads(path.read_text()) == _dependencies(
        config, workdir, rows, seed
    )


def _dependencies(
    config: Config, workdir: epath.PathLike, rows: Sequence[str], seed: int | None
) -> dict[str, Any]:
    """Returns what an evaluation depends on, beside the shards."""
    return {
        "checkpoint": _best_step(workdir),
        "rows": [*rows],
        "seed": config.seed if seed is None else seed,
        "readers": {
            name: _best_step(shipped.resolve_network(path)) for name, path in config.readers.items()
        },
        "embedder": dict(config.embedder),
        # A report by other definitions is made again: it could not stand beside this one.
        "definitions": _definitions(),
    }


def _definitions() -> dict[str, Any]:
    """All metrics, and how those are defined that need no model."""
    texts = {k: t for scorer in registry.array_scorers() for k, t in scorer.conventions.items()}
    return {"metrics": [*registry.METRICS], **texts}


def _best_step(workdir: epath.PathLike) -> int | None:
    try:
        return find_checkpoint(workdir)[1] if workdir else None
    except UserError:
        return None


def evaluate(
    clips: Sequence[DatasetClip],
    generate: figures.Generate | None,
    metrics: scorers.MetricSuite,
    output: epath.PathLike,
    *,
    corpus: str,
    split: str,
    rows: Sequence[str] = ROWS,
    batch_size: int = 8,
    seed: int = 0,
    samples: int = 8,
    model_info: Mapping[str, str] | None = None,
    training: Mapping[str, epath.PathLike] | None = None,
) -> dict[str, Any]:
    """Scores a model on clips and writes the report, its figures and sample videos.

    Args:
      clips: The clips of a split.
      generate: The model; None if `rows` has none of GENERATED_ROWS.
      metrics: What scores the videos.
      output: Folder of the report.
      corpus: Name of the corpus.
      split: Name of the split.
      rows: Rows of the report, among ROWS.
      batch_size: Number of clips that the model generates at once.
      seed: Seed of the noise, of the shuffled audio and of the choice of samples.
      samples: Number of sample videos.
      model_info: Entries about the model for the report's conventions.
      training: Row -> metrics.jsonl of the run behind it, for the report's charts.

    Returns:
      The contents of report.json.

    Raises:
      UserError: There are no clips.
    """
    if not len(clips):
        raise UserError(f"the split {split!r} of {corpus} has no clips: evaluate another one")
    infos = map(clips.__getitem__, range(len(clips)))  # Their frames are not decoded.
    infos = [(clip.speaker, clip.transcript, len(clip)) for clip in infos]
    speakers, transcripts, lengths = zip(*infos, strict=True)
    partners = shuffled_partners(speakers, transcripts, seed)
    sampled = set(_spread_over_speakers(speakers, samples, seed))
    collector = ScoreCollector(output, corpus, split)
    expressions, size = ExpressionCollector(), ""
    spreads: dict[int, Scores] = {}
    if "model" in rows and generate:
        chosen = _spread_over_speakers(speakers, spontaneous.CLIPS, seed)
        spreads = _seed_spreads(clips, chosen, lengths, generate, seed, batch_size)
    metrics.reset()
    for indices in show_progress(loader.batch_by_length(lengths, batch_size), len(clips)):
        batch = [clips[i] for i in indices]
        other_sounds = [clips[partners[i]].audio for i in indices]
        size = "{}x{}".format(*batch[0].frames.shape[1:3])
        for row in rows:
            videos = _row_videos(row, batch, other_sounds, generate, seed, batch_size)
            pairs = [ClipPair.from_clip(*both) for both in zip(batch, videos, strict=True)]
            if row == "shuffled_audio" and len(clips) == 1:
                reason = "there is no other clip whose sound to use"
                scores = [missing_scores(metrics.metrics, reason)]
            else:
                scores = metrics(pairs)
            if row == "model":
                spread = (spreads.get(i, _NO_SPREAD) for i in indices)
                scores = [merge_scores(both) for both in zip(scores, spread, strict=True)]
            for i, pair, clip_scores in zip(indices, pairs, scores, strict=True):
                collector.add(row, i, pair.name, pair.speaker, clip_scores)
                if row != "model":
                    continue
                expressions.add(pair.name, pair.speaker, pair.video, clip_scores.curves)
                if i in sampled:
                    title = f"{pair.name}: {pair.transcript}" if pair.transcript else pair.name
                    collector.add_sample(i, pair, title, clip_scores, _CAPTION_METRICS)
    shuffling = _describe_shuffling(partners, speakers, transcripts)
    conventions = _conventions(model_info, size, metrics, shuffling, seed)
    options = {"batch_size": batch_size, "seed": seed}
    drawn = (
        figures.write_figures(output, clips, generate, expressions, **options) if generate else []
    )
    return collector.write(conventions, drawn, training)


def _conventions(
    model_info: Mapping[str, str] | None,
    size: str,
    metrics: scorers.MetricSuite,
    shuffling: str,
    seed: int,
) -> dict[str, Any]:
    # `ablate` puts reports into one table only if these texts are equal: old reports keep them.
    return {
        **(model_info or {}),
        "size": f"{size} pixels, height x width",
        "pixels": PIXEL_CONVENTION,
        **metrics.conventions,
        "frozen_still": "frame 0 repeated",
        "shuffled_audio": shuffling,
        "sound": "every row is held against the clip's own sound",
        "silence": "20 dB under the clip's loudest frame",
        "seed_spread": spontaneous.CONVENTION,
        "seed": seed,
    }


def shuffled_partners(speakers: Sequence[str], transcripts: Sequence[str], seed: int) -> list[int]:
    """Chooses for every clip another clip, whose audio it gets in the row "shuffled_audio".

    The partner has other words, and then another speaker, wherever swapping two partners can
    achieve that.

    Args:
      speakers: Speaker of each clip.
      transcripts: Words of each clip.
      seed: Seed of the permutation.

    Returns:
      Indices: a permutation, without a fixed point if there are at least two clips.
    """
    rng, count = np.random.default_rng(seed), len(speakers)
    partners: list[int] = rng.permutation(count).tolist()

    def cost(i: int, j: int) -> int:
        same_words, same_speaker = transcripts[i] == transcripts[j], speakers[i] == speakers[j]
        return 100 * (i == j) + 2 * same_words + same_speaker

    # Local search over swaps, of at most 500 candidates a clip so that it stays linear in clips; the
    # first pass leaves little to the others.
    for _ in range(3):
        for i in range(count):
            if not cost(i, partners[i]):
                continue
            for j in rng.permutation(count)[:500].tolist():
                current = cost(i, partners[i]) + cost(j, partners[j])
                if cost(i, partners[j]) + cost(j, partners[i]) < current:
                    partners[i], partners[j] = partners[j], partners[i]
    return partners


def _seed_spreads(
    clips: Sequence[DatasetClip],
    chosen: Sequence[int],
    lengths: Sequence[int],
    generate: figures.Generate,
    seed: int,
    batch_size: int,
) -> dict[int, Scores]:
    """Generates the chosen clips with several seeds: index -> how much the frames differ."""
    spreads: dict[int, Scores] = {}
    seeds = [(seed + i) % 2**32 for i in range(spontaneous.SEEDS)]
    for batch in loader.batch_by_length([lengths[i] for i in chosen], batch_size):
        indices = [chosen[i] for i in batch]
        own = [clips[i] for i in indices]
        by_seed = [_row_videos("model", own, [], generate, s, batch_size) for s in seeds]
        spreads |= zip(
            indices, map(spontaneous.seed_spread, zip(*by_seed, strict=True)), strict=True
        )
    return spreads


def _row_videos(
    row: str,
    clips: Sequence[DatasetClip],
    other_sounds: Sequence[np.ndarray],
    generate: figures.Generate | None,
    seed: int,
    batch_size: int,
) -> list[np.ndarray]:
    if row == "ground_truth":
        return [clip.frames for clip in clips]
    if row == "frozen_still":
        return [np.broadcast_to(clip.frames[:1], clip.frames.shape) for clip in clips]
    assert generate is not None
    sounds = [clip.audio for clip in clips]
    if row == "shuffled_audio":
        both = zip(other_sounds, sounds, strict=True)
        sounds = [sound.fit_length(other, len(own)) for other, own in both]
    # Padded to complete batches, so that the model is compiled once.
    padded = [min(i, len(clips) - 1) for i in range(batch_size)]
    stills = np.stack([clips[i].frames[0] for i in padded])
    videos = generate(stills, [sounds[i] for i in padded], seed)[: len(clips)]
    for clip, video in zip(clips, videos, strict=True):
        if video.shape != clip.frames.shape:
            raise ValueError(f"{row}, {clip.id}: {video.shape} is not {clip.frames.shape}")
    return videos


def _describe_shuffling(
    partners: Sequence[int], speakers: Sequence[str], transcripts: Sequence[str]
) -> str:
    pairs = [(i, j) for i, j in enumerate(partners) if i != j]
    other_speaker = sum(speakers[i] != speakers[j] for i, j in pairs)
    other_words = sum(transcripts[i] != transcripts[j] for i, j in pairs)
    return (
        f"the model driven by another clip's sound: of {len(pairs)}, {other_speaker} by another"
        f" speaker's, {other_words} by other words"
    )


def _spread_over_speakers(speakers: Sequence[str], count: int, seed: int) -> list[int]:
    """Returns `count` random clips, of as many speakers as possible."""
    nth, clips_of = {}, collections.Counter()
    for i in np.random.default_rng(seed).permutation(len(speakers)).tolist():
        nth[i] = clips_of[speakers[i]]
        clips_of[speakers[i]] += 1
    return sorted(nth, key=lambda i: nth[i])[:count]
