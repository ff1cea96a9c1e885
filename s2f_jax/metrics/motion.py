"""The mouth's movement: its opening in every frame, and metrics of that series.

The opening m [T] is the distance between the inner lips over the distance between the eyes. It is
read, in the video and in the real one alike, off the landmarks that are found in it (landmarks.py),
or, where faces are too small for that, by a ridge regression from the pixels around the mouth. A
score is a float, or the reason (str) why there is none.
"""

import dataclasses
from collections.abc import Sequence
from typing import Protocol

import cv2
import numpy as np

from data_pipelines.faces.measures import loudness, mouth_opening
from s2f_jax.metrics.image import mouth_box
from s2f_jax.metrics.scoring import Metric, Score, Scorer, Scores, VideoPair, missing_scores

METRICS = (
    Metric(
        "mouth_correlation",
        "Mouth correlation",
        "of the mouth's opening, generated and real",
        "higher",
        anchors=(0, 1),
        group="mouth",
    ),
    Metric(
        "mouth_loudness",
        "Mouth-loudness correlation",
        "of the mouth's opening and the audio level",
        "higher",
        anchors=(0,),
        group="mouth",
    ),
    Metric(
        "mouth_energy",
        "Mouth motion",
        "standard deviation of the opening, generated / real",
        "one",
        anchors=(0, 1),
        group="mouth",
    ),
    Metric(
        "silence_motion",
        "Mouth motion in silence",
        "generated / real",
        "one",
        anchors=(0, 1),
        group="mouth",
    ),
)
MOUTH_METRICS = tuple(metric.key for metric in METRICS)
NO_AUDIO = "no sound"
NO_PROBE = "no training clips to fit the mouth's probe on"
NOT_ALIGNED = "not aligned to the canonical face"
MISREAD = "the probe misreads this speaker's real mouth"

# Cells of the mouth box. Finer ones read unseen real speakers no better (GRID: correlation 0.93
# against 0.92), and blurred frames worse.
_GRID = (11, 10)  # Columns, rows.
_RIDGES = 10.0 ** np.arange(-4, 2.5, 0.5)  # Relative to unit variance of every cell.
_FOLDS = 4  # Of the training speakers, each held out once.
_MIN_SPREAD = 1e-6  # A smaller spread of m is rounding.
_SILENCE_DB = 20.0  # Below the loudest frame.
_MIN_TRUSTED = 0.5  # Correlation with a real clip's landmarks; below it the mouth is misread.
_LIPS = slice(48, 68)


class MouthClip(Protocol):
    """A clip that the probe can be fitted on.

    Attributes:
      speaker: Name.
      frames: uint8 [T, H, W, 3], aligned.
      landmarks: [T, 68, 2].
    """

    @property
    def speaker(self) -> str: ...

    @property
    def frames(self) -> np.ndarray: ...

    @property
    def landmarks(self) -> np.ndarray: ...


@dataclasses.dataclass(frozen=True)
class MouthProbe:
    """Linear regression of the mouth's opening from the pixels around it.

    Attributes:
      weights: float64 [cells].
      bias: Intercept.
      ridge: Strength of the regularization, chosen by cross-validation.
      correlation: With the landmarks' m on held-out clips, mean over clips.
      worst: Lowest correlation of a held-out clip.
      clips: Number it was fitted on.
      speakers: Number it was fitted on.
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


def fit_mouth_probe(clips: Sequence[MouthClip], max_clips: int = 240, seed: int = 0) -> MouthProbe:
    """Fits a ridge regression of m on the mouth's pixels.

    The ridge is the one that reads held-out speakers best, each held out once (clips, where there
    is one speaker only); with it the probe is fitted on all clips.

    Args:
      clips: Training clips; those without landmarks or movement are skipped.
      max_clips: Evenly spaced ones are used of more.
      seed: Of the folds.

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
        if np.isfinite(m).all() and np.std(m) > _MIN_SPREAD:
            speakers.append(clip.speaker)
            cells.append(_mouth_cells(clip.frames))
            openings.append(m)
    if len(openings) < 2:
        raise ValueError(f"{len(openings)} of {len(chosen)} clips have a mouth to learn from")
    data = list(zip(cells, openings, strict=True))
    folds, held_out = _folds(speakers, seed)
    correlations = np.zeros((len(_RIDGES), len(data)))
    for fold in np.unique(folds):
        training = [data[i] for i in np.flatnonzero(folds != fold)]
        for ridge, (weights, bias) in enumerate(_ridge_solutions(training)):
            for i in np.flatnonzero(folds == fold):
                x, m = data[i]
                correlations[ridge, i] = _pearson(x @ weights + bias, m)
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
      max_clips: As in `fit_mouth_probe`.
    """

    metrics = MOUTH_METRICS

    def __init__(self, train_clips: Sequence[MouthClip], max_clips: int = 240):
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

    def score(self, pair: VideoPair) -> Scores:
        """Scores one video.

        Args:
          pair: The video and its reference.

        Returns:
          A value for each of MOUTH_METRICS.
        """
        if self._probe is None:
            return missing_scores(MOUTH_METRICS, NO_PROBE)
        if not pair.aligned:
            return missing_scores(MOUTH_METRICS, NOT_ALIGNED)
        generated, real = self._probe(pair.video), self._probe(pair.real)
        values = mouth_scores(pair, generated, real, MISREAD)
        return Scores(values, curves={"mouth_opening": generated, "mouth_opening_real": real})


def mouth_scores(
    pair: VideoPair, generated: np.ndarray, real: np.ndarray, misread: str
) -> dict[str, Score]:
    """Computes MOUTH_METRICS from the mouth's opening in both videos.

    Args:
      pair: The video and its reference.
      generated: m [T] of the video.
      real: m [T] of the real clip, read in the same way.
      misread: The reason given for all, where the landmarks of the real clip are known and `real`
        does not correlate with them.

    Returns:
      A value for each of MOUTH_METRICS.
    """
    if pair.landmarks is not None:
        trust = mouth_correlation(real, mouth_opening(pair.landmarks))
        if not isinstance(trust, str) and not trust > _MIN_TRUSTED:
            return dict.fromkeys(MOUTH_METRICS, misread)
    values: dict[str, Score] = {
        "mouth_correlation": mouth_correlation(generated, real),
        "mouth_loudness": NO_AUDIO,
        "mouth_energy": mouth_energy(generated, real),
        "silence_motion": NO_AUDIO,
    }
    if pair.audio.size >= len(generated):
        level = loudness(pair.audio, len(generated))
        values["mouth_loudness"] = mouth_loudness(generated, level)
        values["silence_motion"] = silence_motion(generated, real, level)
    return values


def mouth_correlation(generated: np.ndarray, real: np.ndarray) -> Score:
    """Pearson correlation over time of the mouth's opening in two videos.

    Args:
      generated: m [T].
      real: m [T].

    Returns:
      In [-1, 1], or the reason for none.
    """
    return _correlation(generated, real, "the real mouth does not move")


def mouth_loudness(generated: np.ndarray, loudness_db: np.ndarray) -> Score:
    """Pearson correlation over time of the mouth's opening and the audio level.

    Args:
      generated: m [T].
      loudness_db: Level [T] in dB.

    Returns:
      In [-1, 1], or the reason for none.
    """
    return _correlation(generated, loudness_db, "the sound has one level throughout")


def mouth_energy(generated: np.ndarray, real: np.ndarray) -> Score:
    """Ratio of the standard deviations over time of the mouth's opening in two videos.

    Args:
      generated: m [T].
      real: m [T].

    Returns:
      Generated / real, or the reason for none.
    """
    if not _spread(real):
        return "the real mouth does not move"
    return _spread(generated) / _spread(real)


def silence_motion(generated: np.ndarray, real: np.ndarray, loudness_db: np.ndarray) -> Score:
    """Ratio of the mean |m[t+1] - m[t]| between two silent frames.

    Silent is 20 dB below the loudest frame of the clip.

    Args:
      generated: m [T].
      real: m [T].
      loudness_db: Level [T] in dB.

    Returns:
      Generated / real, or the reason for none.
    """
    silent = loudness_db < np.max(loudness_db) - _SILENCE_DB
    both_silent = silent[1:] & silent[:-1]
    if not both_silent.any():
        return "no two silent frames in a row"
    motion, real_motion = (
        np.mean(np.abs(np.diff(opening))[both_silent]) for opening in (generated, real)
    )
    if real_motion <= _MIN_SPREAD:
        return "the real mouth does not move in silence"
    return float(motion / real_motion) if motion > _MIN_SPREAD else 0.0


def lmd(generated: np.ndarray, real: np.ndarray) -> float:
    """Landmark distance of the mouth (Chen et al. 2018), the mean over its 20 landmarks and frames.

    In every frame the mean of one mouth is moved onto that of the other.

    Args:
      generated: Landmarks [T, 68, 2] in pixels.
      real: Landmarks [T, 68, 2] in pixels.

    Returns:
      Pixels.
    """
    mouths = [points[:, _LIPS].astype(np.float64) for points in (generated, real)]
    centered = [points - points.mean(axis=1, keepdims=True) for points in mouths]
    return float(np.mean(np.linalg.norm(centered[0] - centered[1], axis=-1)))


def jitter(generated: np.ndarray, real: np.ndarray) -> Score:
    """Ratio of the mean norms of the landmarks' third difference over time.

    Args:
      generated: Landmarks [T, 68, 2] in pixels.
      real: Landmarks [T, 68, 2] in pixels.

    Returns:
      Generated / real, or the reason for none.
    """
    if len(real) < 4:
        return "fewer than four frames"
    motion, real_motion = (
        np.mean(np.linalg.norm(np.diff(points.astype(np.float64), 3, axis=0), axis=-1))
        for points in (generated, real)
    )
    return (
        float(motion / real_motion) if real_motion > _MIN_SPREAD else "the real face does not move"
    )


def _mouth_cells(frames: np.ndarray) -> np.ndarray:
    """Mouth box of uint8 [T, H, W, 3] averaged over cells, [T, cells] in [0, 1]."""
    rows, columns = mouth_box(*frames.shape[1:3])
    boxes = [np.ascontiguousarray(frame[rows, columns]) for frame in frames]
    small = [cv2.resize(box, _GRID, interpolation=cv2.INTER_AREA) for box in boxes]
    return np.stack(small).reshape(len(frames), -1) / 255.0


def _folds(speakers: list[str], seed: int) -> tuple[np.ndarray, str]:
    """The fold of every clip, given its speaker, and what a fold holds out."""
    names, groups = np.unique(speakers, return_inverse=True)
    held_out = "training speakers held out"
    if len(names) == 1:
        groups, held_out = np.arange(len(speakers)), "clips held out of the one training speaker"
    order = np.random.default_rng(seed).permutation(groups.max() + 1)
    return order[groups] % _FOLDS, held_out


def _ridge_solutions(
    data: list[tuple[np.ndarray, np.ndarray]],
) -> list[tuple[np.ndarray, float]]:
    """Weights [n] and bias for every ridge, from pairs of cells [T, n] and m [T].

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


def _correlation(m: np.ndarray, reference: np.ndarray, reason: str) -> Score:
    """Pearson correlation, or the reason where one of the two is constant."""
    if not _spread(reference):
        return reason
    return _pearson(m, reference) if _spread(m) else "the generated mouth does not move"


def _pearson(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson correlation; 0 where one of the two is constant."""
    a, b = a - a.mean(), b - b.mean()
    norm = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / norm) if norm > 0 else 0.0


def _spread(series: np.ndarray) -> float:
    """Standard deviation; exactly 0 for a constant, whatever the rounding."""
    spread = float(np.std(series))
    return spread if spread > _MIN_SPREAD else 0.0
