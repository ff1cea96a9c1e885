"""Laws of the spoken sentences."""

import itertools
import sys

import numpy as np
import pytest

from data_pipelines.common import errors
from data_pipelines.demo import motion, speech

pytest.importorskip("espeakng_loader")  # The extra [data].

SENTENCE = ("bin", "blue", "at", "f", "two", "now")


def test_code_is_grids_file_name():
    assert speech.sentence_code(SENTENCE) == "bbaf2n"
    assert speech.sentence_code(("set", "white", "with", "a", "zero", "please")) == "swwazp"


def test_grammar_has_grids_51_words():
    assert len({word for words in speech.GRAMMAR for word in words}) == 51
    assert "w" not in speech.GRAMMAR[3]


def test_speech_does_not_depend_on_earlier_sentences():
    voice = speech.Voice("en+f2")
    first = speech.speak(SENTENCE, voice)
    speech.speak(("lay", "red", "by", "z", "six", "soon"), speech.Voice("en-us+m3", pitch=70))
    again = speech.speak(SENTENCE, voice)
    np.testing.assert_array_equal(first[0], again[0])
    assert first[1:] == again[1:]


def test_words_and_phones_follow_each_other_and_cover_the_sound():
    samples, words, phones = speech.speak(SENTENCE, speech.Voice())
    assert tuple(word.text for word in words) == SENTENCE
    for spans in (words, phones):
        assert all(span.start < span.end for span in spans)
        assert all(a.end <= b.start for a, b in itertools.pairwise(spans))
        assert spans[-1].end <= len(samples) / speech.RATE
    loud = np.flatnonzero(np.abs(samples) > 1000) / speech.RATE
    assert phones[0].start - 0.03 < loud[0] and loud[-1] < phones[-1].end + 0.03
    middle = [phone.text for phone in phones if words[1].start <= phone.start < words[1].end]
    assert middle == ["b", "l", "uː"]


def test_the_letter_a_is_spoken_by_its_name():
    _, words, phones = speech.speak(("bin", "red", "by", "a", "two", "now"), speech.Voice())
    letter = [phone.text for phone in phones if words[3].start <= phone.start < words[3].end]
    assert letter == ["eɪ"]


@pytest.mark.parametrize("language", ["en", "en-us", "en-029"])
def test_every_sound_of_every_word_has_a_viseme(language):
    for index in range(25):
        sentence = tuple(words[index % len(words)] for words in speech.GRAMMAR)
        for phone in speech.speak(sentence, speech.Voice(f"{language}+m1"))[2]:
            motion.visemes(phone.text)


def test_every_voice_speaks():
    for name in speech.VOICES:
        assert np.abs(speech.speak(SENTENCE, speech.Voice(name))[0]).max() > 5000


def test_slower_voices_take_longer():
    slow, fast = (speech.speak(SENTENCE, speech.Voice(rate=rate))[0] for rate in (100, 160))
    assert len(slow) > 1.3 * len(fast)


def test_an_unknown_voice_is_an_error():
    with pytest.raises(RuntimeError, match="nobody"):
        speech.speak(SENTENCE, speech.Voice("nobody"))


def test_a_missing_espeak_names_the_cure(monkeypatch):
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(errors.UserError, match=r"pip install 's2f_jax\[data\]'"):
        speech.speak(SENTENCE, speech.Voice())
