"""How often the intervals of 1,500 simulated evaluations hold the truth, and how often a difference of
two equal models is found.

`pytest -s -m '' tests/s2f_jax/reports/coverage_test.py` prints a line for each design.
"""

import numpy as np
import pytest
import scipy.special
import scipy.stats

from s2f_jax.reports import intervals

EVALUATIONS = 1500
SPEAKERS = (2, 3, 5, 7, 10, 24)
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(60)  # To average over normal deviates.
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()
_OWN = (
    0.4  # Of a model's own deviates; what is left of a variance of 1 is the clip's in all models.
)

# What a clip has to expect, given a standard normal deviate that is its speaker's and its own.
EXPECTED = {
    "psnr": lambda z: 27 + 1.5 * z,
    "ssim": lambda z: scipy.special.expit(2 + 0.4 * z),  # 0.87, between 0.76 and 0.94.
    "distance": lambda z: np.exp(0.4 * z),  # Skewed: between 0.46 and 2.2.
    "wer": lambda z: scipy.special.expit(-1.2 + 0.7 * z),  # 0.25, between 0.07 and 0.55.
    "blinks": lambda z: 0.35 * np.exp(0.4 * z),  # Per second, as people do.
}


def clip_counts(rng, kind, speakers):
    """Clips of each speaker."""
    if kind == "equal":
        return np.full(speakers, 5)
    if kind == "unequal":
        return rng.integers(2, 12, speakers)
    return np.maximum(1, np.exp(rng.normal(1.5, 1, speakers)).astype(int))  # 1 to 30.


def evaluation(rng, metric, kind, speakers, alike, models=1):
    """One evaluation of equal models on the same clips: values and weights [models, clips], speakers.

    alike: share of the variance that is the speakers'.
    """
    speaker = np.repeat(np.arange(speakers), clip_counts(rng, kind, speakers))
    clips = len(speaker)

    def deviates():
        of_speaker = rng.normal(size=speakers)[speaker]
        return np.sqrt(alike) * of_speaker + np.sqrt(1 - alike) * rng.normal(size=clips)

    common, own = deviates(), np.stack([deviates() for _ in range(models)])
    expected = EXPECTED[metric](np.sqrt(1 - _OWN**2) * common + _OWN * own)
    if metric == "wer":
        words = rng.integers(4, 9, clips)
        return rng.binomial(words, expected) / words, words.astype(float), speaker
    if metric == "blinks":
        seconds = rng.uniform(2, 6, clips)
        return rng.poisson(expected * seconds) / seconds, seconds, speaker
    return expected, np.ones(clips), speaker


def covered(metric, kind, speakers, alike, interval=intervals.mean_interval):
    """Share of evaluations whose interval holds the truth."""
    rng = np.random.default_rng(speakers)
    truth = (_WEIGHTS * EXPECTED[metric](_NODES)).sum()
    hits = 0
    for _ in range(EVALUATIONS):
        (values,), weights, speaker = evaluation(rng, metric, kind, speakers, alike)
        low, high = interval(values, weights, speaker)
        hits += low <= truth <= high
    return hits / EVALUATIONS


def found(metric, kind, speakers, alike, interval=intervals.paired_interval):
    """Share of comparisons of two equal models that find one better."""
    rng = np.random.default_rng(speakers)
    verdicts = 0
    for _ in range(EVALUATIONS):
        values, weights, speaker = evaluation(rng, metric, kind, speakers, alike, models=2)
        low, high = interval(values, np.stack([weights, weights]), speaker)
        verdicts += low > 0 or high < 0
    return verdicts / EVALUATIONS


@pytest.mark.parametrize("speakers", SPEAKERS)
@pytest.mark.parametrize(
    ("metric", "kind"), [("psnr", "equal"), ("wer", "unequal"), ("blinks", "unequal")]
)
def test_the_interval_covers_and_equal_models_are_seldom_told_apart(metric, kind, speakers):
    coverage = covered(metric, kind, speakers, 0.4)
    false = found(metric, kind, speakers, 0.4)
    print(f"\n{metric}, {kind}, {speakers} speakers: {coverage:.3f} covered, {false:.3f} found")
    assert 0.93 <= coverage <= 0.97
    assert 0.03 <= false <= 0.07


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["equal", "unequal", "uneven"])
@pytest.mark.parametrize("metric", EXPECTED)
@pytest.mark.parametrize("alike", [0.1, 0.4, 0.8])
def test_all_metrics_of_all_shapes_of_corpora(metric, kind, alike):
    coverage = [covered(metric, kind, speakers, alike) for speakers in SPEAKERS]
    false = [found(metric, kind, speakers, alike) for speakers in SPEAKERS]
    numbers = " ".join(f"{c:.3f}/{f:.3f}" for c, f in zip(coverage, false, strict=True))
    print(f"\n{metric}, {kind}, {alike} of the variance the speakers': {numbers}")
    # Of few speakers who are skewed Student's t covers less, whatever their shares.
    least = 0.93 if metric == "psnr" else 0.91
    assert least <= min(coverage) and max(coverage) <= 0.975
    assert 0.025 <= min(false) and max(false) <= 0.08


def bootstrap(values, weights, speaker, draws=400):
    """Percentiles over speakers, and each one's clips, that are drawn again."""
    rng, clips = np.random.default_rng(0), [np.flatnonzero(speaker == s) for s in set(speaker)]
    times = rng.multinomial(len(clips), np.full(len(clips), 1 / len(clips)), draws)
    counts = np.zeros((draws, len(values)))
    for s, of_speaker in enumerate(clips):
        share = np.full(len(of_speaker), 1 / len(of_speaker))
        counts[:, of_speaker] = rng.multinomial(times[:, s] * len(of_speaker), share)
    return np.percentile((counts @ (values * weights)) / (counts @ weights), [2.5, 97.5])


def jackknife(values, weights, speaker):
    """The mean plus and minus its error over means that leave a speaker out, by Student's t."""
    names = np.unique(speaker)
    mean = np.average(values, weights=weights)
    others = [speaker != name for name in names]
    left = np.array([np.average(values[o], weights=weights[o]) for o in others])
    error = np.sqrt((len(names) - 1) / len(names) * np.square(left - mean).sum())
    reach = scipy.stats.t.ppf(0.975, len(names) - 1) * error
    return mean - reach, mean + reach


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["equal", "unequal", "uneven"])
def test_it_covers_better_than_a_bootstrap_and_a_jackknife(kind):
    others = (bootstrap, jackknife)
    for speakers in SPEAKERS:
        ours, *theirs = (
            covered("psnr", kind, speakers, 0.4, of) for of in (intervals.mean_interval, *others)
        )
        print(
            f"\n{kind}, {speakers}: {ours:.3f}, bootstrap {theirs[0]:.3f}, jackknife {theirs[1]:.3f}"
        )
        assert all(abs(ours - 0.95) <= abs(other - 0.95) + 0.01 for other in theirs)


@pytest.mark.parametrize("speakers", SPEAKERS)
@pytest.mark.parametrize(
    ("first", "second", "exact"), [(1.3, 1.3, True), (0.7, 1.3, True), (1, 1, False)]
)
def test_models_equally_far_from_a_target_are_seldom_told_apart(first, second, exact, speakers):
    """On one side of 1, on both sides, and at 1 itself, where the test finds less than it may."""
    rng = np.random.default_rng(speakers)
    verdicts = 0
    for _ in range(EVALUATIONS):
        values, weights, speaker = evaluation(rng, "psnr", "unequal", speakers, 0.4, models=2)
        values = (values - 27) / 100 + [[first], [second]]
        weights = np.stack([weights, weights])
        low, high = intervals.paired_interval(values, weights, speaker, target=1.0)
        verdicts += low > 0 or high < 0
    print(f"\n{first} and {second}, {speakers} speakers: {verdicts / EVALUATIONS:.3f} found")
    assert (0.03 if exact else 0) <= verdicts / EVALUATIONS <= 0.07


@pytest.mark.parametrize("speakers", SPEAKERS)
def test_models_whose_weights_differ_are_seldom_told_apart(speakers):
    """As the durations of blinks, of which each model has its own number."""
    rng = np.random.default_rng(speakers)
    verdicts = 0
    for _ in range(EVALUATIONS):
        values, _, speaker = evaluation(rng, "distance", "unequal", speakers, 0.4, models=2)
        weights = 1.0 + rng.poisson(1, values.shape)
        low, high = intervals.paired_interval(values, weights, speaker)
        verdicts += low > 0 or high < 0
    print(f"\n{speakers} speakers: {verdicts / EVALUATIONS:.3f} found")
    assert 0.03 <= verdicts / EVALUATIONS <= 0.07


@pytest.mark.parametrize("spread", [0.1, 0.3, 1.0])
@pytest.mark.parametrize(("speakers", "seeds"), [(5, 2), (10, 3), (24, 3), (40, 5)])
def test_configs_that_differ_by_their_seeds_alone_are_seldom_told_apart(speakers, seeds, spread):
    """The deviation between seeds, in those of a clip; without it more are told apart than should be."""
    rng = np.random.default_rng(speakers)
    sides, trained = np.repeat([0, 1], seeds), np.repeat(["model", "baseline"], seeds)
    verdicts = np.zeros(2)
    for _ in range(EVALUATIONS):
        values, weights, speaker = evaluation(
            rng, "psnr", "unequal", speakers, 0.4, models=2 * seeds
        )
        values = values + 1.5 * spread * rng.normal(size=(2 * seeds, 1))
        weights = np.stack([weights] * 2 * seeds)
        for i, of in enumerate((trained, ())):
            low, high = intervals.paired_interval(
                values, weights, speaker, sides=sides.tolist(), trained=of
            )
            verdicts[i] += low > 0 or high < 0
    both, clips = verdicts / EVALUATIONS
    print(f"\n{speakers} speakers, {seeds} seeds, {spread}: {both:.3f} found, by clips {clips:.3f}")
    assert 0.01 <= both <= 0.07
    assert spread < 1 or clips > 0.3
