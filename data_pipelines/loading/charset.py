"""The lip reader's characters: a to z and the space."""

import numpy as np

ALPHABET = "abcdefghijklmnopqrstuvwxyz "
BLANK = len(ALPHABET)  # The CTC loss's class for "no new letter": the last one.
_PUNCTUATION = str.maketrans("-\n\t", "   ", "'.,;:!?\"")


def clean(transcript: str) -> str:
    """Spells a transcript in ALPHABET.

    Args:
      transcript: Any text.

    Returns:
      Lower-case letters without punctuation, one space between words.

    Raises:
      ValueError: It has a letter or digit that ALPHABET lacks.
    """
    text = " ".join(transcript.lower().translate(_PUNCTUATION).split())
    if unknown := sorted(set(text) - set(ALPHABET)):
        raise ValueError(
            f"the transcript {transcript!r} has {unknown[0]!r}, which is not a letter a to z"
        )
    return text


def encode(text: str) -> np.ndarray:
    """Converts text to class ids.

    Args:
      text: Text that `clean` has returned.

    Returns:
      Indices of ALPHABET, int32 [N].
    """
    return np.array([ALPHABET.index(letter) for letter in text], np.int32)


def decode(classes: np.ndarray) -> str:
    """Converts class ids to text.

    Args:
      classes: Indices of ALPHABET, [N].

    Returns:
      Text without spaces at its ends or twice in a row, as a lip reader may predict them.
    """
    return " ".join("".join(ALPHABET[i] for i in classes).split())
