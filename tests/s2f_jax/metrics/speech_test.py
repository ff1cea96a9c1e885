"""Error rates against jiwer's and against counting by hand."""

import dataclasses

import jiwer
import numpy as np
import pytest

from s2f_jax.metrics import scoring, speech
from s2f_jax.reports.content import ClipScores
from s2f_jax.reports.summary import summarize

REFERENCES = ["bin blue at f two now", "lay red in z nine again", "set white by a one soon"]
HYPOTHESES = ["bin blue f too now please", "lay red in z nine again", ""]


def test_counted_by_hand():
    """ "at" deleted, "two" for "too", "please" inserted: 3 edits of 6 words."""
    counted = speech.count_edits(REFERENCES[0], HYPOTHESES[0])
    assert (counted.words, counted.word_edits, counted.wer) == (6, 3, 0.5)
    # "at " deleted (3), w for o (1), " please" inserted (7), of 21 letters.
    assert (counted.characters, counted.character_edits) == (21, 11)
    assert (
        speech.count_edits(REFERENCES[2], "").wer == 1
        and speech.count_edits(REFERENCES[1], HYPOTHESES[1]).cer == 0
    )
    with pytest.raises(ValueError, match="reference is empty"):
        speech.count_edits("", "a")


def test_corpus_rates_equal_jiwers():
    rng = np.random.default_rng(0)
    words = "bin blue at f two now soon again please".split()
    said = [" ".join(rng.choice(words, rng.integers(1, 8))) for _ in range(40)]
    read = [" ".join(rng.choice(words, rng.integers(0, 8))) for _ in range(40)]
    pairs = list(zip(said, read, strict=True))
    assert speech.wer(pairs) == pytest.approx(jiwer.wer(said, read), abs=1e-12)
    assert speech.cer(pairs) == pytest.approx(jiwer.cer(said, read), abs=1e-12)
    # And so does a report's row, whose mean is weighted.
    scores = [speech.error_rate_scores(*pair) for pair in pairs]
    rows = summarize(
        ClipScores("row", str(i), "speaker", s.values, s.weights) for i, s in enumerate(scores)
    )
    assert rows["row"]["wer"]["mean"] == pytest.approx(jiwer.wer(said, read), abs=1e-12)
    assert rows["row"]["cer"]["mean"] == pytest.approx(jiwer.cer(said, read), abs=1e-12)


class _Reader:
    """Knows what each video says by its first pixel."""

    height, width, fps, description = 64, 48, 25, "an oracle"

    def __init__(self, texts):
        self.texts, self.seen = texts, 0

    def read(self, videos):
        self.seen += len(videos)
        return [self.texts[int(video[0, 0, 0, 0])] for video in videos]


def _pair(index, **changes):
    video = np.full((3, 64, 48, 3), index, np.uint8)
    pair = scoring.ClipPair(
        name=f"clip{index}", speaker="s", transcript=REFERENCES[index], video=video, real=video,
        fps=25.0, audio=np.zeros(0, np.int16), audio_rate=16000, aligned=True,
    )  # fmt: skip
    return dataclasses.replace(pair, **changes)


def test_the_scorer_scores_what_it_can_and_says_why_not_the_rest():
    reader = _Reader(HYPOTHESES)
    pairs = [
        _pair(0),
        _pair(1, transcript=""),
        _pair(1, transcript="lay red in z 9 again"),
        _pair(1, aligned=False),
        _pair(1, video=np.zeros((3, 128, 96, 3), np.uint8)),
        _pair(1, fps=30.0),
        _pair(1, transcript="Lay red, in Z nine again."),
        _pair(2),
    ]
    found = speech.SpeechScorer(reader)(pairs)
    assert [scored.values["wer"] for scored in found] == [
        0.5,
        "no transcript",
        "the transcript has signs that the lip reader has no letters for",
        "the lip reader needs aligned faces",
        "the lip reader was trained on faces of another size",
        "the lip reader was trained on another frame rate",
        0.0,
        1.0,
    ]
    assert all(isinstance(s.values["cer"], str) == isinstance(s.values["wer"], str) for s in found)
    assert found[0].weights == {"wer": 6, "cer": 21} and reader.seen == 3
    assert speech.SpeechScorer(reader).conventions["lip_reader"] == "an oracle"


def test_nothing_to_read_asks_the_reader_nothing():
    reader = _Reader(HYPOTHESES)
    [scored] = speech.SpeechScorer(reader)([_pair(0, transcript=" ")])
    assert scored.values == {"wer": "no transcript", "cer": "no transcript"}
    assert speech.SpeechScorer(reader)([]) == []
