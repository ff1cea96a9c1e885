import pathlib

import numpy as np
import pytest

from data_pipelines.aligning.align_clip import RawClip
from data_pipelines.common.errors import UserError
from data_pipelines.folder import split_within_video


def take(name, lengths, speaker="anna", pause=0.5):
    """Clips of a video with pauses between them; a length of None is a video that is not cut."""
    clips, start = [], 0.0
    for number, seconds in enumerate(lengths, 1):
        end = None if seconds is None else start + seconds
        path = pathlib.Path(f"{name}.mp4")
        clips.append(RawClip(f"{name}_{number:04d}", speaker, path, "", start=start, end=end))
        start = (end or 0.0) + pause
    return clips


def split_of(clips, val=0.1, test=0.1, seed=0):
    splits = split_within_video.split_clips(clips, val, test, seed)
    assert sorted(sum(splits.values(), [])) == sorted(clip.id for clip in clips)
    return {clip_id: split for split, ids in splits.items() for clip_id in ids}


def test_ten_minutes_have_a_tenth_of_val_and_of_test_in_few_stretches():
    rng = np.random.default_rng(0)
    lengths = rng.uniform(1, 5, 200)
    clips = take("a", lengths)
    for seed in range(20):
        splits = split_of(clips, seed=seed)
        for split in ("val", "test"):
            own = [splits[clip.id] == split for clip in clips]
            share = lengths[own].sum() / lengths.sum()
            assert share == pytest.approx(
                0.1, abs=0.02
            )  # Two twentieths, but for their last clips.
            assert np.count_nonzero(np.diff(own, prepend=False, append=False)) <= 2 * 2


def test_the_split_is_fixed_by_the_clips_and_the_seed():
    clips = take("a", [3.0] * 60)
    assert split_of(clips) == split_of(clips)
    assert split_of(clips) != split_of(clips, seed=1)


@pytest.mark.parametrize("count", [3, 5, 20, 21])
def test_a_short_take_has_all_three_splits(count):
    assert set(split_of(take("a", [3.0] * count)).values()) == {"train", "val", "test"}


def test_each_speaker_and_each_short_video_counts():
    """Thirty videos of one clip each, whose lengths are not known, and another speaker's take."""
    short = [clip for i in range(30) for clip in take(f"b{i}", [None], "bob")]
    splits = split_of([*take("a", [2.0] * 40), *short], val=0.2)
    for speaker, count in (("a_", 40), ("b", 30)):
        own = [split for clip_id, split in splits.items() if clip_id.startswith(speaker)]
        assert len(own) == count
        assert own.count("val") == pytest.approx(0.2 * count, abs=1)
        assert own.count("test") == pytest.approx(0.1 * count, abs=1)


def test_one_clip_cannot_be_divided():
    with pytest.raises(UserError, match="No speaker has two clips.*film for longer"):
        split_within_video.split_clips(take("a", [4.0]), 0.1, 0.1, 0)
    assert split_of(take("a", [4.0]), val=0.0) == {"a_0001": "train"}
