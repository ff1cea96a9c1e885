"""study.json is the whole study: what it says is what is done, and a changed one is told."""

import hashlib
import json
import re

import pytest

from data_pipelines.common.errors import UserError
from s2f_jax.apps.study import document
from tests.s2f_jax.apps.study import made_up


@pytest.mark.parametrize("kind", ["preference", "turing"])
def test_what_is_written_is_read(tmp_path, kind):
    made = made_up.study(tmp_path, kind, clips=4, catches=0 if kind == "turing" else 2, parts=2)
    text = (tmp_path / "study.json").read_text()
    assert made.sha256 == hashlib.sha256(text.encode()).hexdigest()
    assert (made.kind, made.seed, made.parts, len(made.trial_lists)) == (kind, 7, 2, 16)
    assert made.pairs["p01"].a.clip == "clip0"
    assert document.study_json(made) == text


def test_a_trial_shows_what_its_letter_says(tmp_path):
    made = made_up.study(tmp_path / "p")
    pair = made.pairs["p02"]
    assert made.trial("p02a").videos == (pair.a, pair.b)
    assert made.trial("p02b").videos == (pair.b, pair.a)
    made = made_up.study(tmp_path / "t", "turing")
    pair = made.pairs["p02"]
    assert made.trial("p02a").videos == (pair.a,) and pair.a.method == "real"
    assert made.trial("p02b").videos == (pair.b,) and pair.b.method == "ours"


def test_a_turing_test_has_as_many_real_as_generated_and_no_clip_twice(tmp_path):
    made = made_up.study(tmp_path, "turing", clips=20, parts=2, participants=16)
    for slot in range(16):
        shown = [trial.videos[0] for trial in made.trials(slot)]
        assert sum(video.method == "real" for video in shown) == 5 == len(shown) // 2
        assert len({video.clip for video in shown}) == 10
    times = [v.name for slot in range(16) for t in made.trials(slot) for v in t.videos]
    assert {times.count(name) for name in set(times)} == {4} and len(set(times)) == 40


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('"seed": 7', '"seed": 8', "its slots are not those that its seed, pairs and parts give"),
        ('"parts": 1', '"parts": 2', "are not those that its seed"),
        ('"parts": 1', '"parts": 3', "is damaged"),
        ('"schema": 1', '"schema": 9', "schema 9, and this version reads 1; use the s2f_jax that"),
        ('"kind": "preference"', '"kind": "poll"', "is damaged .*kind 'poll'"),
        ('"v000"', '"v/../x"', "is damaged"),
        ('"b": "v001"', '"b": "v777"', "is damaged .KeyError, 'v777'"),
        ('"failed_catches": 0', '"failed_catches": "none"', "is damaged .*failed_catches 'none'"),
        ('"schema": 1,', "", "is damaged .KeyError, 'schema'"),
        ("{", "[", "is damaged .JSONDecodeError"),
    ],
)
def test_a_file_that_does_not_fit_is_told(tmp_path, old, new, expected):
    made_up.study(tmp_path)
    path = tmp_path / "study.json"
    changed = path.read_text().replace(old, new, 2 if "v0" in old else 1)
    assert changed != path.read_text()
    path.write_text(changed)
    with pytest.raises(UserError, match=expected):
        document.read_study(tmp_path)


def test_a_slot_that_was_changed_is_told(tmp_path):
    made = made_up.study(tmp_path)
    path = tmp_path / "study.json"
    swapped = made.trial_lists[3][0][:-1] + ("b" if made.trial_lists[3][0][-1] == "a" else "a")
    was = " ".join(made.trial_lists[3])
    path.write_text(path.read_text().replace(was, was.replace(made.trial_lists[3][0], swapped)))
    with pytest.raises(UserError, match="its slots are not those .* put back the file"):
        document.read_study(tmp_path)


def test_a_folder_without_a_study_is_told(tmp_path):
    with pytest.raises(UserError, match="cannot be read .*; give the folder that `study new` made"):
        document.read_study(tmp_path)


def test_a_video_that_is_missing_or_another_is_told(tmp_path):
    made = made_up.study(tmp_path, clips=1)
    (tmp_path / "videos").mkdir()
    with pytest.raises(UserError, match=r"v000.mp4: cannot be read .No such file"):
        made.check_videos()
    for pair in made.pairs.values():
        for video in (pair.a, pair.b):
            (tmp_path / video.file).write_bytes(b"another")
    with pytest.raises(UserError, match="v000.mp4: is not the video that study.json was written"):
        made.check_videos()


def test_it_is_for_people_to_read(tmp_path):
    """A line a pair, a video and a slot."""
    made_up.study(tmp_path, clips=30, catches=3, participants=240)
    lines = (tmp_path / "study.json").read_text().splitlines()
    assert sum(bool(re.match(r'  "[pc]\d+": ', line)) for line in lines) == 33
    assert sum(bool(re.match(r'  "v\d+": ', line)) for line in lines) == 66
    assert sum(bool(re.match(r'  "[pc]\d+[ab] ', line)) for line in lines) == 240
    assert "SHA-256" in json.loads("\n".join(lines))["rule"]
