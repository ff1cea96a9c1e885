"""What a metric is given, and what it gives back."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

Score = float | str  # A number, or the reason why there is none.


@dataclasses.dataclass(frozen=True)
class VideoPair:
    """A video, and the real clip that it is held against. The still is the real clip's frame 0."""

    name: str
    speaker: str  # "" where unknown, as the next two.
    transcript: str
    video: np.ndarray  # uint8 [T, H, W, 3] RGB.
    real: np.ndarray  # Of the same shape; the video itself in the row of the ground truth.
    fps: float
    audio: np.ndarray  # int16 [S], the real clip's, as long as its frames; empty: it has none.
    audio_rate: int
    aligned: bool  # Every frame shows the canonical face, as in the shards.
    landmarks: np.ndarray | None = None  # float32 [T, 68, 2], the real clip's, where known.


def pair_of(clip: Any, video: np.ndarray, audio: np.ndarray | None = None) -> VideoPair:
    """A clip of the shards (data_pipelines.loading.dataset) as the real side; audio: another than its own."""
    return VideoPair(
        name=clip.id,
        speaker=clip.speaker,
        transcript=clip.transcript,
        video=video,
        real=clip.frames,
        fps=clip.fps,
        audio=clip.audio if audio is None else audio,
        audio_rate=clip.audio_rate,
        aligned=True,
        landmarks=clip.landmarks,
    )


@dataclasses.dataclass(frozen=True)
class Scores:
    """What one video scored."""

    values: Mapping[str, Score]  # By metric.
    # Of the clip in its row's mean, where it is not 1: words for WER, seconds for blinks a second.
    weights: Mapping[str, float] = dataclasses.field(default_factory=dict)
    # For the plots: "mouth_opening" [T], "sync_distance" [31], "eye_opening" [T], ...
    curves: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)


class Scorer(Protocol):
    """Scores videos in some metrics."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """Each pair has a score, or the reason for none, in every one of them."""
        ...

    @property
    def about(self) -> Mapping[str, str]:
        """For the report's conventions: how, with what, by whom."""
        ...

    def __call__(self, pairs: Sequence[VideoPair]) -> list[Scores]: ...


def merge_scores(parts: Iterable[Scores]) -> Scores:
    """What several instruments say of one video."""
    values, weights, curves = {}, {}, {}
    for part in parts:
        values.update(part.values)
        weights.update(part.weights)
        curves.update(part.curves)
    return Scores(values, weights, curves)


def missing_scores(metrics: Sequence[str], reason: str) -> Scores:
    """No number in any of these, and why."""
    return Scores(dict.fromkeys(metrics, reason))
