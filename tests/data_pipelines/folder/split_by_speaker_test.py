import pathlib

import numpy as np
import pytest

from data_pipelines.common.errors import UserError
from data_pipelines.folder import split_by_speaker
from data_pipelines.folder.sources import SourceVideo


def video(speaker, number=0, split=""):
    return SourceVideo(
        pathlib.Path(f"{speaker}/{number}.mp4"), f"{speaker}_{number}", speaker, split
    )


def random_names(rng):
    return [f"{rng.integers(10**6)}é" for _ in range(rng.integers(1, 60))]


def test_every_name_is_in_one_split_for_any_shares_seeds_and_names():
    rng = np.random.default_rng(0)
    for seed in range(300):
        names = random_names(rng)
        val, test = rng.dirichlet([1, 1, 1])[:2] * rng.integers(0, 2, 2)
        parts = split_by_speaker.assign_splits(names, val, test, seed)
        assert sorted(sum(parts.values(), [])) == sorted(set(names))
        n = len(set(names))
        assert len(parts["train"]) >= 1
        assert (len(parts["val"]) >= 1) == (val > 0 and n >= 2)
        assert (len(parts["test"]) >= 1) == (test > 0 and n >= 3)
        for split, share in (("val", val), ("test", test)):
            assert len(parts[split]) <= max(1, round(n * share))


def test_twenty_speakers_are_split_by_the_shares():
    parts = split_by_speaker.assign_splits([f"s{i}" for i in range(20)], 0.15, 0.25, 0)
    assert [len(parts[split]) for split in ("train", "val", "test")] == [12, 3, 5]
    others = [
        split_by_speaker.assign_splits([f"s{i}" for i in range(20)], 0.15, 0.25, seed)
        for seed in (0, 1)
    ]
    assert others[0] == parts != others[1]


def test_another_name_moves_at_most_two_of_the_others():
    rng = np.random.default_rng(1)
    for seed in range(200):
        names = random_names(rng)
        before, after = (
            split_by_speaker.assign_splits(n, 0.2, 0.2, seed) for n in (names, [*names, "new"])
        )
        was = {name: split for split, part in before.items() for name in part}
        now = {name: split for split, part in after.items() for name in part}
        assert sum(was[name] != now[name] for name in was) <= 2


def test_one_speaker_is_refused_with_the_cure_and_split_by_file():
    one = [video("anna", i) for i in range(10)]
    with pytest.raises(UserError, match="one speaker, 'anna'.*within_speaker=True"):
        split_by_speaker.split_speakers(one, 0.2, 0.1, 0)
    parts = split_by_speaker.split_videos(one, 0.2, 0.1, 0)
    assert [len(parts[split]) for split in ("train", "val", "test")] == [7, 2, 1]
    with pytest.raises(UserError, match="No speaker has two videos"):
        split_by_speaker.split_videos(one[:1], 0.2, 0.1, 0)


def test_within_speakers_each_one_is_trained_on():
    videos = [video(speaker, i) for speaker in "abc" for i in range(3)] + [video("d")]
    parts = split_by_speaker.split_videos(videos, 0.15, 0.15, 0)
    assert {name[0] for name in parts["train"]} == set("abcd")
    assert {name[0] for name in parts["val"]} == {name[0] for name in parts["test"]} == set("abc")


def test_given_splits_go_before_the_shares():
    given = [video("a", 0, "test"), video("a", 1, "test"), video("b", 0, "val")]
    expected = {"train": [], "val": ["b"], "test": ["a"]}
    assert split_by_speaker.split_speakers(given, 0.5, 0.1, 0) == expected
    with pytest.raises(UserError, match="'a' is in two splits, test and train"):
        split_by_speaker.split_speakers([*given, video("a", 2, "train")], 0.5, 0.1, 0)
    with pytest.raises(UserError, match="a split to some rows and none to"):
        split_by_speaker.split_speakers([*given, video("c")], 0.5, 0.1, 0)
    apart = split_by_speaker.split_videos([*given, video("a", 2, "train")], 0.5, 0.1, 0)
    assert apart == {"train": ["a_2"], "val": ["b_0"], "test": ["a_0", "a_1"]}
