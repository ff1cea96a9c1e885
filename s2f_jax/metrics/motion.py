"""The mouth's movement: its opening in every frame, and metrics of that series.

The opening m [T] is the distance between the inner lips over the distance between the eyes. It is
read, in the video and in the real one alike, off the landmarks that are found in it (landmarks.py),
or, where faces are too small for that, off the pixels around the mouth (mouth_probe.py). A score is
a float, or the reason (str) why there is none.
"""

import numpy as np

from data_pipelines.faces.measures import loudness, mouth_opening
from s2f_jax.metrics.scoring import CORRELATION, NOT_NEGATIVE, ClipPair, Metric, Score

METRICS = (
    Metric(
        "mouth_correlation", "Mouth correlation", "of its opening, generated and real",
        "higher", group="mouth", anchors=(0, 1), bounds=CORRELATION,
    ),
    Metric(
        "mouth_loudness", "Mouth-loudness correlation", "of its opening and the audio level",
        "higher", group="mouth", anchors=(0,), bounds=CORRELATION,
    ),
    Metric(
        "mouth_energy", "Mouth energy", "standard deviation of its opening, generated / real",
        "one", group="mouth", anchors=(0, 1), bounds=NOT_NEGATIVE,
    ),
    Metric(
        "silence_motion", "Motion in silence", "of the mouth, generated / real",
        "one", group="mouth", anchors=(0, 1), bounds=NOT_NEGATIVE,
    ),
)  # fmt: skip
MOUTH_METRICS = tuple(metric.key for metric in METRICS)
NO_AUDIO = "no sound"

_MIN_SPREAD = 1e-6  # A smaller spread of m is rounding.
_SILENCE_DB = 20.0  # Below the loudest frame.
_MIN_TRUSTED = 0.5  # Correlation with a real clip's landmarks; below it the mouth is misread.
_LIPS = slice(48, 68)


def mouth_scores(
    pair: ClipPair, generated: np.ndarray, real: np.ndarray, misread: str
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
    if not spread(real):
        return "the real mouth does not move"
    return spread(generated) / spread(real)


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


def _correlation(m: np.ndarray, reference: np.ndarray, reason: str) -> Score:
    """Pearson correlation, or the reason where one of the two is constant."""
    if not spread(reference):
        return reason
    return pearson(m, reference) if spread(m) else "the generated mouth does not move"


def pearson(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson correlation of two series.

    Args:
      a: [T].
      b: [T].

    Returns:
      In [-1, 1]; 0 where one of the two is constant.
    """
    a, b = a - a.mean(), b - b.mean()
    norm = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / norm) if norm > 0 else 0.0


def spread(series: np.ndarray) -> float:
    """Standard deviation, without rounding errors.

    Args:
      series: [T].

    Returns:
      0 or more; exactly 0 for a constant.
    """
    deviation = float(np.std(series))
    return deviation if deviation > _MIN_SPREAD else 0.0
