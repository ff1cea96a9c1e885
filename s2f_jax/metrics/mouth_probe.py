"""A probe that reads the mouth's opening off the pixels around it, for faces too small for landmarks."""

import dataclasses
from collections.abc import Sequence

import cv2
import numpy as np

from data_pipelines.faces.boxes import mouth_box
from data_pipelines.faces.measures import mouth_opening
from data_pipelines.loading.dataset import DatasetClip
from s2f_jax.metrics import motion
from s2f_jax.metrics.scoring import ClipPair, Scorer, Scores, missing_scores

NO_PROBE = "no training clips to fit the mouth's probe on"
NOT_ALIGNED = "not aligned to the canonical face"
MISREAD = "the probe misreads this speaker's real mouth"

# Cells of the mouth box. Finer ones read unseen real speakers no better (GRID: correlation 0.93
# against 0.92), and blurred frames worse.
_GRID = (11, 10)  # Columns, rows.
_RIDGES = 10.0 ** np.arange(-4, 2.5, 0.5)  # Relative to unit variance of every cell.
_FOLDS = 4  # Of the training speakers, each held out once.


@dataclasses.dataclass(frozen=True)
class MouthProbe:
    """Linear regression of the mouth's opening from the pixels around it.

    Attributes:
      weights: float64 [cells].
      bias: Intercept.
      ridge: Strength of the regularization, chosen by cross-validation.
      correlation: Correlation with the landmarks' m on held-out clips, mean over clips.
      worst: Lowest correlation of a held-out clip.
      clips: Number of clips it was fitted on.
      speakers: Number of speakers it was fitted on.
      held_out: What the correlation was measured on.
    """

    weights: np.ndarray
    bias: float
    ridge: float
    correlation: float
    worst: float
    clips: int
    speakers: int
    held_out: str

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        """Reads the mouth's opening.

        Args:
          frames: uint8 [T, H, W, 3], aligned faces of any size.

        Returns:
          m, float64 [T].
        """
        return _mouth_cells(frames) @ self.weights + self.bias


def fit_mouth_probe(clips: Sequence[DatasetClip], max_clips: int = 240) -> MouthProbe:
    """Fits a ridge regression of m on the mouth's pixels.

    The ridge is the one that reads held-out speakers best, each held out once (clips, where there
    is one speaker only); with it the probe is fitted on all clips.

    Args:
      clips: Training clips; those without landmarks or movement are skipped.
      max_clips: Evenly spaced ones are used of more.

    Returns:
      The probe.

    Raises:
      ValueError: There are fewer than two clips with landmarks and a mouth that moves.
    """
    chosen = np.unique(np.linspace(0, len(clips) - 1, min(max_clips, len(clips))).round())
    speakers, cells, openings = [], [], []
    for i in chosen.astype(int):
        clip = clips[i]
        m = mouth_opening(clip.landmarks)
        if np.isfinite(m).all() and motion.spread(m):
            speakers.append(clip.speaker)
            cells.append(_mouth_cells(clip.frames))
            openings.append(m)
    if len(openings) < 2:
        raise ValueError(f"{len(openings)} of {len(chosen)} clips have a mouth to learn from")
    data = list(zip(cells, openings, strict=True))
    folds, held_out = _folds(speakers)
    correlations = np.zeros((len(_RIDGES), len(data)))
    for fold in np.unique(folds):
        training = [data[i] for i in np.flatnonzero(folds != fold)]
        for ridge, (weights, bias) in enumerate(_ridge_solutions(training)):
            for i in np.flatnonzero(folds == fold):
                x, m = data[i]
                correlations[ridge, i] = motion.pearson(x @ weights + bias, m)
    best = int(np.argmax(correlations.mean(axis=1)))
    weights, bias = _ridge_solutions(data)[best]
    return MouthProbe(
        weights=weights,
        bias=bias,
        ridge=float(_RIDGES[best]),
        correlation=float(correlations[best].mean()),
        worst=float(correlations[best].min()),
        clips=len(openings),
        speakers=len(set(speakers)),
        held_out=held_out,
    )


class MouthProbeScorer(Scorer):
    """Measures MOUTH_METRICS of aligned faces of any size, by a probe fitted on training clips.

    Curves: mouth_opening and mouth_opening_real [T].

    Args:
      train_clips: Training clips; with none, nothing is scored.
      max_clips: Largest number of clips that are used, as in `fit_mouth_probe`.
    """

    metrics = motion.MOUTH_METRICS

    def __init__(self, train_clips: Sequence[DatasetClip], max_clips: int = 240):
        self._probe = None
        try:
            self._probe = probe = fit_mouth_probe(train_clips, max_clips)
        except ValueError as error:
            method = f"not measured: {error}"
        else:
            method = (
                "inner lips over the distance of the eyes, by ridge regression from the mouth box's"
                f" pixels (11x10 cells, ridge {probe.ridge:.2g}), fitted on {probe.clips} training"
                f" clips of {probe.speakers} speakers; correlation with the landmarks on"
                f" {probe.held_out}: {probe.correlation:.3f}, worst clip {probe.worst:.2f}"
            )
        self.conventions = {"mouth_opening": method}

    def score(self, pair: ClipPair) -> Scores:
        """Scores one video.

        Args:
          pair: The video and its reference.

        Returns:
          A value for each of MOUTH_METRICS.
        """
        if self._probe is None:
            return missing_scores(motion.MOUTH_METRICS, NO_PROBE)
        if not pair.aligned:
            return missing_scores(motion.MOUTH_METRICS, NOT_ALIGNED)
        generated, real = self._probe(pair.video), self._probe(pair.real)
        values = motion.mouth_scores(pair, generated, real, MISREAD)
        return Scores(values, curves={"mouth_opening": generated, "mouth_opening_real": real})


def _mouth_cells(frames: np.ndarray) -> np.ndarray:
    """Mouth box of uint8 [T, H, W, 3] averaged over cells, [T, cells] in [0, 1]."""
    rows, columns = mouth_box(*frames.shape[1:3])
    boxes = [np.ascontiguousarray(frame[rows, columns]) for frame in frames]
    small = [cv2.resize(box, _GRID, interpolation=cv2.INTER_AREA) for box in boxes]
    return np.stack(small).reshape(len(frames), -1) / 255.0


def _folds(speakers: list[str]) -> tuple[np.ndarray, str]:
    """The fold of every clip, given its speaker, and what a fold holds out."""
    names, groups = np.unique(speakers, return_inverse=True)
    held_out = "training speakers held out"
    if len(names) == 1:
        groups, held_out = np.arange(len(speakers)), "clips held out of the one training speaker"
    order = np.random.default_rng(0).permutation(groups.max() + 1)
    return order[groups] % _FOLDS, held_out


def _ridge_solutions(data: list[tuple[np.ndarray, np.ndarray]]) -> list[tuple[np.ndarray, float]]:
    """Returns weights [n] and bias for every ridge, from pairs of cells [T, n] and m [T].

    One eigendecomposition of the covariance serves all ridges.
    """
    x = np.concatenate([cells for cells, _ in data])
    y = np.concatenate([m for _, m in data])
    center, scale = x.mean(axis=0), x.std(axis=0) + 1e-3
    x = (x - center) / scale
    values, vectors = np.linalg.eigh(x.T @ x / len(x))
    projected = vectors.T @ (x.T @ (y - y.mean()) / len(x))
    solutions = []
    for ridge in _RIDGES:
        weights = vectors @ (projected / (np.maximum(values, 0) + ridge)) / scale
        solutions.append((weights, float(y.mean() - center @ weights)))
    return solutions
