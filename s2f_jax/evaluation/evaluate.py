"""Every clip of a split through the metrics: the model, and the rows that show what they mean."""

import collections
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tqdm
from etils import epath

from data_pipelines import prepare
from data_pipelines.common import files
from data_pipelines.common.errors import UserError
from data_pipelines.loading import dataset, loader
from data_pipelines.media import sound, writer
from s2f_jax.config.schema import Config
from s2f_jax.evaluation import scorers
from s2f_jax.evaluation.scorers import MetricSuite
from s2f_jax.inference.animator import Animator
from s2f_jax.metrics.scoring import VideoPair, missing_scores
from s2f_jax.reports import figures
from s2f_jax.reports.expressions import ExpressionCollector
from s2f_jax.reports.scores import ClipScores, Sample, caption, file_name, write_report
from s2f_jax.runs.restore import find_checkpoint
from s2f_jax.runs.workdir import open_workdir

# stills uint8 [B, H, W, 3], B sounds int16 [S_i], seed -> B videos uint8 [T_i, H, W, 3].
Generate = Callable[[np.ndarray, list[np.ndarray], int], list[np.ndarray]]

ROWS = ("model", "ground_truth", "frozen_still", "shuffled_audio")
GENERATED = {"model", "shuffled_audio"}
PIXELS = "uint8 RGB, never rescaled; frame 0 counts like any other"
_CAPTION = ("psnr", "ssim", "wer", "mouth_correlation")
_MADE_OF = "made_of.json"


def evaluate_run(
    config: Config,
    workdir: str,
    data_dir: str | None,
    split: str,
    rows: Sequence[str] = ROWS,
    by: MetricSuite | None = None,
) -> tuple[dict[str, Any], epath.Path]:
    """Scores a run's best checkpoint on a split: `evaluation/<split>` in its workdir; returns what
    its report.json holds, and the folder.

    rows: of the report, among ROWS; without those that a model makes, none is needed. by: what judges,
    in place of what the config names.
    Raises UserError where the workdir holds no checkpoint or a run of another config.
    """
    if unknown := set(rows) - set(ROWS):
        raise UserError(f"--rows has {min(unknown)!r}: give some of {','.join(ROWS)}")
    folder = open_workdir(config, workdir)
    shards = prepare.data_dir(config.data, data_dir)
    clips = dataset.open_dataset(config.data, split, shards)
    made_of = _made_of(config, workdir, rows)
    generate, about, training = None, {}, {}
    if GENERATED & set(rows):
        generate = Animator.load(folder).generate_clips
        about = {"run": folder.name, "checkpoint": str(made_of["checkpoint"])}
        training = {"model": folder / "metrics.jsonl"}
    output = folder / "evaluation" / split
    judging = by or scorers.run_metrics(config, data_dir)
    try:
        result = evaluate(
            clips,
            generate,
            judging,
            output,
            corpus=config.data.corpus,
            split=split,
            rows=rows,
            batch_size=config.eval_batch_size,
            seed=config.seed,
            about=about,
            training=training,
        )
    finally:
        if not by:
            judging.close()
    files.write_atomically(output / _MADE_OF, json.dumps(made_of).encode())  # Last: all is there.
    return result, output


def is_done(
    config: Config, workdir: epath.PathLike, split: str, rows: Sequence[str] = ROWS
) -> bool:
    """Whether `run` would only make again what is there."""
    path = epath.Path(workdir) / "evaluation" / split / _MADE_OF
    return path.exists() and json.loads(path.read_text()) == _made_of(config, workdir, rows)


def _made_of(config: Config, workdir: epath.PathLike, rows: Sequence[str]) -> dict[str, Any]:
    """What an evaluation depends on, beside the shards."""
    judged = {name: _step(path) for name, path in config.readers.items()}
    embedder = dict(config.embedder)
    return {"checkpoint": _step(workdir), "rows": [*rows], "readers": judged, "embedder": embedder}


def _step(workdir: epath.PathLike) -> int | None:
    """Of the best checkpoint; None where there is none."""
    try:
        return find_checkpoint(workdir)[1] if workdir else None
    except UserError:
        return None


def evaluate(
    clips: Sequence,
    generate: Generate | None,
    judge: MetricSuite,
    output: epath.PathLike,
    *,
    corpus: str,
    split: str,
    rows: Sequence[str] = ROWS,
    batch_size: int = 8,
    seed: int = 0,
    samples: int = 8,
    about: Mapping[str, str] | None = None,
    training: Mapping[str, epath.PathLike] | None = None,
) -> dict[str, Any]:
    """Scores a model on `clips` and writes the report's files, figures and sample videos into
    `output`.

    Clips are those of data_pipelines.loading.dataset. generate: None if no row of GENERATED is asked for.
    about: of the model, for the report's conventions. training: as report.write has it. Returns what
    report.json holds.

    Raises:
      UserError: there are no clips.
    """
    if not len(clips):
        raise UserError(f"The split {split!r} of {corpus} has no clips; evaluate another one.")
    known = map(clips.__getitem__, range(len(clips)))
    known = [(clip.speaker, clip.transcript, len(clip)) for clip in known]
    speakers, words, lengths = zip(*known, strict=True)
    partners = shuffled(speakers, words, seed)
    shown = set(_spread_over_speakers(speakers, samples, seed))
    scores, videos, size = {row: {} for row in rows}, {}, ""
    expressions = ExpressionCollector()
    judge.reset()
    for indices in _batches(lengths, batch_size):
        batch = [clips[i] for i in indices]
        others = [clips[partners[i]].audio for i in indices]
        size = "{}x{}".format(*batch[0].frames.shape[1:3])
        for row in rows:
            if generate and row in GENERATED:
                of_row = _generated(row, batch, others, generate, seed, batch_size)
            else:
                of_row = _real(row, batch)
            of_clips = _score(row, batch, of_row, judge, alone=len(clips) == 1)
            scores[row] |= zip(indices, of_clips, strict=True)
            if row != "model":
                continue
            for i, clip, video, scored in zip(indices, batch, of_row, of_clips, strict=True):
                expressions.add(clip.id, clip.speaker, video, scored.curves)
                if i in shown:
                    videos[i] = _sample(output, clip, video, scored)
    conventions = {
        **(about or {}),
        "size": f"{size} pixels, height x width",
        "pixels": PIXELS,
        **judge.conventions,
        "frozen_still": "frame 0 repeated",
        "shuffled_audio": _about(partners, speakers, words),
        "sound": "every row is held against the clip's own sound",
        "silence": "20 dB under the clip's loudest frame",
        "seed": seed,
    }
    in_order = [of_row[i] for of_row in scores.values() for i in range(len(clips))]
    shown_in_order = [videos[i] for i in sorted(videos)]
    drawn = []
    if generate:
        drawn = figures.write_figures(
            output, clips, generate, expressions, batch_size=batch_size, seed=seed
        )
    return write_report(
        output, corpus, split, conventions, in_order, shown_in_order, drawn, training
    )


def shuffled(speakers: Sequence[str], words: Sequence[str], seed: int) -> list[int]:
    """For every clip another one: a permutation without a fixed point, as long as there are two.

    The other clip has other words, and then another speaker, wherever that is possible by
    exchanging two.
    """
    rng, count = np.random.default_rng(seed), len(speakers)
    partners: list[int] = rng.permutation(count).tolist()

    def cost(i: int, j: int) -> int:
        return 100 * (i == j) + 2 * (words[i] == words[j]) + (speakers[i] == speakers[j])

    for _ in range(3):  # The first pass leaves next to nothing to the others.
        for i in range(count):
            if not cost(i, partners[i]):
                continue
            for j in rng.permutation(count)[:500].tolist():
                now = cost(i, partners[i]) + cost(j, partners[j])
                if cost(i, partners[j]) + cost(j, partners[i]) < now:
                    partners[i], partners[j] = partners[j], partners[i]
    return partners


def _batches(lengths: Sequence[int], size: int) -> Iterator[list[int]]:
    """The clips of each batch, of like lengths, and where the evaluation stands."""
    count = len(lengths)
    bar = tqdm.tqdm(total=count, desc="evaluate", unit="clip", disable=not sys.stderr.isatty())
    for number, indices in enumerate(loader.by_length(lengths, size), 1):
        yield indices
        bar.update(len(indices))
        if bar.disable and number % 10 == 0:
            print(f"evaluate: {number * size} of {count} clips", flush=True)
    bar.close()


def _real(row: str, clips: Sequence) -> list[np.ndarray]:
    real = [clip.frames for clip in clips]
    if row == "ground_truth":
        return real
    return [np.broadcast_to(frames[:1], frames.shape) for frames in real]


def _generated(
    row: str,
    clips: Sequence,
    others: Sequence[np.ndarray],
    generate: Generate,
    seed: int,
    size: int,
) -> list[np.ndarray]:
    """The row's video of every clip; `others` are the sounds for shuffled_audio."""
    sounds = [clip.audio for clip in clips]
    if row == "shuffled_audio":
        pairs = zip(others, sounds, strict=True)
        sounds = [sound.fit_length(other, len(own)) for other, own in pairs]
    # Always whole batches, so that the model is compiled once.
    padded = [min(i, len(clips) - 1) for i in range(size)]
    stills = np.stack([clips[i].frames[0] for i in padded])
    videos = generate(stills, [sounds[i] for i in padded], seed)[: len(clips)]
    for clip, video in zip(clips, videos, strict=True):
        if video.shape != clip.frames.shape:
            raise ValueError(f"{row}, {clip.id}: {video.shape} is not {clip.frames.shape}")
    return videos


def _score(
    row: str, clips: Sequence, videos: Sequence[np.ndarray], judge: MetricSuite, alone: bool
) -> list[ClipScores]:
    """alone: there is no other clip in the split."""
    pairs = [VideoPair.from_clip(clip, video) for clip, video in zip(clips, videos, strict=True)]
    if row == "shuffled_audio" and alone:
        scored = [missing_scores(judge.metrics, "there is no other clip whose sound to use")]
    else:
        scored = judge(pairs)
    return [
        ClipScores(row, pair.name, pair.speaker, of.values, of.weights, of.curves)
        for pair, of in zip(pairs, scored, strict=True)
    ]


def _about(partners: Sequence[int], speakers: Sequence[str], words: Sequence[str]) -> str:
    pairs = [(i, j) for i, j in enumerate(partners) if i != j]
    other_speaker = sum(speakers[i] != speakers[j] for i, j in pairs)
    other_words = sum(words[i] != words[j] for i, j in pairs)
    return (
        f"the model driven by another clip's sound: of {len(pairs)}, {other_speaker} by another"
        f" speaker's, {other_words} by other words"
    )


def _spread_over_speakers(speakers: Sequence[str], count: int, seed: int) -> list[int]:
    """`count` clips at random, of as many speakers as there are."""
    nth, seen = {}, collections.Counter()
    for i in np.random.default_rng(seed).permutation(len(speakers)).tolist():
        nth[i] = seen[speakers[i]]
        seen[speakers[i]] += 1
    return sorted(nth, key=lambda i: nth[i])[:count]


def _sample(output: epath.PathLike, clip, video: np.ndarray, scored: ClipScores) -> Sample:
    """Writes the generated video beside the real one, with sound."""
    path = epath.Path(output) / "samples" / f"{file_name(clip.id)}.mp4"
    frames = np.concatenate([video, clip.frames], axis=2)
    writer.write_video(path, frames, clip.fps, clip.audio, clip.audio_rate)
    title = f"{clip.id}: {clip.transcript}" if clip.transcript else clip.id
    values = {name: scored.values[name] for name in _CAPTION if name in scored.values}
    return Sample(title, caption(values), path)
