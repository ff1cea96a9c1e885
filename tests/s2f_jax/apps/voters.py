"""People who vote without a browser: what the page says to a study's server."""

import contextlib
import socket

from starlette.testclient import TestClient

from s2f_jax.apps.server.serving import ListenAddress
from s2f_jax.apps.study import store
from s2f_jax.apps.study.app import application
from s2f_jax.apps.study.limits import StudyLimits
from s2f_jax.apps.study.room import StudyService
from tests.s2f_jax.apps.study import made_up

ORIGIN = {"origin": "http://127.0.0.1:8000"}
SECONDS = 3.0  # Of made_up's videos.


class Clock:
    """Of a server: goes where a test wants it."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def fill(made):
    """Gives a made-up study files, each of which holds its video's own name."""
    folder = made.folder / "videos"
    folder.mkdir(exist_ok=True)
    for pair in made.pairs.values():
        for video in (pair.a, pair.b):
            (made.folder / video.file).write_bytes(f"the bytes of {video.name}".encode())


@contextlib.contextmanager
def served(folder, limits=None, **fields):
    """A study's page -> a function that opens it as another browser would; .made, .store, .clock."""
    made = made_up.study(folder, **fields)
    fill(made)
    limits, clock = limits or StudyLimits(), Clock()
    with contextlib.ExitStack() as stack:
        opened = stack.enter_context(store.Store(made))
        opened._db.execute("PRAGMA synchronous = OFF")  # A busy disk would take minutes.
        address = ListenAddress(stack.enter_context(socket.socket()), "127.0.0.1", 8000, None, None)
        app = application(made, StudyService(made, opened, limits, clock), limits, address)

        def visit():
            client = TestClient(app, base_url=ORIGIN["origin"])
            return Page(stack.enter_context(client), clock)

        visit.made, visit.store, visit.clock = made, opened, clock
        yield visit


class Page:
    """A page in somebody's browser."""

    def __init__(self, client, clock):
        self.client, self.clock = client, clock
        self.code = ""

    def post(self, path, **message):
        return self.client.post(f"/api/{path}", json=message, headers=ORIGIN)

    def ask(self, path, **message):
        answer = self.post(path, **message)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def join(self, key="k" * 32):
        reply = self.ask("join", key=key)
        self.code = reply["code"]
        return reply

    def show(self):
        """As a page does, which loads the videos, and those that come next."""
        shown = self.ask("show", code=self.code)
        for name in (*shown.get("videos", ()), *shown.get("next", ())):
            assert self.client.get(f"/video/{name}").status_code == 200
        return shown

    def vote(self, trial, choice="left", plays=(1, 1), ms=7000, code=None):
        fields = {"trial": trial, "choice": choice, "plays": list(plays), "ms": ms}
        return self.post("vote", code=code or self.code, **fields)

    def watch_and_vote(self, choice="left", plays=(1, 1)):
        """The trial that is shown -> the answer to its vote."""
        shown = self.show()
        self.clock.now += 7.0
        return self.vote(shown["number"], choice, plays)
