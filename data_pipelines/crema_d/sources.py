"""The files of a clone of CREMA-D's repository."""

import pathlib
from collections.abc import Collection

from data_pipelines import splits
from data_pipelines.aligning import align_clip
from data_pipelines.aligning.align_clip import RawClip
from data_pipelines.aligning.base_builder import CorpusContents
from data_pipelines.common.errors import BadClip, UserError
from data_pipelines.common.files import require_folder
from data_pipelines.crema_d import sentences

ACTORS = sorted(actor for part in splits.CREMA_D.values() for actor in part)
LAYOUT = "a clone of github.com/CheyneyComputerScience/CREMA-D, with VideoFlash/*.flv"
_POINTER = b"version https://git-lfs"  # What git leaves where git-LFS has not fetched the file.
_PULL = "run `git lfs pull` in the clone"
_POINTER_FOUND = f"a git-LFS pointer instead of the video: {_PULL}"
# Complete videos with a face and sound that are unfit all the same; the other known ones (no sound,
# a few frames) are rejected by the rules for all clips.
_UNFIT = {"1064_IEO_DIS_MD": "a minute long, with every emotion"}


def find_clips(folder: pathlib.Path, actors: Collection[str]) -> CorpusContents:
    """Finds the clips of some actors; the audio is the video's own, which is in sync with it.

    Args:
      folder: The clone of the repository.
      actors: Names such as 1001.

    Returns:
      The clips with their transcripts, and our splits.

    Raises:
      UserError: There is no such folder, no clip in it, or most are git-LFS pointers.
    """
    require_folder(folder, LAYOUT)
    clips: dict[str, RawClip] = {}
    unusable: dict[str, str] = {}
    for path in align_clip.find_files(folder, ".flv"):
        name = path.stem.upper()
        try:
            actor, transcript = sentences.parse_name(name)
            if actor in actors and name in clips:
                other = clips[name].path.relative_to(folder)
                unusable[path.relative_to(folder).as_posix()] = f"the same clip as {other}"
            elif actor in actors:
                clips[name] = _clip(path, name, actor, transcript)
        except BadClip as e:
            unusable[path.relative_to(folder).as_posix()] = str(e)
    pointers = list(unusable.values()).count(_POINTER_FOUND)
    if pointers > len(clips):
        raise UserError(
            f"{pointers} of the {pointers + len(clips)} videos in {folder} are git-LFS pointers, "
            f"not videos: {_PULL} first."
        )
    if not clips:
        raise UserError(
            f"No CREMA-D clips of the {len(actors)} requested actors in {folder}; it should hold "
            f"{LAYOUT}."
        )
    present = {raw.speaker for raw in clips.values()}
    absent = [actor for actor in actors if actor not in present]
    return CorpusContents(list(clips.values()), unusable, absent, splits.CREMA_D)


def _clip(path: pathlib.Path, name: str, actor: str, transcript: str) -> RawClip:
    if name in _UNFIT:
        raise BadClip(_UNFIT[name])
    try:
        with path.open("rb") as f:
            if f.read(len(_POINTER)) == _POINTER:
                raise BadClip(_POINTER_FOUND)
        return RawClip(name, actor, path, align_clip.file_stamp(path), transcript=transcript)
    except OSError as e:
        raise BadClip(f"cannot be read ({e.strerror})") from e
