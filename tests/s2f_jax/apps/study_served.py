"""`study serve` as a program, and people who talk to it over the network."""

import http.client
import json
import time
import urllib.parse

from s2f_jax.apps.study import document, making
from tests import programs
from tests.s2f_jax.apps.study.small_videos import INSTANTS, folder


def study(root, kind="preference", **options):
    """Of two clips and a catch pair, or of four videos; each lasts half a second."""
    clips = list(INSTANTS)
    real = folder(root / "real", "real", clips, ".mpg")
    methods = ["ours", "base"] if kind == "preference" else ["ours"]
    of = [f"{m}={folder(root / m, m, clips[: 2 if kind == 'preference' else 4])}" for m in methods]
    catches = 1 if kind == "preference" else 0
    options = {"catches": catches, "participants": 120} | options
    return making.create_study(str(root / "study"), kind, of, str(real), **options)


def served(made, *flags, port=0):
    """The program, and the address that it printed."""
    return programs.served("study", "serve", f"--study={made.folder}", *flags, port=port)


class Visitor:
    """Somebody with a connection of their own; times holds the seconds that each answer took."""

    def __init__(self, address):
        self.place = urllib.parse.urlsplit(address)
        self.times = []
        self.connect()

    def connect(self):
        self.connection = http.client.HTTPConnection(self.place.hostname, self.place.port, 30)

    def close(self):
        self.connection.close()

    def ask(self, path, message=None):
        """-> status, body."""
        begun = time.perf_counter()
        headers = {"origin": f"http://{self.place.netloc}"}
        body = None if message is None else json.dumps(message)
        self.connection.request("GET" if message is None else "POST", path, body, headers)
        answer = self.connection.getresponse()
        data = answer.read()
        self.times.append(time.perf_counter() - begun)
        return answer.status, data

    def reply(self, path, message):
        status, data = self.ask(f"/api/{path}", message)
        return status, json.loads(data)


def held(made):
    """What the store has: (code, trial) to the choice; each once."""
    from s2f_jax.apps.study import store

    with store.Store(document.read_study(made.folder)) as opened:
        people, votes, _ = opened.read_all()
        assert opened._db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    codes = {who.number: who.code for who in people}
    found = {(codes[vote.participant], vote.trial): vote.choice for vote in votes}
    assert len(found) == len(votes)
    return found
