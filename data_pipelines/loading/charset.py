"""Transcripts as the lip reader spells them: a to z and the space."""

import numpy as np

ALPHABET = "abcdefghijklmnopqrstuvwxyz "
BLANK = len(ALPHABET)  # The CTC loss's class for "no new letter": the last one.
_SILENT = str.maketrans("-\n\t", "   ", "'.,;:!?\"")  # Marks that no lips show.


def clean(transcript: str) -> str:
    """In the alphabet's letters, one space between words.

    Raises:
      ValueError: it has a letter or digit that the alphabet lacks.
    """
    text = " ".join(transcript.lower().translate(_SILENT).split())
    if unknown := sorted(set(text) - set(ALPHABET)):
        raise ValueError(
            f"the transcript {transcript!r} has {unknown[0]!r}, not a letter of a to z"
        )
    return text


def encode(text: str) -> np.ndarray:
    """Clean text -> int32 [its length]."""
    return np.array([ALPHABET.index(letter) for letter in text], np.int32)


def decode(classes: np.ndarray) -> str:
    """Ids [N] -> text, one space between words: the reader may begin or end with one, or see two."""
    return " ".join("".join(ALPHABET[i] for i in classes).split())
