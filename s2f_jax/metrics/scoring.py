"""The types that all metrics share: what a scorer measures, what it is given, what it returns."""

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from data_pipelines.loading.dataset import DatasetClip

Score = float | str  # A number, or the reason why there is none.

# Bounds of a metric's means.
NOT_NEGATIVE = (0.0, math.inf)
SHARE = (0.0, 1.0)
CORRELATION = (-1.0, 1.0)


@dataclasses.dataclass(frozen=True)
class Metric:
    """Describes one metric, for the tables and charts of reports.

    Attributes:
      key: Name in report.json and clips.csv.
      title: Heading of its column and chart.
      description: One line for readers of the page.
      better: The better values: "higher", "lower", "one" (nearest to 1), or "" for neither.
      decimals: Digits after the decimal point.
      unit: Shown after the title.
      group: LaTeX table that it belongs to, one of registry.GROUPS.
      anchors: Values that its chart always shows.
      bounds: Lowest and highest possible value of a mean; an interval ends there.
    """

    key: str
    title: str
    description: str = ""
    better: str = ""
    decimals: int = 2
    unit: str = ""
    group: str = "other"
    anchors: tuple[float, ...] = ()
    bounds: tuple[float, float] = (-math.inf, math.inf)


@dataclasses.dataclass(frozen=True)
class ClipPair:
    """A video to score and the real clip to compare it with, whose frame 0 is the still.

    Attributes:
      name: Name of the clip.
      speaker: "" where unknown.
      transcript: Text; "" where unknown.
      video: uint8 [T, H, W, 3] RGB.
      real: uint8 [T, H, W, 3] RGB; the video itself in the row of the ground truth.
      fps: Frames per second of both.
      audio: int16 [S], the real clip's, as long as its frames; empty where it has none.
      audio_rate: Sampling rate in Hz.
      aligned: Whether every frame shows the canonical face, as in the shards.
      landmarks: float32 [T, 68, 2], the real clip's in pixels, where known.
    """

    name: str
    speaker: str
    transcript: str
    video: np.ndarray
    real: np.ndarray
    fps: float
    audio: np.ndarray
    audio_rate: int
    aligned: bool
    landmarks: np.ndarray | None = None

    @classmethod
    def from_clip(
        cls, clip: DatasetClip, video: np.ndarray, audio: np.ndarray | None = None
    ) -> "ClipPair":
        """Pairs a video with a clip of the shards.

        Args:
          clip: The real side.
          video: uint8 [T, H, W, 3] RGB, of the clip's shape.
          audio: int16 [S] to use in place of the clip's own.

        Returns:
          The pair.
        """
        return cls(
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
    """Scores of one video.

    Attributes:
      values: Metric key -> number, or reason why there is none.
      weights: Metric key -> the clip's weight in its row's mean, where it is not 1: words for WER,
        seconds for blinks per second.
      curves: Series for the plots: "mouth_opening" [T], "sync_distance" [31], "eye_opening" [T], ...
    """

    values: Mapping[str, Score]
    weights: Mapping[str, float] = dataclasses.field(default_factory=dict)
    curves: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)


class Scorer:
    """Scores videos in one or several metrics; the base class of all scorers.

    A subclass overrides `score`, or `__call__` where it scores a batch at once.

    Attributes:
      metrics: Keys. Every pair gets a number, or the reason for none, under each of them.
      conventions: Entries for the report's conventions: how and with which model was measured.
    """

    metrics: tuple[str, ...] = ()
    conventions: Mapping[str, str] = {}

    def score(self, pair: ClipPair) -> Scores:
        """Scores one video.

        Args:
          pair: The video and its reference.

        Returns:
          A value for each of `metrics`.
        """
        raise NotImplementedError

    def __call__(self, pairs: Sequence[ClipPair]) -> list[Scores]:
        """Scores videos of any sizes and lengths.

        Args:
          pairs: The videos and their references.

        Returns:
          The scores of each, in order.
        """
        return [self.score(pair) for pair in pairs]

    def reset(self) -> None:
        """Restarts what `conventions` counts, before the next run is scored."""


def merge_scores(parts: Iterable[Scores]) -> Scores:
    """Merges what several scorers return for one video.

    Args:
      parts: Scores with distinct keys.

    Returns:
      One with all of them.
    """
    values, weights, curves = {}, {}, {}
    for part in parts:
        values.update(part.values)
        weights.update(part.weights)
        curves.update(part.curves)
    return Scores(values, weights, curves)


def missing_scores(metrics: Sequence[str], reason: str) -> Scores:
    """Makes the scores of a video that could not be scored.

    Args:
      metrics: Keys.
      reason: Why there is no number.

    Returns:
      The reason under each key.
    """
    return Scores(dict.fromkeys(metrics, reason))
