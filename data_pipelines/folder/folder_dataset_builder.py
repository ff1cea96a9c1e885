"""Any folder of talking-head videos as aligned faces: cut in their pauses, split by speaker."""

import dataclasses
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import tensorflow_datasets as tfds
from etils import epath

from data_pipelines import contract
from data_pipelines.aligning import align_clip, base_builder
from data_pipelines.aligning.align_clip import RawClip
from data_pipelines.common.errors import UserError
from data_pipelines.folder import (
    naming,
    pause_detection,
    retained,
    sources,
    split_by_speaker,
    subtitles,
    table,
)
from data_pipelines.folder.sources import Cut, SourceVideo

_LISTED = 5  # Names in a sentence.


@dataclasses.dataclass(kw_only=True)
class FolderConfig(base_builder.RecordedConfig):
    """What is a speaker, a clip and a split; of these, only the form names the folder on disk."""

    csv: str = ""  # Who is in which file; empty: the folders say so.
    speaker_level: int = 1  # Which folder below the root; 0: each video is a speaker.
    min_seconds: float = 1.0  # Of a clip cut from a longer video.
    max_clip_seconds: float = 10.0  # Longer videos are cut in their pauses.
    val_share: float = 0.15  # Of the speakers.
    test_share: float = 0.15
    split_seed: int = 0
    within_speaker: bool = False  # Splits by file, so that no face in val and test is new.

    def __post_init__(self):
        super().__post_init__()
        if self.speaker_level < 0:
            raise UserError(
                f"speaker_level={self.speaker_level} is no level of folders; 1 is the first below "
                "the root, 0 makes every video a speaker."
            )
        if not 0 < self.min_seconds <= self.max_clip_seconds / 2 >= 1:
            raise UserError(
                f"No clips are of {self.min_seconds} to {self.max_clip_seconds} s; min_seconds is "
                "more than 0 and max_clip_seconds twice that or more, and at least 2."
            )
        if self.max_clip_seconds > self.max_seconds:
            raise UserError(
                f"max_clip_seconds={self.max_clip_seconds} is more than "
                f"config.data.max_seconds={self.max_seconds}, beyond which clips are left out; raise "
                "that too."
            )
        if min(self.val_share, self.test_share) < 0 or self.val_share + self.test_share >= 1:
            raise UserError(
                f"val_share={self.val_share} and test_share={self.test_share} leave nothing to train"
                " on; neither is negative, and their sum is less than 1."
            )

    @property
    def table(self) -> pathlib.Path | None:
        """The CSV, if there is one."""
        return table.locate(self.csv, pathlib.Path(self.manual_dir)) if self.csv else None

    def content(self) -> dict[str, Any]:
        """The speakers, the options, and what the CSV says."""
        names = "speaker_level min_seconds max_clip_seconds val_share test_share split_seed"
        options = {name: getattr(self, name) for name in [*names.split(), "within_speaker"]}
        return super().content() | options | {"csv": table.digest(self.table) if self.table else ""}


class Builder(base_builder.RecordedBuilder):
    """Your own videos."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}

    def __init__(self, *, config=None, **kwargs):
        super().__init__(config=config or FolderConfig(), **kwargs)

    @property
    def config(self) -> FolderConfig:
        """The builder's config."""
        assert isinstance(self.builder_config, FolderConfig)
        return self.builder_config

    def find_clips(self, download_dir: epath.Path) -> base_builder.CorpusContents:
        """The clips of the videos in form.manual_dir; there is nothing to download."""
        form = self.config
        if not form.manual_dir:
            raise UserError("The corpus folder is your own videos: give --manual_dir=FOLDER.")
        folder = pathlib.Path(form.manual_dir)
        if csv := form.table:
            videos = table.read_table(csv, folder)
        else:
            videos = sources.find(folder, form.speaker_level)
        videos, absent = _of_speakers(videos, form.speakers)
        raws, unusable = self._clips(videos)
        share = split_by_speaker.by_video if form.within_speaker else split_by_speaker.by_speaker
        usable = [video for video in videos if video.name not in unusable] or videos
        splits = share(usable, form.val_share, form.test_share, form.split_seed)
        if form.within_speaker:
            print("Splits go by file, within each speaker: val and test hold no new faces.")
            splits = {  # From videos to their clips.
                split: {raw.id for raw in raws if raw.id.rpartition("_")[0] in names}
                for split, names in splits.items()
            }
        by = "id" if form.within_speaker else "speaker"
        in_train = sum(getattr(raw, by) in splits["train"] for raw in raws)
        if 2 * in_train < len(raws) and not any(video.split for video in usable):
            print(
                f"Only {in_train} of {len(raws)} clips are for training, since a speaker is in one "
                "split whole: another --config.data.options.split_seed may suit, or a CSV's splits."
            )
        return base_builder.CorpusContents(raws, unusable, absent, splits, by)

    def _clips(self, videos: Sequence[SourceVideo]) -> tuple[list[RawClip], dict[str, str]]:
        """The clips of the videos, and why those without any have none."""
        form = self.config
        lengths = pause_detection.Lengths(form.fps, form.min_seconds, form.max_clip_seconds)
        whole = [video for video in videos if not video.cuts]
        heard = retained.find_all(whole, lengths, self.config_dir / "cuts", form.workers)
        raws, unusable = [], {}
        for video in videos:
            cuts = video.cuts or heard[video.name].cuts
            raws += [_raw(video, number, cut) for number, cut in enumerate(cuts, 1)]
            if not cuts:
                unusable[video.name] = heard[video.name].unusable
        if speech := {name: found.in_speech for name, found in heard.items() if found.in_speech}:
            print(
                f"{sum(speech.values())} cuts are in the middle of speech, in {_listed(speech)}: "
                f"there is no pause in {form.max_clip_seconds:g} s."
            )
        print(f"{len(raws)} clips in {len(videos)} videos.", flush=True)
        return raws, unusable


def builder(
    height: int,
    width: int,
    audio_rate: int,
    fps: int,
    data_dir: str | os.PathLike,
    manual_dir: str | os.PathLike | None = None,
    workers: int = 0,
    speakers: Sequence[str] = (),
    max_bad_share: float = 0.05,
    max_seconds: float = 30.0,
    csv: str = "",
    speaker_level: int = 1,
    min_seconds: float = 1.0,
    max_clip_seconds: float = 10.0,
    val_share: float = 0.15,
    test_share: float = 0.15,
    split_seed: int = 0,
    within_speaker: bool = False,
) -> Builder:
    """The builder for one form of the data; options as in FolderConfig.

    Raises:
      UserError: options that cannot be, or the folder holds the corpus with others already.
    """
    form = FolderConfig(
        height=height,
        width=width,
        audio_rate=audio_rate,
        fps=fps,
        manual_dir=os.fspath(manual_dir or ""),
        workers=workers,
        speakers=tuple(speakers),
        max_bad_share=max_bad_share,
        max_seconds=max_seconds,
        csv=csv,
        speaker_level=speaker_level,
        min_seconds=min_seconds,
        max_clip_seconds=max_clip_seconds,
        val_share=val_share,
        test_share=test_share,
        split_seed=split_seed,
        within_speaker=within_speaker,
    )
    return Builder.make(data_dir, form)


def _of_speakers(
    videos: Sequence[SourceVideo], speakers: Sequence[str]
) -> tuple[Sequence[SourceVideo], list[str]]:
    """The videos of the speakers asked for, by their own names or ours; those that are not there."""
    if not speakers:
        return videos, []
    there = {video.speaker for video in videos}
    names = {name: {name, naming.speaker_name(name)} & there for name in speakers}
    asked = set().union(*names.values())
    if not asked:
        raise UserError(
            f"No video is of {_listed(speakers)}; the speakers are {_listed(sorted(there))}."
        )
    absent = [name for name, own in names.items() if not own]
    return [video for video in videos if video.speaker in asked], absent


def _raw(video: SourceVideo, number: int, cut: Cut) -> RawClip:
    """A part of a video as a clip."""
    said = cut.transcript or (video.transcript if cut == Cut() else "")
    said = said or subtitles.beside(video.path, cut.start, cut.end)
    return RawClip(
        id=f"{video.name}_{number:04d}",
        speaker=video.speaker,
        path=video.path,
        stamp=align_clip.file_stamp(video.path),
        start=cut.start,
        end=cut.end,
        transcript=contract.normalize_text(said),
    )


def _listed(names: Sequence[str] | dict[str, int]) -> str:
    names = list(names)
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more
