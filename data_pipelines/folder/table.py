"""A CSV that says who is in which file and, where wanted, its split, words and cuts."""

import csv
import hashlib
import io
import pathlib
from collections.abc import Mapping

from data_pipelines.common.errors import UserError
from data_pipelines.folder import naming
from data_pipelines.folder.sources import Cut, SourceVideo

_NEEDED = ("file", "speaker")
_OPTIONAL = ("split", "transcript", "start", "end")
SPLITS = ("train", "val", "test")


def locate(name: str, folder: pathlib.Path) -> pathlib.Path:
    """The CSV as it is named, else by that name in the videos' folder."""
    for path in (pathlib.Path(name).expanduser(), folder / name):
        if path.is_file():
            return path
    raise UserError(
        f"There is no file {name}, here or in {naming.shown(folder)}; "
        "--config.data.options.csv takes a CSV with the columns file, speaker and, where wanted, "
        "split, transcript, start, end."
    )


def digest(path: pathlib.Path) -> str:
    """What changes when the CSV does."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def read_table(path: pathlib.Path, folder: pathlib.Path) -> list[SourceVideo]:
    """The videos that a CSV lists, a row for each or for each of its cuts; others are left out.

    Files are looked for in `folder`, then beside the CSV.

    Raises:
      UserError: what is wrong, with the line.
    """
    rows: dict[pathlib.Path, list[tuple[int, Mapping[str, str]]]] = {}
    for line, row in _rows(path):
        rows.setdefault(_file(path, line, row, folder), []).append((line, row))
    if not rows:
        raise UserError(f"{path} lists no file; give it a row for each.")
    return [_video(path, file, lines, folder) for file, lines in sorted(rows.items())]


def _rows(path: pathlib.Path) -> list[tuple[int, dict[str, str]]]:
    """[(line, {column: text})], blank rows left out."""
    try:
        text = path.read_text("utf-8-sig")  # As Excel writes it, with a mark in front.
    except UnicodeDecodeError as e:
        raise UserError(f"{path} is not a UTF-8 text ({e.reason}); save it as CSV UTF-8.") from e
    reader = csv.DictReader(io.StringIO(text, newline=""), restkey="", restval="")
    columns = [(name or "").strip().lower() for name in reader.fieldnames or ()]
    if missing := [name for name in _NEEDED if name not in columns]:
        raise UserError(
            f"{path} has no column {missing[0]!r} in its first line, which has "
            f"{', '.join(columns) or 'nothing'}; name them file,speaker and, where wanted, "
            "split,transcript,start,end, with commas between them."
        )
    if unknown := [name for name in columns if name and name not in _NEEDED + _OPTIONAL]:
        raise UserError(
            f"{path} has a column {unknown[0]!r}; there are file, speaker, "
            f"{', '.join(_OPTIONAL)}: leave it out."
        )
    if twice := [name for name in columns if columns.count(name) > 1]:
        raise UserError(f"{path} has the column {twice[0]!r} twice; leave one out.")
    reader.fieldnames = columns
    result = []
    try:
        for row in reader:
            if row.pop("", None):
                raise UserError(
                    f"{path}, line {reader.line_num}: more fields than columns; put quotes around "
                    "a text that has a comma in it."
                )
            cells = {name: cell.strip() for name, cell in row.items()}
            if any(cells.values()):
                result.append((reader.line_num, cells))
    except csv.Error as e:
        raise UserError(f"{path}, line {reader.line_num}: {e}; mend it there.") from e
    return result


def _file(
    path: pathlib.Path, line: int, row: Mapping[str, str], folder: pathlib.Path
) -> pathlib.Path:
    """The file of a row, by its real path, so that two spellings are one."""
    for name in _NEEDED:
        if not row[name]:
            raise UserError(f"{path}, line {line}: no {name}; fill it in.")
    for place in (folder, path.parent):
        if (place / row["file"]).is_file():
            return (place / row["file"]).resolve()
    raise UserError(
        f"{path}, line {line}: there is no file {row['file']} in {naming.shown(folder)} or beside "
        "the CSV; write it as it is found from there."
    )


def _video(
    path: pathlib.Path,
    file: pathlib.Path,
    lines: list[tuple[int, Mapping[str, str]]],
    folder: pathlib.Path,
) -> SourceVideo:
    """The rows of one file."""
    first, row = lines[0]
    for name in ("speaker", "split"):
        for line, other in lines[1:]:
            if other.get(name, "") != row.get(name, ""):
                raise UserError(
                    f"{path}, line {line}: {row['file']} is of the {name} {other[name]!r} here and "
                    f"of {row[name]!r} in line {first}; a file is of one {name}."
                )
    split = row.get("split", "").lower()
    if split and split not in SPLITS:
        raise UserError(
            f"{path}, line {first}: the split {row['split']!r} is none of {', '.join(SPLITS)}."
        )
    timed = [(line, r) for line, r in lines if r.get("start") or r.get("end")]
    if len(timed) < len(lines) > 1:
        raise UserError(
            f"{path}, line {lines[1][0]}: {row['file']} is there already, in line {first}; give each "
            "of its rows a start and an end."
        )
    cuts = sorted((_cut(path, line, r) for line, r in timed), key=lambda cut: cut.start)
    transcript = "" if cuts else row.get("transcript", "")
    root = folder.resolve()
    relative = file.relative_to(root) if file.is_relative_to(root) else file
    speaker = naming.speaker_name(row["speaker"])
    return SourceVideo(file, naming.video_name(relative), speaker, split, transcript, tuple(cuts))


def _cut(path: pathlib.Path, line: int, row: Mapping[str, str]) -> Cut:
    """A row's times, in seconds."""
    times: dict[str, float | None] = {"start": 0.0, "end": None}
    for name in times:
        if text := row.get(name, ""):
            try:
                times[name] = float(text)
            except ValueError as e:
                raise UserError(
                    f"{path}, line {line}: the {name} {text!r} is no number; give seconds, e.g. "
                    "12.48."
                ) from e
    start, end = times["start"] or 0.0, times["end"]
    if not (0 <= start < float("inf")) or not (end is None or start < end < float("inf")):
        raise UserError(
            f"{path}, line {line}: from {row.get('start') or 0} to {row.get('end')} s is no part "
            "of a video; the end comes after the start, which is 0 or more."
        )
    return Cut(start, end, row.get("transcript", ""))
