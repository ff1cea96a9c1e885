"""A take as a phone writes it becomes clips whose sound and pictures stay together."""

import contextlib
import json
import pathlib

import numpy as np
import pytest

from data_pipelines import prepare
from data_pipelines.aligning import align_clip
from data_pipelines.common.errors import UserError
from data_pipelines.faces import landmarks
from data_pipelines.folder import pause_detection
from data_pipelines.loading import dataset
from data_pipelines.media import sound
from tests import drawn_videos, phone_takes
from tests.small_data import small_data

RATE = 16000
LIMITS = pause_detection.CutLimits(fps=25, min_seconds=1.0, max_seconds=5.0)
STARTS = (20, 25, 17, 30, 22)  # Frames at which the drawn sentences begin; they last 25.


def drawn_sentence(first):
    """A face before a ground that is light while the sentence lasts, a tone of 1 s."""
    spoken = (first <= np.arange(75)) & (np.arange(75) < first + 25)
    pictures = [drawn_videos.picture(bool(lit)) for lit in spoken]
    tone = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(3 * RATE) / RATE)
    samples = tone * np.repeat(spoken, RATE // 25)
    return f"from_{first}", pictures, np.rint(32767 * samples).astype(np.int16), RATE


@pytest.fixture(scope="module")
def drawn_take(tmp_path_factory):
    path = tmp_path_factory.mktemp("take") / "me.mp4"
    return phone_takes.write(path, map(drawn_sentence, STARTS), height=320)


@pytest.mark.parametrize("turn", [90, 270, 180])
def test_every_sentence_is_a_clip_in_which_sound_and_picture_begin_together(tmp_path, turn):
    path = tmp_path / "me.mp4"
    phone_takes.write(path, map(drawn_sentence, STARTS), height=320, turn=turn)
    cuts = pause_detection.find_cuts(path, LIMITS).cuts
    assert len(cuts) == len(STARTS)
    lags = []
    for number, (cut, first) in enumerate(zip(cuts, STARTS, strict=True)):
        clip = drawn_videos.aligned(path, start=cut.start, end=cut.end)
        begins = 3 * number + first / 25 - cut.start  # But for the jitter of the first frame, 4 ms.
        heard = np.flatnonzero(np.abs(clip.audio) > 4000)[0] / RATE
        assert heard == pytest.approx(begins, abs=0.005)
        seen = drawn_videos.lit_frames(clip)
        lags.append(seen[0] / 25 - begins)
        assert len(seen) == pytest.approx(25, abs=1)
    # The camera's frame is up to 21 ms from ours, and GRID's up to 20 ms from the camera's.
    assert max(map(abs, lags)) <= 0.041 and abs(np.mean(lags)) < 0.02


def test_one_video_is_a_corpus_with_a_limit_of_its_minutes(
    drawn_take, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(landmarks, "FaceFinder", drawn_videos.Discs)
    monkeypatch.setattr(landmarks, "model_path", lambda: None)
    options = {"within_video": True, "max_clip_seconds": 5.0, "val_share": 0.2, "test_share": 0.2}
    data = small_data("folder", options=options)
    summary = prepare.prepare(data, drawn_take, tmp_path / "data")
    assert summary["clips"] == {"train": 3, "val": 1, "test": 1}
    assert "no new faces or recordings" in capsys.readouterr().out

    def opened(split, minutes):
        return dataset.open_dataset({**data, "train_minutes": minutes}, split, tmp_path / "data")

    every = opened("train", 0.0)
    seconds = [len(clip) / 25 for clip in every]
    some = opened("train", (seconds[0] + 0.1) / 60)
    assert [clip.id for clip in some] == [clip.id for clip in every[0:2]]
    assert some.longest == max(len(clip) for clip in every[0:2])
    assert len(opened("train", sum(seconds) / 60)) == 3
    assert [len(opened(split, 0.01)) for split in ("val", "test")] == [1, 1]
    with pytest.raises(UserError, match="train_minutes=1: the split train has 0.1 min"):
        opened("train", 1.0)

    other = drawn_take.with_name("second.mp4")
    other.write_bytes(drawn_take.read_bytes() + bytes(8))
    with pytest.raises(UserError, match="with videos=1 file of .*delete that folder"):
        prepare.prepare(data, other, tmp_path / "data")
    assert prepare.prepare(data, drawn_take, tmp_path / "data") == summary
    assert prepare.prepare(data, None, tmp_path / "data") == summary


def test_shards_of_before_an_option_have_its_default(drawn_take, tmp_path, monkeypatch):
    monkeypatch.setattr(landmarks, "FaceFinder", drawn_videos.Discs)
    monkeypatch.setattr(landmarks, "model_path", lambda: None)
    data = small_data("folder", options={"speaker_level": 0, "within_video": True})
    summary = prepare.prepare(data, drawn_take, tmp_path)
    info = pathlib.Path(summary["path"]) / "metadata.json"
    metadata = json.loads(info.read_text())
    for name in ("within_video", "videos"):
        del metadata[name]
    info.write_text(json.dumps(metadata))
    with pytest.raises(UserError, match="with within_video=False, not True"):
        prepare.prepare(data, drawn_take, tmp_path)
    with pytest.raises(UserError, match="within_video=True: .* within_video=False"):
        dataset.open_dataset(data, "train", tmp_path)
    assert prepare.prepare({**data, "options": {"speaker_level": 0}}, drawn_take, tmp_path)


@pytest.mark.skipif(
    not phone_takes.AVAILABLE, reason="S2F_FACE_LANDMARKER and S2F_GRID say where the real ones are"
)
def test_sentences_of_grid_keep_their_sound_and_their_mouth(tmp_path):
    """Against the single clips: sound to 5 ms, for the first frame's jitter, and landmarks."""
    sentences = list(phone_takes.sentences(2))
    path = phone_takes.write(tmp_path / "me.mp4", sentences, height=640)
    cuts = pause_detection.find_cuts(path, LIMITS).cuts
    assert len(cuts) == 2
    with contextlib.closing(landmarks.FaceFinder(max_faces=1)) as finder:
        for number, (cut, sentence) in enumerate(zip(cuts, sentences, strict=True)):
            clip = drawn_videos.raw_clip(path, start=cut.start, end=cut.end)
            joined = align_clip.align_clip(clip, drawn_videos.FORM, finder)
            name, _, samples, rate = sentence
            heard = sound.resample(sound.to_mono_float(samples), rate, RATE)
            assert abs(_lag(heard, joined.audio, cut.start - 3 * number)) < 0.005
            single = phone_takes.path_of(name)
            alone = align_clip.align_clip(drawn_videos.raw_clip(single), drawn_videos.FORM, finder)
            first = round((cut.start - 3 * number) * 25)
            expected = _mouth_opening(alone.landmarks)[first : first + len(joined.jpegs)]
            seen = _mouth_opening(joined.landmarks)
            lags = [
                np.corrcoef(expected[2:-2], np.roll(seen, s)[2:-2])[0, 1] for s in (-2, -1, 0, 1)
            ]
            assert np.argmax(lags) == 2 and max(lags) > 0.9


def _lag(long, short, start):
    """Seconds by which `short` comes later than it should, at `start` seconds of `long`."""
    size = 1 << (len(long) + len(short) - 1).bit_length()
    spectrum = np.fft.rfft(long, size) * np.conj(np.fft.rfft(short, size))
    peak = int(np.argmax(np.fft.irfft(spectrum, size)))
    return (peak if peak < size // 2 else peak - size) / RATE - start


def _mouth_opening(points):
    return np.linalg.norm(points[:, 66] - points[:, 62], axis=1)  # Between the inner lips.
