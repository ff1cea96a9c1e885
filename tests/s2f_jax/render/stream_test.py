"""`stream`: the offline frames, as soon as they are due, through real pipes too."""

import contextlib
import io
import json
import signal
import time

import av
import numpy as np
import pytest

from data_pipelines.common.errors import UserError
from data_pipelines.media import images
from s2f_jax.inference.animator import Animator
from s2f_jax.inference.session import GenerationSession
from s2f_jax.provenance import marks
from s2f_jax.render import live, stream
from tests.programs import running
from tests.wav_files import wav, wav_bytes

RNG = np.random.default_rng(0)
STILL = RNG.integers(0, 256, (16, 12, 3), np.uint8)
PCM = RNG.integers(-9000, 9000, 20001, np.int16)
FRAME = 16 * 12 * 3  # Bytes.


@pytest.fixture
def call(run_folder, animator, tmp_path, monkeypatch):
    """stream to a file, of raw samples at the model's rate unless specified otherwise -> its bytes."""
    monkeypatch.setattr(Animator, "load", lambda path: animator)
    (tmp_path / "still.png").write_bytes(images.encode_png(STILL))
    (tmp_path / "sound").write_bytes(PCM.tobytes())

    def call(audio="sound", audio_format="s16le", output="out.rgb", **options):
        stream.stream(
            str(run_folder),
            str(tmp_path / "still.png"),
            str(tmp_path / audio),
            audio_format,
            output=str(tmp_path / output),
            aligned=True,
            **options,
        )
        return (tmp_path / output).read_bytes()

    return call


def pictures(data):
    return np.frombuffer(data, np.uint8).reshape(-1, 16, 12, 3)


def differ(a, b):
    assert a.shape == b.shape
    return np.abs(a.astype(int) - b).max()


@pytest.mark.parametrize("pace", [False, True])
def test_the_frames_are_those_of_the_offline_call(call, animator, pace, capfd):
    drawn = pictures(call(seed=3, pace=pace))
    assert len(drawn) == -(-len(PCM) // 640)
    assert differ(drawn, animator(STILL, PCM, 16000, aligned=True, seed=3)) <= 1
    shown = capfd.readouterr()
    assert shown.out == "" and "a frame waits for 60 ms of sound after it\n" in shown.err
    assert "32 frames of 1.25 s; latency p50" in shown.err
    assert ("--pace plays a file in real time" in shown.err) is not pace


@pytest.mark.parametrize("rate", [8000, 44100])
def test_resampled_audio_gives_the_offline_frames(call, animator, tmp_path, rate, capfd):
    name = wav(tmp_path / "a.wav", PCM, rate).name
    drawn = pictures(call(name, None))
    assert differ(drawn, animator(STILL, PCM, rate, aligned=True)) <= 1
    assert f"ms more to resample from {rate} Hz\n" in capfd.readouterr().err
    assert differ(drawn, pictures(call(name, "wav"))) <= 1  # Decoded here or by FFmpeg.


def test_missing_and_quiet_sound_is_said(call, tmp_path, capfd):
    call()
    assert "s16le" not in capfd.readouterr().err
    quiet = (PCM[:16000] * 0.001).astype(np.int16)
    (tmp_path / "quiet").write_bytes(quiet.tobytes())
    call("quiet")
    assert "quiet: the speech is at -7" in capfd.readouterr().err
    whole = wav(tmp_path / "a.wav", PCM / 32768).read_bytes()
    (tmp_path / "cut.wav").write_bytes(whole[: len(whole) // 2])
    call("cut.wav", None)
    assert "cut.wav: the file breaks off" in capfd.readouterr().err


def test_long_audio_in_a_file_is_generated_in_chunks(call, animator, tmp_path):
    pcm = np.resize(PCM, 80000)
    (tmp_path / "long").write_bytes(pcm.tobytes())
    sizes, push = [], GenerationSession.push
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(
            GenerationSession, "push", lambda self, s: sizes.append(s.shape[1]) or push(self, s)
        )
        drawn = pictures(call("long"))
    assert differ(drawn, animator(STILL, pcm, 16000, aligned=True)) <= 1
    # The first window looks ahead; the last push has what is left.
    assert sizes[:4] == [1600 + 24 * 640, 16000, 16000, 16000]


def test_every_format_has_the_same_frames(call):
    raw = pictures(call())
    for output in ("out.y4m", "out.mp4"):
        with av.open(io.BytesIO(call(output=output))) as container:
            assert container.streams.video[0].average_rate == 25
            seen = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        assert len(seen) == len(raw)
        if output == "out.y4m":
            assert differ(np.stack(seen), raw) <= 6
    assert (pictures(call(output="out.bin", to="rgb24")) == raw).all()


def test_a_video_in_a_file_says_what_made_it(call, run_folder, tmp_path):
    """Inside where the format has a place for it, and beside."""
    inputs = {"image": tmp_path / "still.png", "audio": tmp_path / "sound"}
    expected = marks.provenance_record(run_folder, 4, inputs)
    for output in ("out.mp4", "out.y4m"):
        data = call(output=output, seed=4)
        provenance = marks.read_provenance(tmp_path / output)
        assert (
            provenance.synthetic
            and provenance.unchanged
            and provenance.sidecar["inputs"] == expected.inputs
        )
        assert provenance.facts == (expected.facts if output == "out.mp4" else None)
        assert provenance.sidecar["video"]["frames"] == 32
        assert b"XSYNTHETIC" in data or output == "out.mp4"
    call()
    assert json.loads((tmp_path / "out.rgb.json").read_text())["synthetic"] is True


def test_the_badge_is_on_every_frame(call):
    differs = pictures(call(badge=True)) != pictures(call())
    assert differs[:, -4:, -4:].any((1, 2, 3)).all() and not differs[:, :8].any()


def test_late_frames_are_counted(call, tmp_path, monkeypatch):
    """Each takes 60 ms to draw and comes every 40: the n-th is 20 n late, and 40 are allowed."""
    draw = live.LiveGeneration._timed

    def slow(self, of):
        frames = draw(self, of)
        time.sleep(0.06 * len(frames))
        return frames

    monkeypatch.setattr(live.LiveGeneration, "_timed", slow)
    call(pace=True, json_file=str(tmp_path / "r.json"))
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["frames"] == 32 and report["late_after_ms"] == 40
    assert 28 <= report["late"] <= 32
    assert report["latency_ms"]["max"] >= 29 * 20 > report["latency_ms"]["p50"] > 200
    assert report["sound_speed"] == pytest.approx(1, abs=0.1)


def test_no_frame_is_late_where_generation_is_fast(call, tmp_path):
    call(pace=True, json_file=str(tmp_path / "r.json"))
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["look_ahead_ms"] == pytest.approx(60)
    assert report["resampling_ms"] == report["format_ms"] == 0
    assert 0 < report["latency_ms"]["p50"] < 40  # Drawing 12x16 takes a millisecond.
    assert report["real_time_factor"] < 1


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 48000])
def test_the_resampling_delay_is_measured(rate):
    assert 0.02 < live.measure_resampling_delay(rate, 16000) < 0.14
    assert live.measure_resampling_delay(16000, 16000) == 0


def test_truncated_audio_gives_its_frames_and_an_error(call, animator, tmp_path):
    (tmp_path / "odd").write_bytes(PCM.tobytes()[:-1])
    with pytest.raises(UserError, match="ends inside a sample"):
        call("odd")
    drawn = pictures((tmp_path / "out.rgb").read_bytes())
    assert differ(drawn, animator(STILL, PCM[:-1], 16000, aligned=True)) <= 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"audio": "none"}, "no audio file .*none; check"),
        ({"audio": "still.png", "audio_format": None}, "has no sound; give"),
        ({"output": "out.gif"}, "out.gif has no suffix of a video format: give e.g. --to=mp4"),
        ({"output": "no/out.mp4"}, "there is no folder .*no; make it first"),
        ({"json_file": "no/r.json"}, "--json=no/r.json: there is no folder no"),
        ({"microphone": ""}, "--microphone is the sound: leave --audio and --pace out"),
        ({"rate": -1}, "--rate=-1 is not a sampling rate"),
        ({"seed": -1}, "seed=-1 is out of range"),
    ],
)
def test_mistakes_are_reported_before_anything_is_written(call, tmp_path, options, message):
    before = {"sound", "still.png"}
    with pytest.raises(UserError, match=message):
        call(**options)
    assert {file.name for file in tmp_path.iterdir()} == before


# The program itself, between real pipes.


@pytest.fixture
def started(run_folder, tmp_path):
    """Starts the program; its standard streams are pipes."""
    (tmp_path / "still.png").write_bytes(images.encode_png(STILL))
    words = "--aligned", f"--checkpoint={run_folder}", f"--image={tmp_path}/still.png"
    with contextlib.ExitStack() as ends:
        yield lambda *flags: ends.enter_context(running("stream", *words, *flags))


def test_frames_come_before_the_sound_has_ended_and_an_interrupt_ends_it(started, animator):
    process = started("--to=rgb24")
    process.stdin.write(PCM[:8000].tobytes())
    process.stdin.flush()
    due = (8000 - 960) // 640
    first = process.stdout.read(due * FRAME)  # Would wait for ever if they came at the end.
    process.stdin.write(PCM[8000:12800].tobytes() + b"\x01")
    process.stdin.flush()
    more = process.stdout.read(((12800 - 960) // 640 - due) * FRAME)
    process.send_signal(signal.SIGINT)
    rest, stderr = process.communicate(timeout=60)
    drawn = pictures(first + more + rest)
    assert differ(drawn, animator(STILL, PCM[:12800], 16000, aligned=True)) <= 1
    assert process.returncode == 0, stderr
    assert b"20 frames of 0.80 s; latency p50" in stderr
    assert b"Traceback" not in stderr


def test_a_wav_through_pipes_is_an_mp4_with_its_sound(started, tmp_path):
    tone = (9000 * np.sin(np.arange(16000) / 20)).astype(np.int16)
    seen, stderr = started().communicate(wav_bytes(tone), timeout=60)
    with av.open(io.BytesIO(seen)) as container:
        assert sum(1 for _ in container.decode(video=0)) == 25
    with av.open(io.BytesIO(seen)) as container:
        heard = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])
    spectrum = np.abs(np.fft.rfft(heard[:16000]))
    assert np.argmax(spectrum) == round(16000 / 20 / (2 * np.pi))
    assert b"standard input at 16000 Hz to mp4" in stderr and b"Traceback" not in stderr


@pytest.mark.parametrize("form", ["rgb24", "mp4"])
def test_a_pipe_that_is_closed_ends_it_quietly(started, form):
    process = started(f"--to={form}")
    process.stdin.write(PCM.tobytes())
    process.stdin.flush()
    assert process.stdout.read(500)
    process.stdout.close()
    with contextlib.suppress(BrokenPipeError):  # It may have ended before all is written.
        process.stdin.write(np.resize(PCM, 100000).tobytes())
        process.stdin.close()
    stderr = process.stderr.read()
    assert process.wait(timeout=60) == 0
    assert b"Traceback" not in stderr and b"ignored" not in stderr
