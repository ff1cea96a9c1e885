"""study.json: all that is fixed before the first vote, and the trials of each participant."""

import collections
import dataclasses
import functools
import hashlib
import json
import pathlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

from etils import epath

from data_pipelines.common import download, files
from data_pipelines.common.errors import UserError
from s2f_jax.apps.study import design

SCHEMA = 1
FILE, VIDEOS = "study.json", "videos"
CHOICES = {"preference": ("left", "right"), "turing": ("real", "generated")}
REAL, FROZEN = "real", "frozen"  # "Methods" of recordings and of their frozen first frames.
MIN_TRIALS_ONE_SIDE = 8  # With fewer trials, always the same side may be chance.


@dataclasses.dataclass(frozen=True)
class StudyVideo:
    """A video in the study's folder; participants learn nothing but its contents.

    Attributes:
      name: File name without extension, which says nothing about the method.
      sha256: Digest of the file.
      method: What made it; or REAL, or FROZEN.
      clip: Name of its clip.
      seconds: Length.
      fps: Frames per second.
      width: Width in pixels.
      height: Height in pixels.
      source_sha256: Digest of the file it was copied from, or whose first frame it shows.
      mark: Provenance that the source file states, if any.
    """

    name: str
    sha256: str
    method: str
    clip: str
    seconds: float
    fps: float
    width: int
    height: int
    source_sha256: str
    mark: Mapping[str, Any] | None

    @property
    def file(self) -> str:
        """Path in the study's folder."""
        return f"{VIDEOS}/{self.name}.mp4"


@dataclasses.dataclass(frozen=True)
class VideoPair:
    """Two videos of one clip; in a Turing test each participant sees one of them.

    Attributes:
      name: Name of the pair.
      a: One video; in a Turing test the real one.
      b: The other video.
      catch: Whether it is a catch pair: a recording and its frozen first frame.
    """

    name: str
    a: StudyVideo
    b: StudyVideo
    catch: bool = False


@dataclasses.dataclass(frozen=True)
class Trial:
    """One question to a participant.

    Attributes:
      pair: The pair it is about.
      videos: The videos shown, from left to right; in a Turing test, one.
    """

    pair: VideoPair
    videos: tuple[StudyVideo, ...]


@dataclasses.dataclass(frozen=True)
class ExclusionRule:
    """Which participants are excluded from the main analysis.

    Attributes:
      failed_catches: Participants who fail this number of catch trials or more; 0: no such rule.
      unfinished: Whether those are who did not answer every trial.
      one_side: Whether those are who chose the same side in every trial of a preference study.
    """

    failed_catches: int
    unfinished: bool
    one_side: bool


@dataclasses.dataclass(frozen=True)
class Study:
    """A study as its study.json fixes it.

    Attributes:
      folder: The study's folder.
      sha256: Digest of study.json.
      kind: preference or turing.
      created: Date and time, UTC ("made" in the file).
      version: Version of s2f_jax that created it.
      seed: Seed of all random orders.
      methods: Names of the methods.
      parts: Number of parts of the pairs; a participant sees one.
      question: Question asked in each trial.
      consent: Text that participants agree to.
      exclusion: Who is excluded from the main analysis.
      pairs: Pairs by name, catch pairs included.
      trial_lists: One for each participant ("slots" in the file): names of pairs, each with a letter.
    """

    folder: epath.Path
    sha256: str
    kind: str
    created: str
    version: str
    seed: int
    methods: tuple[str, ...]
    parts: int
    question: str
    consent: str
    exclusion: ExclusionRule
    pairs: Mapping[str, VideoPair]
    trial_lists: tuple[tuple[str, ...], ...]

    @property
    def choices(self) -> tuple[str, ...]:
        """The two answers to a trial."""
        return CHOICES[self.kind]

    @property
    def scored_pairs(self) -> list[VideoPair]:
        """The pairs but the catch pairs."""
        return [pair for pair in self.pairs.values() if not pair.catch]

    def trials(self, trial_list: int) -> list[Trial]:
        """Looks up a trial list.

        Args:
          trial_list: Index of the list in `trial_lists`.

        Returns:
          The list's trials, in order.
        """
        return [self.trial(entry) for entry in self.trial_lists[trial_list]]

    def trial(self, entry: str) -> Trial:
        """Looks up an entry of a trial list.

        Args:
          entry: Name of a pair and a letter, such as p07b.

        Returns:
          The trial.
        """
        pair = self.pairs[entry[:-1]]
        videos = (pair.a, pair.b) if entry[-1] == "a" else (pair.b, pair.a)
        return Trial(pair, videos if self.kind == "preference" else videos[:1])

    def check_videos(self) -> None:
        """Checks the digests of all videos.

        Raises:
          UserError: A video is missing, or is not the one that study.json was written for.
        """
        for video in _videos(self.pairs.values()).values():
            path = pathlib.Path(self.folder) / video.file
            try:
                same = download.file_digest(path, "sha256") == video.sha256
            except OSError as error:
                raise UserError(
                    f"{path}: cannot be read ({error.strerror}); put the study's own file back"
                ) from error
            if not same:
                raise UserError(
                    f"{path}: is not the video that {FILE} was written for; put that one back, or"
                    " make a new study"
                )


def study_json(study: Study) -> str:
    """Writes the text of study.json.

    Args:
      study: The study; its folder and digest are not used.

    Returns:
      JSON with a pair, a video or a trial list a line.
    """
    contents = {
        "schema": SCHEMA,
        "kind": study.kind,
        "made": study.created,
        **{key: getattr(study, key) for key in ("version", "question", "consent")},
        "exclusion": dataclasses.asdict(study.exclusion),
        **{key: getattr(study, key) for key in ("methods", "seed", "parts")},
        "rule": design.RULE,
        "letters": "a: the pair's a is on the left; b: its b is"
        if study.kind == "preference"
        else "a: the pair's a, the real video, is shown; b: its b, the generated one",
        "pairs": {
            name: {"clip": pair.a.clip, "a": pair.a.name, "b": pair.b.name, "catch": pair.catch}
            for name, pair in study.pairs.items()
        },
        "videos": {
            name: {"file": video.file, **_without_name(video)}
            for name, video in _videos(study.pairs.values()).items()
        },
        "slots": [" ".join(entries) for entries in study.trial_lists],
    }
    entries = ",\n".join(_format_entry(key, entry) for key, entry in contents.items())
    return "{\n" + entries + "\n}\n"


def local_folder(folder: epath.PathLike) -> epath.Path:
    """Checks that a study's folder is local, since SQLite has to lock a file in it.

    Args:
      folder: Given as --study.

    Returns:
      The folder.

    Raises:
      UserError: The folder is remote.
    """
    if files.is_remote(folder):
        raise UserError(f"--study={folder}: must be a local folder; copy it afterwards")
    return epath.Path(folder)


def read_study(folder: epath.PathLike) -> Study:
    """Reads a study.

    Args:
      folder: The study's folder.

    Returns:
      The study.

    Raises:
      UserError: The study is missing or remote, its file is damaged, or its trial lists are not those
        that its seed gives.
    """
    folder = local_folder(folder)
    path = folder / FILE
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror}); give the folder that `study new` made"
        ) from error
    try:
        contents = json.loads(data)
        if contents["schema"] != SCHEMA:
            raise UserError(
                f"{path}: has schema {contents['schema']!r}, and this version reads {SCHEMA}; use the"
                f" s2f_jax that made it ({contents['version']})"
            )
        study = _parse(folder, hashlib.sha256(data).hexdigest(), contents)
        pairs, count = study.pairs.values(), len(study.trial_lists)
        trial_lists = make_trial_lists(study.seed, pairs, study.parts, count)
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path}: is damaged ({type(error).__name__}, {error}); put back the file that `study new`"
            " wrote"
        ) from error
    if not study.trial_lists or trial_lists != study.trial_lists:
        raise UserError(
            f"{path}: its slots are not those that its seed, pairs and parts give; put back the file"
            " that `study new` wrote"
        )
    return study


def _parse(folder: epath.Path, sha256: str, contents: Mapping[str, Any]) -> Study:
    videos = {
        name: StudyVideo(name=name, **{k: v for k, v in entry.items() if k != "file"})
        for name, entry in contents["videos"].items()
    }
    if not all(re.fullmatch(r"v\d+", name) for name in videos):
        raise ValueError("a video's name is not v and a number")  # It becomes a path.
    if contents["kind"] not in CHOICES or contents["parts"] not in design.PARTS:
        raise ValueError(f"kind {contents['kind']!r}, parts {contents['parts']!r}")
    exclusion = ExclusionRule(**contents["exclusion"])
    if type(exclusion.failed_catches) is not int:
        raise TypeError(f"failed_catches {exclusion.failed_catches!r}")
    return Study(
        folder,
        sha256,
        created=contents["made"],
        methods=tuple(contents["methods"]),
        exclusion=exclusion,
        pairs={
            name: VideoPair(name, videos[entry["a"]], videos[entry["b"]], entry["catch"])
            for name, entry in contents["pairs"].items()
        },
        trial_lists=tuple(tuple(entries.split()) for entries in contents["slots"]),
        **{k: contents[k] for k in ("kind", "version", "seed", "parts", "question", "consent")},
    )


def _format_entry(key: str, value: Any) -> str:
    dump = functools.partial(json.dumps, ensure_ascii=False, allow_nan=False)
    if key not in ("pairs", "videos", "slots"):
        return f" {dump(key)}: {dump(value)}"
    # A study has hundreds of these: one a line.
    if isinstance(value, list):
        return f" {dump(key)}: [\n" + ",\n".join(f"  {dump(entry)}" for entry in value) + "\n ]"
    lines = (f"  {dump(name)}: {dump(entry)}" for name, entry in value.items())
    return f" {dump(key)}: {{\n" + ",\n".join(lines) + "\n }"


def _without_name(video: StudyVideo) -> dict[str, Any]:
    return {k: v for k, v in dataclasses.asdict(video).items() if k != "name"}


def _videos(pairs: Iterable[VideoPair]) -> dict[str, StudyVideo]:
    return {video.name: video for pair in pairs for video in (pair.a, pair.b)}


def make_trial_lists(
    seed: int, pairs: Iterable[VideoPair], parts: int, count: int
) -> tuple[tuple[str, ...], ...]:
    """Makes the trial lists of all participants.

    Args:
      seed: Seed of the study.
      pairs: The pairs, catch pairs included.
      parts: Number of parts of the pairs; one of design.PARTS.
      count: Number of participants.

    Returns:
      `Study.trial_lists`.
    """
    comparisons: dict[tuple[str, str] | None, list[str]] = collections.defaultdict(list)
    for pair in pairs:
        comparisons[None if pair.catch else (pair.a.method, pair.b.method)].append(pair.name)
    catch_pairs = comparisons.pop(None, [])
    names = [*comparisons.values()]
    lists = (design.trial_list(seed, names, catch_pairs, parts, index) for index in range(count))
    return tuple(map(tuple, lists))
