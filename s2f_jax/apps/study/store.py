"""The votes of a study, in SQLite: each is on the disk before `vote` returns.

Nothing in it tells who somebody is: a participant is a random code, a number, a slot, and when they
agreed and finished. Any number of processes may have a store open at once.
"""

import contextlib
import dataclasses
import datetime
import hashlib
import json
import pathlib
import re
import secrets
import sqlite3
import threading
from collections.abc import Iterator, Sequence

from data_pipelines.common.errors import UserError
from s2f_jax.apps.study.document import FILE, Study

FILE_NAME = "votes.sqlite"
_PATIENCE = 30  # Seconds to wait for another process's write.
_LAPSES = datetime.timedelta(hours=1)  # After which a slot without a vote may be given again.
_LONGEST = 2**31  # Milliseconds and plays are below it.
_AGAIN = 1.0  # Seconds until what was withdrawn is tried again to be taken out of the log.
_SIGNS = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"  # None that people take for another.
_CODE = re.compile(f"[{_SIGNS}]{{4}}(-[{_SIGNS}]{{4}}){{3}}")  # 79 bits.
_OF_ONE = "number, code, slot, consented, finished"  # A Participant's columns.
_SCHEMA = """
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS study (sha256 TEXT NOT NULL, withdrawn INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS participants (
  number INTEGER PRIMARY KEY AUTOINCREMENT, -- Never given again.
  code TEXT NOT NULL UNIQUE,
  slot INTEGER NOT NULL UNIQUE,
  consented TEXT NOT NULL,
  finished TEXT
) STRICT;
CREATE TABLE IF NOT EXISTS votes (
  participant INTEGER NOT NULL REFERENCES participants ON DELETE CASCADE,
  trial INTEGER NOT NULL,
  choice TEXT NOT NULL,
  plays TEXT NOT NULL,
  ms INTEGER NOT NULL,
  at TEXT NOT NULL,
  PRIMARY KEY (participant, trial)
) STRICT;
CREATE TABLE IF NOT EXISTS joins ( -- Apart, since older studies have none.
  sha256 TEXT PRIMARY KEY, -- Of the key that somebody's page drew when they agreed.
  participant INTEGER NOT NULL UNIQUE REFERENCES participants ON DELETE CASCADE
) STRICT;
INSERT INTO study SELECT '', 0 WHERE NOT EXISTS (SELECT * FROM study);
COMMIT;
"""


class Refused(UserError):
    """What a participant asks for cannot be; nothing was stored."""


class UnknownParticipant(Refused):
    """Nobody has such a code."""


@dataclasses.dataclass(frozen=True)
class Participant:
    """Somebody who agreed to take part."""

    number: int  # 1, 2, ...; not given again after a withdrawal.
    code: str  # Theirs alone: to go on, or to withdraw.
    slot: int
    consented: str  # Date and time, UTC.
    finished: str | None  # When they gave their last vote.


@dataclasses.dataclass(frozen=True)
class Vote:
    """One participant's answer to one trial."""

    participant: int  # Number.
    trial: int  # Its place in the participant's order, from 0.
    choice: str
    plays: tuple[int, ...]  # How often each of the trial's videos was played to its end.
    ms: int  # From when the trial was shown to the vote.
    at: str  # Date and time, UTC.


class Store:
    """The votes of a study. Its methods may be called from any thread.

    Raises:
      UserError: the file is no store, cannot be written, or was begun with another study.json.
    """

    def __init__(self, study: Study):
        self._study, self._lock = study, threading.Lock()
        self._path = pathlib.Path(study.folder) / FILE_NAME
        self._db = _connect(self._path)
        self._emptying: threading.Timer | None = None  # Where the log was being read.
        try:
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.execute("PRAGMA foreign_keys = ON")
            self._db.execute("PRAGMA secure_delete = ON")  # What is withdrawn is overwritten.
            self._db.executescript(_SCHEMA)
        except sqlite3.Error as error:
            self.close()
            raise UserError(
                f"{self._path} cannot be opened ({error}): check that it is the study's own file and"
                " that its folder can be written to"
            ) from error
        try:
            self._bind()
        except UserError:
            self.close()
            raise

    def close(self) -> None:
        with self._lock:
            if self._emptying is not None:
                self._emptying.cancel()
                self._emptying = None
            self._db.close()  # The last one to close it takes the log away.

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def register(self, key: str | None = None) -> Participant:
        """Somebody who has agreed, in the first slot that is free.

        key: drawn by whoever asks; the same one again is the same participant. Where no slot is free,
        the first is given again whose participant agreed an hour ago and has not voted: they are
        forgotten. Raises Refused where there is none either.
        """
        code = "-".join("".join(secrets.choice(_SIGNS) for _ in range(4)) for _ in range(4))
        with self._writing() as db:
            if key is not None and (known := _joined(db, key)) is not None:
                return known
            number = db.execute(
                "INSERT INTO participants (code, slot, consented) VALUES (?, ?, ?)",
                (code, self._free(db), _now()),
            ).lastrowid
            if key is not None:
                db.execute("INSERT INTO joins VALUES (?, ?)", (_digest(key), number))
        return self.participant(code)

    def joined(self, key: str) -> Participant | None:
        """Who registered with a key; None: nobody has."""
        with self._reading() as db:
            return _joined(db, key)

    def participant(self, code: str) -> Participant:
        """Who has this code, however they type it. Raises Unknown where nobody has."""
        with self._reading() as db:
            return _participant(db, code)

    def vote(self, code: str, trial: int, choice: str, plays: Sequence[int], ms: int) -> bool:
        """Stores an answer for good -> whether it is new; the same one again changes nothing.

        trial: its place in the participant's order, from 0. plays: of each of its videos. ms: from
        when it was shown to the vote.

        Raises Refused where the code, the trial or a value is none, a video was not played to its
        end, or the trial has another answer already.
        """
        with self._writing() as db:
            who = _participant(db, code)
            self._check(who, trial, choice, plays, ms)
            there = db.execute(
                "SELECT choice FROM votes WHERE participant = ? AND trial = ?", (who.number, trial)
            ).fetchone()
            if there is not None:
                if there[0] != choice:
                    raise Refused(
                        f"trial {trial + 1} is answered already, with {there[0]!r}: an answer stands"
                    )
                return False
            now = _now()
            db.execute(
                "INSERT INTO votes VALUES (?, ?, ?, ?, ?, ?)",
                (who.number, trial, choice, json.dumps([*plays]), ms, now),
            )
            db.execute(
                "UPDATE participants SET finished = ? WHERE number = ? AND"
                " (SELECT count(*) FROM votes WHERE participant = number) = ?",
                (now, who.number, len(self._study.slots[who.slot])),
            )
            return True

    def voted(self, code: str) -> list[int]:
        """The trials that a participant has answered, rising. Raises Unknown for an unknown code."""
        with self._reading() as db:
            who = _participant(db, code)
            rows = db.execute("SELECT trial FROM votes WHERE participant = ?", (who.number,))
            return sorted(trial for (trial,) in rows)

    def withdraw(self, code: str) -> None:
        """Deletes a participant and all their votes; only that there was one is kept.

        Raises Unknown for an unknown code, such as one of somebody who has withdrawn.
        """
        with self._writing() as db:
            who = _participant(db, code)
            db.execute("DELETE FROM participants WHERE number = ?", (who.number,))
            db.execute("UPDATE study SET withdrawn = withdrawn + 1")
        with self._lock:
            self._empty_log()

    def everything(self) -> tuple[list[Participant], list[Vote], int]:
        """All participants, all votes and how many have withdrawn, as they stand at one moment."""
        with self._reading() as db:
            participants = [
                Participant(*row)
                for row in db.execute(f"SELECT {_OF_ONE} FROM participants ORDER BY number")
            ]
            votes = [
                Vote(number, trial, choice, tuple(json.loads(plays)), ms, at)
                for number, trial, choice, plays, ms, at in db.execute(
                    "SELECT participant, trial, choice, plays, ms, at FROM votes"
                    " ORDER BY participant, trial"
                )
            ]
            return participants, votes, db.execute("SELECT withdrawn FROM study").fetchone()[0]

    def _empty_log(self) -> None:
        """Or it would hold what was withdrawn until it is next written over. While somebody reads it,
        that is put off rather than waited for, since votes would wait, too."""
        try:
            self._db.execute("PRAGMA busy_timeout = 0")
            busy = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        except sqlite3.OperationalError:  # Such as of a full disk, which somebody may mend.
            busy = True
        finally:
            self._db.execute(f"PRAGMA busy_timeout = {1000 * _PATIENCE}")
        if busy and self._emptying is None:
            self._emptying = threading.Timer(_AGAIN, self._empty_log_later)
            self._emptying.daemon = True
            self._emptying.start()

    def _empty_log_later(self) -> None:
        with self._lock:
            if self._emptying is not None:  # Nobody has closed it meanwhile.
                self._emptying = None
                self._empty_log()

    def _free(self, db: sqlite3.Connection) -> int:
        """A slot that nobody has, or no longer."""
        taken = {slot for (slot,) in db.execute("SELECT slot FROM participants")}
        slot = next((s for s in range(len(self._study.slots)) if s not in taken), None)
        if slot is not None:
            return slot
        lapsed = db.execute(
            "SELECT number, slot FROM participants WHERE consented < ?"
            " AND NOT EXISTS (SELECT * FROM votes WHERE participant = number) ORDER BY slot LIMIT 1",
            (_now(-_LAPSES),),
        ).fetchone()
        if lapsed is None:
            raise Refused(
                f"this study is full: {len(taken)} people take part in it, as many as it has slots"
            )
        db.execute("DELETE FROM participants WHERE number = ?", lapsed[:1])
        return lapsed[1]

    def _bind(self) -> None:
        """A study.json may be changed until somebody takes part."""
        with self._writing() as db:
            sha256, withdrawn = db.execute("SELECT sha256, withdrawn FROM study").fetchone()
            begun = withdrawn or db.execute("SELECT 1 FROM participants").fetchone()
            if sha256 == self._study.sha256:
                return
            if begun:
                raise UserError(
                    f"{self._study.folder / FILE} was changed after people had begun to take part"
                    f" (its sha256 was {sha256[:12]}… and is {self._study.sha256[:12]}…): put back the"
                    " one they saw, or make a new study"
                )
            db.execute("UPDATE study SET sha256 = ?", (self._study.sha256,))

    def _check(
        self, who: Participant, trial: int, choice: str, plays: Sequence[int], ms: int
    ) -> None:
        entries = self._study.slots[who.slot]
        if type(trial) is not int or not 0 <= trial < len(entries):
            raise Refused(f"there is no trial {trial!r}: there are 0 to {len(entries) - 1}")
        if choice not in self._study.choices:
            raise Refused(f"{choice!r} is no answer: give {' or '.join(self._study.choices)}")
        if type(ms) is not int or not 0 <= ms < _LONGEST:
            raise Refused(f"{ms!r} is no time in milliseconds")
        shown = len(self._study.trial(entries[trial]).videos)
        listed = isinstance(plays, (list, tuple)) and len(plays) == shown
        if not listed or not all(type(n) is int and 0 <= n < _LONGEST for n in plays):
            raise Refused(f"{plays!r} is not how often each of {shown} videos was played")
        if min(plays) < 1:
            raise Refused("each video has to be played to its end before the vote")

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction that nobody else writes into; it is on the disk when the block has ended."""
        with self._transaction("BEGIN IMMEDIATE") as db:
            yield db

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._transaction("BEGIN") as db:
            yield db

    @contextlib.contextmanager
    def _transaction(self, begin: str) -> Iterator[sqlite3.Connection]:
        try:
            with self._lock:
                self._db.execute(begin)
                try:
                    yield self._db
                    self._db.execute("COMMIT")
                finally:
                    if self._db.in_transaction:
                        self._db.execute("ROLLBACK")
        except sqlite3.Error as error:
            raise UserError(
                f"{self._path} cannot be read or written ({error}); nothing was stored: see whether the"
                " disk is full or the file damaged"
            ) from error


def _connect(path: pathlib.Path) -> sqlite3.Connection:
    try:
        return sqlite3.connect(
            path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False
        )
    except sqlite3.Error as error:
        raise UserError(
            f"{path} cannot be opened ({error}): give a study in a folder you can write to"
        ) from error


def exists(study: Study) -> bool:
    """Whether anybody has ever opened a store for it."""
    return (pathlib.Path(study.folder) / FILE_NAME).exists()


def _participant(db: sqlite3.Connection, code: str) -> Participant:
    row = None
    if isinstance(code, str) and _CODE.fullmatch(code := _spelt(code)):
        row = db.execute(f"SELECT {_OF_ONE} FROM participants WHERE code = ?", (code,)).fetchone()
    if row is None:
        raise UnknownParticipant("nobody in this study has that code: check it, or begin anew")
    return Participant(*row)


def _joined(db: sqlite3.Connection, key: str) -> Participant | None:
    row = db.execute(
        f"SELECT {_OF_ONE} FROM participants JOIN joins ON participant = number WHERE sha256 = ?",
        (_digest(key),),
    ).fetchone()
    return None if row is None else Participant(*row)


def _digest(key: str) -> str:
    """A key is as good as its participant's code, until their page forgets it."""
    return hashlib.sha256(key.encode()).hexdigest()


def _spelt(code: str) -> str:
    """As it was given, of what people type: without dashes, with spaces or longer dashes, small."""
    signs = "".join(sign for sign in code.upper() if sign.isalnum())
    return "-".join(signs[at : at + 4] for at in range(0, len(signs), 4))


def _now(later: datetime.timedelta = datetime.timedelta()) -> str:
    return (datetime.datetime.now(datetime.UTC) + later).isoformat(timespec="seconds")
