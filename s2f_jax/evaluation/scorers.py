"""The scorers of an evaluation, and what takes the place of one whose model is not available.

A scorer that needs nothing but the two videos is a line of s2f_jax/metrics/registry.py; one that
needs a checkpoint is a line of CHECKPOINT_SCORERS, too.
"""

import collections
import os
from collections.abc import Callable, Sequence

from etils import epath

from data_pipelines import prepare
from data_pipelines.common.errors import UserError
from data_pipelines.loading import dataset
from s2f_jax.bundle import shipped
from s2f_jax.config.schema import Config
from s2f_jax.evaluation.lip_reader import LipReader
from s2f_jax.evaluation.sync_scorer import load_sync_scorer
from s2f_jax.metrics import registry
from s2f_jax.metrics.embedders import Embedder
from s2f_jax.metrics.faces_in_videos import FaceTracker
from s2f_jax.metrics.identity import IdentityScorer
from s2f_jax.metrics.landmarks import LandmarkScorer, resolves_mouth
from s2f_jax.metrics.mouth_probe import MouthProbeScorer
from s2f_jax.metrics.scoring import ClipPair, Scorer, Scores, merge_scores, missing_scores
from s2f_jax.metrics.speech import SpeechScorer
from s2f_jax.metrics.sync import SyncScorer


class UnavailableScorer(Scorer):
    """Takes the place of a scorer whose model is not available; the report gives the reason.

    Args:
      metrics: Keys of the metrics that are not measured.
      model: Name of the missing model, such as "lip reader".
      error: The error that says why the model is not available.
    """

    def __init__(self, metrics: tuple[str, ...], model: str, error: UserError):
        self.metrics, self._reason = metrics, f"no {model}"
        self.conventions = {model.replace(" ", "_"): f"none: {error}"}

    def score(self, pair: ClipPair) -> Scores:
        """Returns the reason.

        Args:
          pair: Any pair of clips.

        Returns:
          The reason under each of `metrics`.
        """
        return missing_scores(self.metrics, self._reason)


class MetricSuite:
    """Several scorers as one; each metric has one scorer.

    Args:
      scorers: Scorers in the order of the report's conventions.
      face_tracker: Closed together with the suite.

    Attributes:
      metrics: Keys of all scorers.

    Raises:
      ValueError: Two scorers measure the same metric.
    """

    def __init__(self, scorers: Sequence[Scorer], face_tracker: FaceTracker | None = None):
        counts = collections.Counter(metric for scorer in scorers for metric in scorer.metrics)
        if duplicates := [metric for metric, count in counts.items() if count > 1]:
            raise ValueError(f"two scorers for {duplicates}")
        self.scorers, self.face_tracker = scorers, face_tracker
        self.metrics = tuple(counts)

    @property
    def conventions(self) -> dict[str, str]:
        """Those of all scorers, for the report; some count frames since `reset`."""
        return {key: text for scorer in self.scorers for key, text in scorer.conventions.items()}

    def __call__(self, pairs: Sequence[ClipPair]) -> list[Scores]:
        """Scores videos in all metrics.

        Args:
          pairs: The videos and their references.

        Returns:
          The scores of each, in order.
        """
        by_scorer = [scorer(pairs) for scorer in self.scorers]
        return [merge_scores(scores[i] for scores in by_scorer) for i in range(len(pairs))]

    def reset(self) -> None:
        """Restarts what `conventions` counts, before the next run is scored."""
        for scorer in self.scorers:
            scorer.reset()

    def close(self) -> None:
        """Ends the face tracker's processes."""
        if self.face_tracker:
            self.face_tracker.close()


# Field of config.readers -> its metrics, what it is called, and what makes its scorer.
CHECKPOINT_SCORERS: dict[str, tuple[tuple[str, ...], str, Callable[[str], Scorer]]] = {
    "lips": (SpeechScorer.metrics, "lip reader", lambda p: SpeechScorer(LipReader.load(p))),
    "sync": (SyncScorer.metrics, "sync network", load_sync_scorer),
}


def run_metrics(
    config: Config, data_dir: str | None, face_cache: epath.PathLike | None = None
) -> MetricSuite:
    """Makes the scorers of a run's evaluation, for videos of its own corpus and size.

    Args:
      config: Config of the run.
      data_dir: Folder of the shards; None for the default.
      face_cache: Folder that keeps the faces found in real clips, for other runs on them.

    Returns:
      All scorers that the config names. One whose model is not available says so.
    """
    tracker = FaceTracker(cache_dir=face_cache)
    scorers = _scorers_of_any_size(config, tracker, _landmark_scorers(config, tracker, data_dir))
    return MetricSuite([*scorers, *_checkpoint_scorers(config)], tracker)


def video_metrics(config: Config | None) -> tuple[MetricSuite, MetricSuite]:
    """Makes the scorers of videos from elsewhere.

    Args:
      config: Config whose embedder, lip reader and sync network are used; None for none.

    Returns:
      The scorers of videos as they are, and those of videos aligned to the config's size.
    """
    tracker = FaceTracker()
    scorers = _scorers_of_any_size(config, tracker, [LandmarkScorer(tracker, mouth=True)])
    return MetricSuite(scorers, tracker), MetricSuite(_checkpoint_scorers(config) if config else [])


def _scorers_of_any_size(
    config: Config | None, tracker: FaceTracker, landmark_scorers: Sequence[Scorer]
) -> list[Scorer]:
    """Scorers that take videos as they are, in the order of the report's conventions."""
    return [*registry.array_scorers(), *landmark_scorers, _identity_scorer(config, tracker)]


def _landmark_scorers(config: Config, tracker: FaceTracker, data_dir: str | None) -> list[Scorer]:
    """Landmarks, and the mouth by landmarks or, where they are too coarse, by a probe."""
    if not tracker.problem and resolves_mouth(config.data.height, config.data.width):
        return [LandmarkScorer(tracker, mouth=True)]
    clips: Sequence[dataset.DatasetClip] = []
    try:
        shards = prepare.data_dir(config.data, data_dir)
        clips = dataset.open_dataset(config.data, "train", shards)
    except UserError as error:
        print(f"the mouth's opening is not measured: {error}")
    return [LandmarkScorer(tracker, mouth=False), MouthProbeScorer(clips)]


def _identity_scorer(config: Config | None, tracker: FaceTracker) -> Scorer:
    try:
        return IdentityScorer(Embedder.load(**(config.embedder if config else {})), tracker)
    except UserError as error:
        print(f"ACD is not measured: {error}")
        return UnavailableScorer(IdentityScorer.metrics, "face embedder", error)


def _checkpoint_scorers(config: Config) -> list[Scorer]:
    """Scorers of the checkpoints that a config names, for aligned videos of its size."""
    scorers: list[Scorer] = []
    for field, (metrics, model, load) in CHECKPOINT_SCORERS.items():
        if path := os.fspath(shipped.resolve_network(config.readers[field])):
            try:
                scorers.append(load(path))
            except UserError as error:
                print(f"{', '.join(metrics)} are not measured, there is no {model}: {error}")
                scorers.append(UnavailableScorer(metrics, model, error))
    return scorers
