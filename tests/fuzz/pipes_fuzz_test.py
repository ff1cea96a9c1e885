"""The program itself between real pipes: bad sound in, a reader that goes away, a full disk."""

import contextlib
import os
import signal
import subprocess
import threading

import numpy as np
import pytest

from tests.fuzz import hostile_pictures, hostile_sounds
from tests.programs import running

pytestmark = pytest.mark.slow  # A process each, some seconds.
FRAME = 16 * 12 * 3  # Bytes.


@pytest.fixture
def started(materials, tmp_path):
    """Starts the program; its standard streams are pipes, unless said otherwise."""
    picture = hostile_pictures.good(np.random.default_rng(0), tmp_path).value
    words = "stream", "--aligned", f"--checkpoint={materials['run']}"
    with contextlib.ExitStack() as ends:

        def started(*flags, image=picture, **options):
            program = running(*words, f"--image={image}", *flags, cwd=tmp_path, **options)
            return ends.enter_context(program)

        yield started


def sentences(error):
    """The lines of the standard error that are a sentence; no others are a traceback's."""
    text = error.decode(errors="backslashreplace")
    assert "Traceback" not in text and "Exception ignored" not in text, text
    return [line for line in text.splitlines() if line.startswith("s2f: ")]


@pytest.mark.parametrize("number", range(24))
def test_sound_of_any_bytes_in_any_pieces(started, number):
    rng = np.random.default_rng([number, 25])
    data, flags, good, samples = hostile_sounds.pcm(rng)
    process = started("--to=rgb24", *flags)

    def feed():
        left = data
        while left:
            size = int(rng.integers(1, 4000))
            try:
                process.stdin.write(left[:size])
                process.stdin.flush()
            except BrokenPipeError:
                return
            left = left[size:]
        process.stdin.close()

    feeder = threading.Thread(target=feed)
    feeder.start()
    seen, error = process.stdout.read(), process.stderr.read()
    feeder.join()
    assert process.wait(timeout=60) in (0, 2)
    assert len(sentences(error)) == (process.returncode == 2)
    assert process.returncode == 0 or b"standard input" in error
    assert good is None or (process.returncode == 0) is good
    assert len(seen) % FRAME == 0
    if good:
        assert len(seen) // FRAME == -(-samples // 640)


def test_standard_input_that_is_closed(started):
    seen, error = started("--to=rgb24", before="exec <&-", stdin=None).communicate(timeout=60)
    assert len(sentences(error)) == 1 and seen == b"", error


@pytest.mark.parametrize("to", ["mp4", "y4m", "rgb24"])
def test_a_full_disk(started, to):
    sound = (9000 * np.sin(np.arange(32000) / 20)).astype("<i2").tobytes()
    with open("/dev/full", "wb") as full:
        process = started(f"--to={to}", stdout=full)
        _, error = process.communicate(sound, timeout=60)
    assert process.returncode in (1, 2) and len(sentences(error)) == 1, error


def test_sound_without_end_is_ended_by_an_interrupt(started):
    with open("/dev/zero", "rb") as endless:
        process = started("--to=rgb24", stdin=endless)
        assert len(process.stdout.read(50 * FRAME)) == 50 * FRAME
        process.send_signal(signal.SIGINT)
        while process.stdout.read(1 << 16):
            pass
        assert process.wait(timeout=60) == 0 and sentences(process.stderr.read()) == []


def test_a_pipe_with_a_name(started, tmp_path):
    os.mkfifo(tmp_path / "voice")
    process = started("--to=rgb24", "--audio=voice", "--format=s16le", stdin=subprocess.DEVNULL)
    with open(tmp_path / "voice", "wb") as voice:
        voice.write(bytes(2 * 6400))
    seen, error = process.communicate(timeout=60)
    assert process.returncode == 0 and len(seen) == 10 * FRAME, error


@pytest.mark.parametrize(
    "name", [b"\xff\xfe.png", b"a\nb.png", b"\x1b[31m.png", b" .png", b"%s.png"]
)
def test_names_that_no_text_has(started, tmp_path, name):
    process = started(image=os.fsdecode(name), stdin=subprocess.DEVNULL)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 2 and len(sentences(error)) == len(error.splitlines()) == 1
    assert error.decode().strip().isprintable()
    hostile_pictures.good(np.random.default_rng(0), tmp_path)
    os.rename(tmp_path / "picture.png", os.fsencode(tmp_path) + b"/" + name)
    process = started("--to=rgb24", image=os.fsdecode(name))
    seen, error = process.communicate(bytes(2 * 6400), timeout=60)
    assert process.returncode == 0 and len(seen) == 10 * FRAME, error
