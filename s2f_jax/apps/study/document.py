"""study.json: all that is fixed before the first vote, and what each participant is shown by it."""

import dataclasses
import functools
import hashlib
import json
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from etils import epath

from data_pipelines.common import download, files
from data_pipelines.common.errors import UserError
from s2f_jax.apps.study import design

SCHEMA = 1
FILE, VIDEOS = "study.json", "videos"
CHOICES = {"preference": ("left", "right"), "turing": ("real", "generated")}
REAL, FROZEN = "real", "frozen"  # What stands as the method of videos that no model made.
MANY = 8  # Trials; in fewer, the same side each time may be chance.


@dataclasses.dataclass(frozen=True)
class StudyVideo:
    """A video of the study's folder; nothing but its file is for the eyes of participants."""

    name: str  # Says nothing.
    sha256: str
    method: str  # Or REAL, or FROZEN.
    clip: str
    seconds: float
    fps: float
    width: int  # Pixels.
    height: int
    source_sha256: str  # Of the file it was copied from, or frozen from.
    mark: Mapping[str, Any] | None  # What it said of who made it.

    @property
    def file(self) -> str:
        """In the study's folder."""
        return f"{VIDEOS}/{self.name}.mp4"


@dataclasses.dataclass(frozen=True)
class VideoPair:
    """Two videos of one clip; in a Turing test a is the real one, and each participant sees one."""

    name: str
    a: StudyVideo
    b: StudyVideo
    catch: bool = False  # Of a real video and a still one, to see who looks.


@dataclasses.dataclass(frozen=True)
class Trial:
    """One question to a participant."""

    pair: VideoPair
    videos: tuple[StudyVideo, ...]  # From left to right; in a Turing test, one.


@dataclasses.dataclass(frozen=True)
class Exclusion:
    """Whose votes are left out of the main figures."""

    failed_catches: int  # Who fails so many or more; 0: nobody for that.
    unfinished: bool  # Who has not answered every trial.
    one_side: bool  # Who chose the same side in every trial of a preference study.


@dataclasses.dataclass(frozen=True)
class Study:
    """A study as its study.json fixes it."""

    folder: epath.Path
    sha256: str  # Of study.json.
    kind: str  # Of CHOICES.
    made: str  # Date and time, UTC.
    version: str  # Of this package.
    seed: int
    methods: tuple[str, ...]
    parts: int  # A participant sees one of so many parts of the pairs.
    question: str
    consent: str
    exclusion: Exclusion
    pairs: Mapping[str, VideoPair]  # By name, catch pairs too.
    slots: tuple[tuple[str, ...], ...]

    @property
    def choices(self) -> tuple[str, ...]:
        """The two answers to a trial."""
        return CHOICES[self.kind]

    def trials(self, slot: int) -> list[Trial]:
        """What the participant of a slot (0 to len(slots) - 1) is asked, in order."""
        return [self.trial(entry) for entry in self.slots[slot]]

    def trial(self, entry: str) -> Trial:
        """Of an entry of a slot, such as p07b."""
        pair = self.pairs[entry[:-1]]
        videos = (pair.a, pair.b) if entry[-1] == "a" else (pair.b, pair.a)
        return Trial(pair, videos if self.kind == "preference" else videos[:1])

    def check_videos(self) -> None:
        """Raises UserError where a video is missing or is not the one that the file names."""
        for video in {
            video.name: video for p in self.pairs.values() for video in (p.a, p.b)
        }.values():
            path = pathlib.Path(self.folder) / video.file
            try:
                same = download.file_digest(path, "sha256") == video.sha256
            except OSError as error:
                raise UserError(
                    f"{path} cannot be read ({error.strerror}): put the study's own file back"
                ) from error
            if not same:
                raise UserError(
                    f"{path} is not the video that {FILE} was written for: put that back, or make a"
                    " new study"
                )


def text(
    *,
    kind: str,
    made: str,
    version: str,
    seed: int,
    methods: Sequence[str],
    parts: int,
    question: str,
    consent: str,
    exclusion: Exclusion,
    pairs: Sequence[VideoPair],
    slots: int,
) -> str:
    """What study.json holds, for so many slots."""
    videos = {video.name: video for pair in pairs for video in (pair.a, pair.b)}
    contents = {
        "schema": SCHEMA,
        "kind": kind,
        "made": made,
        "version": version,
        "question": question,
        "consent": consent,
        "exclusion": dataclasses.asdict(exclusion),
        "methods": list(methods),
        "seed": seed,
        "parts": parts,
        "rule": design.RULE,
        "letters": "a: the pair's a is on the left; b: its b is"
        if kind == "preference"
        else "a: the pair's a, the real video, is shown; b: its b, the generated one",
        "pairs": {pair.name: {"clip": pair.a.clip, "a": pair.a.name, "b": pair.b.name,
                              "catch": pair.catch} for pair in pairs},
        "videos": {name: {"file": video.file} | _facts(video) for name, video in videos.items()},
        "slots": [
            " ".join(entries) for entries in _slots(seed, pairs, parts, slots)
        ],
    }  # fmt: skip
    return "{\n" + ",\n".join(_lines(key, of) for key, of in contents.items()) + "\n}\n"


def local(folder: epath.PathLike) -> epath.Path:
    """A study's folder, which SQLite has to lock. Raises UserError where it is remote."""
    if files.is_remote(folder):
        raise UserError(f"--study={folder} is remote: give a local folder, and copy it then")
    return epath.Path(folder)


def read_study(folder: epath.PathLike) -> Study:
    """The study of a folder.

    Raises:
      UserError: it is remote or there is none, its file is damaged, or its slots are not what its seed gives.
    """
    folder = local(folder)
    path = folder / FILE
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}): give the folder that `study new` made"
        ) from error
    try:
        found = json.loads(data)
        if found["schema"] != SCHEMA:
            raise UserError(
                f"{path} is of schema {found['schema']!r}, and this version reads {SCHEMA}: use the"
                f" s2f_jax that made it ({found['version']})"
            )
        study = _study(folder, hashlib.sha256(data).hexdigest(), found)
        slots = _slots(study.seed, [*study.pairs.values()], study.parts, len(study.slots))
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path} is damaged ({type(error).__name__}, {error}): put the file back that `study new`"
            " wrote"
        ) from error
    if not study.slots or slots != list(study.slots):
        raise UserError(
            f"the slots of {path} are not those that its seed, pairs and parts give: put the file back"
            " that `study new` wrote"
        )
    return study


def _study(folder: epath.Path, sha256: str, found: Mapping[str, Any]) -> Study:
    videos = {
        name: StudyVideo(name=name, **{k: v for k, v in of.items() if k != "file"})
        for name, of in found["videos"].items()
    }
    pairs = {
        name: VideoPair(name, videos[of["a"]], videos[of["b"]], of["catch"])
        for name, of in found["pairs"].items()
    }
    if found["kind"] not in CHOICES or found["parts"] not in design.PARTS:
        raise ValueError(f"kind {found['kind']!r}, parts {found['parts']!r}")
    slots = tuple(tuple(entries.split()) for entries in found["slots"])
    exclusion = Exclusion(**found["exclusion"])
    if not all(re.fullmatch(r"v\d+", name) for name in videos):
        raise ValueError("a video's name is not v and a number")  # It becomes a path.
    if type(exclusion.failed_catches) is not int:
        raise TypeError(f"failed_catches {exclusion.failed_catches!r}")
    plain = {
        k: found[k] for k in ("kind", "made", "version", "seed", "parts", "question", "consent")
    }
    return Study(
        folder, sha256, methods=tuple(found["methods"]), exclusion=exclusion, pairs=pairs,
        slots=slots, **plain,
    )  # fmt: skip


def _lines(key: str, value: Any) -> str:
    """A pair, a video or a slot on a line of its own: a study has hundreds."""
    dump = functools.partial(json.dumps, ensure_ascii=False, allow_nan=False)
    if key in ("pairs", "videos"):
        inner = ",\n".join(f"  {dump(name)}: {dump(of)}" for name, of in value.items())
        return f" {dump(key)}: {{\n{inner}\n }}"
    if key == "slots":
        inner = ",\n".join(f"  {dump(of)}" for of in value)
        return f" {dump(key)}: [\n{inner}\n ]"
    return f" {dump(key)}: {dump(value)}"


def _facts(video: StudyVideo) -> dict[str, Any]:
    return {k: v for k, v in dataclasses.asdict(video).items() if k != "name"}


def _slots(seed: int, pairs: Sequence[VideoPair], parts: int, count: int) -> list[tuple[str, ...]]:
    comparisons: dict[tuple[str, str], list[str]] = {}
    for pair in pairs:
        if not pair.catch:
            comparisons.setdefault((pair.a.method, pair.b.method), []).append(pair.name)
    catches = [pair.name for pair in pairs if pair.catch]
    return [
        tuple(design.slot(seed, [*comparisons.values()], catches, parts, number))
        for number in range(count)
    ]
