"""Divides the clips of each speaker among train, val and test by the parts of the videos."""

import collections
from collections.abc import Iterator, Sequence

from data_pipelines.aligning.align_clip import RawClip
from data_pipelines.common.errors import UserError
from data_pipelines.folder import split_by_speaker
from data_pipelines.folder.table import SPLITS

PARTS = 20  # Of a speaker's videos: shares are met to 5 %, and ten minutes have parts of 30 s.
_WHOLE = 1.0  # Weight of a video that is one clip, whose length is not known yet.


def split_clips(
    clips: Sequence[RawClip], val_share: float, test_share: float, seed: int
) -> dict[str, list[str]]:
    """Divides each speaker's clips among splits, neighbours together.

    A twentieth of the speaker's clips, by their length, is a part: consecutive clips of one video.
    Parts are assigned by a hash of the seed and their name. So a clip of val or test was filmed in
    the same take as those of train, but most of its neighbours are in its own split.

    Args:
      clips: The clips, those of a video in order; clips of a video do not overlap.
      val_share: Share of each speaker's parts, in [0, 1).
      test_share: Share of each speaker's parts, in [0, 1).
      seed: Another seed is another split.

    Returns:
      Ids of clips by split.

    Raises:
      UserError: No speaker has two clips.
    """
    by_speaker = collections.defaultdict(list)
    for clip in clips:
        by_speaker[clip.speaker].append(clip)
    splits: dict[str, list[str]] = {split: [] for split in SPLITS}
    for own in by_speaker.values():
        parts = collections.defaultdict(list)
        for name, clip in _named_by_part(own):
            parts[name].append(clip.id)
        assigned = split_by_speaker.assign_splits(parts, val_share, test_share, seed)
        for split, names in assigned.items():
            splits[split] += [clip_id for name in sorted(names) for clip_id in parts[name]]
    if val_share and not splits["val"]:
        raise UserError(
            "No speaker has two clips, so none is left for validation: film for longer, or lower "
            "--config.data.options.max_clip_seconds."
        )
    return splits


def _named_by_part(clips: Sequence[RawClip]) -> Iterator[tuple[str, RawClip]]:
    # Each clip with the name of the part that its middle is in.
    length = sum(map(_seconds, clips)) / PARTS
    ends = collections.defaultdict(float)  # Of the clips so far, by video.
    for clip in clips:
        video, seconds = clip.id.rpartition("_")[0], _seconds(clip)
        part = int((ends[video] + seconds / 2) / length)
        ends[video] += seconds
        yield f"{video}_part_{part:04d}", clip


def _seconds(clip: RawClip) -> float:
    return _WHOLE if clip.end is None else clip.end - clip.start
