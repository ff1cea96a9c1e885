"""Any folder of talking-head videos as aligned faces: cut at their pauses, split by speaker."""

import dataclasses
import os
import pathlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal

import tensorflow_datasets as tfds
from etils import epath

from data_pipelines import contract
from data_pipelines.aligning import align_clip, base_builder
from data_pipelines.common.errors import UserError
from data_pipelines.folder import (
    naming,
    pause_detection,
    retained,
    sources,
    split_by_speaker,
    split_within_video,
    subtitles,
    table,
)

_LISTED = 5  # Names in a message.


@dataclasses.dataclass(kw_only=True)
class FolderConfig(base_builder.RecordedConfig):
    """Format of the examples, and how videos become speakers, clips and splits.

    Attributes:
      csv: A CSV of files and speakers (see table.read_table); empty: the folders name the speakers.
      speaker_level: Level of the folder below the root that names the speaker; 0: each video is a
        speaker.
      min_seconds: Shortest length of a clip cut from a longer video.
      max_clip_seconds: Longer videos are cut at their pauses.
      val_share: Share of the speakers, in [0, 1).
      test_share: Share of the speakers, in [0, 1).
      split_seed: Another seed is another split.
      within_speaker: Whether splits are by file, so that no face in val and test is new.
      within_video: Whether splits are by part of each video, so that no recording in them is, too.
    """

    csv: str = ""
    speaker_level: int = 1
    min_seconds: float = 1.0
    max_clip_seconds: float = 10.0
    val_share: float = 0.15
    test_share: float = 0.15
    split_seed: int = 0
    within_speaker: bool = False
    within_video: bool = False

    def __post_init__(self):
        super().__post_init__()
        if self.speaker_level < 0:
            raise UserError(
                f"speaker_level={self.speaker_level}: must be 0 or more; 1 is the first folder "
                "below the root, 0 makes every video a speaker."
            )
        if not 0 < self.min_seconds <= self.max_clip_seconds / 2 >= 1:
            raise UserError(
                f"min_seconds={self.min_seconds}, max_clip_seconds={self.max_clip_seconds}: "
                "min_seconds must be positive, and max_clip_seconds at least 2 and twice that."
            )
        if self.max_clip_seconds > self.max_seconds:
            raise UserError(
                f"max_clip_seconds={self.max_clip_seconds} is more than "
                f"--config.data.max_seconds={self.max_seconds}, beyond which clips are quarantined; "
                "raise that too."
            )
        if min(self.val_share, self.test_share) < 0 or self.val_share + self.test_share >= 1:
            raise UserError(
                f"val_share={self.val_share}, test_share={self.test_share}: must be 0 or more and "
                "add up to less than 1, or there is nothing to train on."
            )
        if self.within_speaker and self.within_video:
            raise UserError(
                "within_speaker=True, within_video=True: splits are by file or by part of each file; "
                "give one."
            )

    @property
    def table(self) -> pathlib.Path | None:
        """Path of the CSV, if there is one."""
        return table.locate(self.csv, pathlib.Path(self.manual_dir)) if self.csv else None

    def content(self) -> dict[str, Any]:
        """Lists what, beside the folder's name, decides the examples.

        Returns:
          The speakers and the options, with a digest of the CSV in place of its name; and the videos,
          where they are at hand.
        """
        content = super().content() | {"csv": table.digest(self.table) if self.table else ""}
        if os.path.exists(self.manual_dir):
            content["videos"] = sources.describe(self.find_videos())
        return content

    def find_videos(self) -> list[sources.SourceVideo]:
        """Finds the videos of manual_dir, those of the CSV if there is one.

        Returns:
          The videos of all speakers.

        Raises:
          UserError: There is no such folder or no video in it, or the CSV is wrong.
        """
        folder = pathlib.Path(self.manual_dir)
        if csv := self.table:
            return table.read_table(csv, folder)
        return sources.find_videos(folder, self.speaker_level)


class Builder(base_builder.RecordedBuilder):
    """Your own videos."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}
    CONFIG = FolderConfig

    @property
    def config(self) -> FolderConfig:
        """The builder's config."""
        assert isinstance(self.builder_config, FolderConfig)
        return self.builder_config

    def find_clips(self, download_dir: epath.Path) -> base_builder.CorpusContents:
        """Finds the videos in the config's manual_dir and cuts them into clips.

        Args:
          download_dir: Unused; there is nothing to download.

        Returns:
          The clips of the config's speakers, all by default, and their splits.

        Raises:
          UserError: There is no manual_dir.
        """
        config = self.config
        if not config.manual_dir:
            raise UserError("The corpus folder is your own videos: give --manual_dir=FOLDER.")
        videos, absent = _select_speakers(config.find_videos(), config.speakers)
        clips, unusable = self._cut_into_clips(videos)
        usable = [video for video in videos if video.name not in unusable] or videos
        splits, split_by = self._split(usable, clips)
        in_train = sum(getattr(clip, split_by) in splits["train"] for clip in clips)
        if 2 * in_train < len(clips) and not any(video.split for video in usable):
            print(
                f"Only {in_train} of {len(clips)} clips are for training, since all clips of a "
                "speaker are in one split: try another --config.data.options.split_seed, or give "
                "splits in a CSV."
            )
        return base_builder.CorpusContents(clips, unusable, absent, splits, split_by)

    def _split(
        self, videos: Sequence[sources.SourceVideo], clips: Sequence[align_clip.RawClip]
    ) -> tuple[Mapping[str, Collection[str]], Literal["speaker", "id"]]:
        """Returns the speakers, or the ids of clips, by split; and which of both."""
        config = self.config
        shares = config.val_share, config.test_share, config.split_seed
        if not (config.within_speaker or config.within_video):
            return split_by_speaker.split_speakers(videos, *shares), "speaker"
        if config.within_video and not any(video.split for video in videos):
            print("Splits are by part of each video: val and test have no new faces or recordings.")
            return split_within_video.split_clips(clips, *shares), "id"
        print("Splits are by file, within each speaker: val and test have no new faces.")
        splits = split_by_speaker.split_videos(videos, *shares)
        return {  # From the names of videos to the ids of their clips.
            split: {clip.id for clip in clips if clip.id.rpartition("_")[0] in names}
            for split, names in splits.items()
        }, "id"

    def _cut_into_clips(
        self, videos: Sequence[sources.SourceVideo]
    ) -> tuple[list[align_clip.RawClip], dict[str, str]]:
        """Returns the clips of the videos, and why those without any have none."""
        config = self.config
        limits = pause_detection.CutLimits(config.fps, config.min_seconds, config.max_clip_seconds)
        uncut = [video for video in videos if not video.cuts]
        detected = retained.find_cuts(uncut, limits, self.config_dir / "cuts", config.workers)
        clips, unusable = [], {}
        for video in videos:
            cuts = video.cuts or detected[video.name].cuts
            clips += [_raw_clip(video, number, cut) for number, cut in enumerate(cuts, 1)]
            if not cuts:
                unusable[video.name] = detected[video.name].unusable
        if in_speech := {name: cuts.in_speech for name, cuts in detected.items() if cuts.in_speech}:
            print(
                f"{sum(in_speech.values())} cuts are in the middle of speech, in "
                f"{_listed(in_speech)}: there is no pause in {config.max_clip_seconds:g} s."
            )
        print(f"{len(clips)} clips in {len(videos)} videos.", flush=True)
        return clips, unusable


def _select_speakers(
    videos: Sequence[sources.SourceVideo], speakers: Sequence[str]
) -> tuple[Sequence[sources.SourceVideo], list[str]]:
    # By their own names or our file-safe ones; then the speakers that have no video.
    if not speakers:
        return videos, []
    present = {video.speaker for video in videos}
    names = {name: {name, naming.speaker_name(name)} & present for name in speakers}
    selected = set().union(*names.values())
    if not selected:
        raise UserError(
            f"No video is of {_listed(speakers)}; the speakers are {_listed(sorted(present))}."
        )
    absent = [name for name, matches in names.items() if not matches]
    return [video for video in videos if video.speaker in selected], absent


def _raw_clip(video: sources.SourceVideo, number: int, cut: sources.Cut) -> align_clip.RawClip:
    transcript = cut.transcript or (video.transcript if cut == sources.Cut() else "")
    transcript = transcript or subtitles.transcript_beside(video.path, cut.start, cut.end)
    return align_clip.RawClip(
        id=f"{video.name}_{number:04d}",
        speaker=video.speaker,
        path=video.path,
        stamp=align_clip.file_stamp(video.path),
        start=cut.start,
        end=cut.end,
        transcript=contract.normalize_text(transcript),
    )


def _listed(names: Sequence[str] | dict[str, int]) -> str:
    names = list(names)
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more
