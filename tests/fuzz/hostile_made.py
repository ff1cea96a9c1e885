"""What the makers of hostile inputs share: what they made, the damage that any file may take, and
what may stand where a file should."""

import dataclasses
import fractions
import os


@dataclasses.dataclass(frozen=True)
class Made:
    """A value for a flag, and what is known of it."""

    value: str  # A path, or the flag's value itself.
    good: bool | None  # Whether it must be taken, or refused; None: either, but rightly.
    named: str  # What the sentence about it holds.
    what: str = ""  # By which maker, for whoever looks at a failure.
    seconds: fractions.Fraction | None = None  # Of sound, where it is known.
    size: tuple[int, int] | None = None  # Height and width of a picture, where they are known.


def written(path, data, good, what, **known):
    """known: further fields of Made."""
    path.write_bytes(data)
    return Made(str(path), good, path.name, what, **known)


def drawn(rng, named):
    """The name of one of them."""
    names = sorted(named)
    return names[rng.integers(len(names))]


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


def damaged(data, rng, head=0, share=0.0):
    """-> the name of a damage, and the data with it.

    head: of how many bytes the names and sizes at the beginning are; share: how often bytes are
    flipped there alone.
    """
    name = drawn(rng, DAMAGES)
    if head and name == "flipped" and rng.random() < share:
        return name, flipped(data[:head], rng) + data[head:]
    return name, DAMAGES[name](data, rng)


def damage(path, rng):
    """-> the name of what was done to the file."""
    name, data = damaged(path.read_bytes(), rng)
    path.write_bytes(data)
    return name


# Each puts something where a file should be.


def a_folder(path):
    path.mkdir()


def a_pipe(path):
    os.mkfifo(path)


def a_loop(path):
    path.symlink_to(path.name)


def endless(path):
    path.symlink_to("/dev/zero")


def full(path):
    path.symlink_to("/dev/full")


def nowhere(path):
    path.symlink_to("nowhere")


def sparse(path):
    path.touch()
    os.truncate(path, 1 << 36)  # Of zeros, which take no room.


def missing(path):
    assert not path.exists()


def special(rng, path, kinds):
    """No file, or one without an end; kinds: some of the functions above."""
    kind = int(rng.integers(len(kinds)))
    kinds[kind](path)
    return Made(str(path), False, path.name, f"special {kind}")


# What stands in JSON or a pickle where something else should.
ODD_VALUES = (
    *(None, True, "", "x", "nan", -1, 0, 1, 7, 1.5, -0.0, 1e-320, 1e308, 2**31, 2**63, 10**400),
    *(float("nan"), float("inf"), float("-inf"), [], {}, [[]], {"a": 1}, "9" * 5000, [0.1] * 1000),
)
