"""Word and character error rates of what a lip reader reads in a video."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import jiwer
import numpy as np

from data_pipelines.loading import charset
from s2f_jax.metrics.scoring import Scores, VideoPair, missing_scores

CONVENTIONS = {
    "wer": "substitutions, deletions and insertions of words over words said, over all clips together",
    "cer": "the same of letters, spaces counted",
}


@dataclasses.dataclass(frozen=True)
class EditCounts:
    """Of one reading against what was said."""

    words: int  # Said.
    word_edits: int  # Substitutions, deletions and insertions that turn the reading into them.
    letters: int  # Said, spaces counted.
    letter_edits: int

    @property
    def wer(self) -> float:
        return self.word_edits / self.words

    @property
    def cer(self) -> float:
        return self.letter_edits / self.letters


def count_edits(said: str, read: str) -> EditCounts:
    """Both in letters.clean's form; nothing said raises ValueError, since no rate is defined then."""
    if not said:
        raise ValueError("nothing was said")
    words, characters = jiwer.process_words(said, read), jiwer.process_characters(said, read)
    return EditCounts(
        words=words.hits + words.substitutions + words.deletions,
        word_edits=words.substitutions + words.deletions + words.insertions,
        letters=characters.hits + characters.substitutions + characters.deletions,
        letter_edits=characters.substitutions + characters.deletions + characters.insertions,
    )


def wer(pairs: Iterable[tuple[str, str]]) -> float:
    """Word error rate of pairs (said, read): all edits / all words said, as jiwer has it."""
    counts = [count_edits(*pair) for pair in pairs]
    return sum(c.word_edits for c in counts) / sum(c.words for c in counts)


def cer(pairs: Iterable[tuple[str, str]]) -> float:
    """Character error rate, likewise."""
    counts = [count_edits(*pair) for pair in pairs]
    return sum(c.letter_edits for c in counts) / sum(c.letters for c in counts)


class LipReaderProtocol(Protocol):
    """Reads lips, as s2f_jax.reading.Reader."""

    height: int  # Pixels, of the aligned faces that it knows.
    width: int
    fps: int
    about: str  # Which network, with what decoding, how good on real videos.

    def read(self, videos: Sequence[np.ndarray]) -> list[str]: ...


class SpeechScorer:
    """An Instrument: WER and CER of a lip reader, against the real clip's transcript.

    A row's mean, weighted by words (letters), is the corpus level rate.
    """

    metrics = ("wer", "cer")

    def __init__(self, reader: LipReaderProtocol):
        self._reader = reader
        self.about: Mapping[str, str] = {
            "lip_reader": reader.about,
            **CONVENTIONS,
        }

    def __call__(self, pairs: Sequence[VideoPair]) -> list[Scores]:
        reasons = [self._unfit(pair) for pair in pairs]
        fit = [pair for pair, reason in zip(pairs, reasons, strict=True) if not reason]
        texts = iter(self._reader.read([pair.video for pair in fit]))
        return [
            missing_scores(self.metrics, reason)
            if reason
            else error_rate_scores(pair.transcript, next(texts))
            for pair, reason in zip(pairs, reasons, strict=True)
        ]

    def _unfit(self, pair: VideoPair) -> str:
        """Why a video cannot be scored; empty: it can."""
        if not pair.transcript.strip():
            return "no transcript"
        try:
            charset.clean(pair.transcript)
        except ValueError:
            return "the transcript has signs that the lip reader has no letters for"
        if not pair.aligned:
            return "the lip reader needs aligned faces"
        if pair.video.shape[1:3] != (self._reader.height, self._reader.width):
            return "the lip reader was trained on faces of another size"
        if round(pair.fps) != self._reader.fps:
            return "the lip reader was trained on another frame rate"
        return ""


def error_rate_scores(transcript: str, read: str) -> Scores:
    """One reading's; a transcript in letters that the alphabet lacks raises ValueError."""
    counted = count_edits(charset.clean(transcript), read)
    return Scores(
        {"wer": counted.wer, "cer": counted.cer},
        {"wer": float(counted.words), "cer": float(counted.letters)},
    )
