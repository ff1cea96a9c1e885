"""Paired differences of rows, and which of the paper's claims they confirm."""

import numpy as np
import pytest

from s2f_jax.reports import verdicts
from s2f_jax.reports.content import ClipScores


def _clips(row, values, weights=None):
    """Two clips a speaker; values: metric -> a number or a reason of each clip."""
    count = len(next(iter(values.values())))
    return [
        ClipScores(
            row, f"c{i}", f"s{i // 2}", {m: of[i] for m, of in values.items()}, weights or {}
        )
        for i in range(count)
    ]


def _around(means, clips=12, spread=0.02):
    """Metric -> values of clips around its mean, the same deviates in all rows."""
    deviates = 1 + spread * np.random.default_rng(0).normal(size=clips)
    return {metric: (mean * deviates).tolist() for metric, mean in means.items()}


def _verdicts(rows, with_sequence=()):
    """Metric -> the verdicts on its claims."""
    by_row = {row: _clips(row, _around(means)) for row, means in rows.items()}
    found = {}
    for entry in verdicts.check_claims(by_row, with_sequence):
        found.setdefault(entry["metric"], []).append(entry)
    return found


def test_a_finding_may_fail_or_be_left_open():
    rng = np.random.default_rng(0)
    values = rng.normal(0, 1, 20)
    for shift, holds in ((1.0, True), (-1.0, False), (0.0, None)):
        rows = {
            "model": _clips("model", {"psnr": (values + shift + rng.normal(0, 0.3, 20)).tolist()}),
            "static_baseline": _clips("static_baseline", {"psnr": values.tolist()}),
        }
        found = {each["metric"]: each for each in verdicts.check_claims(rows, [])}
        assert found["psnr"]["holds"] is holds
        assert found["blinks_per_s"]["unknown"] == "there is no row with a sequence discriminator"


@pytest.mark.parametrize(
    "metric,ours,others,better",
    [
        ("wer", 0.2, 0.3, True),
        ("wer", 0.4, 0.3, False),
        ("sync_confidence", 4.0, 3.0, True),
        ("jitter", 0.9, 1.3, True),
        ("jitter", 0.5, 1.3, False),
        ("sync_offset", 1.0, 0.0, None),
        ("own", 1.0, 0.0, None),
    ],
)
def test_which_way_is_better(metric, ours, others, better):
    rows = [_clips("a", {metric: [value] * 8}) for value in (ours, others)]
    found = verdicts.paired_difference(metric, *rows)
    assert found["better"] is better
    assert found["mean"] == pytest.approx(ours - others)


def test_differences_of_rates_are_weighted_by_hand():
    """2 of 2 words and 0 of 6 wrong, against 1 of 2 and 3 of 6: 2/8 less 4/8."""
    weights = [{"wer": 2.0}, {"wer": 6.0}]
    sides = [
        [
            ClipScores("r", f"c{i}", "s", {"wer": value}, weights[i])
            for i, value in enumerate(values)
        ]
        for values in ([1.0, 0.0], [0.5, 0.5])
    ]
    assert verdicts.paired_difference("wer", *sides)["mean"] == pytest.approx(-1 / 4)


def test_differences_are_over_the_clips_that_both_have_a_number_for():
    ours = _clips("a", {"psnr": [30.0, "dark", np.inf, 33.0, 10.0]})
    others = _clips("b", {"psnr": ["dark", 20.0, 20.0, 30.0, 9.0]})
    found = verdicts.paired_difference("psnr", ours, others)
    assert (found["mean"], found["clips"]) == (pytest.approx(2), 2)
    nothing = verdicts.paired_difference("psnr", ours[:2], others[:2])
    assert nothing == {"mean": None, "low": None, "high": None, "clips": 0, "better": None}


REAL = {
    "psnr": 99, "ssim": 1, "fdbm": 0.5, "acd_l2": 0.1, "wer": 0.1, "sync_confidence": 2,
    "mouth_energy": 1, "silence_motion": 1, "jitter": 1, "blinks_per_s": 0.8,
}  # fmt: skip
BASELINE = {
    "psnr": 26, "ssim": 0.8, "fdbm": 0.3, "acd_l2": 0.4, "wer": 0.9, "sync_confidence": 0.5,
    "mouth_energy": 0.8, "silence_motion": 2.5, "jitter": 2.5, "blinks_per_s": 0.0,
}  # fmt: skip
# Better than that baseline in all that the paper claims, and it does not move.
FROZEN = BASELINE | {
    "psnr": 28, "ssim": 0.9, "fdbm": 0.5, "acd_l2": 0.1, "wer": 0.8, "sync_confidence": 0.6,
    "mouth_energy": 0, "silence_motion": 0, "jitter": 0, "blinks_per_s": 0,
}  # fmt: skip


def test_the_frozen_still_confirms_nothing():
    rows = {"ground_truth": REAL, "frozen_still": FROZEN, "static_baseline": BASELINE}
    found = _verdicts(rows | {"model": FROZEN}, ["model"])
    assert len(found) == 9
    assert not [entry for entries in found.values() for entry in entries if entry["holds"]]
    assert "hardly moves (Mouth energy 0.00 of the real)" in found["fdbm"][0]["numbers"]
    found = _verdicts(rows | {"model": FROZEN | {"jitter": 1}}, ["model"])  # Flicker is no speech.
    assert found["jitter"][0]["holds"] is None and found["fdbm"][0]["holds"] is None
    moving = FROZEN | {"mouth_energy": 0.9, "silence_motion": 0.9, "jitter": 0.9, "blinks_per_s": 1}
    found = _verdicts(rows | {"model": moving}, ["model"])
    assert all(entry["holds"] for entries in found.values() for entry in entries)


def test_a_frozen_model_is_known_without_landmarks_as_well():
    still = {"psnr": 28, "fdbm": 0.5}
    rows = {"frozen_still": still, "static_baseline": {"psnr": 26, "fdbm": 0.3}}
    found = _verdicts(rows | {"model": still})
    assert found["psnr"][0]["holds"] is None and found["fdbm"][0]["holds"] is None
    assert "scores as the frozen still" in found["fdbm"][0]["numbers"]
    assert _verdicts(rows | {"model": still | {"psnr": 28.5}})["fdbm"][0]["holds"] is True


@pytest.mark.parametrize("metric", ["jitter", "silence_motion"])
@pytest.mark.parametrize(
    ("ours", "others", "holds"),
    [
        (0.9, 1.3, True),
        (1.1, 1.3, True),
        (0.5, 1.3, False),  # Less, and further from the real one.
        (0.4, 0.6, False),
        (1.5, 1.3, False),
        (0.8, 0.6, True),  # More, and nearer.
        (0.9, 0.9, None),
    ],
)
def test_motion_has_to_be_nearer_to_the_real_one_not_only_less(metric, ours, others, holds):
    rows = {
        "model": _clips("model", {metric: [ours] * 8}),
        "static_baseline": _clips("static_baseline", {metric: [others] * 8}),
    }
    (found,) = (e for e in verdicts.check_claims(rows, []) if e["metric"] == metric)
    assert found["holds"] is holds
    assert ("not lower in the mean" in found["numbers"]) == (ours >= others)
    sign = "−" if holds else "+" if holds is False else ""
    assert f"distance to 1 {sign}0." in found["numbers"]


@pytest.mark.parametrize(
    ("having", "lacking", "more", "rare"),
    [
        (0.7, 0.01, True, True),
        (0.45, 0.01, True, True),  # Half the real rate, 0.8, and more.
        (0.35, 0.01, None, None),  # Less than half: it shows nothing about blinks.
        (0.0, 0.0, None, None),
        (0.0, 0.5, False, False),  # Those without blink, those with do not.
        (0.7, 0.5, True, False),
        (0.7, 0.7, None, False),
    ],
)
def test_the_claims_on_blinks_need_blinks(having, lacking, more, rare):
    rows = {"model": {"blinks_per_s": having}, "static_baseline": {"blinks_per_s": lacking}}
    found = _verdicts({"ground_truth": REAL} | rows, ["model"])["blinks_per_s"]
    assert [entry["holds"] for entry in found] == [more, rare]
    undecided = [entry["numbers"] for entry in found if entry["holds"] is None]
    if having < 0.4:
        assert all("less than half as often as the real people (0.8" in text for text in undecided)
