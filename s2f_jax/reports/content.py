"""The content of a report: scores of clips, sample videos and figures."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from etils import epath

from s2f_jax.metrics.scoring import Score


@dataclasses.dataclass(frozen=True)
class ClipScores:
    """Scores of one clip in one row.

    Attributes:
      row: Key of the row.
      clip: Name.
      speaker: "" where unknown.
      values: Metric key -> number, or the reason why there is none.
      weights: Metric key -> the clip's weight in its row's mean, where it is not 1.
      curves: Series for the plots, as in metrics.scoring.Scores; stored as float32.
      run: Of which of the row's runs, trained with several seeds; "" where it has one.
    """

    row: str
    clip: str
    speaker: str
    values: Mapping[str, Score]
    weights: Mapping[str, float] = dataclasses.field(default_factory=dict)
    curves: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    run: str = ""


@dataclasses.dataclass(frozen=True)
class Sample:
    """A video for the page, generated beside real, or a figure.

    Attributes:
      title: Heading.
      note: Caption.
      path: An mp4, or of a figure a PNG, in the report's folder.
    """

    title: str
    note: str
    path: epath.PathLike


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Content of a report: what `write_report` is given and `read_report` returns.

    Attributes:
      corpus: Name.
      split: Name.
      conventions: Measuring conventions of the report.
      scores: Scores of every clip in every row.
      samples: Videos.
      figures: Images.
    """

    corpus: str
    split: str
    conventions: Mapping[str, Any]
    scores: Sequence[ClipScores]
    samples: Sequence[Sample] = ()
    figures: Sequence[Sample] = ()
