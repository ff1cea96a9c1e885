"""The language model of characters, against numbers made by hand."""

import numpy as np
import pytest

from data_pipelines.common.errors import UserError
from data_pipelines.loading.charset import encode
from s2f_jax.tasks import language_model

A, B, END = 0, 1, 27


def test_n_grams_run_from_edge_to_edge():
    assert language_model.count(["ab", "ab", "b"], 2) == {"ab": 2, "b|": 3, "|a": 2, "|b": 1}
    assert language_model.count(["a"], 3) == {"|a|": 1, "||a": 1}


def test_witten_and_bell_by_hand():
    probabilities = np.exp(language_model.log_probabilities({"ab": 2, "b|": 3, "|a": 2, "|b": 1}))
    # Alone: a 2, b 3, the edge 3 of 8, three kinds; the rest, 3 of 11, evenly over 28 characters.
    alone = np.full(28, 3 / 28 / 11)
    alone[[A, B, END]] += np.array([2, 3, 3]) / 11
    # After the edge: a 2, b 1 of 3, two kinds.
    after_edge = 2 * alone / 5
    after_edge[[A, B]] += np.array([2, 1]) / 5
    np.testing.assert_allclose(probabilities[END], after_edge, rtol=1e-5)
    # After a letter never seen: as alone, whose one missing kind counts once.
    np.testing.assert_allclose(probabilities[encode("z")[0]], alone, rtol=1e-5)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_after_every_context_all_characters_together_are_certain(order):
    counts = language_model.count(["bin blue at f two now", "set red by z nine soon"], order)
    probabilities = np.exp(language_model.log_probabilities(counts))
    assert probabilities.shape == (28 ** (order - 1), 28)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)


def test_a_context_is_what_was_read_last():
    texts = ["bin blue", "bin red", "set red"]
    table = language_model.log_probabilities(language_model.count(texts, 3))
    model, context = language_model.LanguageModel(table, 1.0, 0.0), np.array([27 * 28 + 27])
    assert model.start == context[0]
    total = 0.0
    for character in encode("set"):
        total += model.follow(context)[0, character]
        context = model.after(context, np.array([character]))
    assert context[0] == encode("e")[0] * 28 + encode("t")[0]
    assert total == pytest.approx(sum(table[i, j] for i, j in ((783, 18), (774, 4), (508, 19))))
    assert model.end(context)[0] == table[context[0], 27]


def test_what_is_written_is_loaded(tmp_path):
    language_model.write(tmp_path, ["bin blue", "set red"], 4)
    loaded = language_model.load(tmp_path, 0.5, 2.0)
    direct = language_model.log_probabilities(language_model.count(["bin blue", "set red"], 4))
    np.testing.assert_array_equal(loaded.log_probabilities, direct)
    assert (loaded.weight, loaded.bonus) == (0.5, 2.0)


@pytest.mark.parametrize("content", [None, "", "{}", "[1]", '{"ab": 1, "abc": 1}', '{"\u00e4": 1}'])
def test_a_damaged_file_is_named(content, tmp_path):
    if content is not None:
        (tmp_path / language_model.FILE).write_text(content)
    with pytest.raises(UserError, match="language_model.json is missing or damaged"):
        language_model.load(tmp_path, 1.0, 1.0)
