"""Evaluation of a sync network: whether it finds the offsets of real clips, before it scores others."""

import collections
from collections.abc import Sequence
from typing import Any

from etils import epath

from data_pipelines.common.progress import track
from data_pipelines.loading import training_examples
from data_pipelines.loading.dataset import DatasetClip
from data_pipelines.media import sound
from s2f_jax.config.schema import Config
from s2f_jax.evaluation.evaluate import shuffled_partners
from s2f_jax.evaluation.score_collector import ScoreCollector, open_run_split
from s2f_jax.evaluation.sync_scorer import load_sync_scorer
from s2f_jax.metrics import sync
from s2f_jax.metrics.scoring import ClipPair, Score, Scores

SHIFTS = tuple(range(-5, 6))  # Frames.
_CONVENTIONS = {
    "offset_0": "share of the clips whose offset is 0, whatever the confidence",
    "offset_within_1": "share of the clips whose offset is -1, 0 or 1, likewise",
    "shift_found": (
        f"the sound {SHIFTS[0]} to {SHIFTS[-1]} frames early, silence moved in: share of these"
        f" {len(SHIFTS)} whose offset is the shift"
    ),
    "shuffled_audio": "the same clips with another clip's sound",
}


def evaluate_sync_network(
    config: Config, workdir: str, data_dir: str | None, split: str
) -> tuple[dict[str, Any], epath.Path]:
    """Scores a sync network's best checkpoint on the real clips of a split.

    Args:
      config: The run's config.
      workdir: The run's folder.
      data_dir: Folder of the shards; None: the default.
      split: Name of the split.

    Returns:
      The contents of report.json, and the report's folder.

    Raises:
      UserError: The workdir holds no checkpoint or a run of another config.
    """
    folder, clips, output = open_run_split(config, workdir, data_dir, split)
    scorer = load_sync_scorer(folder)
    return evaluate(scorer, clips, output, config.data.corpus, split, config.seed), output


def evaluate(
    scorer: sync.SyncScorer,
    clips: Sequence[DatasetClip],
    output: epath.PathLike,
    corpus: str,
    split: str,
    seed: int = 0,
) -> dict[str, Any]:
    """Scores a sync network on real clips and writes the report.

    Args:
      scorer: The sync network.
      clips: The clips of a split.
      output: Folder of the report.
      corpus: Name of the corpus.
      split: Name of the split.
      seed: Seed of the shuffled audio.

    Returns:
      The contents of report.json.
    """
    infos = [(clip.speaker, clip.transcript) for clip in map(clips.__getitem__, range(len(clips)))]
    partners = shuffled_partners([info[0] for info in infos], [info[1] for info in infos], seed)
    offsets, collector = collections.Counter(), ScoreCollector(output, corpus, split)
    for i in track(range(len(clips)), "evaluated", "clip"):
        clip = clips[i]
        other = sound.fit_length(clips[partners[i]].audio, len(clip.audio))
        for row, audio in (("ground_truth", clip.audio), ("shuffled_audio", other)):
            scores = scorer.score(ClipPair.from_clip(clip, clip.frames, audio))
            values = {**scores.values, **_offset_shares(scores)}
            if row == "ground_truth":
                values["shift_found"] = _share_of_shifts_found(scorer, clip, scores)
                offsets.update(map(sync.offset, scores.curves.values()))
            collector.add(row, i, clip.id, clip.speaker, Scores(values))
    counts = ", ".join(f"{count} clips at {offset}" for offset, count in sorted(offsets.items()))
    own = {"offsets": counts or "none", "seed": seed}
    return collector.write({**scorer.conventions, **_CONVENTIONS, **own})


def _offset_shares(scores: Scores) -> dict[str, Score]:
    """Returns 1 or 0 for each, or the reason why there is no distance."""
    curve, reason = scores.curves.get("sync_distance"), scores.values["sync_distance"]
    if curve is None:
        return {"offset_0": reason, "offset_within_1": reason}
    offset = abs(sync.offset(curve))
    return {"offset_0": float(offset == 0), "offset_within_1": float(offset <= 1)}


def _share_of_shifts_found(scorer: sync.SyncScorer, clip: DatasetClip, scores: Scores) -> Score:
    if not scores.curves:
        return scores.values["sync_distance"]
    codes, correct = scorer.encode_video(clip.frames), 0
    for shift in SHIFTS:
        early = training_examples.cut_audio(clip.audio, shift, len(clip), clip.stride, clip.stride)
        curve = sync.lag_distances(codes, scorer.encode_audio(early, len(clip))).mean(axis=0)
        correct += sync.offset(curve) == shift
    return correct / len(SHIFTS)
