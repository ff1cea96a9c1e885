"""The files of a copy of TCD-TIMIT, and the words of each clip."""

import pathlib
import re
from collections.abc import Callable, Collection, Mapping

from data_pipelines import contract, splits
from data_pipelines.aligning import align_clip
from data_pipelines.aligning.base_builder import CorpusContents
from data_pipelines.common.errors import UserError
from data_pipelines.common.files import require_folder
from data_pipelines.tcd_timit import labels
from data_pipelines.tcd_timit.labels import ClipKey, ClipLabels

LAYOUT = (
    "the unpacked volunteers/01M/Clips/straightcam/*.mp4 and so on, with the label files (.mlf) "
    "anywhere among them"
)
VOLUNTEERS = 59
_CAMERA = "straightcam"  # The other camera films from the side.


def find_clips(
    folder: pathlib.Path,
    speakers: Collection[str],
    split: Callable[[Collection[str]], Mapping[str, Collection[str]]],
) -> CorpusContents:
    """Finds the clips of the front camera.

    The transcript is the prompt (a .txt beside the clip), else the labels' words, else their
    phones. Times of words count only if they are the prompt's.

    Args:
      folder: The copy of the corpus.
      speakers: Names such as 01M; empty: all that are in a split.
      split: Takes the speakers present and returns speakers by split.

    Returns:
      The clips with their transcripts and labels, and the splits.

    Raises:
      UserError: There is no such folder, or no clip in it.
    """
    require_folder(folder, LAYOUT)
    videos, unusable = _videos(folder)
    present = {speaker for speaker, _ in videos}
    parts = split(present | set(speakers))
    wanted = {s for part in parts.values() for s in part if not speakers or s in speakers}
    videos = {key: path for key, path in videos.items() if key[0] in wanted}
    if not videos:
        whose = f" of {', '.join(speakers)}" if speakers else ""
        raise UserError(f"No TCD-TIMIT clips{whose} in {folder}; it should hold {LAYOUT}.")
    labelled = labels.read_labels(align_clip.find_files(folder, ".mlf"))
    clips = [_clip(key, path, labelled.get(key, ClipLabels())) for key, path in videos.items()]
    if unlabelled := sum(not (raw.words or raw.phones) for raw in clips):
        print(f"{unlabelled} of {len(clips)} clips have no labels of words or phones.")
    absent = wanted - present if speakers else {*(wanted - present), *_missing_volunteers(present)}
    return CorpusContents(clips, unusable, sorted(absent), parts)


def _videos(folder: pathlib.Path) -> tuple[dict[ClipKey, pathlib.Path], dict[str, str]]:
    """Returns every clip's file by speaker and sentence, and reasons by file that is unusable."""
    videos, unusable = {}, {}
    for path in align_clip.find_files(folder, ".mp4", ".m4v", ".mov"):
        relative = path.relative_to(folder)
        speaker = labels.speaker_in_path(relative.parts[:-1])
        if speaker is None or _CAMERA not in (part.lower() for part in relative.parts[:-1]):
            continue
        key = speaker, path.stem.lower()
        if key in videos:
            other = videos[key].relative_to(folder)
            unusable[relative.as_posix()] = f"the same clip as {other.as_posix()}"
        elif not path.is_file():
            unusable[relative.as_posix()] = "a link to a file that does not exist"
        else:
            videos[key] = path
    return videos, unusable


def _missing_volunteers(present: Collection[str]) -> list[str]:
    """Returns those of 01 to 59 without a clip, by both names where the sex is unknown."""
    known = {s[:2] for s in (*present, *splits.TCD_TIMIT_TEST, *splits.TCD_TIMIT_LEFT_OUT)}
    numbers = (f"{i:02d}" for i in range(1, VOLUNTEERS + 1))
    return [f"{number}M or {number}F" for number in numbers if number not in known]


def _clip(key: ClipKey, path: pathlib.Path, labelled: ClipLabels) -> align_clip.RawClip:
    words, text = labelled.words, " ".join(span.text for span in labelled.words)
    transcript = _prompt(path) or text or " ".join(span.text for span in labelled.phones)
    if text != transcript:
        words = ()
    return align_clip.RawClip(
        id="_".join(key),
        speaker=key[0],
        path=path,
        stamp=align_clip.file_stamp(path),
        transcript=transcript,
        words=words,
        phones=labelled.phones,
    )


def _prompt(video: pathlib.Path) -> str:
    """Returns the text beside a clip; TIMIT's own begins with two numbers of samples."""
    path = video.with_suffix(".txt")
    if not path.is_file():
        return ""
    return contract.normalize_text(re.sub(r"^\s*\d+\s+\d+\s", "", labels.read_text(path)))
