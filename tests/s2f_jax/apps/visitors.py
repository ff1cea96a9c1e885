"""A visitor of the live page without a browser: what the page says and hears on the socket."""

import contextlib
import json
import socket
import struct

import numpy as np
from starlette.testclient import TestClient

from data_pipelines.media import images
from s2f_jax.apps.live_demo.app import application
from s2f_jax.apps.live_demo.limits import DemoLimits
from s2f_jax.apps.live_demo.studio import DemoService
from s2f_jax.apps.server import messages
from s2f_jax.apps.server.serving import ListenAddress
from s2f_jax.provenance import marks

HOST = "127.0.0.1:8000"
ORIGIN = {"origin": f"http://{HOST}"}
STILL = np.random.default_rng(0).integers(0, 256, (16, 12, 3), np.uint8)
PNG = images.encode_png(STILL)


def noise(samples, seed=0):
    return np.random.default_rng(seed).integers(-9000, 9000, samples, np.int16)


@contextlib.contextmanager
def pages(animator, run_folder):
    """A function that opens a page, of limits and options of DemoService -> a function that opens a
    socket of it, a context with its Visitor."""
    mark = marks.provenance_record(run_folder, 0, {})
    with contextlib.ExitStack() as stack:

        def opened(limits=None, **options):
            service = DemoService(animator, mark, limits or DemoLimits(), **options)
            stack.callback(service.close)
            address = ListenAddress(
                stack.enter_context(socket.socket()), "127.0.0.1", 8000, None, None
            )
            base = ORIGIN["origin"]
            opened.client = client = stack.enter_context(
                TestClient(application(service, address), base_url=base)
            )

            @contextlib.contextmanager
            def visit():
                with client.websocket_connect(f"ws://{HOST}/socket", headers=ORIGIN) as connection:
                    yield Visitor(connection)

            return visit

        yield opened


class Visitor:
    """On an open socket of Starlette's test client."""

    def __init__(self, socket):
        self.socket = socket

    def say(self, kind, **fields):
        self.socket.send_text(json.dumps({"type": kind, **fields}))

    def hear(self):
        """A message: an object, or (kind, number, bytes)."""
        message = self.socket.receive()
        if message["type"] == "websocket.close":
            return {"type": "closed", "code": message["code"]}
        if message.get("text") is not None:
            return json.loads(message["text"])
        kind, number = struct.unpack("<II", message["bytes"][:8])
        return kind, number, message["bytes"][8:]

    def hear_of(self, kind):
        """Passes over status messages."""
        while (heard := self.hear())["type"] == "status":
            pass
        assert heard["type"] == kind, heard
        return heard

    def upload(self, kind, data, name="file", **fields):
        self.say(kind, bytes=len(data), name=name, **fields)
        heard = self.hear()
        if heard["type"] == "go":
            for start in range(0, len(data), 1000):
                self.socket.send_bytes(data[start : start + 1000])
            heard = self.hear()
        return heard

    def face(self, png, name="face.png"):
        reply = self.upload("face", png, name)
        assert reply["type"] == "face", reply
        kind, _, crop = self.hear()
        assert kind == messages.CROP
        return reply, crop

    def speak(self, *pieces, rate=16000):
        """Comes, shows a face and begins to speak."""
        assert self.hear()["type"] == "welcome"
        self.face(PNG)
        self.say("speak", rate=rate, seed=0)
        for piece in pieces:
            self.socket.send_bytes(piece.astype("<i2").tobytes())

    def spoken_file(self, wav, seed=0, name="speech.wav"):
        """-> the sound as it is played [S] of int16, and what `result` returns."""
        reply = self.upload("sound", wav, name, seed=seed)
        assert reply["type"] == "sound", reply
        played = b""
        while len(played) < 2 * reply["samples"]:
            kind, _, part = self.hear()
            assert kind == messages.SOUND
            played += part
        return np.frombuffer(played, "<i2"), *self.result()

    def result(self):
        """-> JPEGs by the order in which they came, their numbers, the report, the mp4."""
        pictures, numbers = [], []
        while True:
            heard = self.hear()
            if isinstance(heard, tuple):
                assert heard[0] == messages.FRAME
                numbers.append(heard[1])
                pictures.append(heard[2])
            elif heard["type"] != "status":
                assert heard["type"] == "done", heard
                break
        video = b""
        while len(video) < heard["bytes"]:
            kind, _, part = self.hear()
            assert kind == messages.VIDEO
            video += part
        return pictures, numbers, heard, video
