"""The files of a copy of GRID, unpacked or as Zenodo's zips, and the words of each clip."""

import dataclasses
import pathlib
import zipfile
from collections.abc import Iterable, Sequence

from data_pipelines import splits
from data_pipelines.aligning import align_clip
from data_pipelines.aligning.base_builder import CorpusContents
from data_pipelines.common.errors import BadClip, UserError
from data_pipelines.common.files import require_folder
from data_pipelines.grid import sentences

SPEAKERS = sorted((s for part in splits.GRID.values() for s in part), key=lambda s: int(s[1:]))
_FRAMES = 75  # Of every clip; those that broke off have fewer.
_LAYOUT = "s1/*.mpg or s1.zip, and so on, with alignments/ or alignments.zip beside them"


def find_clips(folder: pathlib.Path, speakers: Sequence[str]) -> CorpusContents:
    """Finds the clips of some speakers in a folder of s1/*.mpg or s1.zip.

    The words come from a clip's name. Their times come from the .align file of that name, in
    whichever folder it is: Zenodo's are swapped between speakers, and a name is unique in GRID.

    Args:
      folder: The copy of the corpus.
      speakers: Names such as s1.

    Returns:
      The clips with their transcripts, and GRID's splits.

    Raises:
      UserError: There is no such folder, or no clip in it.
    """
    require_folder(folder, _LAYOUT)
    by_speaker = {speaker: _clips(folder, speaker) for speaker in speakers}
    if not any(by_speaker.values()):
        raise UserError(
            f"No GRID clips of {_listed(speakers)} in {folder}; it should hold {_LAYOUT}."
        )
    named = [raw for raws in by_speaker.values() for raw in raws]
    aligns = _alignments(folder, {_name(raw) for raw in named})
    clips, misnamed = [], {}
    for raw in named:
        try:
            words = sentences.words(_name(raw))
        except BadClip as e:
            misnamed[raw.id] = str(e)
            continue
        spans = sentences.word_times(aligns.get(_name(raw), ""), words)
        clips.append(dataclasses.replace(raw, transcript=" ".join(words), words=spans))
    absent = [speaker for speaker, raws in by_speaker.items() if not raws]
    return CorpusContents(clips, misnamed, absent, splits.GRID)


def _name(raw: align_clip.RawClip) -> str:
    """Returns the sentence's name, bbaf2n of s1_bbaf2n."""
    return raw.id.removeprefix(f"{raw.speaker}_")


def _clips(folder: pathlib.Path, speaker: str) -> list[align_clip.RawClip]:
    """Returns a speaker's clips by name, their words still unknown."""
    archive = folder / f"{speaker}.zip"
    sources = {}
    if archive.is_file():
        for member in _members(archive, ".mpg"):
            stamp = f"{member.file_size}-{member.CRC:08x}"
            sources[pathlib.PurePosixPath(member.filename).stem] = archive, stamp, member.filename
    for path in (folder / speaker).rglob("*.mpg"):  # An unpacked clip goes before a packed one.
        if not path.name.startswith("."):
            sources[path.stem] = path, align_clip.file_stamp(path), ""
    return [
        align_clip.RawClip(f"{speaker}_{name}", speaker, path, stamp, member, frame_count=_FRAMES)
        for name, (path, stamp, member) in sorted(sources.items())
    ]


def _alignments(folder: pathlib.Path, names: set[str]) -> dict[str, str]:
    """Returns the text of the .align files of these clips, by clip."""
    texts = {}
    archive = folder / "alignments.zip"
    if archive.is_file():
        members = _members(archive, ".align")
        with zipfile.ZipFile(archive) as opened:
            for member in members:
                name = pathlib.PurePosixPath(member.filename).stem
                if name in names:
                    texts[name] = opened.read(member).decode(errors="replace")
    for path in folder.rglob("*.align"):
        if path.stem in names:
            texts[path.stem] = path.read_text(errors="replace")
    return texts


def _members(archive: pathlib.Path, suffix: str) -> list[zipfile.ZipInfo]:
    # Without the files that macOS adds (._x).
    try:
        with zipfile.ZipFile(archive) as opened:
            members = opened.infolist()
    except zipfile.BadZipFile as e:
        raise UserError(
            f"{archive} is not a complete zip ({e}); delete it and download it again."
        ) from e
    names = [(member, pathlib.PurePosixPath(member.filename)) for member in members]
    return [m for m, name in names if name.suffix == suffix and not name.name.startswith(".")]


def _listed(speakers: Iterable[str]) -> str:
    speakers = list(speakers)
    return ", ".join(speakers) if len(speakers) < 6 else f"{speakers[0]} to {speakers[-1]}"
