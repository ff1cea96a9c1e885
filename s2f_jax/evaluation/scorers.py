"""The scorers of an evaluation: one factory for each kind of model or input that scorers need.

A scorer that needs nothing but the two videos is a line of s2f_jax/metrics/registry.py; one that
needs more is a factory here, in ANY_VIDEO or ALIGNED_VIDEO.
"""

import collections
import dataclasses
from collections.abc import Callable, Sequence

from etils import epath

from data_pipelines import prepare
from data_pipelines.common.errors import UserError
from data_pipelines.loading import dataset
from s2f_jax.config.schema import Config
from s2f_jax.evaluation import lip_reader
from s2f_jax.evaluation.sync_scorer import load_sync_scorer
from s2f_jax.metrics import registry
from s2f_jax.metrics.embedders import Embedder
from s2f_jax.metrics.faces_in_videos import FaceTracker
from s2f_jax.metrics.identity import IdentityScorer
from s2f_jax.metrics.landmarks import LandmarkScorer, resolves_mouth
from s2f_jax.metrics.motion import MouthProbeScorer
from s2f_jax.metrics.scoring import Scorer, Scores, VideoPair, merge_scores, missing_scores
from s2f_jax.metrics.speech import SpeechScorer
from s2f_jax.metrics.sync import SyncScorer


class UnavailableScorer(Scorer):
    """Takes the place of a scorer whose model is not available; the report gives the reason.

    Args:
      metrics: Keys of the metrics that are not measured.
      model: What is missing: "lip reader".
      error: Why.
    """

    def __init__(self, metrics: tuple[str, ...], model: str, error: UserError):
        self.metrics, self._reason = metrics, f"no {model}"
        self.conventions = {model.replace(" ", "_"): f"none: {error}"}

    def score(self, pair: VideoPair) -> Scores:
        """Returns the reason.

        Args:
          pair: Any.

        Returns:
          The reason under each of `metrics`.
        """
        del pair
        return missing_scores(self.metrics, self._reason)


class MetricSuite:
    """Several scorers as one; each metric has one scorer.

    Args:
      scorers: In the order of the report's conventions.
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

    def __call__(self, pairs: Sequence[VideoPair]) -> list[Scores]:
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


@dataclasses.dataclass(frozen=True)
class Resources:
    """What factories make scorers from.

    Attributes:
      config: Whose models are used; None where videos are scored without a config.
      face_tracker: Shared by all scorers.
      own_videos: Whether the videos are of the config's corpus and size.
      data_dir: Of the shards; None for the default.
    """

    config: Config | None
    face_tracker: FaceTracker
    own_videos: bool
    data_dir: str | None = None


Factory = Callable[[Resources], list[Scorer]]


def _array_scorers(resources: Resources) -> list[Scorer]:
    del resources
    return registry.array_scorers()


def _landmark_scorers(resources: Resources) -> list[Scorer]:
    """Landmarks, and the mouth by landmarks or, where they are too coarse, by a probe."""
    config, tracker = resources.config, resources.face_tracker
    if config is None or not resources.own_videos:
        return [LandmarkScorer(tracker, mouth=True)]
    mouth = not tracker.problem and resolves_mouth(config.data.height, config.data.width)
    scorers: list[Scorer] = [LandmarkScorer(tracker, mouth=mouth)]
    if not mouth:
        scorers.append(MouthProbeScorer(_train_clips(config, resources.data_dir)))
    return scorers


def _identity_scorers(resources: Resources) -> list[Scorer]:
    options = resources.config.embedder if resources.config else {}
    try:
        return [IdentityScorer(Embedder.load(**options), resources.face_tracker)]
    except UserError as error:
        print(f"ACD is not measured: {error}")
        return [UnavailableScorer(IdentityScorer.metrics, "face embedder", error)]


def _lip_reader_scorers(resources: Resources) -> list[Scorer]:
    return _checkpoint_scorers(
        resources.config and resources.config.readers.lips,
        SpeechScorer.metrics,
        "lip reader",
        lambda path: SpeechScorer(lip_reader.LipReader.load(path)),
    )


def _sync_scorers(resources: Resources) -> list[Scorer]:
    return _checkpoint_scorers(
        resources.config and resources.config.readers.sync,
        SyncScorer.metrics,
        "sync network",
        load_sync_scorer,
    )


# In the order of the report's conventions.
ANY_VIDEO: tuple[Factory, ...] = (_array_scorers, _landmark_scorers, _identity_scorers)
ALIGNED_VIDEO: tuple[Factory, ...] = (_lip_reader_scorers, _sync_scorers)


def run_metrics(
    config: Config, data_dir: str | None, face_cache: epath.PathLike | None = None
) -> MetricSuite:
    """Makes the scorers of a run's evaluation, for videos of its own corpus and size.

    Args:
      config: Of the run.
      data_dir: Of the shards; None for the default.
      face_cache: Folder that keeps the faces found in real clips, for other runs on them.

    Returns:
      All scorers that the config names. One whose model is not available says so.
    """
    tracker = FaceTracker(cache_dir=face_cache)
    resources = Resources(config, tracker, own_videos=True, data_dir=data_dir)
    return MetricSuite(_make(ANY_VIDEO + ALIGNED_VIDEO, resources), tracker)


def video_metrics(config: Config | None) -> tuple[MetricSuite, MetricSuite]:
    """Makes the scorers of videos from elsewhere.

    Args:
      config: Whose embedder, lip reader and sync network are used; None for none.

    Returns:
      The scorers of videos as they are, and those of videos aligned to the config's size.
    """
    tracker = FaceTracker()
    resources = Resources(config, tracker, own_videos=False)
    return (
        MetricSuite(_make(ANY_VIDEO, resources), tracker),
        MetricSuite(_make(ALIGNED_VIDEO, resources)),
    )


def _make(factories: Sequence[Factory], resources: Resources) -> list[Scorer]:
    return [scorer for factory in factories for scorer in factory(resources)]


def _checkpoint_scorers(
    path: str | None, metrics: tuple[str, ...], model: str, load: Callable[[str], Scorer]
) -> list[Scorer]:
    """The scorer of a checkpoint; none where the config names no checkpoint."""
    if not path:
        return []
    try:
        return [load(path)]
    except UserError as error:
        print(f"{', '.join(metrics)} are not measured, there is no {model}: {error}")
        return [UnavailableScorer(metrics, model, error)]


def _train_clips(config: Config, data_dir: str | None) -> Sequence[dataset.DatasetClip]:
    try:
        return dataset.open_dataset(config.data, "train", prepare.data_dir(config.data, data_dir))
    except UserError as error:
        print(f"the mouth's opening is not measured: {error}")
        return []
