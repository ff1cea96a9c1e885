"""Evaluation of any folder of videos against a folder of reference videos of the same names."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.ndimage
from etils import epath

from data_pipelines.common import files
from data_pipelines.common.errors import BadClip
from data_pipelines.faces import alignment
from data_pipelines.grid import sentences
from data_pipelines.media import decode
from data_pipelines.media.sound import fit_length
from s2f_jax.config.schema import Config
from s2f_jax.evaluation import scorers
from s2f_jax.evaluation.evaluate import PIXEL_CONVENTION
from s2f_jax.evaluation.score_collector import ScoreCollector, batched, show_progress
from s2f_jax.metrics.faces_in_videos import FaceTrack
from s2f_jax.metrics.scoring import ClipPair, Scores, merge_scores, missing_scores

_SAMPLES = 8  # Videos shown on the report's page.
_BATCH_SIZE = 8  # Videos: what is scored at once, and held in memory.
_SMOOTHING = 7  # Frames; as when the shards' faces are aligned.
_CAPTION_METRICS = ("psnr", "ssim", "wer")


def compare_folders(
    videos_dir: epath.PathLike,
    reference_dir: epath.PathLike,
    output: epath.PathLike,
    config: Config | None = None,
    aligned: bool = False,
) -> dict[str, Any]:
    """Scores the videos of a folder against reference videos of the same name, and writes the report.

    Transcripts are read from NAME.txt beside the reference, or from NAME if it is GRID's code of a
    sentence.

    Args:
      videos_dir: Folder of the videos.
      reference_dir: Folder of the real videos; suffixes may differ.
      output: Folder of the report.
      config: Names the lip reader, sync network and embedder; None: only metrics without networks.
      aligned: Whether every frame shows the canonical face, of the config's size.

    Returns:
      The contents of report.json.

    Raises:
      UserError: A folder is missing or holds no video.
    """
    videos = files.list_videos(videos_dir, "--videos")
    references = files.list_videos(reference_dir, "--reference")
    metrics, aligned_metrics = scorers.video_metrics(config)
    names = sorted(videos.keys() | references.keys())
    corpus = epath.Path(reference_dir).name
    collector = ScoreCollector(output, corpus, "videos")
    samples = 0
    try:
        batches = batched(list(enumerate(names)), _BATCH_SIZE)
        for batch in show_progress(batches, len(names), "video"):
            pairs: dict[int, ClipPair] = {}
            for i, name in batch:
                pair = _read_pair(name, videos.get(name), references.get(name), aligned)
                if isinstance(pair, ClipPair):
                    pairs[i] = pair
                else:
                    reason = missing_scores(metrics.metrics + aligned_metrics.metrics, pair)
                    collector.add("videos", i, name, "", reason)
            scores = _score(list(pairs.values()), metrics, aligned_metrics, config)
            for (i, pair), pair_scores in zip(pairs.items(), scores, strict=True):
                collector.add("videos", i, pair.name, "", pair_scores)
                if samples < _SAMPLES:
                    collector.add_sample(i, pair, pair.name, pair_scores, _CAPTION_METRICS)
                    samples += 1
    finally:
        metrics.close()
    return collector.write(
        {
            "videos": f"{len(videos)} in {epath.Path(videos_dir).name}",
            "reference": f"{len(references)} in {corpus}",
            "pixels": PIXEL_CONVENTION,
            **metrics.conventions,
            **aligned_metrics.conventions,
            "speakers": "unknown",
        }
    )


def _score(
    pairs: Sequence[ClipPair],
    metrics: scorers.MetricSuite,
    aligned_metrics: scorers.MetricSuite,
    config: Config | None,
) -> list[Scores]:
    """Returns the scores of videos as they are, and after their faces are aligned."""
    scores = metrics(pairs) if pairs else []
    if not pairs or not aligned_metrics.scorers:
        return scores
    assert config is not None and metrics.face_tracker is not None
    size = config.data.height, config.data.width
    unaligned = [pair.video for pair in pairs if not pair.aligned]
    # Cached: `metrics` has just tracked the same videos.
    tracks = iter(metrics.face_tracker(unaligned, [True] * len(unaligned)))
    fitted = [pair if pair.aligned else _align(pair, next(tracks), size) for pair in pairs]
    further = iter(aligned_metrics([pair for pair in fitted if isinstance(pair, ClipPair)]))
    missing = aligned_metrics.metrics
    others = [
        next(further) if isinstance(fit, ClipPair) else missing_scores(missing, fit)
        for fit in fitted
    ]
    return [merge_scores(both) for both in zip(scores, others, strict=True)]


def _align(pair: ClipPair, track: FaceTrack | str, size: tuple[int, int]) -> ClipPair | str:
    """Returns the video with its face aligned as in the shards, or the reason why there is none."""
    if isinstance(track, str):
        return track
    paths = track.landmarks.astype(np.float64)
    smoothed = scipy.ndimage.uniform_filter1d(paths, _SMOOTHING, axis=0, mode="nearest")
    frames = [
        alignment.align(frame, alignment.face_transform(points, *size), *size)
        for frame, points in zip(pair.video, np.asarray(smoothed), strict=True)
    ]
    video = np.stack(frames)
    return dataclasses.replace(pair, video=video, real=video, aligned=True)


def _read_pair(
    name: str, video: epath.Path | None, reference: epath.Path | None, aligned: bool
) -> ClipPair | str:
    """Returns the two videos, or the reason why they cannot be compared."""
    if video is None or reference is None:
        folder = "among the videos" if video is None else "in the reference"
        return f"no video of that name {folder}"
    clips = []
    for path, role in ((video, "the video"), (reference, "the reference")):
        try:
            clips.append(decode.decode_clip(path))
        except BadClip as error:
            return f"{role}: {error}"
    generated, real = clips
    if generated.frames.shape[1:] != real.frames.shape[1:]:
        return "another size than the reference"
    if abs(generated.fps - real.fps) > 0.01 * real.fps:
        return "another frame rate than the reference"
    if len(generated.frames) != len(real.frames):
        return "another number of frames than the reference"
    audio, rate = real.audio, real.audio_rate or 16000
    if audio.size:
        audio = fit_length(audio, round(len(real.frames) * rate / real.fps))
    return ClipPair(
        name=name,
        speaker="",
        transcript=_transcript(name, reference),
        video=generated.frames,
        real=real.frames,
        fps=real.fps,
        audio=np.rint(32767 * audio).astype(np.int16),
        audio_rate=rate,
        aligned=aligned,
    )


def _transcript(name: str, reference: epath.Path) -> str:
    text = reference.with_suffix(".txt")
    if text.exists():
        return text.read_text().strip().lower()
    try:
        return " ".join(sentences.words(name))
    except BadClip:
        return ""  # Not GRID's code of a sentence.
