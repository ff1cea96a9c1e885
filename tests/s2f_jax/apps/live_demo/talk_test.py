"""A talk step by step: nothing is drawn for who does not read; what fails is told once."""

import numpy as np
import pytest

from s2f_jax.apps.live_demo import talk, uploads
from s2f_jax.apps.live_demo.limits import DemoLimits
from s2f_jax.apps.server import messages
from s2f_jax.provenance import marks
from s2f_jax.render.live import LiveGeneration
from tests.s2f_jax.apps.visitors import PNG, noise


@pytest.fixture
def start(animator, run_folder):
    """A talk of a file or a voice, and what it has sent."""
    face = uploads.read_face(uploads.Upload("f.png", PNG), animator, DemoLimits())
    mark = marks.provenance_record(run_folder, 0, {})

    def start(from_file):
        sent, done = [], []
        made = talk.LiveVideo(
            *(animator, face, 16000, mark),
            from_file=from_file,
            badge=False,
            send=lambda _, message: sent.append(message),
            done=done.append,
        )
        return made, sent, done

    return start


def frames(sent):
    return sum(isinstance(message, bytes) for message in sent)


def sound(seconds):
    return (noise(16000 * seconds) / 32768).astype(np.float32)


def test_who_reads_slowly_is_drawn_for_slowly_and_loses_nothing(start):
    made, sent, done = start(from_file=True)
    made.add_audio(sound(20))
    made.end_audio()
    while made.step(only_job=True):
        assert frames(sent) <= 75  # Those that may wait, and a second that was begun before.
    assert 50 <= frames(sent) < 500 and not done
    read = 0
    while not done:
        if read < frames(sent):
            made.frame_sent()
            read += 1
        made.step(only_job=True)
        assert frames(sent) - read <= 75
    pictures = [message for message in sent if isinstance(message, bytes)]
    numbers = [int.from_bytes(message[4:8], "little") for message in pictures]
    assert numbers == list(range(500)) and made.report["frames"] == 500


@pytest.mark.parametrize("alone", [True, False])
def test_beside_others_a_step_is_one_frame(start, alone):
    made, sent, _ = start(from_file=True)
    made.add_audio(sound(2))
    made.end_audio()
    made.step(alone)
    assert frames(sent) == (25 if alone else 1)


def test_a_voice_that_waits_says_by_how_much(start, monkeypatch):
    monkeypatch.setattr(talk, "_STATUS_SECONDS", 0)
    made, sent, _ = start(from_file=False)
    made.add_audio(sound(1))
    made.step(only_job=False)
    status = sent[-1]
    # The first frame's window takes 640 + 960 samples of what has come.
    assert status["type"] == "status" and status["behind_s"] == pytest.approx(1 - 0.1)
    assert status["frames"] == 1


def test_what_breaks_is_told_and_ends_this_video_alone(start, monkeypatch, capsys):
    def broken(self, sink, allow_chunk=True):
        raise RuntimeError("nobody knows why")

    made, _, done = start(from_file=True)
    other, sent, finished = start(from_file=True)
    for each in (made, other):
        each.add_audio(sound(1))
        each.end_audio()
    with monkeypatch.context() as patched:
        patched.setattr(LiveGeneration, "step", broken)
        assert made.step(only_job=True) is False
    assert done == [made] and "The server failed" in made.failure
    assert "nobody knows why" in capsys.readouterr().err
    made.step(only_job=True)
    assert done == [made]  # Once.
    while other.step(only_job=True):
        pass
    assert finished == [other] and frames(sent) == 25 and not other.failure


def test_what_is_stopped_is_drawn_no_further(start):
    made, sent, done = start(from_file=True)
    made.add_audio(sound(3))
    made.step(only_job=False)
    made.stop()
    assert made.step(only_job=False) is False and done == [made]
    assert frames(sent) == 1 and messages.FRAME == int.from_bytes(sent[0][:4], "little")
