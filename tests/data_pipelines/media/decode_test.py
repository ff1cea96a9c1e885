import io
import zlib

import av
import cv2
import numpy as np
import pytest

from data_pipelines.common.errors import BadClip, UserError
from data_pipelines.media import decode, images, writer
from data_pipelines.media.sound import to_mono_float
from data_pipelines.media.sound_file import read_audio
from tests.wav_files import wav


def tone(rate, seconds=1.0, hertz=440.0, level=0.5):
    return level * np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate)


def flat_frames(count, height, width):
    """Frames of one grey level each, rising by 3, so that a lost or doubled one shows."""
    levels = (10 + 3 * np.arange(count)).astype(np.uint8)
    return np.broadcast_to(levels[:, None, None, None], (count, height, width, 3)).copy()


def write_sound(path, samples, rate, codec, sample_format, layout="mono"):
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout=layout)
        frame = av.AudioFrame.from_ndarray(
            samples.reshape(1, -1), format=sample_format, layout=layout
        )
        frame.sample_rate = rate
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def test_a_tone_keeps_frequency_and_level_at_another_rate(tmp_path):
    left = tone(44100)
    both = np.stack([left, 0.5 * left], axis=1)
    pcm = np.rint(both * 32767).astype(np.int16)
    write_sound(tmp_path / "tone.wav", pcm, 44100, "pcm_s16le", "s16", "stereo")
    sound = read_audio(tmp_path / "tone.wav", 16000)
    assert sound.dtype == np.float32 and sound.shape == (16000,)
    spectrum = np.abs(np.fft.rfft(sound)) / 8000
    assert np.argmax(spectrum) == 440
    assert spectrum[440] == pytest.approx(0.5, abs=1e-3)  # The louder channel's level.
    assert np.delete(spectrum, 440).max() < 1e-3


@pytest.mark.parametrize(
    ("codec", "sample_format", "scale", "dtype"),
    [
        ("pcm_u8", "u8", 127, np.uint8),
        ("pcm_s16le", "s16", 32767, np.int16),
        ("pcm_s24le", "s32", 2**31 - 1, np.int32),
        ("pcm_s32le", "s32", 2**31 - 1, np.int32),
        ("pcm_f32le", "flt", 1, np.float32),
    ],
)
def test_every_sample_format_is_the_same_sound(tmp_path, codec, sample_format, scale, dtype):
    samples = tone(8000, 0.1) * scale + (128 if dtype == np.uint8 else 0)
    samples = np.rint(samples) if scale > 1 else samples
    write_sound(tmp_path / "a.wav", samples.astype(dtype), 8000, codec, sample_format)
    sound = read_audio(tmp_path / "a.wav", 8000)
    np.testing.assert_allclose(sound, tone(8000, 0.1), atol=0.01)


def test_integers_and_floats_are_the_same_mono_sound():
    np.testing.assert_array_equal(to_mono_float(np.int16([-32768, 16384])), [-1, 0.5])
    np.testing.assert_array_equal(to_mono_float(np.uint8([0, 128, 192])), [-1, 0, 0.5])
    np.testing.assert_array_equal(to_mono_float(np.array([2.0, -0.25])), [1, -0.25])
    with pytest.raises(ValueError, match="shape"):
        to_mono_float(np.zeros((2, 2)))


@pytest.mark.parametrize(
    ("frames", "height", "width", "fps", "rate", "samples"),
    [
        (75, 128, 96, 25, 16000, 47000),  # Sound that is too short is padded.
        (30, 33, 47, 25, 50000, 90000),  # Odd sizes, a rate AAC does not know, sound too long.
        (31, 32, 32, 29.97, 44100, 45600),
        (1, 32, 32, 25, 16000, 640),
    ],
)
def test_a_video_keeps_its_frames_and_sound_as_long(
    tmp_path, frames, height, width, fps, rate, samples
):
    pixels = flat_frames(frames, height, width)
    path = tmp_path / "new" / "clip.mp4"
    writer.write_video(path, pixels, fps, tone(rate, samples / rate), rate)
    clip = decode.decode_clip(path)
    assert clip.frames.shape == (frames, height + height % 2, width + width % 2, 3)
    assert np.abs(clip.frames[:, :height, :width].astype(int) - pixels).max() <= 3
    assert clip.fps == pytest.approx(fps, rel=1e-4)
    assert len(clip.audio) / clip.audio_rate == pytest.approx(frames / fps, abs=1e-3)
    assert [file.name for file in path.parent.iterdir()] == ["clip.mp4"]


def test_sound_stays_synchronous(tmp_path):
    """A click at 1 s is decoded at 1 s: AAC's priming is removed."""
    sound = np.zeros(48000, np.float32)
    sound[16000:16032] = 0.9
    writer.write_video(tmp_path / "click.mp4", flat_frames(75, 32, 32), 25, sound, 16000)
    clip = decode.decode_clip(tmp_path / "click.mp4")
    heard = np.argmax(np.abs(clip.audio) > 0.3) / clip.audio_rate
    assert heard == pytest.approx(1, abs=0.002)


def test_sound_that_starts_apart_from_the_video_is_cut_or_padded(tmp_path):
    for offset in (-0.08, 0.08):  # Seconds by which the sound starts after the picture.
        path = tmp_path / "apart.mkv"
        with av.open(str(path), "w") as container:
            video = container.add_stream("ffv1", rate=25)
            video.width = video.height = 32
            video.pix_fmt = "yuv420p"
            sound = container.add_stream("pcm_s16le", rate=16000, layout="mono")
            for t, pixels in enumerate(flat_frames(25, 32, 32)):
                frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                frame.pts = t + 5
                container.mux(video.encode(frame))
            container.mux(video.encode(None))
            samples = np.zeros((1, 16000), np.int16)
            samples[0, 8000:8010] = 20000
            frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
            frame.sample_rate, frame.pts = 16000, round((0.2 + offset) * 16000)
            container.mux(sound.encode(frame))
            container.mux(sound.encode(None))
        clip = decode.decode_clip(path)
        assert len(clip.frames) == 25
        click = np.argmax(np.abs(clip.audio) > 0.3) / 16000
        assert click == pytest.approx(0.5 + offset, abs=0.002)


def test_a_video_without_sound_has_empty_sound(tmp_path):
    writer.write_video(tmp_path / "mute.mp4", flat_frames(3, 32, 32), 25)
    clip = decode.decode_clip(io.BytesIO((tmp_path / "mute.mp4").read_bytes()))
    assert len(clip.frames) == 3 and clip.audio.shape == (0,)
    with pytest.raises(UserError, match="no sound"):
        read_audio(tmp_path / "mute.mp4", 16000)


def test_a_failed_write_leaves_nothing_behind(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(UserError, match="Cannot write .*file/a.mp4"):
        writer.write_video(tmp_path / "file" / "a.mp4", flat_frames(2, 32, 32), 25)
    (tmp_path / "taken.mp4").mkdir()
    with pytest.raises(UserError, match="taken.mp4"):
        writer.write_video(tmp_path / "taken.mp4", flat_frames(2, 32, 32), 25)
    with pytest.raises(UserError, match="not an .mp4"):
        writer.write_video(tmp_path / "a.avi", flat_frames(2, 32, 32), 25)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["file", "taken.mp4"]


def test_damaged_video_is_a_bad_clip(tmp_path):
    writer.write_video(tmp_path / "a.mp4", flat_frames(25, 32, 32), 25, tone(16000), 16000)
    whole = (tmp_path / "a.mp4").read_bytes()
    for data in (whole[: len(whole) // 2], b"no video at all", b""):
        (tmp_path / "broken.mp4").write_bytes(data)
        with pytest.raises(BadClip):
            decode.decode_clip(tmp_path / "broken.mp4")


def test_images_of_every_format_become_rgb(tmp_path):
    colour = np.zeros((4, 6, 3), np.uint8)
    colour[..., 0] = 200  # Red.
    bgr = colour[..., ::-1]
    cv2.imwrite(str(tmp_path / "rgb.png"), bgr)
    np.testing.assert_array_equal(images.read_image(tmp_path / "rgb.png"), colour)
    cv2.imwrite(str(tmp_path / "16.png"), bgr.astype(np.uint16) * 257)
    np.testing.assert_array_equal(images.read_image(tmp_path / "16.png"), colour)
    cv2.imwrite(str(tmp_path / "grey.png"), colour[..., 0])
    np.testing.assert_array_equal(images.read_image(tmp_path / "grey.png"), np.full((4, 6, 3), 200))
    half = np.dstack([bgr, np.full((4, 6), 51, np.uint8)])  # A fifth opaque, over white.
    cv2.imwrite(str(tmp_path / "alpha.png"), half)
    expected = np.broadcast_to(np.array([244, 204, 204]), (4, 6, 3))
    np.testing.assert_array_equal(images.read_image(tmp_path / "alpha.png"), expected)


def test_a_photograph_is_rotated_upright(tmp_path):
    image = np.zeros((32, 64, 3), np.uint8)
    image[:, :32] = 255  # White on the left.
    jpeg = images.encode_jpeg(image)
    # EXIF with one entry: orientation (0x0112) 6, to be turned 90 degrees clockwise.
    exif = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
    segment = b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
    (tmp_path / "turned.jpg").write_bytes(jpeg[:2] + segment + jpeg[2:])
    upright = images.read_image(tmp_path / "turned.jpg")
    assert upright.shape == (64, 32, 3)
    assert upright[:32].min() > 200 and upright[32:].max() < 50  # White on top.


def test_mistakes_with_files_are_user_errors(tmp_path):
    image = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 255, (64, 64, 3)), (1, 1), 0)
    jpeg = images.encode_jpeg(image.astype(np.uint8))
    (tmp_path / "half.jpg").write_bytes(jpeg[: len(jpeg) // 2])
    (tmp_path / "text").write_text("hello\n" * 100)
    (tmp_path / "empty").write_bytes(b"")
    wav(tmp_path / "silent.wav", np.zeros(0))
    for name in ("half.jpg", "text", "empty", "missing", "."):
        with pytest.raises(UserError, match=r"\.$"):
            images.read_image(tmp_path / name)
    for name in ("text", "empty", "missing", ".", "silent.wav"):
        with pytest.raises(UserError, match=r"\.$"):
            read_audio(tmp_path / name, 16000)


def test_jpegs_keep_colour_edges_sharp():
    image = np.zeros((16, 16, 3), np.uint8)
    image[:, ::2] = (255, 0, 0)  # Red and blue columns: 4:2:0 would mix them.
    image[:, 1::2] = (0, 0, 255)
    decoded = images.decode_jpeg(images.encode_jpeg(image))
    assert np.abs(decoded.astype(int) - image).mean() < 15
    with pytest.raises(ValueError, match="not a JPEG"):
        images.decode_jpeg(b"nonsense")


def test_an_image_that_is_too_large_is_refused_by_its_header():
    data = images.encode_png(np.zeros((20, 30, 3), np.uint8))
    assert images.decode_image(data, "a.png", 600).shape == (20, 30, 3)
    with pytest.raises(UserError, match="The image a.png has 30x20 pixels, more than the 0.000599"):
        images.decode_image(data, "a.png", 599)
    # A header that declares gigabytes, in a file of less than a kilobyte.
    head = data[:16] + (100_000).to_bytes(4, "big") * 2 + data[24:]
    with pytest.raises(UserError, match="The image b.png is damaged"):
        images.decode_image(head, "b.png", 16_000_000)
    head = head[:29] + zlib.crc32(head[12:29]).to_bytes(4, "big") + head[33:]
    with pytest.raises(UserError, match="has 100000x100000 pixels, more than the 16 million"):
        images.decode_image(head, "b.png", 16_000_000)
    with pytest.raises(UserError, match="is not a JPEG, PNG, WebP or BMP image"):
        images.decode_image(b"GIF89a", "c.gif", 600)
