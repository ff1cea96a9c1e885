"""Divides speakers, or the videos of each speaker, among train, val and test by their names."""

import hashlib
from collections.abc import Collection, Iterable, Mapping

from data_pipelines.common.errors import UserError
from data_pipelines.folder.sources import SourceVideo
from data_pipelines.folder.table import SPLITS


def assign_splits(
    names: Iterable[str], val_share: float, test_share: float, seed: int
) -> dict[str, list[str]]:
    """Assigns each name to one split, by a hash of seed and name.

    Of n names in the order of the hash, the first round(n * test_share) are test, the last
    round(n * val_share) val. Where a share is not 0, val has at least one of 2 or more names and
    test one of 3 or more; train has at least one. One more name moves at most two of the others.

    Args:
      names: Names of speakers or videos.
      val_share: Share of the validation split, in [0, 1).
      test_share: Share of the test split, in [0, 1).
      seed: Another seed is another split.

    Returns:
      Names by split.
    """
    order = sorted(set(names), key=lambda name: _hash(seed, name))
    n = len(order)
    val = min(max(round(n * val_share), 1 if val_share and n > 1 else 0), max(n - 1, 0))
    test = min(max(round(n * test_share), 1 if test_share and n > 2 else 0), max(n - 1 - val, 0))
    return {"train": order[test : n - val], "val": order[n - val :], "test": order[:test]}


def split_speakers(
    videos: Collection[SourceVideo], val_share: float, test_share: float, seed: int
) -> dict[str, list[str]]:
    """Divides speakers among splits: as a CSV has them, else by `assign_splits`.

    Args:
      videos: The usable ones.
      val_share: Share of the speakers, in [0, 1).
      test_share: Share of the speakers, in [0, 1).
      seed: Another seed is another split.

    Returns:
      Speakers by split.

    Raises:
      UserError: All videos are of one speaker, only some have a split, or those of one speaker
        have different ones.
    """
    _check_all_or_none(videos)
    split_of: dict[str, str] = {}
    for video in videos:
        if video.split and split_of.setdefault(video.speaker, video.split) != video.split:
            raise UserError(
                f"The speaker {video.speaker!r} is in two splits, {split_of[video.speaker]} and "
                f"{video.split} ({video.name}); give all videos of a speaker one split."
            )
    if split_of:
        return _names_by_split(split_of)
    speakers = sorted({video.speaker for video in videos})
    if len(speakers) == 1:
        raise UserError(
            f"All usable videos are of one speaker, {speakers[0]!r}, so nobody is left for "
            "validation: add videos of other speakers, a folder for each, or split this speaker's "
            "by file with --config.data.options.within_speaker=True."
        )
    return assign_splits(speakers, val_share, test_share, seed)


def split_videos(
    videos: Collection[SourceVideo], val_share: float, test_share: float, seed: int
) -> dict[str, list[str]]:
    """Divides each speaker's videos among splits: as a CSV has them, else by `assign_splits`.

    Args:
      videos: The usable ones.
      val_share: Share of each speaker's videos, in [0, 1).
      test_share: Share of each speaker's videos, in [0, 1).
      seed: Another seed is another split.

    Returns:
      Names of videos by split.

    Raises:
      UserError: Only some have a split, or no speaker has two videos.
    """
    _check_all_or_none(videos)
    if any(video.split for video in videos):
        return _names_by_split({video.name: video.split for video in videos})
    parts: dict[str, list[str]] = {split: [] for split in SPLITS}
    for speaker in sorted({video.speaker for video in videos}):
        own = [video.name for video in videos if video.speaker == speaker]
        for split, names in assign_splits(own, val_share, test_share, seed).items():
            parts[split] += names
    if val_share and not parts["val"]:
        raise UserError(
            "No speaker has two videos, so none is left for validation: with within_speaker, splits "
            "are by file; split long ones by their parts with "
            "--config.data.options.within_video=True instead."
        )
    return parts


def _check_all_or_none(videos: Collection[SourceVideo]) -> None:
    if any(video.split for video in videos):
        for video in videos:
            if not video.split:
                raise UserError(
                    f"The CSV gives a split to some rows and none to {video.path}; give it to all "
                    "or to none."
                )


def _names_by_split(splits: Mapping[str, str]) -> dict[str, list[str]]:
    parts: dict[str, list[str]] = {split: [] for split in SPLITS}
    for name, split in sorted(splits.items()):
        parts[split].append(name)
    return parts


def _hash(seed: int, name: str) -> str:
    return hashlib.sha256(f"{seed} {name}".encode()).hexdigest()
