"""Reads a CSV of video files and speakers and, optionally, splits, transcripts and cuts."""

import csv
import hashlib
import io
import pathlib
from collections.abc import Mapping

from data_pipelines.common.errors import UserError, make_printable
from data_pipelines.folder import naming
from data_pipelines.folder.sources import Cut, SourceVideo

_REQUIRED = ("file", "speaker")
_OPTIONAL = ("split", "transcript", "start", "end")
SPLITS = ("train", "val", "test")


def locate(name: str, folder: pathlib.Path) -> pathlib.Path:
    """Finds the CSV.

    Args:
      name: Path of the video, or its name in the videos' folder.
      folder: The videos' folder.

    Returns:
      The path of the file.

    Raises:
      UserError: There is no such file.
    """
    for path in (pathlib.Path(name).expanduser(), folder / name):
        if path.is_file():
            return path
    raise UserError(
        f"--config.data.options.csv={name}: there is no such file, here or in {make_printable(folder)};"
        " give a CSV with the columns file, speaker and, optionally, split, transcript, start, end."
    )


def digest(path: pathlib.Path) -> str:
    """Computes a digest of the CSV.

    Args:
      path: The file.

    Returns:
      16 hexadecimal digits of its SHA-256.
    """
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def read_table(path: pathlib.Path, folder: pathlib.Path) -> list[SourceVideo]:
    """Reads the videos that a CSV lists, a row for each or for each of its cuts.

    Args:
      path: The CSV.
      folder: Folder in which video files are looked for, before the CSV's own folder.

    Returns:
      The videos, sorted by path.

    Raises:
      UserError: A line is wrong, or there is none.
    """
    rows: dict[pathlib.Path, list[tuple[int, Mapping[str, str]]]] = {}
    for line, row in _rows(path):
        rows.setdefault(_file(path, line, row, folder), []).append((line, row))
    if not rows:
        raise UserError(f"{path} lists no file; add a row for each.")
    return [_video(path, file, lines, folder) for file, lines in sorted(rows.items())]


def _rows(path: pathlib.Path) -> list[tuple[int, dict[str, str]]]:
    # The number of each line and its text by column, without blank rows.
    try:
        text = path.read_text("utf-8-sig")  # Excel writes a byte order mark.
    except UnicodeDecodeError as e:
        raise UserError(f"{path} is not UTF-8 text ({e.reason}); save it as CSV UTF-8.") from e
    reader = csv.DictReader(io.StringIO(text, newline=""), restkey="", restval="")
    columns = [(name or "").strip().lower() for name in reader.fieldnames or ()]
    if missing := [name for name in _REQUIRED if name not in columns]:
        raise UserError(
            f"{path} has no column {missing[0]!r} in its first line, which has "
            f"{', '.join(columns) or 'nothing'}; name them file,speaker and, optionally, "
            "split,transcript,start,end, separated by commas."
        )
    if unknown := [name for name in columns if name and name not in _REQUIRED + _OPTIONAL]:
        raise UserError(
            f"{path} has an unknown column {unknown[0]!r}; remove it, or name it one of file, "
            f"speaker, {', '.join(_OPTIONAL)}."
        )
    if twice := [name for name in columns if columns.count(name) > 1]:
        raise UserError(f"{path} has the column {twice[0]!r} twice; remove one.")
    reader.fieldnames = columns
    result = []
    try:
        for row in reader:
            if row.pop("", None):
                raise UserError(
                    f"{path}, line {reader.line_num}: more fields than columns; quote text "
                    "that contains a comma."
                )
            cells = {name: cell.strip() for name, cell in row.items()}
            if any(cells.values()):
                result.append((reader.line_num, cells))
    except csv.Error as e:
        raise UserError(f"{path}, line {reader.line_num}: {e}; correct it there.") from e
    return result


def _file(
    path: pathlib.Path, line: int, row: Mapping[str, str], folder: pathlib.Path
) -> pathlib.Path:
    # By its real path, so that two spellings are one.
    for name in _REQUIRED:
        if not row[name]:
            raise UserError(f"{path}, line {line}: the {name} is empty; fill it in.")
    for parent in (folder, path.parent):
        if (parent / row["file"]).is_file():
            return (parent / row["file"]).resolve()
    raise UserError(
        f"{path}, line {line}: there is no file {row['file']} in {make_printable(folder)} or beside "
        "the CSV; give its path relative to one of these."
    )


def _video(
    path: pathlib.Path,
    file: pathlib.Path,
    lines: list[tuple[int, Mapping[str, str]]],
    folder: pathlib.Path,
) -> SourceVideo:
    first, row = lines[0]
    for name in ("speaker", "split"):
        for line, other in lines[1:]:
            if other.get(name, "") != row.get(name, ""):
                raise UserError(
                    f"{path}, line {line}: {row['file']} has the {name} {other[name]!r} here and "
                    f"{row[name]!r} in line {first}; give a file one {name}."
                )
    split = row.get("split", "").lower()
    if split and split not in SPLITS:
        raise UserError(
            f"{path}, line {first}: the split {row['split']!r} must be one of {', '.join(SPLITS)}."
        )
    timed = [(line, r) for line, r in lines if r.get("start") or r.get("end")]
    if len(timed) < len(lines) > 1:
        raise UserError(
            f"{path}, line {lines[1][0]}: {row['file']} is also in line {first}; give each of its "
            "rows a start and an end."
        )
    cuts = sorted((_cut(path, line, r) for line, r in timed), key=lambda cut: cut.start)
    transcript = "" if cuts else row.get("transcript", "")
    root = folder.resolve()
    relative = file.relative_to(root) if file.is_relative_to(root) else file
    speaker = naming.speaker_name(row["speaker"])
    return SourceVideo(file, naming.video_name(relative), speaker, split, transcript, tuple(cuts))


def _cut(path: pathlib.Path, line: int, row: Mapping[str, str]) -> Cut:
    times: dict[str, float | None] = {"start": 0.0, "end": None}
    for name in times:
        if text := row.get(name, ""):
            try:
                times[name] = float(text)
            except ValueError as e:
                raise UserError(
                    f"{path}, line {line}: the {name} {text!r} is not a number; give seconds, e.g. "
                    "12.48."
                ) from e
    start, end = times["start"] or 0.0, times["end"]
    if not (0 <= start < float("inf")) or not (end is None or start < end < float("inf")):
        raise UserError(
            f"{path}, line {line}: start={row.get('start') or 0}, end={row.get('end')}: the start "
            "must be 0 s or more, and the end after it."
        )
    return Cut(start, end, row.get("transcript", ""))
