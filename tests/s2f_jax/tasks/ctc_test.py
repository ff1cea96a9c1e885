"""Decoding against an enumeration of every path."""

import itertools

import numpy as np
import pytest
from scipy.special import log_softmax

from data_pipelines.loading.charset import BLANK, encode
from s2f_jax.tasks import ctc
from s2f_jax.tasks.language_model import LanguageModel

T, CLASSES = 5, 4  # Three letters and the blank: 1024 paths.


def _all_texts(logits):
    """logits [T, C] -> the log probability of every text: the sum over its paths."""
    logs, texts = log_softmax(logits, -1), {}
    for path in itertools.product(range(logs.shape[1]), repeat=len(logs)):
        text = tuple(c for c, _ in itertools.groupby(path) if c != logs.shape[1] - 1)
        log = sum(logs[t, c] for t, c in enumerate(path))
        texts[text] = np.logaddexp(texts.get(text, -np.inf), log)
    return texts


def _found(prefixes, scores):
    return {
        tuple(prefix[prefix >= 0].tolist()): score
        for prefix, score in zip(prefixes, scores, strict=True)
        if np.isfinite(score)
    }


@pytest.mark.parametrize("seed", range(3))
def test_a_wide_beam_finds_every_text_with_its_probability(seed):
    logits = np.random.default_rng(seed).normal(0, 2, (3, T, CLASSES))
    lengths = np.array([T, 3, 4])
    prefixes, scores = ctc.beam_prefixes(logits, lengths, 400)
    for of_clip, length, prefix, score in zip(logits, lengths, prefixes, scores, strict=True):
        wanted = _all_texts(of_clip[:length])
        found = _found(prefix, score)
        assert found.keys() == wanted.keys()
        np.testing.assert_allclose([found[k] for k in wanted], list(wanted.values()), rtol=1e-12)


def test_a_language_model_is_added_to_each_text_as_a_whole():
    logits = np.random.default_rng(7).normal(0, 2, (1, T, CLASSES))
    # Three letters and the end, by hand: it knows the letter before.
    table = np.log(np.random.default_rng(8).dirichlet(np.ones(28), 28))
    language = LanguageModel(table, weight=0.7, bonus=0.2)
    narrowed = LanguageModel(np.concatenate([table[:, :3], table[:, -1:]], 1), 0.7, 0.2)
    prefixes, scores = ctc.beam_prefixes(logits, np.array([T]), 400, narrowed)
    found = _found(prefixes[0], scores[0])
    for text, log in _all_texts(logits[0]).items():
        steps = zip((27, *text), (*text, 27), strict=True)
        wanted = log + 0.2 * len(text) + 0.7 * sum(table[a, b] for a, b in steps)
        assert found[text] == pytest.approx(wanted, rel=1e-9)
    assert language.start == 27


def test_a_narrow_beams_texts_differ_and_are_no_likelier_than_they_are():
    logits = np.random.default_rng(3).normal(0, 4, (8, T, CLASSES))
    prefixes, scores = ctc.beam_prefixes(logits, np.full(8, T), 6)
    for of_clip, prefix, score in zip(logits, prefixes, scores, strict=True):
        wanted, found = _all_texts(of_clip), _found(prefix, score)
        assert len(found) == 6  # All different.
        assert all(score <= wanted[text] + 1e-12 for text, score in found.items())


def _logits(*frames):
    """Frames of {letter: probability}, the rest evenly on the others; "_" is the blank."""
    rows = np.full((len(frames), BLANK + 1), 1e-9)
    for row, frame in zip(rows, frames, strict=True):
        for letter, p in frame.items():
            row[BLANK if letter == "_" else encode(letter)[0]] = p
    return np.log(rows)[None]


def test_greedy_merges_repeats_and_drops_blanks():
    path = "__bb_i__nn_  _aa_a__"
    logits = _logits(*({letter: 1.0} for letter in path))
    assert ctc.greedy(logits, np.array([len(path)])) == ["bin aa"]
    assert ctc.beam(logits, np.array([len(path)]), 20) == ["bin aa"]
    assert ctc.greedy(logits, np.array([9])) == ["bin"]  # Its own length alone.


def test_the_beam_sums_over_paths_where_greedy_takes_one():
    """Each frame: blank 0.4, "a" 0.35, "b" 0.25. "a" has 0.35^2 + 2 * 0.35 * 0.4, nothing 0.16."""
    logits = _logits(*[{"_": 0.4, "a": 0.35, "b": 0.25}] * 2)
    assert ctc.greedy(logits, np.array([2])) == [""]
    assert ctc.beam(logits, np.array([2]), 10) == ["a"]
    _, scores = ctc.beam_prefixes(logits, np.array([2]), 10)
    np.testing.assert_allclose(np.exp(scores.max()), 0.35**2 + 2 * 0.35 * 0.4, rtol=1e-6)


def test_padding_and_neighbours_change_nothing():
    logits = np.random.default_rng(5).normal(0, 2, (3, 9, BLANK + 1))
    lengths = np.array([9, 4, 6])
    together = ctc.beam(logits, lengths, 20)
    alone = [
        ctc.beam(logits[i : i + 1, :n], lengths[i : i + 1], 20)[0] for i, n in enumerate(lengths)
    ]
    assert together == alone
    louder = logits.copy()
    louder[1, 4:] = 50
    assert ctc.beam(louder, lengths, 20) == together
    assert ctc.greedy(louder, lengths) == ctc.greedy(logits, lengths)
