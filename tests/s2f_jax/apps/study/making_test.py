"""`study new`: what it writes, and what it refuses, in one sentence and leaving nothing behind."""

import fractions
import hashlib
import json
import shutil

import av
import numpy as np
import pytest

from data_pipelines.media import decode, writer
from s2f_jax import main
from s2f_jax.apps.study import document, stimuli
from s2f_jax.provenance.marks import ProvenanceRecord
from tests.s2f_jax.apps.study import small_videos


@pytest.fixture
def new(tmp_path, videos):
    """Runs `study new` -> exit code; flags: those that differ."""

    def new(**flags):
        settled = {
            "study": tmp_path / "study",
            "kind": "preference",
            "methods": f"ours={videos.ours},base={videos.base}",
            "truth": videos.real,
            "participants": 16,
        } | flags
        given = [f"--{name}={value}" for name, value in settled.items() if value is not None]
        return main.dispatch(["study", "new", *given])

    return new


@pytest.fixture
def error_of(new, tmp_path, capsys):
    """Runs it where it must fail -> its one sentence."""

    def error_of(**flags):
        before = sorted(tmp_path.rglob("*"))
        assert new(**flags) == 2
        error = capsys.readouterr().err
        assert error.startswith("s2f: ") and error.count("\n") == 1, error
        assert sorted(tmp_path.rglob("*")) == before
        return error

    return error_of


@pytest.fixture
def copied(tmp_path, videos):
    """Folders that a test may spoil: a folder by its method."""

    def copied(method):
        return shutil.copytree(getattr(videos, method), tmp_path / method)

    return copied


@pytest.mark.parametrize("task", ["serve", "report", "export"])
def test_a_remote_study_is_refused(error_of, capsys, task):
    cure = "--study=gs://bucket/study: must be a local folder"
    assert cure in error_of(study="gs://bucket/study")
    assert main.dispatch(["study", task, "--study=gs://bucket/study"]) == 2
    assert cure in capsys.readouterr().err


def test_a_preference_study(new, tmp_path, videos, capsys, brightness):
    assert new(parts=2, seed=5) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(
        f"{tmp_path}/study: 4 pairs, 3 catch pairs, 5 trials for each of 16 participants"
    )
    made = document.read_study(tmp_path / "study")
    made.check_videos()
    assert (made.kind, made.seed, made.parts, made.methods) == (
        "preference",
        5,
        2,
        ("ours", "base"),
    )
    assert made.exclusion == document.ExclusionRule(
        1, True, False
    )  # One side of five may be chance.
    assert "5 pairs of videos" in made.consent and "about a minute" in made.consent
    assert "not" in made.consent and made.question.endswith("?")
    pairs = [pair for pair in made.pairs.values() if not pair.catch]
    assert [(pair.a.method, pair.b.method, pair.a.clip) for pair in pairs] == [
        ("ours", "base", f"s{i}") for i in range(4)
    ]
    levels = {"ours": 205, "base": 190}
    for pair in pairs:
        for video in (pair.a, pair.b):
            assert brightness(made.folder / video.file) == pytest.approx(
                levels[video.method], abs=4
            )
            source = (getattr(videos, video.method) / f"{video.clip}.mp4").read_bytes()
            assert video.source_sha256 == hashlib.sha256(source).hexdigest()
            assert (video.width, video.height, video.fps, video.seconds) == (48, 64, 25, 0.48)


def test_catch_pairs_hold_the_real_video_against_its_first_frame(new, tmp_path, videos):
    assert new() == 0
    made = document.read_study(tmp_path / "study")
    catches = [pair for pair in made.pairs.values() if pair.catch]
    assert len(catches) == 3
    assert {"s4", "s5"} <= {pair.a.clip for pair in catches}  # Those that no method has, first.
    for pair in catches:
        moving, still = (decode.decode_clip(made.folder / v.file) for v in (pair.a, pair.b))
        real = decode.decode_clip(videos.real / f"{pair.a.clip}.mpg")
        assert moving.frames.shape == still.frames.shape == (12, 64, 48, 3)
        assert np.abs(moving.frames.astype(int) - real.frames).mean() < 2
        assert (
            np.abs(np.diff(still.frames.astype(int), axis=0)).max() <= 12
        )  # It does not light up.
        assert np.abs(np.diff(moving.frames.astype(int), axis=0)).max() > 30
        assert np.abs(still.frames[0].astype(int) - moving.frames[0]).mean() < 2
        length = min(len(moving.audio), len(still.audio))
        assert np.corrcoef(moving.audio[:length], still.audio[:length])[0, 1] > 0.95


def test_a_turing_test(new, tmp_path, videos, brightness):
    assert new(kind="turing", methods=f"ours={videos.ours}") == 0
    made = document.read_study(tmp_path / "study")
    assert not any(pair.catch for pair in made.pairs.values())
    assert [(p.a.method, p.b.method) for p in made.pairs.values()] == [("real", "ours")] * 4
    for pair in made.pairs.values():
        assert brightness(made.folder / pair.a.file) == pytest.approx(220, abs=4)
        assert brightness(made.folder / pair.b.file) == pytest.approx(205, abs=4)
    for slot in range(16):
        assert sum(t.videos[0].method == "real" for t in made.trials(slot)) == 2


def test_what_plays_in_every_browser_is_taken_bit_for_bit(new, tmp_path, videos):
    assert new() == 0
    made = document.read_study(tmp_path / "study")
    for pair in list(made.pairs.values())[:4]:
        for video in (pair.a, pair.b):
            packets = []
            for path in (
                getattr(videos, video.method) / f"{video.clip}.mp4",
                made.folder / video.file,
            ):
                with av.open(str(path)) as container:
                    packets.append([
                        (p.stream.type, p.pts, p.dts, bytes(p)) for p in container.demux() if p.size
                    ])  # fmt: skip
            assert sorted(packets[0]) == sorted(packets[1]) and len(packets[0]) > 12


def test_no_name_and_no_tag_tells_whose_a_video_is(new, tmp_path, videos, copied):
    ours = copied("ours")
    frames = [decode.decode_clip(path) for path in sorted(ours.iterdir())]
    mark = ProvenanceRecord(
        "0.1.0", {"run": "grid", "step": 9}, 4, {"image": {"file": "ada.png", "sha256": "f"}}
    )
    for path, clip in zip(sorted(ours.iterdir()), frames, strict=True):
        with writer.VideoFile(
            path, 64, 48, fractions.Fraction(25), clip.audio_rate, mark.metadata
        ) as file:
            for frame in clip.frames:
                file.write_frame(frame)
            file.write_audio(clip.audio)
    assert new(methods=f"ours={ours},base={videos.base}") == 0
    made = document.read_study(tmp_path / "study")
    first = made.pairs["p1"].a
    assert first.mark is not None and first.mark["model"] == {"run": "grid", "step": 9}
    assert "ada.png" not in (made.folder / "study.json").read_text()
    numbers = {"ours": [], "base": [], "real": [], "frozen": []}
    for path in sorted((made.folder / "videos").iterdir()):
        data = path.read_bytes()
        for word in (b"synthetic", b"s2f_jax", b"AI-generated", b"ours", b"base", b"grid"):
            assert word not in data
        with av.open(str(path)) as container:
            assert set(container.metadata) <= {
                "major_brand", "minor_version", "compatible_brands", "encoder"
            }  # fmt: skip
    for pair in made.pairs.values():
        for video in (pair.a, pair.b):
            numbers[video.method].append(int(video.name[1:]))
    assert sorted(sum(numbers.values(), [])) == list(range(1, 15))
    assert not any(n == list(range(min(n), min(n) + len(n))) for n in numbers.values())


def test_a_sidecar_s_mark_is_kept_without_names_of_files(new, tmp_path, videos, copied):
    ours = copied("ours")
    sidecar = {
        "synthetic": True,
        "seed": 3,
        "inputs": {"audio": {"file": "ada.wav", "sha256": "5"}},
    }
    (ours / "s0.mp4.json").write_text(json.dumps(sidecar | {"video": {"file": "s0.mp4"}}))
    assert new(methods=f"ours={ours},base={videos.base}") == 0
    mark = document.read_study(tmp_path / "study").pairs["p1"].a.mark
    assert mark == {"synthetic": True, "seed": 3, "inputs": {"audio": {"sha256": "5"}}}


def test_stopped_in_the_middle_it_leaves_nothing(new, tmp_path, monkeypatch, capsys):
    def stop(of, target):
        raise KeyboardInterrupt

    monkeypatch.setattr(stimuli, "freeze_stimulus", stop)
    assert new() == 130
    assert "interrupted; no partial output was left" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_same_flags_give_the_same_study(new, tmp_path):
    for name in ("a", "b"):
        assert new(study=tmp_path / name, seed=3) == 0
    files = [{p.name: p.read_bytes() for p in (tmp_path / n / "videos").iterdir()} for n in "ab"]
    assert files[0] == files[1]
    texts = [json.loads((tmp_path / n / "study.json").read_text()) for n in "ab"]
    assert {**texts[0], "made": ""} == {**texts[1], "made": ""}


def test_three_methods_all_with_all_or_against_one(new, tmp_path, videos):
    methods = f"ours={videos.ours},base={videos.base},truth={videos.ours}"
    assert new(study=tmp_path / "all", methods=methods, clips=2, catches=0) == 0
    made = document.read_study(tmp_path / "all")
    assert len(made.pairs) == 6 and len({pair.a.clip for pair in made.pairs.values()}) == 2
    assert new(study=tmp_path / "one", methods=methods, against="base", catches=2) == 0
    made = document.read_study(tmp_path / "one")
    scored = [(p.a.method, p.b.method) for p in made.pairs.values() if not p.catch]
    assert sorted(set(scored)) == [("base", "truth"), ("ours", "base")] and len(scored) == 8


def test_question_and_consent_of_one_s_own(new, tmp_path):
    (tmp_path / "consent.txt").write_text("Ich mache mit: <b>ja</b>\n")
    assert new(consent=tmp_path / "consent.txt", question="Which speaks better?") == 0
    made = document.read_study(tmp_path / "study")
    assert (made.consent, made.question) == ("Ich mache mit: <b>ja</b>", "Which speaks better?")


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ({"methods": "ours={ours}"}, "must be two methods or more to compare"),
        ({"methods": "ours={ours},ours={base}"}, "--methods: names ours twice"),
        ({"methods": "ours"}, "--methods=ours: must be NAME=FOLDER"),
        ({"methods": "real={ours},base={base}"}, "other than real and frozen, such as"),
        ({"methods": "a b={ours},base={base}"}, "must be NAME=FOLDER, with a name of letters"),
        ({"methods": "ours={ours},base=none"}, "--methods=none is not a folder; give one with"),
        ({"methods": "ours={ours},base={empty}"}, "has no video in it; give a folder of .avi"),
        ({"truth": "{empty}"}, "empty has no video in it"),
        (
            {"truth": "{ours}", "methods": "ours={real},base={real}"},
            "--truth: has no video 's4' (2",
        ),
        (
            {"methods": "ours={ours},base={real}"},
            "base has a video 's4' and ours has none (2 names",
        ),
        ({"kind": "turing"}, "a Turing test compares one method with the real videos; make"),
        (
            {"kind": "turing", "methods": "ours={ours}", "parts": 4},
            "cannot be divided into 4 parts with as many",
        ),
        ({"kind": "turing", "methods": "ours={ours}", "clips": 3}, "give --clips=2"),
        ({"kind": "turing", "methods": "ours={ours}", "catches": 2}, "a Turing test has none"),
        ({"kind": "turing", "methods": "ours={ours}", "against": "ours"}, "leave it out of a"),
        ({"kind": "poll"}, "--kind=poll: must be one of preference, turing"),
        ({"truth": None}, "--truth: is required by `study new`; see --help"),
        (
            {"against": "theirs"},
            "--against=theirs: is not a method to compare with; give ours, base",
        ),
        ({"parts": 3}, "--parts=3: must be one of 1, 2, 4"),
        ({"seed": -1}, "--seed=-1: must be at least 0"),
        ({"clips": 5}, "--clips=5: must be in [1, 4]"),
        ({"clips": 0}, "--clips=0: must be in [1, 4]"),
        ({"catches": -1}, "--catches=-1: must be at least 0"),
        ({"catches": 9}, "--catches=9: must be at most 6"),
        ({"failed_catches": 4}, "--failed_catches=4: must be in [0, 3]"),
        ({"participants": 0}, "--participants=0: must be at least 1"),
        ({"consent": "none.txt"}, "There is no text file none.txt; check the path"),
        ({"study": "{empty}"}, "empty: exists already; give the name of a new folder"),
    ],
)
def test_what_does_not_fit_is_told(error_of, tmp_path, videos, flags, expected):
    (tmp_path / "empty").mkdir()
    places = {**vars(videos), "empty": tmp_path / "empty"}
    filled = {k: v.format(**places) if isinstance(v, str) else v for k, v in flags.items()}
    assert expected in error_of(**filled)


def _silent(path):
    small_videos.write(path, "base", "s1", sound=None)


def _of_zeros(path):
    clip = decode.decode_clip(path)
    writer.write_video(path, clip.frames, 25, np.zeros(8000), 16000)


def _damaged(path):
    path.write_bytes(path.read_bytes()[:3000])


def _longer(path):
    small_videos.write(path, "base", "s1", seconds=0.52)


def _larger(path):
    clip = decode.decode_clip(path)
    wide = np.pad(clip.frames, ((0, 0), (0, 0), (0, 2), (0, 0)))
    writer.write_video(path, wide, 25, clip.audio, clip.audio_rate)


def _of_another_clip(path):
    small_videos.write(path, "base", "s3")


def _late(path):
    clip = decode.decode_clip(path)
    writer.write_video(path, clip.frames, 25, np.pad(clip.audio, (1600, 0)), clip.audio_rate)


def _soft(path):
    clip = decode.decode_clip(path)
    writer.write_video(path, clip.frames, 25, 0.5 * clip.audio, clip.audio_rate)


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (_silent, "base/s1.mp4: has no sound; give a video with sound"),
        (_of_zeros, "base/s1.mp4: is silent; give a video with sound"),
        (_damaged, "base/s1.mp4: cannot be played ("),
        (lambda path: path.write_text("no video"), "base/s1.mp4: cannot be played ("),
        (
            _longer,
            "48x64 pixels, 0.48 s, {base}/s1.mp4 has 48x64 pixels, 0.52 s: cut both to the same",
        ),
        (_larger, "{base}/s1.mp4 has 50x64 pixels, 0.48 s: give both the same size"),
        (_of_another_clip, "s1.mp4 have different sound (correlation"),
        (_soft, "the sound of {base}/s1.mp4 is 6.0 dB quieter than that of"),
        (_late, "the sound of {base}/s1.mp4 is 100 ms late relative to that of"),
    ],
)
def test_a_video_that_does_not_fit_is_told(error_of, videos, copied, spoil, expected):
    base = copied("base")
    spoil(base / "s1.mp4")
    assert expected.format(base=base) in error_of(methods=f"ours={videos.ours},base={base}")


def test_a_truth_that_says_it_is_synthetic_is_told(error_of, copied, videos):
    real = copied("real")
    (real / "s2.mpg.json").write_text(json.dumps({"synthetic": True}))
    sentence = error_of(kind="turing", methods=f"ours={videos.ours}", truth=real)
    assert "s2.mpg: is marked as synthetic; give recordings as --truth" in sentence


def test_a_consent_that_is_no_text_is_told(error_of, tmp_path):
    (tmp_path / "consent").write_bytes(b"\xff\xfe\x00")
    assert "must be a text file in UTF-8" in error_of(consent=tmp_path / "consent")
    (tmp_path / "consent").write_text(" \n")
    assert "is empty; give the text that participants agree to" in error_of(
        consent=tmp_path / "consent"
    )
