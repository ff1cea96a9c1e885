"""The files of a clone of CREMA-D's repository."""

import pathlib
from collections.abc import Collection

from data_pipelines import splits
from data_pipelines.aligning import align_clip
from data_pipelines.aligning.align_clip import RawClip
from data_pipelines.aligning.base_builder import CorpusContents
from data_pipelines.common.errors import BadClip, UserError
from data_pipelines.crema_d import sentences

ACTORS = sorted(actor for part in splits.CREMA_D.values() for actor in part)
LAYOUT = "a clone of github.com/CheyneyComputerScience/CREMA-D, with VideoFlash/*.flv"
_POINTER = b"version https://git-lfs"  # What git leaves where git-LFS has not fetched the file.
_PULL = "run `git lfs pull` in the clone"
_POINTER_FOUND = f"a git-LFS pointer instead of the video: {_PULL}"
# Whole videos with a face and sound, and yet unfit; the others that are known (no sound, some few
# frames) are found out by the rules for all clips.
_UNFIT = {"1064_IEO_DIS_MD": "a minute long, with every emotion"}


def find(folder: pathlib.Path, actors: Collection[str]) -> CorpusContents:
    """The clips of the actors; sound is the video's own, which is in step with it.

    Raises:
      UserError: there is no such folder, no clip in it, or git-LFS has yet to fetch most of them.
    """
    if not folder.is_dir():
        raise UserError(f"There is no folder {folder}; --manual_dir should hold {LAYOUT}.")
    found: dict[str, RawClip] = {}
    unusable: dict[str, str] = {}
    for path in align_clip.find_files(folder, ".flv"):
        try:
            actor, said = sentences.parse(path.stem)
            if actor in actors:
                if path.stem in found:
                    raise BadClip(f"the same clip as {found[path.stem].path.relative_to(folder)}")
                found[path.stem] = _clip(path, actor, said)
        except BadClip as e:
            unusable[path.relative_to(folder).as_posix()] = str(e)
    pointers = list(unusable.values()).count(_POINTER_FOUND)
    if pointers > len(found):
        raise UserError(
            f"{pointers} of the {pointers + len(found)} videos in {folder} are git-LFS pointers, "
            f"not videos: {_PULL} first."
        )
    if not found:
        raise UserError(
            f"No CREMA-D clips of the {len(actors)} actors asked for in {folder}; it should hold "
            f"{LAYOUT}."
        )
    there = {raw.speaker for raw in found.values()}
    absent = [actor for actor in actors if actor not in there]
    return CorpusContents(list(found.values()), unusable, absent, splits.CREMA_D)


def _clip(path: pathlib.Path, actor: str, said: str) -> RawClip:
    """BadClip if it is known to be unfit, or no video to begin with."""
    if path.stem in _UNFIT:
        raise BadClip(_UNFIT[path.stem])
    try:
        with path.open("rb") as f:
            if f.read(len(_POINTER)) == _POINTER:
                raise BadClip(_POINTER_FOUND)
        return RawClip(path.stem, actor, path, align_clip.file_stamp(path), transcript=said)
    except OSError as e:
        raise BadClip(f"cannot be read ({e.strerror})") from e
