"""All metrics of the reports; a new one is a module beside this one and a line in SCORERS.

A module describes its metrics in METRICS, in the order of the report's columns. A scorer that needs
nothing but the two videos is named here; one that needs a model, landmarks or the config is made by
a factory in s2f_jax/evaluation/scorers.py.
"""

from collections.abc import Callable
from typing import NamedTuple

from s2f_jax.metrics import identity, landmarks, pictures, speech, spontaneous, sync
from s2f_jax.metrics.scoring import Metric, Scorer


class Entry(NamedTuple):
    """One line of the registry.

    Attributes:
      metrics: Descriptions, in the order of the report's columns.
      scorer: Makes the scorer; None where s2f_jax/evaluation/scorers.py does.
    """

    metrics: tuple[Metric, ...]
    scorer: Callable[[], Scorer] | None = None


SCORERS = (
    Entry(pictures.METRICS, pictures.ImageScorer),
    Entry(identity.METRICS),
    Entry(speech.METRICS),
    Entry(sync.METRICS),
    Entry(landmarks.METRICS),
    Entry(spontaneous.METRICS, spontaneous.EyeMotionScorer),
)

METRICS = {metric.key: metric for entry in SCORERS for metric in entry.metrics}

# The LaTeX tables, in order; each fits a page's width.
GROUPS = (
    "images",
    "sharpness and speech",
    "identity",
    "synchrony",
    "mouth",
    "blinks and jitter",
    "other",
)


def array_scorers() -> list[Scorer]:
    """Makes the scorers that need nothing but the two videos.

    Returns:
      One for each line of SCORERS that names its scorer.
    """
    return [entry.scorer() for entry in SCORERS if entry.scorer]
