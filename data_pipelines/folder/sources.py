"""Finds the videos below a folder, and the speaker of each."""

import dataclasses
import hashlib
import os
import pathlib
from collections.abc import Iterator, Sequence

from data_pipelines.common.errors import UserError, make_printable
from data_pipelines.common.files import require_folder
from data_pipelines.folder import naming

SUFFIXES = frozenset(
    ".mp4 .mov .mkv .webm .avi .mpg .mpeg .m4v .flv .mts .ts .wmv .3gp".split()
)  # In any case.


@dataclasses.dataclass(frozen=True)
class Cut:
    """A part of a video that becomes a clip.

    Attributes:
      start: Seconds after the video's first frame.
      end: Seconds; None: the video's end.
      transcript: What is said in it, where a CSV has it.
    """

    start: float = 0.0
    end: float | None = None
    transcript: str = ""


@dataclasses.dataclass(frozen=True)
class SourceVideo:
    """A video file with one speaker in it.

    Attributes:
      path: The file.
      name: Unique; its clips are named after it.
      speaker: Safe for file names.
      split: Split of the video, where a CSV has it.
      transcript: Transcript of the whole video, where a CSV has it.
      cuts: Cuts of the video, where a CSV has them; (): to be detected.
    """

    path: pathlib.Path
    name: str
    speaker: str
    split: str = ""
    transcript: str = ""
    cuts: tuple[Cut, ...] = ()


def find_videos(folder: pathlib.Path, speaker_level: int) -> list[SourceVideo]:
    """Finds the videos below a folder, but for hidden files and folders.

    Args:
      folder: The root; or a single video, whose name is its speaker's, too.
      speaker_level: A video's speaker is the folder at this level below the root; a video above
        that level is of the folder that it is in, the root's name for those directly in it. With 0,
        every video is a speaker of its own.

    Returns:
      The videos, sorted by path.

    Raises:
      UserError: There is no such folder, it cannot be read, or it has no video in it.
    """
    if folder.is_file():
        name = pathlib.PurePath(folder.name)
        speaker = naming.speaker_name(name.stem)
        return [SourceVideo(folder.resolve(), naming.video_name(name), speaker)]
    require_folder(folder, "your videos, a folder per speaker, or be one video")
    root = folder.resolve()
    by_file: dict[pathlib.Path, pathlib.Path] = {}  # A file is one video, however many links.
    for path in _files(root):
        if path.suffix.lower() in SUFFIXES and path.is_file():
            by_file.setdefault(path.resolve(), path)
    if not by_file:
        raise UserError(
            f"There is no video in {make_printable(folder)}; --manual_dir should hold files such as "
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


def describe(videos: Sequence[SourceVideo]) -> str:
    """Describes a set of videos, to tell it from any other.

    Args:
      videos: The videos.

    Returns:
      Their number, their size, and a digest of names and sizes; when they were copied is not in it.
    """
    sizes = {video.name: video.path.stat().st_size for video in videos}
    digest = hashlib.sha256(repr(sorted(sizes.items())).encode()).hexdigest()[:8]
    count = f"{len(sizes)} file" if len(sizes) == 1 else f"{len(sizes)} files"
    return f"{count} of {sum(sizes.values())} bytes ({digest})"


def _files(root: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yields every file, those of the tree itself before those that links lead to, each once."""
    pending, visited = [root], set()
    while pending:
        folder = pending.pop(0)
        for where, folders, files in os.walk(folder, onerror=_unreadable):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            if (real := os.path.realpath(where)) in visited:
                folders.clear()
                continue
            visited.add(real)
            paths = [pathlib.Path(where, name) for name in folders]
            pending += [path for path in paths if path.is_symlink()]
            yield from (pathlib.Path(where, name) for name in _links_last(where, files))


def _links_last(where: str, files: Sequence[str]) -> list[str]:
    visible = sorted(name for name in files if not name.startswith("."))
    return sorted(visible, key=lambda name: os.path.islink(os.path.join(where, name)))


def _unreadable(error: OSError) -> None:
    raise UserError(
        f"Cannot read the folder {make_printable(error.filename)} ({error.strerror}); check its "
        "permissions, or give another --manual_dir."
    ) from error
