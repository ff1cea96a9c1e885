"""What is said in each clip of TCD-TIMIT, and when: HTK's master label files (.mlf)."""

import collections
import dataclasses
import pathlib
import re
from collections.abc import Iterable, Iterator

from data_pipelines import contract
from data_pipelines.aligning.align_clip import TimedText
from data_pipelines.common.errors import UserError

Key = tuple[str, str]  # Speaker and sentence: 01M, sa1.

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
class Labels:
    """Of one clip, without its silences; either may be empty."""

    words: tuple[TimedText, ...] = ()
    phones: tuple[TimedText, ...] = ()


def speaker_of(parts: Iterable[str]) -> str | None:
    """The parts of a path -> the speaker whose folder is the last among them: 01M, Lipspkr1."""
    for part in reversed(list(parts)):
        if match := _SPEAKER.fullmatch(part):
            return match[1].upper() if match[1] else f"Lipspkr{match[2]}"
    return None


def text_of(path: pathlib.Path) -> str:
    """A text file of unknown origin; what is no text in it becomes replacement characters.

    Raises:
      UserError: it cannot be read.
    """
    try:
        data = path.read_bytes()
    except OSError as e:
        raise UserError(f"Cannot read {path} ({e.strerror}); check it, or take it away.") from e
    utf16 = data[:2] in (b"\xff\xfe", b"\xfe\xff")  # As Windows' shell writes.
    return data.decode("utf-16" if utf16 else "utf-8-sig", errors="replace")


def read_labels(paths: Iterable[pathlib.Path]) -> dict[Key, Labels]:
    """The labels in .mlf files; a clip whose blocks are broken or contradict each other has none.

    A block is of phones if most of its labels are ARPAbet's, else of words: the files' names tell
    nothing that can be relied upon.
    """
    blocks: dict[str, dict[Key, set[tuple[TimedText, ...]]]]
    blocks = {name: collections.defaultdict(set) for name in ("words", "phones")}
    for path in paths:
        for key, rows in _blocks(text_of(path)):
            spans = _spans(rows)
            phones = sum(span.text in _PHONES for span in spans)
            name = "phones" if 2 * phones > len(spans) else "words"
            if spans:
                blocks[name][key].add(spans)
    sure = {
        name: {key: found.copy().pop() for key, found in by_key.items() if len(found) == 1}
        for name, by_key in blocks.items()
    }
    keys = sorted(sure["words"].keys() | sure["phones"].keys())
    return {
        key: Labels(
            words=tuple(
                dataclasses.replace(span, text=text)
                for span in sure["words"].get(key, ())
                if (text := contract.normalize_text(span.text))
            ),
            phones=sure["phones"].get(key, ()),
        )
        for key in keys
    }


def _blocks(text: str) -> Iterator[tuple[Key, list[list[str]]]]:
    """The closed blocks of an .mlf whose quoted path names a straightcam clip -> its lines."""
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


def _key(path: str) -> Key | None:
    """Q:/Videos/TCD-TIMIT/volunteers/01M/Clips/straightcam/sa1.rec -> (01M, sa1)."""
    *folders, name = path.replace("\\", "/").split("/")
    speaker = speaker_of(folders)
    if speaker is None or "30degcam" in (folder.lower() for folder in folders):
        return None
    return speaker, name.rpartition(".")[0].lower()


def _spans(rows: list[list[str]]) -> tuple[TimedText, ...]:
    """Lines "start end label [score]" -> the spans without silences; () if a line is broken."""
    spans, last = [], 0
    for row in rows:
        if len(row) < 3 or not (row[0].isdecimal() and row[1].isdecimal()):
            return ()
        start, end, label = int(row[0]), int(row[1]), row[2].lower().replace("\\", "")
        if not last <= start <= end:
            return ()
        last = start
        if label not in _SILENCE:
            spans.append(TimedText(label, start / _TICKS, end / _TICKS))
    return tuple(spans)
