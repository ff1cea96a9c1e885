"""The videos of a tree: which files, and who is in them."""

import dataclasses
import os
import pathlib
from collections.abc import Iterator, Sequence

from data_pipelines.common.errors import UserError
from data_pipelines.folder import naming

SUFFIXES = frozenset(
    ".mp4 .mov .mkv .webm .avi .mpg .mpeg .m4v .flv .mts .ts .wmv .3gp".split()
)  # In any case.


@dataclasses.dataclass(frozen=True)
class Cut:
    """A part of a video that becomes a clip."""

    start: float = 0.0  # Seconds after the video's first frame.
    end: float | None = None  # None: to its end.
    transcript: str = ""


@dataclasses.dataclass(frozen=True)
class SourceVideo:
    """A file with one speaker in it."""

    path: pathlib.Path
    name: str  # Unique; what its clips are named after.
    speaker: str
    split: str = ""  # Where a CSV says so.
    transcript: str = ""  # Of the whole.
    cuts: tuple[Cut, ...] = ()  # Made by hand; none: to be found.


def find(folder: pathlib.Path, speaker_level: int) -> list[SourceVideo]:
    """The videos under a folder, by path; hidden files and folders are left out.

    A video's speaker is the folder at `speaker_level` below the root on the way to it (1: the first
    one); a video that lies higher is of the folder that it lies in, which is the root's own name
    for those directly in it. With 0, every video is a speaker of its own.

    Raises:
      UserError: there is no such folder, it cannot be read, or no video is in it.
    """
    if not folder.is_dir():
        raise UserError(
            f"There is no folder {naming.shown(folder)}; --manual_dir should hold your videos, a "
            "folder per speaker."
        )
    root = folder.resolve()
    by_file: dict[pathlib.Path, pathlib.Path] = {}  # A file is one video, however many links.
    for path in _files(root):
        if path.suffix.lower() in SUFFIXES and path.is_file():
            by_file.setdefault(path.resolve(), path)
    if not by_file:
        raise UserError(
            f"There is no video in {naming.shown(folder)}; --manual_dir should hold files such as "
            "anna/holiday.mp4 (also .mov, .mkv, .webm, .avi and others), a folder per speaker."
        )
    videos = []
    for path in sorted(by_file.values()):
        relative = path.relative_to(root)
        name = naming.video_name(relative)
        folders = [root.name or "root", *relative.parent.parts]
        speaker = folders[min(speaker_level, len(folders) - 1)]
        speaker = naming.speaker_name(speaker) if speaker_level else name
        videos.append(SourceVideo(path, name, speaker))
    return videos


def _files(root: pathlib.Path) -> Iterator[pathlib.Path]:
    """Every file; what lies in the tree itself first, then what links lead to, each folder once."""
    waiting, seen = [root], set()
    while waiting:
        folder = waiting.pop(0)
        for where, folders, files in os.walk(folder, onerror=_refuse):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            if (real := os.path.realpath(where)) in seen:
                folders.clear()
                continue
            seen.add(real)
            paths = [pathlib.Path(where, name) for name in folders]
            waiting += [path for path in paths if path.is_symlink()]
            yield from (pathlib.Path(where, name) for name in _links_last(where, files))


def _links_last(where: str, files: Sequence[str]) -> list[str]:
    visible = sorted(name for name in files if not name.startswith("."))
    return sorted(visible, key=lambda name: os.path.islink(os.path.join(where, name)))


def _refuse(error: OSError) -> None:
    raise UserError(
        f"Cannot read the folder {naming.shown(error.filename)} ({error.strerror}); check its "
        "permissions, or give another --manual_dir."
    ) from error
