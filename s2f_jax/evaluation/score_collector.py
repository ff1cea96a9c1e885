"""What all evaluations share: batches of clips with their progress, collected scores, one report."""

import collections
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
from etils import epath

from data_pipelines import prepare
from data_pipelines.common.progress import Progress
from data_pipelines.loading import dataset
from data_pipelines.media import writer
from s2f_jax.config.schema import Config
from s2f_jax.metrics.scoring import ClipPair, Scores
from s2f_jax.reports.content import ClipScores, Sample
from s2f_jax.reports.scores import caption, file_name, write_report
from s2f_jax.runs.workdir import open_workdir

Item = TypeVar("Item")


class RunSplit(NamedTuple):
    """A run and the split that it is evaluated on.

    Attributes:
      workdir: The run's folder.
      clips: The split's clips.
      output: Folder of the report, `<workdir>/evaluation/<split>`.
    """

    workdir: epath.Path
    clips: dataset.ClipDataset
    output: epath.Path


def open_run_split(
    config: Config, workdir: str, data_dir: str | None, split: str, features: Collection[str] = ()
) -> RunSplit:
    """Opens a run and the clips of a split.

    Args:
      config: The run's config.
      workdir: The run's folder.
      data_dir: Folder of the shards; None: the default.
      split: Name of the split.
      features: Features to read; empty: all.

    Returns:
      Workdir, clips and report folder.

    Raises:
      UserError: The workdir holds a run of another config, or there are no shards.
    """
    folder = open_workdir(config, workdir)
    shards = prepare.data_dir(config.data, data_dir)
    clips = dataset.open_dataset(config.data, split, shards, features)
    return RunSplit(folder, clips, folder / "evaluation" / split)


def batched(items: Sequence[Item], size: int) -> list[Sequence[Item]]:
    """Splits items into batches; like Python 3.12's itertools.batched.

    Args:
      items: The items.
      size: Items per batch; the last may have fewer.

    Returns:
      The batches, in order.
    """
    return [items[first : first + size] for first in range(0, len(items), size)]


def show_progress(
    batches: Iterable[Sequence[Item]], total: int, unit: str = "clip"
) -> Iterator[Sequence[Item]]:
    """Passes batches through and shows how many of their items are evaluated.

    Args:
      batches: Batches of items.
      total: Number of items in all.
      unit: What an item is, singular.

    Yields:
      The batches.
    """
    with Progress("evaluated", total, unit) as progress:
        for batch in batches:
            yield batch
            progress.update(len(batch))


class ScoreCollector:
    """Collects the scores and sample videos of clips, in any order, and writes their report.

    The report has its rows in the order of their first clip, and the clips in the order of their index.

    Args:
      output: Folder of the report.
      corpus: Name of the corpus.
      split: Name of the split.
    """

    def __init__(self, output: epath.PathLike, corpus: str, split: str):
        self._output, self._corpus, self._split = epath.Path(output), corpus, split
        self._scores = collections.defaultdict[str, dict[int, ClipScores]](dict)
        self._samples: dict[int, Sample] = {}

    def add(self, row: str, index: int, clip: str, speaker: str, scores: Scores) -> None:
        """Adds the scores of one clip in one row.

        Args:
          row: The row's name.
          index: Position of the clip in the report.
          clip: The clip's id.
          speaker: The clip's speaker; empty if unknown.
          scores: Scores of the clip.
        """
        own = ClipScores(row, clip, speaker, scores.values, scores.weights, scores.curves)
        self._scores[row][index] = own

    def add_sample(
        self, index: int, pair: ClipPair, title: str, scores: Scores, metrics: Sequence[str]
    ) -> None:
        """Writes a sample video, generated beside real with audio, for the report's page.

        Args:
          index: Position of the clip in the report.
          pair: The two videos.
          title: Title of the sample.
          scores: The clip's scores.
          metrics: Metrics that are shown.
        """
        path = self._output / "samples" / f"{file_name(pair.name)}.mp4"
        frames = np.concatenate([pair.video, pair.real], axis=2)
        audio = pair.audio if pair.audio.size else None
        writer.write_video(path, frames, pair.fps, audio, pair.audio_rate)
        shown = {name: scores.values[name] for name in metrics if name in scores.values}
        self._samples[index] = Sample(title, caption(shown), path)

    def write(
        self,
        conventions: Mapping[str, Any],
        figures: Sequence[Sample] = (),
        training: Mapping[str, epath.PathLike] | None = None,
    ) -> dict[str, Any]:
        """Writes the report's files.

        Args:
          conventions: Measuring conventions of the report.
          figures: Figures in the report's folder.
          training: Row -> metrics.jsonl of the run behind it.

        Returns:
          The contents of report.json.
        """
        scores = [clips[i] for clips in self._scores.values() for i in sorted(clips)]
        samples = [self._samples[i] for i in sorted(self._samples)]
        return write_report(
            self._output, self._corpus, self._split, conventions, scores, samples, figures, training
        )
