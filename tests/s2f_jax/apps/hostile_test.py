"""Whatever comes on a socket, that socket alone is closed, with a sentence."""

import asyncio
import contextlib
import json
import threading

import numpy as np
import pytest

from s2f_jax.apps.live_demo import session
from s2f_jax.apps.live_demo.limits import DemoLimits
from s2f_jax.apps.live_demo.studio import DemoService
from s2f_jax.provenance import marks
from tests.s2f_jax.apps.visitors import HOST, PNG, noise, pages
from tests.wav_files import wav_bytes


@pytest.fixture
def opened(animator, run_folder):
    with pages(animator, run_folder) as opened:
        yield opened


def send(visitor, message):
    if isinstance(message, bytes):
        visitor.socket.send_bytes(message)
    else:
        visitor.socket.send_text(message)


FACE = json.dumps({"type": "face", "bytes": 10, "name": "a"})


@pytest.mark.parametrize(
    "messages",
    [
        ["no JSON"],
        ["[]"],
        ["{}"],
        ['{"type": 1}'],
        ['{"type": "__init__"}'],
        ["[" * 1900],
        ["x" * 2001],
        ['{"type": "face"}'],
        ['{"type": "face", "bytes": "9", "name": "a"}'],
        ['{"type": "face", "bytes": true, "name": "a"}'],
        ['{"type": "face", "bytes": -1, "name": "a"}'],
        ['{"type": "face", "bytes": 1e400, "name": "a"}'],
        ['{"type": "face", "bytes": 9, "name": null}'],
        ['{"type": "example", "what": "../x"}'],
        ['{"type": "speak", "rate": 16000, "seed": 0}'],  # Without a face.
        ['{"type": "sound", "bytes": 9, "name": "a", "seed": 0}'],
        [b"bytes that nobody announced"],
        [FACE, b"more bytes than were announced"],
        [FACE, b"half", FACE],
        [FACE, '{"type": "end"}'],
    ],
    ids=lambda messages: str(messages[-1])[:40],
)
def test_what_no_page_says_closes_its_socket_alone(opened, messages):
    visit = opened(DemoLimits(sessions=2))
    with visit() as other, visit() as visitor:
        other.hear()
        visitor.hear()
        for message in messages:
            send(visitor, message)
        reply = visitor.hear()
        while reply["type"] != "bye":
            assert reply["type"] == "go"
            reply = visitor.hear()
        assert reply["text"].startswith("The page sent an invalid message (")
        assert visitor.hear() == {"type": "closed", "code": 1008}
        other.face(PNG)


@pytest.mark.parametrize(
    ("fields", "data"),
    [
        ({"rate": 16000, "seed": 0}, b"odd"),
        ({"rate": 16000, "seed": 0}, bytes(2 * 16000 * 7)),  # A second is taken.
        ({"rate": 7999, "seed": 0}, b""),
        ({"rate": 16000, "seed": 2**32}, b""),
        ({"rate": 16000}, b""),
        ({"rate": 16000, "seed": 0.5}, b""),
    ],
)
def test_a_voice_that_is_none(opened, fields, data):
    with opened(DemoLimits(sound_seconds=1))() as visitor:
        visitor.hear()
        visitor.face(PNG)
        visitor.say("speak", **fields)
        for start in range(0, len(data), 20001):
            visitor.socket.send_bytes(data[start : start + 20000])
        while (reply := visitor.hear()) and (isinstance(reply, tuple) or reply["type"] != "bye"):
            pass
        assert "invalid message" in reply["text"]


def test_two_videos_at_once_are_one_too_many(opened):
    with opened()() as visitor:
        visitor.speak()
        visitor.say("speak", rate=16000, seed=0)
        assert "two videos at once" in visitor.hear_of("bye")["text"]


@pytest.mark.parametrize("kind", ["alive", "stop"])
def test_who_never_stops_talking_is_told_so_and_keeps_nobody_waiting(opened, kind):
    visit = opened(DemoLimits(sessions=2))
    with visit() as other, visit() as visitor:
        other.hear()
        visitor.hear()
        for _ in range(1000):
            visitor.say(kind)
        while (reply := visitor.hear())["type"] == "stopped":
            pass
        assert "too many messages" in reply["text"]
        assert visitor.hear() == {"type": "closed", "code": 1008}
        other.face(PNG)


class Deaf:
    """A socket of somebody who asks and reads nothing."""

    def __init__(self):
        self.asked, self.closed = 0, None

    async def accept(self):
        pass

    async def receive(self):
        self.asked += 1
        return {"type": "websocket.receive", "text": '{"type": "stop"}'}

    async def send_json(self, message):
        await asyncio.Event().wait()

    async def close(self, code):
        self.closed = code


def test_who_asks_and_does_not_listen_takes_no_memory(animator, run_folder, monkeypatch):
    monkeypatch.setattr(session, "_MAX_PER_MINUTE", 10_000)
    service = DemoService(
        animator, marks.provenance_record(run_folder, 0, {}), DemoLimits(stalled_seconds=30)
    )

    async def visit(socket):
        async with asyncio.timeout(10):
            await session.VisitorSession(socket, service).run()

    with contextlib.closing(service):
        asyncio.run(visit(deaf := Deaf()))
        assert deaf.closed == 1000 and deaf.asked < 1100
        assert not service._visitors


def test_text_of_a_visitor_is_given_back_as_text(opened):
    name = '<img src=x onerror="alert(1)">.png'
    with opened()() as visitor:
        visitor.hear()
        reply = visitor.upload("face", b"none", name)
        assert name in reply["text"]  # The page puts it where nothing is markup.


@pytest.mark.parametrize(
    "path", ["/../session.py", "/%2e%2e/session.py", "/..%2f..%2fsession.py", "//etc/passwd", "/x"]
)
def test_files_of_the_page_alone_are_given(opened, path):
    opened()
    answer = opened.client.get(path, headers={"host": HOST})
    assert answer.status_code == 404 and "import" not in answer.text


@pytest.mark.slow
def test_a_thousand_random_messages_leave_it_serving(opened):
    rng = np.random.default_rng(0)
    visit = opened(DemoLimits(sessions=3, upload_mb=1, sound_seconds=2))
    known = ["face", "example", "speak", "sound", "end", "stop", "alive"]
    threads = threading.active_count()

    def drawn():
        kind = rng.integers(4)
        if kind == 0:
            return rng.bytes(int(rng.integers(0, 3000)))
        if kind == 1:
            return rng.bytes(int(rng.integers(0, 300))).decode("latin-1")
        values = [0, -1, 10, 16000, 2**70, 0.5, None, True, "x", "face", [], {"type": "face"}]
        fields = {
            name: values[rng.integers(len(values))]
            for name in ("bytes", "name", "rate", "seed", "what")
            if rng.random() < 0.7
        }
        return json.dumps({"type": str(rng.choice(known)), **fields})

    sent = 0
    while sent < 1000:
        with visit() as visitor:
            visitor.hear()
            if rng.random() < 0.5:
                visitor.face(PNG)
            for _ in range(int(rng.integers(1, 9))):
                send(visitor, drawn())
                sent += 1
    with visit() as visitor:
        visitor.hear()
        visitor.face(PNG)
        *_, numbers, _, _ = visitor.spoken_file(wav_bytes(noise(16000)))
        assert numbers == list(range(25))
    assert threading.active_count() <= threads + 4
