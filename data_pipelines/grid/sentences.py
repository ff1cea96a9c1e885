"""GRID's sentences: six words, each coded by one character of the clip's name."""

from collections.abc import Sequence

from data_pipelines.common.errors import BadClip
from data_pipelines.contract import TimedText

GRAMMAR = (
    {"b": "bin", "l": "lay", "p": "place", "s": "set"},
    {"b": "blue", "g": "green", "r": "red", "w": "white"},
    {"a": "at", "b": "by", "i": "in", "w": "with"},
    {letter: letter for letter in "abcdefghijklmnopqrstuvxyz"},  # W alone has three syllables.
    dict(
        zip("z123456789", "zero one two three four five six seven eight nine".split(), strict=True)
    ),
    {"a": "again", "n": "now", "p": "please", "s": "soon"},
)
_TICKS = 25000  # Of an .align file, per second.
_SILENCE = ("sil", "sp")


def words(name: str) -> list[str]:
    """Decodes a sentence's name, e.g. bbaf2n to bin blue at f two now.

    Args:
      name: Six characters, one for each word of GRAMMAR.

    Returns:
      The six words.

    Raises:
      BadClip: It is not such a name.
    """
    try:
        return [code[c] for c, code in zip(name, GRAMMAR, strict=True)]
    except (KeyError, ValueError) as e:
        raise BadClip(f"{name} is not the name of a GRID sentence") from e


def word_times(align: str, transcript: Sequence[str]) -> tuple[TimedText, ...]:
    """Parses an .align file, whose lines are "start end word".

    Args:
      align: The file's text; times in 1/25000 s.
      transcript: The words that it must have.

    Returns:
      The words without silences; () for a file that is damaged or has other words.
    """
    try:
        rows = [line.split() for line in align.splitlines() if line.strip()]
        spans = [
            TimedText(word, int(start) / _TICKS, int(end) / _TICKS) for start, end, word in rows
        ]
    except ValueError:
        return ()
    spans = tuple(span for span in spans if span.text not in _SILENCE)
    in_order = all(0 <= span.start <= span.end for span in spans)
    return spans if in_order and [span.text for span in spans] == list(transcript) else ()
