import pathlib
import resource
import wave

import av
import cv2
import numpy as np
import pytest

from data_pipelines import faces, media
from data_pipelines.errors import UserError
from s2f_jax.animate import Animator
from s2f_jax.generate import generate

RNG = np.random.default_rng(0)
STILL = RNG.integers(0, 256, (16, 12, 3), np.uint8)
SOUND = RNG.uniform(-0.5, 0.5, 48000)


def wav(path, samples, rate=16000, width=2, channels=1):
    """Integer PCM of so many bytes a sample; 8 bits are unsigned, as WAV has them."""
    steps = np.rint(samples * (2 ** (8 * width - 1) - 1)).astype(np.int32)
    if width == 1:
        steps += 128
    with wave.open(str(path), "wb") as file:
        file.setparams((channels, width, rate, 0, "NONE", ""))
        file.writeframes(steps.astype("<i4").view(np.uint8).reshape(-1, 4)[:, :width].tobytes())
    return path


@pytest.fixture
def call(run_folder, animator, tmp_path, monkeypatch):
    """generate with good files for whatever is not given, and the good run compiled once."""
    load = Animator.load
    monkeypatch.setattr(
        Animator, "load", lambda path: animator if path == str(run_folder) else load(path)
    )
    (tmp_path / "still.png").write_bytes(media.encode_png(STILL))
    good = {
        "checkpoint": run_folder,
        "image": tmp_path / "still.png",
        "audio": wav(tmp_path / "good.wav", SOUND[:8000]),
        "output": tmp_path / "out.mp4",
    }

    def call(aligned=True, seed=0, fps=None, **files):
        paths = {name: str(path) for name, path in (good | files).items()}
        image, audio = [paths.pop("image")], [paths.pop("audio")]
        generate(images=image, audios=audio, aligned=aligned, seed=seed, fps=fps, **paths)
        return pathlib.Path(paths["output"])

    return call


def streams(path):
    """-> codecs, frames, seconds of picture and of sound."""
    with av.open(str(path)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        codecs = video.codec_context.name, audio.codec_context.name
        lengths = [float(stream.duration * stream.time_base) for stream in (video, audio)]
        return codecs, sum(1 for _ in container.decode(video)), lengths


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


def test_the_sound_of_a_video_will_do(call, tmp_path):
    pictures = np.zeros((20, 16, 16, 3), np.uint8)
    media.write_video(tmp_path / "talk.mp4", pictures, 25, SOUND[:12800], 16000)
    assert streams(call(audio=tmp_path / "talk.mp4"))[1] == 20


def test_of_a_wav_that_breaks_off_what_there_is_will_do(call, tmp_path):
    path = wav(tmp_path / "a.wav", SOUND[:16000])
    path.write_bytes(path.read_bytes()[: 44 + 2 * 8000])
    assert streams(call(audio=path))[1] == pytest.approx(13, abs=1)  # Decoders drop a block.


@pytest.mark.parametrize("kind", ["grey", "alpha", "16 bits"])
def test_every_kind_of_png_will_do(call, tmp_path, kind):
    image = {
        "grey": STILL[..., 0],
        "alpha": np.dstack([STILL, STILL[..., :1]]),
        "16 bits": 257 * STILL.astype(np.uint16),
    }[kind]
    cv2.imwrite(str(tmp_path / "image.png"), image)
    assert streams(call(image=tmp_path / "image.png"))[1] == 13


def test_a_seed_is_a_video(call, tmp_path):
    first, again, other = (
        media.decode_clip(call(output=tmp_path / f"{i}.mp4", seed=seed)).frames
        for i, seed in enumerate((5, 5, 6))
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_of_two_faces_the_largest_is_taken_and_that_is_said(call, monkeypatch, capsys):
    landmarks = np.zeros((2, 68, 2), np.float32)
    landmarks[:, list(faces.STABLE)] = faces.canonical(16, 12)
    monkeypatch.setattr(faces, "find_faces", lambda image: list(landmarks))
    call(aligned=False)
    assert "still.png shows 2 faces: the largest is taken" in capsys.readouterr().err
    monkeypatch.setattr(faces, "find_faces", lambda image: list(landmarks[:1]))
    call(aligned=False)
    assert capsys.readouterr().err == ""


def test_no_face_is_told_and_nothing_is_written(call, monkeypatch, tmp_path):
    monkeypatch.setattr(faces, "find_faces", lambda image: [])
    before = sorted(tmp_path.iterdir())
    with pytest.raises(UserError, match="No face was found in the 12x16 image: give"):
        call(aligned=False)
    assert sorted(tmp_path.iterdir()) == before


def damaged(tmp_path, name):
    path = tmp_path / name
    if name == "empty.wav":
        return wav(path, SOUND[:0])
    if name == "half.png":
        data = media.encode_png(np.random.default_rng(0).integers(0, 256, (64, 48, 3), np.uint8))
        path.write_bytes(data[: len(data) // 2])
    elif name == "head.wav":
        path.write_bytes(wav(path, SOUND).read_bytes()[:30])
    elif name == "half.mp4":
        media.write_video(path, np.zeros((9, 16, 16, 3), np.uint8), 25, SOUND, 16000)
        path.write_bytes(path.read_bytes()[:900])
    elif name == "other.png":
        path.write_bytes(media.encode_png(np.zeros((1, 1, 3), np.uint8)))
    elif name.startswith("text"):
        path.write_text("a face, a voice\n" * 50)
    elif name.startswith("folder"):
        path.mkdir()
    return path


@pytest.mark.parametrize(
    ("what", "name", "said"),
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
        ("output", "out.avi", "out.avi does not end in .mp4: give"),
        ("output", "no/out.mp4", "there is no folder .*/no; make it"),
        ("output", "folder.mp4", "folder.mp4 is a folder: give"),
    ],
)
def test_what_is_wrong_is_told_and_nothing_is_written(call, tmp_path, what, name, said):
    path = damaged(tmp_path, name)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(UserError, match=said) as told:
        call(**{what: path})
    assert "\n" not in str(told.value)
    assert sorted(tmp_path.iterdir()) == before


@pytest.fixture
def full_disk():
    """From its call on, no file of this process grows beyond so many bytes."""
    _, hard = before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("size", [0, 3000])
def test_a_full_disk_leaves_the_video_that_was_there(call, tmp_path, full_disk, size):
    output = call()
    before = output.read_bytes(), sorted(tmp_path.iterdir())
    full_disk(size)
    with pytest.raises(UserError, match=r"Cannot write .*out\.mp4 \(File too large\); give"):
        call(seed=1)
    assert (output.read_bytes(), sorted(tmp_path.iterdir())) == before


def test_a_folder_that_cannot_be_written_to_is_told_first(call, monkeypatch):
    monkeypatch.setattr("os.access", lambda path, mode: False)  # Root may write anywhere.
    with pytest.raises(UserError, match="cannot be written to"):
        call(checkpoint="not looked at yet")
