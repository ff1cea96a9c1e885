"""The words and phones of TCD-TIMIT's clips with times: HTK's master label files (.mlf)."""

import collections
import dataclasses
import pathlib
import re
from collections.abc import Iterable, Iterator

from data_pipelines import contract
from data_pipelines.common.errors import UserError

ClipKey = tuple[str, str]  # Speaker and sentence: 01M, sa1.

_TICKS = 10_000_000  # Of HTK's times, per second.
_SILENCE = frozenset(
    "sil sp pau epi h# silence <sil> <s> </s> sent-start sent-end !enter !exit".split()
)
# TIMIT's phones, which are ARPAbet's and some finer ones.
_PHONES = frozenset(
    "aa ae ah ao aw ax ax-h axr ay b bcl ch d dcl dh dx eh el em en eng er ey f g gcl hh hv ih ix "
    "iy jh k kcl l m n ng nx ow oy p pcl q r s sh t tcl th uh uw ux v w y z zh".split()
)
_SPEAKER = re.compile(r"(\d\d[MF])|lipspkr(\d)", re.IGNORECASE)


@dataclasses.dataclass(frozen=True)
class ClipLabels:
    """The labels of one clip, without its silences; either may be empty.

    Attributes:
      words: Words with times in seconds.
      phones: ARPAbet symbols with times in seconds.
    """

    words: tuple[contract.TimedText, ...] = ()
    phones: tuple[contract.TimedText, ...] = ()


def speaker_in_path(parts: Iterable[str]) -> str | None:
    """Finds the last folder in a path that is named after a speaker.

    Args:
      parts: The parts of the path.

    Returns:
      The speaker, 01M or Lipspkr1; None where no folder is a speaker's.
    """
    for part in reversed(list(parts)):
        if match := _SPEAKER.fullmatch(part):
            return match[1].upper() if match[1] else f"Lipspkr{match[2]}"
    return None


def read_text(path: pathlib.Path) -> str:
    """Reads a text file in UTF-8 or UTF-16, with replacement characters for damaged bytes.

    Args:
      path: The file.

    Returns:
      The file's text without a byte order mark.

    Raises:
      UserError: The file cannot be read.
    """
    try:
        data = path.read_bytes()
    except OSError as e:
        raise UserError(
            f"Cannot read {path} ({e.strerror}); check its permissions, or remove it."
        ) from e
    utf16 = data[:2] in (b"\xff\xfe", b"\xfe\xff")  # As PowerShell writes.
    return data.decode("utf-16" if utf16 else "utf-8-sig", errors="replace")


def read_labels(paths: Iterable[pathlib.Path]) -> dict[ClipKey, ClipLabels]:
    """Reads .mlf files.

    A block is of phones if most of its labels are ARPAbet's, else of words: the files' names are
    not reliable.

    Args:
      paths: The files.

    Returns:
      Labels by speaker and sentence. A clip whose blocks are damaged or contradict each other has
      none.
    """
    blocks: dict[str, dict[ClipKey, set[tuple[contract.TimedText, ...]]]]
    blocks = {name: collections.defaultdict(set) for name in ("words", "phones")}
    for path in paths:
        for key, rows in _blocks(read_text(path)):
            spans = _spans(rows)
            phones = sum(span.text in _PHONES for span in spans)
            name = "phones" if 2 * phones > len(spans) else "words"
            if spans:
                blocks[name][key].add(spans)
    unique = {
        name: {key: next(iter(versions)) for key, versions in by_key.items() if len(versions) == 1}
        for name, by_key in blocks.items()
    }
    keys = sorted(unique["words"].keys() | unique["phones"].keys())
    return {
        key: ClipLabels(
            words=tuple(
                dataclasses.replace(span, text=text)
                for span in unique["words"].get(key, ())
                if (text := contract.normalize_text(span.text))
            ),
            phones=unique["phones"].get(key, ()),
        )
        for key in keys
    }


def _blocks(text: str) -> Iterator[tuple[ClipKey, list[list[str]]]]:
    """Yields the fields of every line of each closed block that is of a straightcam clip."""
    key, rows = None, []
    for line in map(str.strip, text.splitlines()):
        if line.startswith('"'):
            key, rows = _key(line.strip('"')), []
        elif line == ".":
            if key:
                yield key, rows
            key = None
        elif line:
            rows.append(line.split())


def _key(path: str) -> ClipKey | None:
    """Returns (01M, sa1) of Q:/Videos/TCD-TIMIT/volunteers/01M/Clips/straightcam/sa1.rec."""
    *folders, name = path.replace("\\", "/").split("/")
    speaker = speaker_in_path(folders)
    if speaker is None or "30degcam" in (folder.lower() for folder in folders):
        return None
    return speaker, name.rpartition(".")[0].lower()


def _spans(rows: list[list[str]]) -> tuple[contract.TimedText, ...]:
    """Returns the spans of lines "start end label [score]"; () if a line is damaged."""
    spans, last = [], 0
    for row in rows:
        if len(row) < 3 or not (row[0].isdecimal() and row[1].isdecimal()):
            return ()
        start, end, label = int(row[0]), int(row[1]), row[2].lower().replace("\\", "")
        if not last <= start <= end:
            return ()
        last = start
        if label not in _SILENCE:
            spans.append(contract.TimedText(label, start / _TICKS, end / _TICKS))
    return tuple(spans)
