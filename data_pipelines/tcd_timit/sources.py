"""The files of a copy of TCD-TIMIT, and what is said in each clip."""

import pathlib
import re
from collections.abc import Callable, Collection, Mapping

from data_pipelines import contract, splits
from data_pipelines.aligning import align_clip
from data_pipelines.aligning.align_clip import RawClip
from data_pipelines.aligning.base_builder import CorpusContents
from data_pipelines.common.errors import UserError
from data_pipelines.tcd_timit import labels
from data_pipelines.tcd_timit.labels import Key, Labels

LAYOUT = (
    "the unpacked volunteers/01M/Clips/straightcam/*.mp4 and so on, with the label files (.mlf) "
    "anywhere among them"
)
VOLUNTEERS = 59
_CAMERA = "straightcam"  # The other one looks from the side.


def find(
    folder: pathlib.Path,
    speakers: Collection[str],
    split: Callable[[Collection[str]], Mapping[str, Collection[str]]],
) -> CorpusContents:
    """The clips of the camera in front, of the speakers asked for that are in a split.

    `split` takes the speakers that there are (splits.tcd_timit). The transcript is the prompt (a
    .txt beside the clip), else the labels' words, else their phones. Times of words count only if
    they are the prompt's.

    Raises:
      UserError: there is no such folder, or no clip in it.
    """
    if not folder.is_dir():
        raise UserError(f"There is no folder {folder}; --manual_dir should hold {LAYOUT}.")
    videos, unusable = _videos(folder)
    there = {speaker for speaker, _ in videos}
    parts = split(there | set(speakers))
    wanted = {s for part in parts.values() for s in part if not speakers or s in speakers}
    videos = {key: path for key, path in videos.items() if key[0] in wanted}
    if not videos:
        whose = f" of {', '.join(speakers)}" if speakers else ""
        raise UserError(f"No TCD-TIMIT clips{whose} in {folder}; it should hold {LAYOUT}.")
    labelled = labels.read_labels(align_clip.find_files(folder, ".mlf"))
    found = [_spoken(key, path, labelled.get(key, Labels())) for key, path in videos.items()]
    if bare := sum(not (raw.words or raw.phones) for raw in found):
        print(f"{bare} of {len(found)} clips have no labels of words or phones.")
    absent = wanted - there if speakers else {*(wanted - there), *_missing_volunteers(there)}
    return CorpusContents(found, unusable, sorted(absent), parts)


def _videos(folder: pathlib.Path) -> tuple[dict[Key, pathlib.Path], dict[str, str]]:
    """Every clip's file, by speaker and sentence; and what cannot be used, with the reason."""
    videos, unusable = {}, {}
    for path in align_clip.find_files(folder, ".mp4"):
        place = path.relative_to(folder)
        speaker = labels.speaker_of(place.parts[:-1])
        if speaker is None or _CAMERA not in (part.lower() for part in place.parts[:-1]):
            continue
        key = speaker, path.stem.lower()
        if key in videos:
            other = videos[key].relative_to(folder)
            unusable[place.as_posix()] = f"the same clip as {other.as_posix()}"
        elif not path.is_file():
            unusable[place.as_posix()] = "a link to a file that is not there"
        else:
            videos[key] = path
    return videos, unusable


def _missing_volunteers(there: Collection[str]) -> list[str]:
    """Of 01 to 59, those without a clip; both names where it is not known which is the right one."""
    known = {s[:2] for s in (*there, *splits.TCD_TIMIT_TEST, *splits.TCD_TIMIT_LEFT_OUT)}
    numbers = (f"{i:02d}" for i in range(1, VOLUNTEERS + 1))
    return [f"{number}M or {number}F" for number in numbers if number not in known]


def _spoken(key: Key, path: pathlib.Path, labelled: Labels) -> RawClip:
    words, said = labelled.words, " ".join(span.text for span in labelled.words)
    transcript = _prompt(path) or said or " ".join(span.text for span in labelled.phones)
    if said != transcript:
        words = ()
    return RawClip(
        id="_".join(key),
        speaker=key[0],
        path=path,
        stamp=align_clip.file_stamp(path),
        transcript=transcript,
        words=words,
        phones=labelled.phones,
    )


def _prompt(video: pathlib.Path) -> str:
    """The text beside a clip; TIMIT's own begins with two numbers, of samples."""
    path = video.with_suffix(".txt")
    if not path.is_file():
        return ""
    return contract.normalize_text(re.sub(r"^\s*\d+\s+\d+\s", "", labels.text_of(path)))
