"""What an evaluation judges by: an instrument for each family of metrics, or why there is none."""

import collections
from collections.abc import Sequence

from etils import epath

from data_pipelines import prepare
from data_pipelines.common.errors import UserError
from data_pipelines.loading import dataset
from s2f_jax.config.schema import Config
from s2f_jax.evaluation import lip_reader
from s2f_jax.evaluation.sync_scorer import load_sync_scorer
from s2f_jax.metrics.embedders import Embedder
from s2f_jax.metrics.faces_in_videos import FaceTracker
from s2f_jax.metrics.identity import IdentityScorer
from s2f_jax.metrics.landmarks import LandmarkScorer, resolves_mouth
from s2f_jax.metrics.motion import MouthProbeScorer
from s2f_jax.metrics.pictures import ImageScorer
from s2f_jax.metrics.scoring import Scorer, Scores, VideoPair, merge_scores, missing_scores
from s2f_jax.metrics.speech import SpeechScorer
from s2f_jax.metrics.sync import SyncScorer


class UnavailableScorer:
    """In the place of an instrument that could not be had: the report says why."""

    def __init__(self, metrics: tuple[str, ...], what: str, why: UserError):
        self.metrics, self._reason = metrics, f"no {what}"
        self.about = {what.replace(" ", "_"): f"none: {why}"}

    def __call__(self, pairs: Sequence[VideoPair]) -> list[Scores]:
        return [missing_scores(self.metrics, self._reason) for _ in pairs]


class MetricSuite:
    """Instruments as one; each metric has one instrument."""

    def __init__(self, instruments: Sequence[Scorer], faces: FaceTracker | None = None):
        """faces: whose processes are to end with these."""
        metrics = collections.Counter(name for each in instruments for name in each.metrics)
        if twice := [name for name, count in metrics.items() if count > 1]:
            raise ValueError(f"two instruments for {twice}")
        self.instruments, self.faces = instruments, faces
        self.metrics = tuple(metrics)

    @property
    def about(self) -> dict[str, str]:
        """Some count what they could not see, since `begin`."""
        return {name: text for each in self.instruments for name, text in each.about.items()}

    def __call__(self, pairs: Sequence[VideoPair]) -> list[Scores]:
        if not self.instruments:
            return [Scores({}) for _ in pairs]
        of_each = [instrument(pairs) for instrument in self.instruments]
        return [merge_scores(parts) for parts in zip(*of_each, strict=True)]

    def begin(self) -> None:
        """What `about` counts begins anew: another run is judged."""
        for each in self.instruments:
            if isinstance(each, LandmarkScorer):
                each.begin()

    def close(self) -> None:
        if self.faces:
            self.faces.close()


def run_metrics(
    config: Config, data_dir: str | None, kept: epath.PathLike | None = None
) -> MetricSuite:
    """All that a config has for videos of its own corpus and size.

    kept: a folder that remembers the faces found in real clips, for other runs on them. What cannot
    be had is said, and its metrics have no score.
    """
    faces = FaceTracker(cache=kept)
    by_landmarks = not faces.problem and resolves_mouth(config.data.height, config.data.width)
    instruments: list[Scorer] = [ImageScorer(), LandmarkScorer(faces, mouth=by_landmarks)]
    if not by_landmarks:
        instruments.append(MouthProbeScorer(_train_clips(config, data_dir)))
    return MetricSuite([*instruments, _identity(config, faces), *_readers(config)], faces)


def video_metrics(config: Config | None) -> tuple[MetricSuite, MetricSuite]:
    """For videos that come from elsewhere: what takes them as they are, and what takes them once
    they are aligned to a config's size, the readers."""
    faces = FaceTracker()
    as_they_are = [ImageScorer(), LandmarkScorer(faces, mouth=True), _identity(config, faces)]
    return MetricSuite(as_they_are, faces), MetricSuite(_readers(config) if config else [])


def _identity(config: Config | None, faces: FaceTracker) -> Scorer:
    try:
        return IdentityScorer(Embedder.load(**(config.embedder if config else {})), faces)
    except UserError as why:
        print(f"ACD is not measured: {why}")
        return UnavailableScorer(IdentityScorer.metrics, "face embedder", why)


def _readers(config: Config) -> list[Scorer]:
    """Those that the config names."""
    found = []
    for path, metrics, what, load in (
        (
            config.readers.lips,
            SpeechScorer.metrics,
            "lip reader",
            lambda path: SpeechScorer(lip_reader.LipReader.load(path)),
        ),
        (config.readers.sync, SyncScorer.metrics, "sync network", load_sync_scorer),
    ):
        if not path:
            continue
        try:
            found.append(load(path))
        except UserError as why:
            print(f"{', '.join(metrics)} are not measured, there is no {what}: {why}")
            found.append(UnavailableScorer(metrics, what, why))
    return found


def _train_clips(config: Config, data_dir: str | None) -> Sequence:
    try:
        return dataset.open_dataset(config.data, "train", prepare.data_dir(config.data, data_dir))
    except UserError as missing:
        print(f"the mouth's opening is not measured: {missing}")
        return []
