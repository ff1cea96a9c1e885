"""Motion that does not follow from the sound: what the noise changes, and how much the eyes move."""

from collections.abc import Sequence

import numpy as np

from data_pipelines.faces.boxes import eye_box, mouth_box
from s2f_jax.metrics.scoring import NOT_NEGATIVE, ClipPair, Metric, Scorer, Scores, missing_scores

SEEDS = 4  # Of the noise, for each clip.
CLIPS = 16  # Whose spread over seeds is measured, at most: each is generated SEEDS times more.
_GROUP = "blinks and jitter"
METRICS = (
    Metric(
        "eye_motion", "Motion of the eyes", "standard deviation over time around the eyes",
        "", 2, "levels", _GROUP, (0,), NOT_NEGATIVE,
    ),
    Metric(
        "seed_spread_eyes", "Spread over seeds, eyes", "of the noise: standard deviation of pixels",
        "", 2, "levels", _GROUP, (0,), NOT_NEGATIVE,
    ),
    Metric(
        "seed_spread_mouth", "Spread over seeds, mouth", "of the noise: standard deviation of pixels",
        "", 2, "levels", _GROUP, (0,), NOT_NEGATIVE,
    ),
)  # fmt: skip
SPREAD_METRICS = ("seed_spread_eyes", "seed_spread_mouth")
NOT_CHOSEN = f"not among the {CLIPS} clips that are generated with {SEEDS} seeds"
CONVENTION = (
    f"of at most {CLIPS} clips, each with {SEEDS} seeds of the noise: standard deviation of a pixel's"
    " levels (0-255) over the seeds, mean over the pixels of the eye box (rows 30-55, columns 18-77 of"
    " an aligned 128x96 face, scaled) or the mouth box, channels and frames"
)


class EyeMotionScorer(Scorer):
    """Scores how much the pixels around the eyes change over time."""

    metrics = ("eye_motion",)
    conventions = {
        "eye_motion": "standard deviation of a pixel's levels (0-255) over time, mean over rows 30-55,"
        " columns 18-77 of an aligned 128x96 face, scaled with the image, and channels"
    }

    def score(self, pair: ClipPair) -> Scores:
        """Scores one video.

        Args:
          pair: The video and its reference, which is not used.

        Returns:
          Grey levels, 0 or more, or the reason why there is none.
        """
        if not pair.aligned:
            return missing_scores(self.metrics, "not an aligned face")
        rows, columns = eye_box(*pair.video.shape[1:3])
        return Scores({"eye_motion": _mean_deviation(pair.video[:, rows, columns])})


def seed_spread(videos: Sequence[np.ndarray]) -> Scores:
    """Measures how much the seed of the noise changes a clip's frames.

    Args:
      videos: The same clip, generated with two or more seeds, each uint8 [T, H, W, 3] of aligned
        faces.

    Returns:
      SPREAD_METRICS in levels of 0-255; 0 where the seed changes nothing.
    """
    height, width = videos[0].shape[1:3]
    boxes = (eye_box(height, width), mouth_box(height, width))
    parts = (np.stack([video[:, rows, columns] for video in videos]) for rows, columns in boxes)
    return Scores(dict(zip(SPREAD_METRICS, map(_mean_deviation, parts), strict=True)))


def _mean_deviation(samples: np.ndarray) -> float:
    """Standard deviation over the first axis, uint8 [N, ...], N - 1 in its denominator; then the mean."""
    if len(samples) < 2:
        return 0.0
    return float(np.std(samples, axis=0, ddof=1, dtype=np.float32).mean())
