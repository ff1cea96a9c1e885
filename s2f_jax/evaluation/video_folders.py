"""Any two folders of videos, held against each other."""

import dataclasses
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.ndimage
import tqdm
from etils import epath

from data_pipelines.common import files
from data_pipelines.common.errors import BadClip
from data_pipelines.faces import alignment
from data_pipelines.grid import sentences
from data_pipelines.media import decode, writer
from data_pipelines.media.sound import fit_length
from s2f_jax.config.schema import Config
from s2f_jax.evaluation import scorers
from s2f_jax.evaluation.evaluate import PIXELS
from s2f_jax.evaluation.scorers import MetricSuite
from s2f_jax.metrics.faces_in_videos import FaceTrack
from s2f_jax.metrics.scoring import Scores, VideoPair, merge_scores, missing_scores
from s2f_jax.reports.scores import ClipScores, Sample, caption, file_name, write_report

_SAMPLES = 8
_AT_ONCE = 8  # Videos: what is batched, and what is held in memory.
_SMOOTHING = 7  # Frames, as the shards' alignment.


def compare(
    videos_dir: epath.PathLike,
    reference_dir: epath.PathLike,
    output: epath.PathLike,
    config: Config | None = None,
    aligned: bool = False,
) -> dict[str, Any]:
    """Scores the videos of one folder against those of the same name (without the suffix) in
    another; writes the report's files into `output`, and returns what report.json holds.

    config: whose readers and embedder to use; without one, what needs no reader is scored.
    aligned: every frame shows the canonical face, of the config's size. What was said is in
    NAME.txt beside the reference, or in NAME where it is GRID's code for a sentence.

    Raises:
      UserError: a folder is missing or has no video in it.
    """
    found, reference = (
        files.videos_in(videos_dir, "--videos"),
        files.videos_in(reference_dir, "--reference"),
    )
    as_they_are, once_aligned = scorers.video_metrics(config)
    metrics = as_they_are.metrics + once_aligned.metrics
    names = sorted(found.keys() | reference.keys())
    scored: dict[str, Scores] = {}
    samples: list[Sample] = []
    bar = tqdm.tqdm(
        total=len(names), desc="evaluate", unit="video", disable=not sys.stderr.isatty()
    )
    try:
        for first in range(0, len(names), _AT_ONCE):
            pairs = []
            for name in names[first : first + _AT_ONCE]:
                pair = _pair(name, found.get(name), reference.get(name), aligned)
                if isinstance(pair, VideoPair):
                    pairs.append(pair)
                else:
                    scored[name] = missing_scores(metrics, pair)
            of_pairs = _judge(pairs, as_they_are, once_aligned, config)
            for pair, of_pair in zip(pairs, of_pairs, strict=True):
                scored[pair.name] = of_pair
                if len(samples) < _SAMPLES:
                    samples.append(_sample(epath.Path(output), pair, of_pair))
            bar.update(min(_AT_ONCE, len(names) - first))
    finally:
        bar.close()
        as_they_are.close()
    scores = [
        ClipScores("videos", name, "", of.values, of.weights, of.curves)
        for name, of in ((name, scored[name]) for name in names)
    ]
    conventions = {
        "videos": f"{len(found)} in {epath.Path(videos_dir).name}",
        "reference": f"{len(reference)} in {epath.Path(reference_dir).name}",
        "pixels": PIXELS,
        **as_they_are.conventions,
        **once_aligned.conventions,
        "speakers": "unknown: the intervals are over clips alone, and so too narrow",
    }
    corpus = epath.Path(reference_dir).name
    return write_report(output, corpus, "videos", conventions, scores, samples)


def _judge(
    pairs: Sequence[VideoPair],
    as_they_are: MetricSuite,
    once_aligned: MetricSuite,
    config: Config | None,
) -> list[Scores]:
    if not pairs:
        return []
    of_both = as_they_are(pairs)
    if not once_aligned.scorers:
        return of_both
    assert config is not None and as_they_are.face_tracker is not None
    size = config.data.height, config.data.width
    unaligned = [pair.video for pair in pairs if not pair.aligned]
    tracks = iter(
        as_they_are.face_tracker(unaligned, [True] * len(unaligned))
    )  # Found a moment ago.
    fit = [pair if pair.aligned else _aligned(pair, next(tracks), size) for pair in pairs]
    of_fit = iter(once_aligned([pair for pair in fit if isinstance(pair, VideoPair)]))
    return [
        merge_scores(
            [
                before,
                next(of_fit)
                if isinstance(pair, VideoPair)
                else missing_scores(once_aligned.metrics, pair),
            ]
        )
        for pair, before in zip(fit, of_both, strict=True)
    ]


def _aligned(pair: VideoPair, found: FaceTrack | str, size: tuple[int, int]) -> VideoPair | str:
    """The video's face as the shards have faces, or why there is none to be had."""
    if isinstance(found, str):
        return found
    steadied = scipy.ndimage.uniform_filter1d(
        found.landmarks.astype(np.float64), _SMOOTHING, axis=0, mode="nearest"
    )
    frames = [
        alignment.align(frame, alignment.face_transform(points, *size), *size)
        for frame, points in zip(pair.video, np.asarray(steadied), strict=True)
    ]
    video = np.stack(frames)
    return dataclasses.replace(pair, video=video, real=video, aligned=True)


def _pair(
    name: str, video: epath.Path | None, reference: epath.Path | None, aligned: bool
) -> VideoPair | str:
    """The two, or the reason why they cannot be held against each other."""
    if video is None or reference is None:
        where = "among the videos" if video is None else "in the reference"
        return f"no video of that name {where}"
    clips = []
    for path, what in ((video, "the video"), (reference, "the reference")):
        try:
            clips.append(decode.decode_clip(path))
        except BadClip as error:
            return f"{what}: {error}"
    generated, real = clips
    if generated.frames.shape[1:] != real.frames.shape[1:]:
        return "another size than the reference"
    if abs(generated.fps - real.fps) > 0.01 * real.fps:
        return "another frame rate than the reference"
    if len(generated.frames) != len(real.frames):
        return "another number of frames than the reference"
    sound, rate = real.audio, real.audio_rate or 16000
    if sound.size:
        sound = fit_length(sound, round(len(real.frames) * rate / real.fps))
    return VideoPair(
        name=name,
        speaker="",
        transcript=_said(name, reference),
        video=generated.frames,
        real=real.frames,
        fps=real.fps,
        audio=np.rint(32767 * sound).astype(np.int16),
        audio_rate=rate,
        aligned=aligned,
    )


def _said(name: str, reference: epath.Path) -> str:
    """What is said in a video; empty where nobody tells."""
    beside = reference.with_suffix(".txt")
    if beside.exists():
        return beside.read_text().strip().lower()
    try:
        return " ".join(sentences.words(name))
    except BadClip:
        return ""


def _sample(output: epath.Path, pair: VideoPair, scored: Scores) -> Sample:
    path = output / "samples" / f"{file_name(pair.name)}.mp4"
    frames = np.concatenate([pair.video, pair.real], axis=2)
    audio = pair.audio if pair.audio.size else None
    writer.write_video(path, frames, pair.fps, audio, pair.audio_rate)
    shown = {name: scored.values[name] for name in ("psnr", "ssim", "wer") if name in scored.values}
    return Sample(pair.name, caption(shown), path)
