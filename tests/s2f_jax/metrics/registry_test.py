"""The registry names every metric once, in the order of the report's columns."""

import numpy as np

from s2f_jax.metrics import registry
from s2f_jax.metrics.identity import IdentityScorer
from s2f_jax.metrics.motion import MOUTH_METRICS
from s2f_jax.metrics.scoring import ClipPair, Metric, Scorer, Scores
from s2f_jax.metrics.speech import SpeechScorer
from s2f_jax.metrics.sync import SyncScorer
from s2f_jax.reports import formats, labels
from s2f_jax.reports.content import ClipScores
from s2f_jax.reports.scores import write_report

KEYS = (
    "psnr psnr_mouth ssim cpbd fdbm acd_l2 acd_mse acd_cos wer cer sync_offset sync_distance offset_0"
    " offset_within_1 shift_found sync_confidence lmd blinks_per_s blink_s mouth_correlation"
    " mouth_loudness mouth_energy silence_motion jitter eye_motion seed_spread_eyes seed_spread_mouth"
)


def test_the_order_of_the_columns_is_a_contract():
    assert list(registry.METRICS) == KEYS.split()
    assert sum(len(entry.metrics) for entry in registry.SCORERS) == len(registry.METRICS)


def test_every_description_can_be_shown():
    for metric in registry.METRICS.values():
        assert metric.group in registry.GROUPS
        assert metric.better in ("higher", "lower", "one", "")
        assert metric.title and metric.description


def test_what_scorers_measure_is_described():
    measured = [key for scorer in registry.array_scorers() for key in scorer.metrics]
    for scorer in (IdentityScorer, SpeechScorer, SyncScorer):
        measured += scorer.metrics
    assert set(measured) | set(MOUTH_METRICS) <= registry.METRICS.keys()
    assert len(set(measured)) == len(measured)


class _BrightnessScorer(Scorer):
    """A metric as a newcomer adds it."""

    metrics = ("brightness",)
    conventions = {"brightness": "mean level"}

    def score(self, pair):
        return Scores({"brightness": float(pair.video.mean() / pair.real.mean())})


def test_a_new_metric_is_one_line(monkeypatch, tmp_path):
    description = Metric("brightness", "Brightness", "generated / real", "one", 1)
    entry = registry.Entry((description,), _BrightnessScorer)
    monkeypatch.setattr(registry, "SCORERS", (*registry.SCORERS, entry))
    monkeypatch.setitem(registry.METRICS, "brightness", description)
    scorer = registry.array_scorers()[-1]
    real = np.full((2, 64, 48, 3), 50, np.uint8)
    pair = ClipPair("c", "s", "", real * 2, real, 25, np.zeros(0, np.int16), 0, aligned=True)
    clips = [ClipScores("model", "c", "s", scores.values) for scores in scorer([pair])]
    report = write_report(tmp_path, "demo", "test", scorer.conventions, clips)
    assert report["rows"]["model"]["brightness"]["mean"] == 2
    assert labels.ordered_metrics({"model": ["brightness", "psnr"]})[-1] == "brightness"
    assert "| Brightness → 1 |" in formats.markdown(report)
    assert "Brightness" in formats.latex(report)
