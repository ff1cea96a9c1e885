"""Planted faults are found, named and shown; clips without any have no findings."""

import dataclasses
import json
import types

import numpy as np
import pytest

from configs import base
from data_pipelines import prepare
from data_pipelines.common.errors import UserError
from data_pipelines.faces import alignment
from data_pipelines.loading import dataset
from data_pipelines.media import images
from data_pipelines.quality import check, clip_checks
from data_pipelines.quality import page as page_module
from data_pipelines.quality.clip_checks import MEASURES
from tests.data_pipelines.aligning import duplicates_test
from tests.data_pipelines.faces import head_pose_test

H, W, T, FPS, RATE = 128, 96, 75, 25, 16000
STRIDE = RATE // FPS


def clip_of(number, speaker="s1", late=0, colour=(90, 90, 90)):
    """A speaking clip: sound whose loudness the mouth follows, `late` frames before the sound."""
    rng = np.random.default_rng(number)
    syllables = np.convolve(rng.uniform(0, 1, T) > 0.75, [0.3, 0.7, 1, 0.7, 0.3], "same")
    loudness = np.repeat(np.roll(0.02 + syllables, late), STRIDE)
    audio = duplicates_test.speech(number, number)[: T * STRIDE] * 0.1 + rng.normal(
        0, 1, T * STRIDE
    )
    audio = 6000 * loudness * audio / np.abs(audio).max()
    seen = head_pose_test.seen(frames=T)
    landmarks = alignment.transform_points(alignment.face_transform(seen[0], H, W), seen)
    landmarks = landmarks.astype(np.float32)
    for upper, lower, x in ((61, 67, 44), (62, 66, 48), (63, 65, 52)):
        landmarks[:, upper] = (x, 90)
        landmarks[:, lower, 0], landmarks[:, lower, 1] = x, 90 + 9 * syllables
    video = np.full((T, H, W, 3), colour, np.uint8)
    for t in range(T):
        video[t, :, t : t + 9] = 255
    return dataset.DatasetClip(
        id=f"{speaker}_{number}",
        speaker=speaker,
        transcript="bin blue",
        fps=FPS,
        jpegs=[images.encode_jpeg(frame) for frame in video],
        landmarks=landmarks,
        blink=np.zeros(T, np.float32),
        audio=audio.astype(np.int16),
        audio_rate=RATE,
        words=[("bin", 0.5, 0.9), ("blue", 0.9, 1.4)],
        phones=[],
    )


GOOD = [clip_of(number) for number in range(6)]
change = dataclasses.replace


class Records(list):
    """A split's clips; None is a record that cannot be read."""

    def __getitem__(self, index):
        clip = super().__getitem__(index)
        if clip is None:
            raise RuntimeError("bad checksum")
        return clip


@pytest.fixture
def checked(tmp_path, monkeypatch):
    """Checks clips by split, as if they were shards in tmp_path."""

    def run(metadata=None, **splits):
        sizes = {name: types.SimpleNamespace(num_examples=len(s)) for name, s in splits.items()}
        builder = types.SimpleNamespace(
            data_path=check.epath.Path(tmp_path) / "grid" / "form" / "1.0.0",
            info=types.SimpleNamespace(splits=sizes, metadata=metadata),
            version="1.0.0",
        )
        monkeypatch.setattr(prepare, "prepared_builder", lambda *_: builder)
        monkeypatch.setattr(check, "_open", lambda items, data_dir, split: Records(splits[split]))
        form = {"corpus": "grid", "height": H, "width": W, "audio_rate": RATE, "fps": FPS}
        data = form | {"speakers": (), "prepare_workers": 1, "options": {}}
        return check.check_shards(data, None, tmp_path)

    run.folder = tmp_path / "grid" / "form" / "check"
    return run


def kinds(report):
    return {
        finding["kind"]: [clip["id"] for clip in finding["clips"]] for finding in report["findings"]
    }


def test_good_clips_have_no_findings(checked):
    report = checked(train=GOOD)
    assert report["findings"] == [] and (report["errors"], report["warnings"]) == (0, 0)
    assert report["all"]["clips"] == 6 and report["all"]["seconds"] == 18
    assert report["speakers"]["s1"]["splits"] == ["train"]
    assert report["all"]["measures"]["offset"]["median"] == 0
    assert "No measure is beyond its limit" in (checked.folder / "index.html").read_text()


def faulty():
    """A clip for every kind of warning that one clip can have, by kind."""
    good = clip_of(20)
    noise = np.random.default_rng(0).normal(0, 2, len(good.audio))
    stuck = good.jpegs[:20] + good.jpegs[20:21] * 30 + good.jpegs[50:]
    blind, aside, jumps = good.blink.copy(), good.landmarks.copy(), good.landmarks.copy()
    blind[:5] = np.nan
    aside[10, 36] += (5, 0)
    jumps[30:] += (3, 3)
    loud = np.clip(good.audio.astype(np.int32) * 40, -32768, 32767).astype(np.int16)
    return {
        "seconds": change(
            good, jpegs=good.jpegs[:10], landmarks=aside[:10], blink=blind[5:15],
            audio=good.audio[: 10 * STRIDE], words=[],
        ),
        "faceless": change(good, blink=blind),
        "residual": change(good, landmarks=aside),
        "jump": change(good, landmarks=jumps),
        "yaw": change(good, landmarks=head_pose_test.seen(yaw=40, frames=T)),
        "pitch": change(good, landmarks=head_pose_test.seen(pitch=-40, frames=T)),
        "roll": change(good, landmarks=head_pose_test.seen(roll=15, frames=T)),
        "frozen": change(good, jpegs=stuck),
        "level": change(good, audio=(good.audio // 60)),
        "dynamics": change(good, audio=(1000 * noise).astype(np.int16)),
        "clipped": change(good, audio=loud),
        "silence": change(good, audio=np.where(np.arange(len(noise)) < 3000, good.audio[9000], noise).astype(np.int16)),
        "dc": change(good, audio=good.audio + np.int16(700)),
        "offset": clip_of(20, late=6),
        "words": change(good, transcript="Bin green."),
        "times": change(good, words=[("bin", 0.5, 0.9), ("blue", 0.9, 3.4)]),
    }  # fmt: skip


FAULTY = faulty()


@pytest.mark.parametrize("kind", FAULTY)
def test_a_planted_fault_is_a_warning(checked, kind):
    report = checked(train=[*GOOD[:2], change(FAULTY[kind], id="bad")])
    assert kinds(report)[kind] == ["bad"]
    assert set(sum(kinds(report).values(), [])) == {"bad"}
    assert report["errors"] == 0
    page = (checked.folder / "index.html").read_text()
    assert 'id="train-2"' in page and 'href="#train-2"' in page


@pytest.mark.parametrize(
    ("kind", "clip"),
    [
        ("unreadable", None),
        ("frames", change(GOOD[5], jpegs=[*GOOD[5].jpegs[:-1], b"no picture"], id="bad")),
        (
            "frames",
            change(
                GOOD[5], jpegs=T * [images.encode_jpeg(np.zeros((H, W, 3), np.uint8))], id="bad"
            ),
        ),
        ("lengths", change(GOOD[5], audio=GOOD[5].audio[:-1], id="bad")),
        ("lengths", change(GOOD[5], jpegs=[], id="bad")),
        ("landmarks", change(GOOD[5], landmarks=GOOD[5].landmarks * np.nan, id="bad")),
        ("id_twice", clip_of(7)),
    ],
)
def test_a_clip_that_cannot_be_used_is_an_error_and_the_others_are_checked(checked, kind, clip):
    report = checked(train=[*GOOD[:2], clip_of(7), clip])
    assert kind in kinds(report) and report["errors"] == 1
    assert report["all"]["measures"]["level"]["clips"] >= 3
    lines = [json.loads(line) for line in (checked.folder / "clips.jsonl").read_text().splitlines()]
    assert len(lines) == 4 and lines[-1]["faults"] and not lines[0]["faults"]


def test_a_recording_in_two_splits_is_an_error_and_twice_in_one_a_warning(checked):
    copy = change(GOOD[0], id="s2_copy", speaker="s2", audio=GOOD[0].audio // 3)
    report = checked(train=GOOD[:2], test=[copy])
    assert kinds(report)["recording_in_two_splits"] == ["s1_0", "s2_copy"] and report["errors"] == 1
    report = checked(train=[*GOOD[:2], change(copy, speaker="s1")])
    assert kinds(report)["recording_twice"] == ["s1_0", "s2_copy"] and report["errors"] == 0


def test_a_speaker_in_two_splits_is_an_error_unless_splits_are_within_speakers(checked):
    report = checked(train=GOOD[:4], val=GOOD[4:])
    assert kinds(report) == {"speaker_in_two_splits": ["s1_0"]}
    assert "4 clips in train, 2 clips in val" in report["findings"][0]["clips"][0]["text"]
    assert checked({"within_speaker": True}, train=GOOD[:4], val=GOOD[4:])["findings"] == []


def test_a_speaker_is_late_by_the_median_of_the_clips(checked):
    late = [clip_of(k, "s2", late=4 + k % 2) for k in range(6)]
    report = checked(
        train=GOOD[:1], test=[change(clip, id=f"late{k}") for k, clip in enumerate(late)]
    )
    assert kinds(report)["speaker_offset"] == ["late0"]
    text = next(f for f in report["findings"] if f["kind"] == "speaker_offset")["clips"][0]["text"]
    assert text.startswith("s2: +4.5 frames, spread 0.5, 6 clips")
    offset = report["speakers"]["s2"]["measures"]["offset"]
    assert (offset["median"], offset["spread"], offset["clips"]) == (4.5, 0.5, 6)
    assert (offset["p5"], offset["p95"]) == (4, 5)


def test_a_clip_in_another_light_is_a_finding(checked):
    report = checked(train=[*GOOD, clip_of(8, colour=(130, 90, 60))])
    assert kinds(report) == {"colour": ["s1_8"]}


def test_the_worst_clip_is_first(checked):
    loud = [change(clip_of(k), audio=clip_of(k).audio // (60 + 30 * (k % 3))) for k in (9, 10, 11)]
    assert kinds(checked(train=loud))["level"] == ["s1_11", "s1_10", "s1_9"]


def test_missing_shards_are_a_message(tmp_path):
    with pytest.raises(UserError, match="no shards in .*grid.*run .*prepare"):
        check.check_shards(base.get_config().data, None, tmp_path)


def test_a_folder_that_cannot_be_written_is_a_message(checked):
    checked.folder.parent.mkdir(parents=True)
    checked.folder.write_text("not a folder")
    with pytest.raises(UserError, match="cannot write its page to .*form/check.*copy the shards"):
        checked(train=GOOD[:1])


def test_a_histogram_holds_every_clip_and_the_limit_that_is_near():
    values = np.array([1.0, 1.5, 2.0, np.nan, 2.5])
    near = check._histogram(values, clip_checks.Measure("", "", "", high=3))
    assert sum(near["counts"]) == 4 and near["limits"] == [3] and near["high"] == 3
    far = check._histogram(values, clip_checks.Measure("", "", "", high=90))
    assert far["limits"] == [] and far["high"] == pytest.approx(2.5, abs=0.01)
    same = check._histogram(np.zeros(7), MEASURES["peak"])
    assert sum(same["counts"]) == 7 and same["low"] < 0 < same["high"]
    assert check._histogram(np.full(3, np.nan), MEASURES["peak"]) is None


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (-0.00001, "0"),
        (0.0021, "0.0021"),
        (-1.5, "−1.5"),
        (47.26, "47.3"),
        (12345, "12345"),
    ],
)
def test_numbers_are_short(value, text):
    assert page_module._number(value) == text


def test_speakers_are_sorted_by_number():
    assert sorted(["s10", "s2", "a"], key=page_module._natural) == ["a", "s2", "s10"]


def test_the_excess_of_a_measure_is_its_distance_beyond_the_limits():
    measure = clip_checks.Measure("", "", "", low=-2, high=3)
    excess = measure.excess(np.array([-5, -2, 0, 3, 4, np.nan]))
    np.testing.assert_allclose(excess, [3, 0, -2, 0, 1, 0])
    assert measure.limit == "under -2 or over 3"
    assert MEASURES["peak"].limit == ""


def test_spans_out_of_order_or_outside_are_faults():
    def faults(*words):
        return [text for _, text in clip_checks.text_faults(change(GOOD[0], words=list(words)))]

    assert faults(("bin", 0, 1), ("blue", 1, 3.04)) == []  # A frame beyond the end is rounding.
    assert "in a clip of 3.00 s" in faults(("bin", 0, 1), ("blue", 1, 3.2))[0]
    assert "before the previous one ends" in faults(("bin", 1, 2), ("blue", 0.5, 0.7))[0]
    assert "the transcript 'bin blue'" in faults(("bin", 0, 1), ("red", 1, 2))[0]


def test_the_page_of_many_speakers_is_bounded(checked, monkeypatch):
    monkeypatch.setattr(page_module, "_SHEETS", 2)
    monkeypatch.setattr(page_module, "_SPEAKERS", 3)
    many = [clip_of(k, f"s{k}") for k in range(5)]
    checked(train=many)
    page = (checked.folder / "index.html").read_text()
    assert page.count("contact sheet of") == 2 and "3 more are not shown" in page
    assert "2 more are in check.json" in page


def test_names_are_escaped(checked):
    checked(train=[GOOD[0], change(GOOD[0], id="<b>", audio=GOOD[1].audio // 60)])
    page = (checked.folder / "index.html").read_text()
    assert "&lt;b&gt;" in page and "<b><b>" not in page
