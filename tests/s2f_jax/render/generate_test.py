"""`generate`: a video of a still and a sound, what it says of itself, and what is refused."""

import contextlib
import io
import os
import pathlib
import signal

import av
import cv2
import numpy as np
import psutil
import pytest

from data_pipelines.common import progress
from data_pipelines.common.errors import UserError
from data_pipelines.faces import alignment
from data_pipelines.faces import landmarks as landmarks_module
from data_pipelines.media import decode, images, writer
from s2f_jax.provenance.marks import GENERATED, provenance_record, read_provenance
from s2f_jax.render import video_job
from s2f_jax.render.generate import generate
from tests import beep_files, certificates, wav_files
from tests.generating import SOUND, STILL, compiled_once, streams, with_good_files
from tests.wav_files import wav


@pytest.fixture
def call(run_folder, animator, tmp_path, monkeypatch):
    compiled_once(monkeypatch, run_folder, animator)
    return with_good_files(run_folder, tmp_path)


@pytest.mark.parametrize(
    ("samples", "rate", "width", "channels"),
    [
        (np.zeros(16000), 16000, 2, 1),  # Silence.
        (SOUND[:160], 16000, 2, 1),  # 10 ms.
        (SOUND[:1], 44100, 2, 1),
        (SOUND[:8001], 8000, 1, 1),  # 8 bits.
        (SOUND[:16001], 16000, 3, 1),  # 24 bits.
        (np.repeat(SOUND[:24000], 2), 48000, 2, 2),  # Stereo.
        (np.repeat(SOUND[:19201], 2), 48000, 2, 2),  # One sample more than 10 frames.
    ],
)
def test_a_video_has_a_frame_for_every_part_of_one(call, tmp_path, samples, rate, width, channels):
    output = call(audio=wav(tmp_path / "a.wav", samples, rate, width, channels))
    frames = -(-len(samples) // channels * 25 // rate)
    codecs, count, seconds = streams(output)
    assert codecs == ("h264", "aac") and count == frames
    assert seconds == pytest.approx([frames / 25] * 2, abs=1e-3)


def test_the_audio_may_be_that_of_a_video(call, tmp_path):
    pictures = np.zeros((20, 16, 16, 3), np.uint8)
    writer.write_video(tmp_path / "talk.mp4", pictures, 25, SOUND[:12800], 16000)
    assert streams(call(audio=tmp_path / "talk.mp4"))[1] == 20


def test_a_truncated_wav_is_used_as_far_as_it_goes(call, tmp_path):
    path = wav(tmp_path / "a.wav", SOUND[:16000])
    path.write_bytes(path.read_bytes()[: 44 + 2 * 8000])
    assert streams(call(audio=path))[1] == pytest.approx(13, abs=1)  # Decoders drop a block.


def test_missing_and_quiet_sound_is_said(call, tmp_path, capsys):
    call()
    assert "good.wav" not in capsys.readouterr().err
    path = beep_files.write_video(
        tmp_path / "a.webm",
        *("webm", "libvpx", "libopus", 48000),
        holes=((1.4, 2.1), (2.6, 3.3)),
        sample_format="flt",
    )
    output = call(audio=path)
    assert streams(output)[1] in (150, 151)  # Of 6 s; Opus begins 6.5 ms before the picture.
    assert "a.webm: 1.40 s are missing, first at 1.4" in capsys.readouterr().err
    call(audio=wav(tmp_path / "quiet.wav", 1e-4 * SOUND[:16000], width=4))
    assert "quiet.wav: the speech is at -91.2 dBFS (under -30 dBFS)" in capsys.readouterr().err
    call(audio=wav(tmp_path / "silent.wav", 0 * SOUND[:16000]))
    assert "silent.wav: the sound is digital silence" in capsys.readouterr().err


def test_quiet_speech_is_raised_for_the_model_alone(call, tmp_path, capsys, monkeypatch):
    usual = 0.35 * SOUND[:8000]  # At -20 dBFS.
    loud = decode.decode_clip(call(audio=wav(tmp_path / "loud.wav", usual, width=4)))
    assert "loud.wav" not in capsys.readouterr().err
    quiet = decode.decode_clip(call(audio=wav(tmp_path / "quiet.wav", usual / 20, width=4)))
    said = capsys.readouterr().err
    assert "quiet.wav: the speech is at -45.9 dBFS: raised by 26 dB for the model" in said
    monkeypatch.setattr(video_job, "model_gain", lambda path: 1.0)
    still = decode.decode_clip(call(audio=tmp_path / "quiet.wav"))
    raised, unraised = (
        np.abs(loud.frames.astype(int) - clip.frames).mean() for clip in (quiet, still)
    )
    assert raised < 0.6 * unraised  # H.264 changes both.
    assert np.abs(quiet.audio).max() < 0.02


def test_channels_in_opposite_phase_are_no_silence(call, tmp_path, capsys):
    both = np.stack([SOUND[:8000], -SOUND[:8000]], axis=1).ravel()
    inverted = decode.decode_clip(call(audio=wav(tmp_path / "a.wav", both, channels=2)))
    assert "a.wav: its channels are in opposite phase, and one was inverted" in (
        capsys.readouterr().err
    )
    plain = decode.decode_clip(call())
    assert np.abs(inverted.frames.astype(int) - plain.frames).mean() < 0.5


@pytest.mark.parametrize("kind", ["grey", "alpha", "16 bits"])
def test_every_kind_of_png_is_read(call, tmp_path, kind):
    image = {
        "grey": STILL[..., 0],
        "alpha": np.dstack([STILL, STILL[..., :1]]),
        "16 bits": 257 * STILL.astype(np.uint16),
    }[kind]
    cv2.imwrite(str(tmp_path / "image.png"), image)
    assert streams(call(image=tmp_path / "image.png"))[1] == 13


def test_the_seed_determines_the_video(call, tmp_path):
    first, again, other = (
        decode.decode_clip(call(output=tmp_path / f"{i}.mp4", seed=seed)).frames
        for i, seed in enumerate((5, 5, 6))
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_of_two_faces_the_largest_is_taken_with_a_warning(call, monkeypatch, capsys):
    landmarks = np.zeros((2, 68, 2), np.float32)
    landmarks[:, list(alignment.STABLE)] = alignment.canonical_points(16, 12)
    monkeypatch.setattr(landmarks_module, "find_faces", lambda image: list(landmarks))
    call(aligned=False)
    message = "still.png: it shows 2 faces: the largest is taken"
    assert message in capsys.readouterr().err
    monkeypatch.setattr(landmarks_module, "find_faces", lambda image: list(landmarks[:1]))
    call(aligned=False)
    assert message not in capsys.readouterr().err


def test_a_face_unlike_those_of_the_training_is_reported_once(
    run_folder, call, tmp_path, monkeypatch
):
    """A face of a tenth of the crop's size, for two sounds."""
    landmarks = np.zeros((68, 2), np.float32)
    landmarks[list(alignment.STABLE)] = alignment.canonical_points(16, 12) / 10 + 5
    monkeypatch.setattr(landmarks_module, "find_faces", lambda image: [landmarks])
    call(aligned=False)
    still, sounds = tmp_path / "still.png", [tmp_path / "good.wav", tmp_path / "b.wav"]
    wav(sounds[1], SOUND[:4000])
    with contextlib.redirect_stderr(io.StringIO()) as stderr:
        generate(str(run_folder), [str(still)], list(map(str, sounds)), str(tmp_path / "out"))
    assert stderr.getvalue().count("still.png: the face is small") == 1
    assert "the model's crop enlarges it 10.0 times" in stderr.getvalue()
    assert len(list((tmp_path / "out").glob("*.mp4"))) == 2


def test_a_video_says_what_made_it_inside_and_beside(call, run_folder, tmp_path):
    provenance = read_provenance(call(seed=5))
    expected = provenance_record(
        run_folder, 5, {"image": tmp_path / "still.png", "audio": tmp_path / "good.wav"}
    )
    assert provenance.synthetic and provenance.unchanged and provenance.manifest is None
    assert provenance.facts == expected.facts and provenance.facts["model"]["step"] == 3
    assert provenance.sidecar["inputs"] == expected.inputs
    assert provenance.sidecar["video"]["frames"] == 13 and provenance.sidecar["video"]["fps"] == 25
    assert provenance.tags["title"] == "AI-generated video"


def test_the_badge_is_in_the_corner_of_every_frame(call, tmp_path):
    plain, marked = (
        decode.decode_clip(call(output=tmp_path / f"{i}.mp4", marks={"badge": i > 0})).frames
        for i in (0, 1)
    )
    differs = np.abs(plain.astype(int) - marked).max(axis=(0, 3)) > 60
    assert differs[-4:, -4:].any() and not differs[:8].any()


def test_a_certificate_signs_the_video_before_it_appears(call, tmp_path):
    keys = certificates.signer(tmp_path)
    marks = {"certificate": str(keys.certificate), "key": str(keys.key)}
    provenance = read_provenance(call(marks=marks))
    assert provenance.manifest.intact and provenance.manifest.source_type == GENERATED
    assert provenance.unchanged and not list(tmp_path.glob(".*"))
    keys.key.write_text("no key")
    before = sorted(tmp_path.iterdir())
    for wrong, message in (
        (marks, "is not a private key"),
        ({"key": "a"}, "give both, or neither"),
    ):
        with pytest.raises(UserError, match=message):
            call(output=tmp_path / "other.mp4", marks=wrong)
    assert sorted(tmp_path.iterdir()) == before


def test_no_face_is_reported_and_nothing_is_written(call, monkeypatch, tmp_path):
    monkeypatch.setattr(landmarks_module, "find_faces", lambda image: [])
    before = sorted(tmp_path.iterdir())
    with pytest.raises(UserError, match="No face was found in the 12x16 image: give"):
        call(aligned=False)
    assert sorted(tmp_path.iterdir()) == before


def damaged(tmp_path, name):
    path = tmp_path / name
    if name == "empty.wav":
        return wav(path, SOUND[:0])
    if name == "half.png":
        data = images.encode_png(np.random.default_rng(0).integers(0, 256, (64, 48, 3), np.uint8))
        path.write_bytes(data[: len(data) // 2])
    elif name == "head.wav":
        path.write_bytes(wav(path, SOUND).read_bytes()[:30])
    elif name == "half.mp4":
        writer.write_video(path, np.zeros((9, 16, 16, 3), np.uint8), 25, SOUND, 16000)
        path.write_bytes(path.read_bytes()[:900])
    elif name == "other.png":
        path.write_bytes(images.encode_png(np.zeros((1, 1, 3), np.uint8)))
    elif name.startswith("text"):
        path.write_text("a face, a voice\n" * 50)
    elif name.startswith("folder"):
        path.mkdir()
    return path


@pytest.mark.parametrize(
    ("what", "name", "message"),
    [
        ("image", "half.png", "breaks off in the middle; give"),
        ("image", "text.png", "not an image that can be read; give"),
        ("image", "folder.png", "is a folder, not an image file; name"),
        ("image", "missing.png", "no image file .*missing.png; check"),
        ("image", "other.png", "1x1 pixels and an aligned crop of this model is 12x16: leave"),
        ("audio", "empty.wav", r"\(0 samples\); give"),
        ("audio", "head.wav", "cannot be decoded .*; give"),
        ("audio", "half.mp4", "cannot be decoded .*; give"),
        ("audio", "text.wav", "cannot be decoded .*; give"),
        ("audio", "still.png", "has no sound; give"),
        ("audio", "folder.wav", "is a folder, not an audio file; name"),
        ("audio", "missing.wav", "no audio file .*missing.wav; check"),
        ("checkpoint", "missing", "no checkpoint at .*missing: give"),
        ("output", "out.avi", "out.avi: must end in .mp4"),
        ("output", "no/out.mp4", "there is no folder .*/no; make it"),
        ("output", "folder.mp4", "folder.mp4 is a folder: give"),
    ],
)
def test_mistakes_are_reported_and_nothing_is_written(call, tmp_path, what, name, message):
    path = damaged(tmp_path, name)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(UserError, match=message) as error:
        call(**{what: path})
    assert "\n" not in str(error.value)
    assert sorted(tmp_path.iterdir()) == before


class FullDisk:
    """A file for which there is room for so many bytes."""

    def __init__(self, path, room):
        self.file, self.room = open(path, "wb", buffering=0), room

    def write(self, data):
        if len(data) > self.room:
            raise OSError(28, "No space left on device")
        self.room -= len(data)
        return self.file.write(data)

    def seek(self, *where):
        return self.file.seek(*where)

    def tell(self):
        return self.file.tell()

    def close(self):
        self.file.close()


@pytest.mark.parametrize("room", [0, 3000])
def test_a_full_disk_leaves_the_video_that_was_there(call, tmp_path, monkeypatch, room):
    output = call()
    before, opened = (output.read_bytes(), sorted(tmp_path.iterdir())), av.open
    disks = []

    def on_full_disk(path, mode=None, **options):
        if mode != "w":
            return opened(path, mode, **options)
        disks.append(FullDisk(path, room))
        return opened(disks[0], mode, **options)

    monkeypatch.setattr("data_pipelines.media.writer.av.open", on_full_disk)
    with pytest.raises(UserError, match=r"Cannot write .*out\.mp4 \(No space left .*\); make room"):
        call(seed=1)
    disks[0].close()
    assert (output.read_bytes(), sorted(tmp_path.iterdir())) == before


def test_a_folder_that_cannot_be_written_to_is_reported_first(call, monkeypatch):
    monkeypatch.setattr("os.access", lambda path, mode: False)  # Root may write anywhere.
    with pytest.raises(UserError, match="cannot be written to"):
        call(checkpoint="not looked at yet")


# Other frame rates.


@pytest.mark.parametrize(("fps", "rate"), [("29.97", 30000 / 1001), ("12.5", 12.5), ("120", 120)])
def test_the_frames_of_another_rate_are_counted_on_the_sound(call, tmp_path, fps, rate):
    for samples in (16000, 22050, 7):
        output = call(audio=wav(tmp_path / "a.wav", SOUND[:samples], 22050), fps=fps)
        clip = decode.decode_clip(output)
        assert len(clip.frames) == np.ceil(samples * rate / 22050)
        assert clip.fps == pytest.approx(rate, rel=1e-5) or len(clip.frames) == 1


# Whole or not at all, and in constant memory.


def watched(monkeypatch, then):
    """Calls `then` with the bytes of the file that grows, for every second that is drawn."""
    write_frames = video_job.VideoJob.write_frames

    def written(video, frames):
        write_frames(video, frames)
        folder = pathlib.Path(video.spec.output).parent
        then(sum(file.stat().st_size for file in folder.glob(".*.part")))

    monkeypatch.setattr(video_job.VideoJob, "write_frames", written)


def test_it_is_written_as_it_is_made(call, tmp_path, monkeypatch):
    sizes = []
    watched(monkeypatch, sizes.append)
    call(audio=wav(tmp_path / "a.wav", np.resize(SOUND, 60 * 16000)))
    assert len(sizes) >= 60 and sorted(sizes[:-1]) == sizes[:-1]
    assert sizes[40] > 200_000  # FFmpeg writes a quarter of a MiB at a time.


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_leaves_nothing_half_written(call, tmp_path, monkeypatch, number):
    audio = wav(tmp_path / "a.wav", np.resize(SOUND, 20 * 16000))
    sizes = []

    def stop(size):
        sizes.append(size)
        if len(sizes) == 5:
            os.kill(os.getpid(), number)

    watched(monkeypatch, stop)
    # A shell's background jobs are started deaf to it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    before = signal.getsignal(signal.SIGTERM), sorted(tmp_path.iterdir())
    ended = SystemExit if number == signal.SIGTERM else KeyboardInterrupt
    with pytest.raises(ended) as end:
        call(audio=audio)
    assert len(sizes) == 5 and (number == signal.SIGINT or end.value.code == 143)
    assert (signal.getsignal(signal.SIGTERM), sorted(tmp_path.iterdir())) == before


@pytest.mark.slow
def test_an_hour_takes_no_more_memory_than_a_minute(call, tmp_path, monkeypatch):
    tones = [(9000 * np.sin(np.arange(44100) * (i + 1) / 90)).astype("<i2") for i in range(7)]
    with open(tmp_path / "a.wav", "wb") as file:
        wav_files.write(file, (tones[i % 7] for i in range(3600)), 44100)
    resident, process = [], psutil.Process()
    watched(monkeypatch, lambda size: resident.append(process.memory_info().rss / 2**20))
    output = call(audio=tmp_path / "a.wav")
    assert len(resident) >= 3600
    assert max(resident[60:]) - max(resident[30:60]) < 30  # MiB; the sound alone is 600.
    with av.open(str(output)) as container:
        lengths = [float(stream.duration * stream.time_base) for stream in container.streams]
        assert container.streams.video[0].frames == 90000
    assert lengths == pytest.approx([3600, 3600], abs=1e-3)


def test_progress_is_a_line_now_and_then(monkeypatch, capsys):
    clock = iter(range(0, 1000, 4))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    with progress.Progress("", 1000, "frame", delay=3.0) as frames:
        for _ in range(7):
            frames.update(20)
    assert capsys.readouterr().err.splitlines() == [
        "80 of 1000 frames, 5.00 frames/s, 03:04 left",
        "140 of 1000 frames, 5.00 frames/s, 02:52 left",
    ]
