"""The files of a copy of GRID, unpacked or as Zenodo's zips, and the words of each clip."""

import dataclasses
import pathlib
import re
import zipfile
from collections.abc import Collection, Iterable, Iterator, Sequence

from data_pipelines import splits
from data_pipelines.aligning import align_clip
from data_pipelines.aligning.base_builder import CorpusContents
from data_pipelines.common.errors import BadClip, UserError
from data_pipelines.common.files import require_folder
from data_pipelines.grid import sentences

SPEAKERS = sorted((s for part in splits.GRID.values() for s in part), key=lambda s: int(s[1:]))
_FRAMES = 75  # Of every clip; those that broke off have fewer.
_LAYOUT = "s1/*.mpg or s1.zip, and so on, with alignments/ or alignments.zip beside them"
_VIDEOS, _ALIGNS = (".mpg", ".mpeg"), (".align",)
# Of a folder or zip, such as S3, s03, s3.mpg_6000.part1 and s3_processed.
_SPEAKER = re.compile(r"s(?:peaker)?[ _-]?0*([1-9]\d?)(?:[ ._-].*)?", re.IGNORECASE)


def find_clips(folder: pathlib.Path, speakers: Sequence[str]) -> CorpusContents:
    """Finds the clips of some speakers in a folder of s1/*.mpg or s1.zip, in any case and depth.

    A clip's speaker is the nearest folder or zip above it that is named after one. The words come
    from its name. Their times come from the .align file of that name, in whichever folder it is:
    Zenodo's are swapped between speakers, and a name is unique in GRID.

    Args:
      folder: The copy of the corpus.
      speakers: Names such as s1.

    Returns:
      The clips with their transcripts, and GRID's splits.

    Raises:
      UserError: There is no such folder, or no clip in it.
    """
    require_folder(folder, _LAYOUT)
    named, dangling = _clips(folder, speakers)
    if not named:
        raise UserError(
            f"No GRID clips of {_listed(speakers)} in {folder}; it should hold {_LAYOUT}."
        )
    aligns = _alignments(folder, {_name(raw) for raw in named})
    clips, unusable = [], dangling
    for raw in named:
        try:
            words = sentences.words(_name(raw))
        except BadClip as e:
            unusable[raw.id] = str(e)
            continue
        spans = sentences.word_times(aligns.get(_name(raw), ""), words)
        clips.append(dataclasses.replace(raw, transcript=" ".join(words), words=spans))
    present = {raw.speaker for raw in named}
    absent = [speaker for speaker in speakers if speaker not in present]
    return CorpusContents(clips, unusable, absent, splits.GRID)


def _name(raw: align_clip.RawClip) -> str:
    """Returns the sentence's name, bbaf2n of s1_bbaf2n."""
    return raw.id.removeprefix(f"{raw.speaker}_")


def _clips(
    folder: pathlib.Path, speakers: Sequence[str]
) -> tuple[list[align_clip.RawClip], dict[str, str]]:
    """Returns the clips in order, their words still unknown, and reasons by name of dead links.

    Of two files of a clip, such as both qualities that GRID comes in, it is the larger; an unpacked
    one goes before a packed one.
    """
    found, dangling = {}, {}
    for archive in _archives(folder, speakers):
        for member in _members(archive, _VIDEOS):
            name = pathlib.PurePosixPath(member.filename)
            speaker = _speaker([archive.stem, *name.parts[:-1]])
            if speaker not in speakers:
                continue
            stamp = f"{member.file_size}-{member.CRC:08x}"
            clip = _raw(speaker, name.stem, archive, stamp, member.filename)
            found.setdefault(clip.id, []).append((False, member.file_size, clip))
    for path in align_clip.find_files(folder, *_VIDEOS):
        relative = path.relative_to(folder)
        speaker = _speaker([folder.resolve().name, *relative.parts[:-1]])
        if speaker not in speakers:
            continue
        if not path.is_file():
            dangling[relative.as_posix()] = "a link to a file that does not exist"
            continue
        clip = _raw(speaker, path.stem, path, align_clip.file_stamp(path))
        found.setdefault(clip.id, []).append((True, path.stat().st_size, clip))
    best = [max(files, key=lambda file: file[:2])[2] for files in found.values()]
    return sorted(best, key=lambda clip: (speakers.index(clip.speaker), clip.id)), dangling


def _raw(
    speaker: str, name: str, path: pathlib.Path, stamp: str, member: str = ""
) -> align_clip.RawClip:
    identity = f"{speaker}_{name.lower()}"
    return align_clip.RawClip(identity, speaker, path, stamp, member, frame_count=_FRAMES)


def _speaker(names: Sequence[str]) -> str:
    """Returns the speaker of the last name that is one's, or ""."""
    matches = [match for match in map(_SPEAKER.fullmatch, names) if match]
    return f"s{matches[-1][1]}" if matches else ""


def _archives(folder: pathlib.Path, speakers: Collection[str]) -> Iterator[pathlib.Path]:
    zips = align_clip.find_files(folder, ".zip")
    yield from (path for path in zips if _speaker([path.stem]) in speakers)


def _alignments(folder: pathlib.Path, names: set[str]) -> dict[str, str]:
    """Returns the text of the .align files of these clips, by clip."""
    texts = {}
    for archive in align_clip.find_files(folder, ".zip"):
        if not archive.stem.lower().startswith("align"):
            continue
        members = _members(archive, _ALIGNS)
        with zipfile.ZipFile(archive) as opened:
            for member in members:
                name = pathlib.PurePosixPath(member.filename).stem.lower()
                if name in names:
                    texts[name] = opened.read(member).decode(errors="replace")
    for path in align_clip.find_files(folder, *_ALIGNS):
        if path.stem.lower() in names and path.is_file():
            texts[path.stem.lower()] = path.read_text(errors="replace")
    return texts


def _members(archive: pathlib.Path, suffixes: Collection[str]) -> list[zipfile.ZipInfo]:
    # Without the files that macOS adds (._x).
    try:
        with zipfile.ZipFile(archive) as opened:
            members = opened.infolist()
    except zipfile.BadZipFile as e:
        raise UserError(
            f"{archive} is not a complete zip ({e}); delete it and download it again."
        ) from e
    names = [(member, pathlib.PurePosixPath(member.filename)) for member in members]
    return [
        m for m, name in names if name.suffix.lower() in suffixes and not name.name.startswith(".")
    ]


def _listed(speakers: Iterable[str]) -> str:
    speakers = list(speakers)
    return ", ".join(speakers) if len(speakers) < 6 else f"{speakers[0]} to {speakers[-1]}"
