"""How the mouth moves: its opening per frame, and what a clip's openings say about its speech.

m [T] is the opening between the inner lips over the distance between the eyes. Of a video, and of
the real one it is compared with, it is read off the landmarks that are found in it (landmarks.py),
or, where faces are too small for that, by a ridge regression from the pixels around the mouth. A
score is a float, or the reason (str) why there is none.
"""

import dataclasses
from collections.abc import Sequence

import cv2
import numpy as np

from data_pipelines.faces.measures import loudness, mouth_opening
from s2f_jax.metrics.image import mouth_box
from s2f_jax.metrics.scoring import Score, Scores, VideoPair, missing_scores

MOUTH_METRICS = ("mouth_correlation", "mouth_loudness", "mouth_energy", "silence_motion")
NO_SOUND = "no sound"
NO_PROBE = "no training clips to fit the mouth's probe on"
NOT_ALIGNED = "not aligned to the canonical face"
MISREAD = "the probe misreads this speaker's real mouth"

# Cells of the mouth box. Finer ones read real speakers that the probe has never seen no better
# (GRID: correlation 0.93 against 0.92), and blurred frames worse.
_GRID = (11, 10)  # Columns, rows.
_RIDGES = 10.0 ** np.arange(-4, 2.5, 0.5)  # Against unit variance of every cell.
_FOLDS = 4  # Each training speaker is held out once.
_STILL = 1e-6  # A spread of m below it is rounding.
_SILENCE = 20.0  # dB under the loudest frame.
_TRUSTED = 0.5  # Correlation with a real clip's landmarks, below which its mouth is misread.
_LIPS = slice(48, 68)


@dataclasses.dataclass(frozen=True)
class MouthProbe:
    """Reads the mouth's opening off the pixels around it."""

    weights: np.ndarray  # float64 [cells].
    bias: float
    ridge: float
    correlation: float  # With the landmarks' m on held-out clips, the mean over them.
    worst: float  # The lowest of them.
    clips: int  # That it was fitted on.
    speakers: int
    held_out: str  # What the correlation was measured on.

    def __call__(self, frames: np.ndarray) -> np.ndarray:
        """uint8 [T, H, W, 3], aligned faces of any size -> m [T], float64."""
        return _cells(frames) @ self.weights + self.bias


def fit_mouth_probe(clips: Sequence, max_clips: int = 240, seed: int = 0) -> MouthProbe:
    """Ridge regression of m on the mouth's pixels, on at most `max_clips` clips of `clips`.

    A clip has `speaker`, `frames` uint8 [T, H, W, 3] and `landmarks` [T, 68, 2]. The ridge is the
    one that reads best the speakers that were held out, each once (clips, where there is but one
    speaker); with it the probe is fitted on all.

    Raises:
      ValueError: there are fewer than two clips with landmarks and a mouth that moves.
    """
    chosen = np.unique(np.linspace(0, len(clips) - 1, min(max_clips, len(clips))).round())
    speakers, cells, openings = [], [], []
    for i in chosen.astype(int):
        clip = clips[i]
        m = mouth_opening(clip.landmarks)
        if np.isfinite(m).all() and np.std(m) > _STILL:
            speakers.append(clip.speaker)
            cells.append(_cells(clip.frames))
            openings.append(m)
    if len(openings) < 2:
        raise ValueError(f"{len(openings)} of {len(chosen)} clips have a mouth to learn from")
    data = list(zip(cells, openings, strict=True))
    folds, held_out = _folds(speakers, seed)
    correlations = np.zeros((len(_RIDGES), len(data)))
    for fold in np.unique(folds):
        fitted = [clip for clip, of in zip(data, folds, strict=True) if of != fold]
        for ridge, (weights, bias) in enumerate(_ridge_solutions(fitted)):
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


class MouthProbeScorer:
    """An Instrument: METRICS of aligned faces of any size, by a probe fitted on training clips.

    Curves: mouth_opening and mouth_opening_real [T].
    """

    metrics = MOUTH_METRICS

    def __init__(self, train_clips: Sequence, max_clips: int = 240):
        """Clips as fit_probe takes them; none are no mistake, but then nothing is scored."""
        try:
            probe = fit_mouth_probe(train_clips, max_clips)
        except ValueError as error:
            self._probe, about = None, f"not measured: {error}"
        else:
            self._probe, about = (
                probe,
                (
                    "inner lips over the distance of the eyes, by ridge regression from the mouth box's"
                    f" pixels (11x10 cells, ridge {probe.ridge:.2g}), fitted on {probe.clips} training"
                    f" clips of {probe.speakers} speakers; correlation with the landmarks on"
                    f" {probe.held_out}: {probe.correlation:.3f}, worst clip {probe.worst:.2f}"
                ),
            )
        self.about = {"mouth_opening": about}

    def __call__(self, pairs: Sequence[VideoPair]) -> list[Scores]:
        """The scores of each pair."""
        return [self._score(pair) for pair in pairs]

    def _score(self, pair: VideoPair) -> Scores:
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
    """METRICS of a pair from m [T] of its video and its real side, read in the same way.

    Where the landmarks of the real side are known, and m real has little to do with them, the
    reason `misread` is all there is.
    """
    if pair.landmarks is not None:
        trust = mouth_correlation(real, mouth_opening(pair.landmarks))
        if not isinstance(trust, str) and not trust > _TRUSTED:
            return dict.fromkeys(MOUTH_METRICS, misread)
    values: dict[str, Score] = {
        "mouth_correlation": mouth_correlation(generated, real),
        "mouth_loudness": NO_SOUND,
        "mouth_energy": mouth_energy(generated, real),
        "silence_motion": NO_SOUND,
    }
    if pair.audio.size >= len(generated):
        level = loudness(pair.audio, len(generated))
        values["mouth_loudness"] = mouth_loudness(generated, level)
        values["silence_motion"] = silence_motion(generated, real, level)
    return values


def mouth_correlation(generated: np.ndarray, real: np.ndarray) -> Score:
    """Pearson correlation over time of m [T] generated and real."""
    return _correlation(generated, real, "the real mouth does not move")


def mouth_loudness(generated: np.ndarray, loudness_db: np.ndarray) -> Score:
    """Pearson correlation over time of m [T] and the sound's level [T] in dB."""
    return _correlation(generated, loudness_db, "the sound has one level throughout")


def mouth_energy(generated: np.ndarray, real: np.ndarray) -> Score:
    """Standard deviation over time of m [T], generated / real."""
    if not _spread(real):
        return "the real mouth does not move"
    return _spread(generated) / _spread(real)


def silence_motion(generated: np.ndarray, real: np.ndarray, loudness_db: np.ndarray) -> Score:
    """Mean |m[t+1] - m[t]| between two silent frames, generated / real.

    Silent is 20 dB under the loudest frame of the clip.
    """
    silent = loudness_db < np.max(loudness_db) - _SILENCE
    between = silent[1:] & silent[:-1]
    if not between.any():
        return "no two silent frames in a row"
    of_real = np.mean(np.abs(np.diff(real))[between])
    if of_real <= _STILL:
        return "the real mouth does not move in silence"
    of_generated = np.mean(np.abs(np.diff(generated))[between])
    return float(of_generated / of_real) if of_generated > _STILL else 0.0


def lmd(generated: np.ndarray, real: np.ndarray) -> float:
    """Mean distance of the mouth's 20 landmarks, of [T, 68, 2] twice, in pixels (Chen et al. 2018).

    In every frame the mean of the one mouth is moved onto that of the other.
    """
    mouths = [points[:, _LIPS].astype(np.float64) for points in (generated, real)]
    centred = [points - points.mean(axis=1, keepdims=True) for points in mouths]
    return float(np.mean(np.linalg.norm(centred[0] - centred[1], axis=-1)))


def jitter(generated: np.ndarray, real: np.ndarray) -> Score:
    """Mean norm of the third difference over time of landmarks [T, 68, 2], generated / real."""
    if len(real) < 4:
        return "fewer than four frames"
    of_generated, of_real = (
        np.mean(np.linalg.norm(np.diff(points.astype(np.float64), 3, axis=0), axis=-1))
        for points in (generated, real)
    )
    return float(of_generated / of_real) if of_real > _STILL else "the real face does not move"


def _cells(frames: np.ndarray) -> np.ndarray:
    """uint8 [T, H, W, 3] -> the mouth box averaged over cells, [T, cells] in [0, 1]."""
    rows, columns = mouth_box(*frames.shape[1:3])
    boxes = [np.ascontiguousarray(frame[rows, columns]) for frame in frames]
    small = [cv2.resize(box, _GRID, interpolation=cv2.INTER_AREA) for box in boxes]
    return np.stack(small).reshape(len(frames), -1) / 255.0


def _folds(speakers: list[str], seed: int) -> tuple[np.ndarray, str]:
    """A speaker per clip -> the fold of every clip, and what a fold holds out."""
    names, groups = np.unique(speakers, return_inverse=True)
    held_out = "training speakers held out"
    if len(names) == 1:
        groups, held_out = np.arange(len(speakers)), "clips held out of the one training speaker"
    order = np.random.default_rng(seed).permutation(groups.max() + 1)
    return order[groups] % _FOLDS, held_out


def _ridge_solutions(
    clips: list[tuple[np.ndarray, np.ndarray]],
) -> list[tuple[np.ndarray, float]]:
    """Pairs of cells [T, n] and m [T] -> weights [n] and bias for every ridge."""
    x = np.concatenate([cells for cells, _ in clips])
    y = np.concatenate([m for _, m in clips])
    centre, scale = x.mean(axis=0), x.std(axis=0) + 1e-3
    x = (x - centre) / scale
    values, vectors = np.linalg.eigh(x.T @ x / len(x))
    projected = vectors.T @ (x.T @ (y - y.mean()) / len(x))
    solutions = []
    for ridge in _RIDGES:
        weights = vectors @ (projected / (np.maximum(values, 0) + ridge)) / scale
        solutions.append((weights, float(y.mean() - centre @ weights)))
    return solutions


def _correlation(m: np.ndarray, other: np.ndarray, reason: str) -> Score:
    """Pearson, or the reason where one of the two does not change."""
    if not _spread(other):
        return reason
    return _pearson(m, other) if _spread(m) else "the generated mouth does not move"


def _pearson(a: np.ndarray, b: np.ndarray) -> float:
    """0 where one of them does not change."""
    a, b = a - a.mean(), b - b.mean()
    norm = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / norm) if norm > 0 else 0.0


def _spread(series: np.ndarray) -> float:
    """Standard deviation; exactly 0 for a constant, whatever the rounding."""
    spread = float(np.std(series))
    return spread if spread > _STILL else 0.0
