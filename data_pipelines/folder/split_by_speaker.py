"""Speakers, or the videos of one speaker, shared out to train, val and test by their names."""

import hashlib
from collections.abc import Collection, Iterable, Mapping

from data_pipelines.common.errors import UserError
from data_pipelines.folder.sources import SourceVideo
from data_pipelines.folder.table import SPLITS


def share(
    names: Iterable[str], val_share: float, test_share: float, seed: int
) -> dict[str, list[str]]:
    """{split: names}, each name in one.

    Of n names, the first round(n * test_share) in the order of a hash of seed and name are for
    testing, the last round(n * val_share) for validation. Where a share is not 0, val has at least
    one of 2 or more names and test one of 3 or more; train keeps at least one. One more name moves
    at most two of the others.
    """
    order = sorted(set(names), key=lambda name: _hash(seed, name))
    n = len(order)
    val = min(max(round(n * val_share), 1 if val_share and n > 1 else 0), max(n - 1, 0))
    test = min(max(round(n * test_share), 1 if test_share and n > 2 else 0), max(n - 1 - val, 0))
    return {"train": order[test : n - val], "val": order[n - val :], "test": order[:test]}


def by_speaker(
    videos: Collection[SourceVideo], val_share: float, test_share: float, seed: int
) -> dict[str, list[str]]:
    """{split: speakers}: as the videos say, else as `share` has it.

    Raises:
      UserError: all videos are of one speaker, or only some of them say their split, or a
        speaker's do not agree.
    """
    _check_all_or_none(videos)
    said: dict[str, str] = {}
    for video in videos:
        if video.split and said.setdefault(video.speaker, video.split) != video.split:
            raise UserError(
                f"The speaker {video.speaker!r} is in two splits, {said[video.speaker]} and "
                f"{video.split} ({video.name}); give all videos of a speaker one split."
            )
    if said:
        return _inverted(said)
    speakers = sorted({video.speaker for video in videos})
    if len(speakers) == 1:
        raise UserError(
            f"All usable videos are of one speaker, {speakers[0]!r}, and nobody is left to validate on: "
            "give videos of others too, a folder for each, or share out this speaker's by file with "
            "--config.data.options.within_speaker=True."
        )
    return share(speakers, val_share, test_share, seed)


def by_video(
    videos: Collection[SourceVideo], val_share: float, test_share: float, seed: int
) -> dict[str, list[str]]:
    """{split: names of videos}: as they say, else each speaker's videos as `share` has it.

    Raises:
      UserError: only some of them say their split, or no speaker has two videos.
    """
    _check_all_or_none(videos)
    if any(video.split for video in videos):
        return _inverted({video.name: video.split for video in videos})
    parts: dict[str, list[str]] = {split: [] for split in SPLITS}
    for speaker in sorted({video.speaker for video in videos}):
        own = [video.name for video in videos if video.speaker == speaker]
        for split, names in share(own, val_share, test_share, seed).items():
            parts[split] += names
    if val_share and not parts["val"]:
        raise UserError(
            "No speaker has two videos, so none is left to validate on: with within_speaker, splits "
            "go by file; divide a long video into files."
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


def _inverted(splits: Mapping[str, str]) -> dict[str, list[str]]:
    parts: dict[str, list[str]] = {split: [] for split in SPLITS}
    for name, split in sorted(splits.items()):
        parts[split].append(name)
    return parts


def _hash(seed: int, name: str) -> str:
    return hashlib.sha256(f"{seed} {name}".encode()).hexdigest()
