"""A talk step by step: nothing is drawn for who does not read; what fails is told once."""

import numpy as np
import pytest

from s2f_jax.apps.live_demo import talk, uploads
from s2f_jax.apps.live_demo.limits import Limits
from s2f_jax.apps.server import messages
from s2f_jax.provenance import marks
from s2f_jax.render.live import LiveGeneration
from tests.s2f_jax.apps.visitors import PNG, noise


@pytest.fixture
def begun(animator, run_folder):
    """A talk of a file or a voice, and what it has sent."""
    face = uploads.face(uploads.Upload("f.png", PNG), animator, Limits())
    mark = marks.provenance_record(run_folder, 0, {})

    def begun(file):
        sent, done = [], []
        made = talk.Talk(
            *(animator, face, 16000, mark),
            file=file,
            badge=False,
            send=lambda _, message: sent.append(message),
            done=done.append,
        )
        return made, sent, done

    return begun


def frames(sent):
    return sum(isinstance(message, bytes) for message in sent)


def sound(seconds):
    return (noise(16000 * seconds) / 32768).astype(np.float32)


def test_who_reads_slowly_is_drawn_for_slowly_and_loses_nothing(begun):
    made, sent, done = begun(file=True)
    made.hear(sound(20))
    made.end()
    while made.step(alone=True):
        assert frames(sent) <= 75  # Those that may wait, and a second that was begun before.
    assert 50 <= frames(sent) < 500 and not done
    read = 0
    while not done:
        if read < frames(sent):
            made.sent()
            read += 1
        made.step(alone=True)
        assert frames(sent) - read <= 75
    pictures = [message for message in sent if isinstance(message, bytes)]
    numbers = [int.from_bytes(message[4:8], "little") for message in pictures]
    assert numbers == list(range(500)) and made.report["frames"] == 500


@pytest.mark.parametrize("alone", [True, False])
def test_beside_others_a_step_is_one_frame(begun, alone):
    made, sent, _ = begun(file=True)
    made.hear(sound(2))
    made.end()
    made.step(alone)
    assert frames(sent) == (25 if alone else 1)


def test_a_voice_that_waits_says_by_how_much(begun, monkeypatch):
    monkeypatch.setattr(talk, "_STATUS_EVERY", 0)
    made, sent, _ = begun(file=False)
    made.hear(sound(1))
    made.step(alone=False)
    status = sent[-1]
    # The first frame's window takes 640 + 960 samples of what has come.
    assert status["type"] == "status" and status["behind_s"] == pytest.approx(1 - 0.1)
    assert status["frames"] == 1


def test_what_breaks_is_told_and_ends_this_talk_alone(begun, monkeypatch, capsys):
    def broken(self, sink, allow_chunk=True):
        raise RuntimeError("nobody knows why")

    made, _, done = begun(file=True)
    other, sent, finished = begun(file=True)
    for each in (made, other):
        each.hear(sound(1))
        each.end()
    with monkeypatch.context() as patched:
        patched.setattr(LiveGeneration, "step", broken)
        assert made.step(alone=True) is False
    assert done == [made] and "Something broke" in made.failure
    assert "nobody knows why" in capsys.readouterr().err
    made.step(alone=True)
    assert done == [made]  # Once.
    while other.step(alone=True):
        pass
    assert finished == [other] and frames(sent) == 25 and not other.failure


def test_what_is_stopped_is_drawn_no_further(begun):
    made, sent, done = begun(file=True)
    made.hear(sound(3))
    made.step(alone=False)
    made.stop()
    assert made.step(alone=False) is False and done == [made]
    assert frames(sent) == 1 and messages.FRAME == int.from_bytes(sent[0][:4], "little")
