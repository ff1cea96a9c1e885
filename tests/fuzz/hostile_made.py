"""What the makers of hostile inputs share: what they made, and damage that any file may take."""

import dataclasses
import fractions


@dataclasses.dataclass(frozen=True)
class Made:
    """A value for a flag, and what is known of it."""

    value: str  # A path, or the flag's value itself.
    good: bool | None  # Whether it must be taken, or refused; None: either, but rightly.
    named: str  # What the sentence about it holds.
    what: str = ""  # By which maker, for whoever looks at a failure.
    seconds: fractions.Fraction | None = None  # Of sound, where it is known.
    size: tuple[int, int] | None = None  # Height and width of a picture, where they are known.


def flipped(data, rng, most=20):
    """With up to so many bytes that are others."""
    damaged = bytearray(data)
    for at in rng.integers(0, max(len(data), 1), rng.integers(1, most + 1)):
        if damaged:
            damaged[at] ^= int(rng.integers(1, 256))
    return bytes(damaged)


def cut(data, rng):
    """Its beginning, or nothing."""
    return data[: rng.integers(0, max(len(data), 1))]


def stirred(data, rng):
    """A piece of it left out, doubled, or filled with zeros."""
    start, end = sorted(rng.integers(0, len(data) + 1, 2))
    piece = (b"", data[start:end] * 2, bytes(end - start))[rng.integers(3)]
    return data[:start] + piece + data[end:]


DAMAGES = {"flipped": flipped, "cut": cut, "stirred": stirred}

# What stands in JSON or a pickle where something else should.
ODD_VALUES = (
    *(None, True, "", "x", "nan", -1, 0, 1, 7, 1.5, -0.0, 1e-320, 1e308, 2**31, 2**63, 10**400),
    *(float("nan"), float("inf"), float("-inf"), [], {}, [[]], {"a": 1}, "9" * 5000, [0.1] * 1000),
)
