"""How well a sync network finds the offset of a split's real clips, before it judges generated ones."""

import collections
import sys
from collections.abc import Sequence
from typing import Any

import tqdm
from etils import epath

from data_pipelines import prepare
from data_pipelines.loading import dataset, training_examples
from data_pipelines.media import sound
from s2f_jax.config.schema import Config
from s2f_jax.evaluation.evaluate import shuffled
from s2f_jax.evaluation.sync_scorer import load_sync_scorer
from s2f_jax.metrics import sync
from s2f_jax.metrics.scoring import Score, Scores, VideoPair
from s2f_jax.metrics.sync import SyncScorer
from s2f_jax.reports.scores import ClipScores, write_report
from s2f_jax.runs.workdir import open_workdir

SHIFTS = tuple(range(-5, 6))  # Frames.
_ABOUT = {
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
    """Scores a sync network's best checkpoint on the real clips of a split: what report.json holds,
    and the folder of the report's files, `evaluation/<split>` in its workdir.

    Raises UserError where the workdir holds no checkpoint or a run of another config.
    """
    folder = open_workdir(config, workdir)
    clips = dataset.open_dataset(config.data, split, prepare.data_dir(config.data, data_dir))
    synchrony = load_sync_scorer(folder)
    output = folder / "evaluation" / split
    return evaluate(synchrony, clips, output, config.data.corpus, split, config.seed), output


def evaluate(
    synchrony: SyncScorer,
    clips: Sequence,
    output: epath.PathLike,
    corpus: str,
    split: str,
    seed: int = 0,
) -> dict[str, Any]:
    """Writes the report's files into `output`; returns what report.json holds."""
    known = [(clip.speaker, clip.transcript) for clip in map(clips.__getitem__, range(len(clips)))]
    partners = shuffled([of[0] for of in known], [of[1] for of in known], seed)
    found, scores = collections.Counter(), collections.defaultdict(list)
    bar = tqdm.tqdm(partners, "evaluate", unit="clip", disable=not sys.stderr.isatty())
    for i, partner in enumerate(bar):
        clip = clips[i]
        other = sound.fit_length(clips[partner].audio, len(clip.audio))
        for row, audio in (("ground_truth", clip.audio), ("shuffled_audio", other)):
            (scored,) = synchrony([VideoPair.from_clip(clip, clip.frames, audio)])
            values = {**scored.values, **_shares(scored)}
            if row == "ground_truth":
                values["shift_found"] = _shift_found(synchrony, clip, scored)
                found.update(map(sync.offset, scored.curves.values()))
            scores[row].append(ClipScores(row, clip.id, clip.speaker, values))
    counts = ", ".join(f"{count} clips at {offset}" for offset, count in sorted(found.items()))
    conventions = {**synchrony.conventions, **_ABOUT, "offsets": counts or "none", "seed": seed}
    return write_report(output, corpus, split, conventions, sum(scores.values(), []))


def _shares(scored: Scores) -> dict[str, Score]:
    """1 or 0, or the reason why there is no distance."""
    curve, why = scored.curves.get("sync_distance"), scored.values["sync_distance"]
    if curve is None:
        return {"offset_0": why, "offset_within_1": why}
    found = abs(sync.offset(curve))
    return {"offset_0": float(found == 0), "offset_within_1": float(found <= 1)}


def _shift_found(synchrony: SyncScorer, clip: dataset.DatasetClip, scored: Scores) -> Score:
    """Of the shifts, the share that is found."""
    if not scored.curves:
        return scored.values["sync_distance"]
    seen, right = synchrony.encode_video(clip.frames), 0
    for shift in SHIFTS:
        early = training_examples.cut_audio(clip.audio, shift, len(clip), clip.stride, clip.stride)
        curve = sync.lag_distances(seen, synchrony.encode_audio(early, len(clip))).mean(axis=0)
        right += sync.offset(curve) == shift
    return right / len(SHIFTS)
