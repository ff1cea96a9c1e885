"""WER and CER: word and character error rates of the text that a lip reader reads in a video."""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Protocol

import jiwer
import numpy as np

from data_pipelines.loading import charset
from s2f_jax.metrics.scoring import NOT_NEGATIVE, ClipPair, Metric, Scorer, Scores, missing_scores

_GROUP = "sharpness and speech"
METRICS = (
    Metric(
        "wer", "WER", "word error rate of a lip reader",
        "lower", 3, group=_GROUP, anchors=(0,), bounds=NOT_NEGATIVE,
    ),
    Metric(
        "cer", "CER", "character error rate of a lip reader",
        "lower", 3, group=_GROUP, anchors=(0,), bounds=NOT_NEGATIVE,
    ),
)  # fmt: skip
CONVENTIONS = {
    "wer": "substitutions, deletions and insertions of words over words said, over all clips together",
    "cer": "the same of letters, spaces counted",
}


@dataclasses.dataclass(frozen=True)
class EditCounts:
    """Edits that turn a hypothesis into its reference: substitutions, deletions and insertions.

    Attributes:
      words: Number of words of the reference.
      word_edits: Number of word edits.
      characters: Number of characters of the reference, with spaces.
      character_edits: Number of character edits.
    """

    words: int
    word_edits: int
    characters: int
    character_edits: int

    @property
    def wer(self) -> float:
        """Word error rate."""
        return self.word_edits / self.words

    @property
    def cer(self) -> float:
        """Character error rate."""
        return self.character_edits / self.characters


def count_edits(reference: str, hypothesis: str) -> EditCounts:
    """Counts the edits between two texts in the form of charset.clean.

    Args:
      reference: What was said.
      hypothesis: What was read.

    Returns:
      The counts.

    Raises:
      ValueError: The reference is empty, for which no rate is defined.
    """
    if not reference:
        raise ValueError("the reference is empty")
    words = jiwer.process_words(reference, hypothesis)
    characters = jiwer.process_characters(reference, hypothesis)
    return EditCounts(
        words=words.hits + words.substitutions + words.deletions,
        word_edits=words.substitutions + words.deletions + words.insertions,
        characters=characters.hits + characters.substitutions + characters.deletions,
        character_edits=characters.substitutions + characters.deletions + characters.insertions,
    )


def wer(pairs: Iterable[tuple[str, str]]) -> float:
    """Word error rate over several texts: all edits / all words, as jiwer computes it.

    Args:
      pairs: Reference and hypothesis each.

    Returns:
      The rate, which may exceed 1.
    """
    counts = [count_edits(*pair) for pair in pairs]
    return sum(c.word_edits for c in counts) / sum(c.words for c in counts)


def cer(pairs: Iterable[tuple[str, str]]) -> float:
    """Character error rate over several texts: all edits / all characters.

    Args:
      pairs: Reference and hypothesis each.

    Returns:
      The rate, which may exceed 1.
    """
    counts = [count_edits(*pair) for pair in pairs]
    return sum(c.character_edits for c in counts) / sum(c.characters for c in counts)


class LipReaderProtocol(Protocol):
    """What SpeechScorer needs of a lip reader.

    Attributes:
      height: Pixels of the aligned faces that it takes.
      width: Pixels of the aligned faces that it takes.
      fps: Frames per second that it was trained on.
      description: The network, its decoding, and how well it reads real videos.
    """

    height: int
    width: int
    fps: int
    description: str

    def read(self, videos: Sequence[np.ndarray]) -> list[str]:
        """Reads videos.

        Args:
          videos: Aligned faces, uint8 [T_i, height, width, 3].

        Returns:
          The text of each.
        """
        ...


class SpeechScorer(Scorer):
    """Measures WER and CER of a lip reader, against the real clip's transcript.

    A row's mean, weighted by words (characters), is the corpus-level rate.

    Args:
      reader: The lip reader.
    """

    metrics = tuple(metric.key for metric in METRICS)

    def __init__(self, reader: LipReaderProtocol):
        self._reader = reader
        self.conventions = {"lip_reader": reader.description, **CONVENTIONS}

    def __call__(self, pairs: Sequence[ClipPair]) -> list[Scores]:
        """Scores videos; those that the reader was not trained for get a reason.

        Args:
          pairs: The videos and their references.

        Returns:
          The scores of each, in order.
        """
        reasons = [self._unreadable(pair) for pair in pairs]
        readable = [pair.video for pair, reason in zip(pairs, reasons, strict=True) if not reason]
        texts = iter(self._reader.read(readable))
        return [
            missing_scores(self.metrics, reason)
            if reason
            else error_rate_scores(pair.transcript, next(texts))
            for pair, reason in zip(pairs, reasons, strict=True)
        ]

    def _unreadable(self, pair: ClipPair) -> str:
        """Why a video cannot be scored; "" where it can."""
        if not pair.transcript.strip():
            return "no transcript"
        try:
            charset.clean(pair.transcript)
        except ValueError:
            return "the transcript has signs that the lip reader has no letters for"
        size = self._reader.height, self._reader.width
        reasons = {
            "the lip reader needs aligned faces": not pair.aligned,
            "the lip reader was trained on faces of another size": pair.video.shape[1:3] != size,
            "the lip reader was trained on another frame rate": round(pair.fps) != self._reader.fps,
        }
        return next((reason for reason, holds in reasons.items() if holds), "")


def error_rate_scores(transcript: str, hypothesis: str) -> Scores:
    """Scores one reading.

    Args:
      transcript: What was said.
      hypothesis: What was read, in the form of charset.clean.

    Returns:
      WER and CER, weighted by words and characters.

    Raises:
      ValueError: The transcript is empty, or has characters that the alphabet lacks.
    """
    counts = count_edits(charset.clean(transcript), hypothesis)
    weights = {"wer": float(counts.words), "cer": float(counts.characters)}
    return Scores({"wer": counts.wer, "cer": counts.cer}, weights)
