"""The votes of a study, in SQLite: each is on the disk before `add_vote` returns.

Nothing in it tells who somebody is: a participant is a random code, a number, a trial list, and when
they agreed and finished. Any number of processes may have a store open at once.
"""

import contextlib
import datetime
import hashlib
import json
import pathlib
import re
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence

from data_pipelines.common.errors import UserError
from s2f_jax.apps.study.document import FILE, Study
from s2f_jax.apps.study.records import Participant, RequestRejected, UnknownCode, Vote

FILE_NAME = "votes.sqlite"
_BUSY_SECONDS = 30  # To wait for another process's write.
_RELEASED_AFTER = datetime.timedelta(hours=1)  # A trial list without a vote is given again.
_MAX_INTEGER = 2**31  # Milliseconds and plays are below it.
_RETRY_SECONDS = 1.0  # Until truncating the log is tried again after a withdrawal.
_ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"  # No characters that look alike.
_CODE = re.compile(f"[{_ALPHABET}]{{4}}(-[{_ALPHABET}]{{4}}){{3}}")  # 79 bits.
_PARTICIPANT_COLUMNS = "number, code, slot, consented, finished"
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


class Store:
    """The participants and votes of a study; its methods may be called from any thread.

    All raise UserError if the database cannot be read or written.

    Args:
      study: The study; the database is made in its folder if there is none.

    Raises:
      UserError: The file is not a database, cannot be written, or was begun with another study.json.
    """

    def __init__(self, study: Study):
        self._study, self._lock = study, threading.Lock()
        self._path = pathlib.Path(study.folder) / FILE_NAME
        self._retry: threading.Timer | None = None  # Of truncating the log.
        try:
            self._db = sqlite3.connect(
                self._path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            with contextlib.ExitStack() as stack:
                stack.callback(self.close)  # Unless all goes well.
                self._write_ahead()
                self._db.execute("PRAGMA synchronous = FULL")
                self._db.execute("PRAGMA foreign_keys = ON")
                self._db.execute("PRAGMA secure_delete = ON")  # Withdrawn data is overwritten.
                self._db.executescript(_SCHEMA)
                self._bind()
                stack.pop_all()
        except sqlite3.Error as error:
            raise UserError(
                f"{self._path}: cannot be opened ({error}); check that it is the study's own file and"
                " that its folder can be written to"
            ) from error

    def _write_ahead(self) -> None:
        """Switches to a write-ahead log."""
        # SQLite's own timeout does not hold here: while another connection switches, it fails at once.
        deadline = time.monotonic() + _BUSY_SECONDS
        while True:
            try:
                self._db.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)

    def close(self) -> None:
        """Closes the database."""
        with self._lock:
            if self._retry is not None:
                self._retry.cancel()
                self._retry = None
            self._db.close()  # The last connection to close removes the log.

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def register(self, key: str | None = None) -> Participant:
        """Registers a participant who has agreed, with the first free trial list.

        If none is free, the first one is given again whose participant agreed an hour ago and has not
        voted; that participant is deleted.

        Args:
          key: Random key of the client; the same key again gives the same participant.

        Returns:
          The participant.

        Raises:
          RequestRejected: All trial lists are taken.
        """
        groups = ("".join(secrets.choice(_ALPHABET) for _ in range(4)) for _ in range(4))
        code = "-".join(groups)
        with self._transaction("IMMEDIATE") as db:
            if key is not None and (known := _by_key(db, key)) is not None:
                return known
            number = db.execute(
                "INSERT INTO participants (code, slot, consented) VALUES (?, ?, ?)",
                (code, self._free_trial_list(db), _now()),
            ).lastrowid
            if key is not None:
                db.execute("INSERT INTO joins VALUES (?, ?)", (_digest(key), number))
        return self.find(code)

    def find_by_key(self, key: str) -> Participant | None:
        """Looks up who registered with a key.

        Args:
          key: The participant's key, as passed to `register`.

        Returns:
          The participant; None: there is none.
        """
        with self._transaction() as db:
            return _by_key(db, key)

    def find(self, code: str) -> Participant:
        """Looks up a participant.

        Args:
          code: Their code, in any spelling.

        Returns:
          The participant.

        Raises:
          UnknownCode: There is none.
        """
        with self._transaction() as db:
            return _by_code(db, code)

    def add_vote(self, code: str, trial: int, choice: str, plays: Sequence[int], ms: int) -> bool:
        """Stores a vote permanently; the same vote again changes nothing.

        Args:
          code: The participant's code.
          trial: Index in their trial list, from 0.
          choice: One of the study's choices.
          plays: Number of times that each video of the trial was played to its end; at least 1.
          ms: Milliseconds from showing the trial to the vote.

        Returns:
          Whether the vote is new.

        Raises:
          RequestRejected: The code is unknown, a value is invalid, a video was not played to its end,
            or the trial has another answer already.
        """
        with self._transaction("IMMEDIATE") as db:
            participant = _by_code(db, code)
            self._check(participant, trial, choice, plays, ms)
            stored = db.execute(
                "SELECT choice FROM votes WHERE participant = ? AND trial = ?",
                (participant.number, trial),
            ).fetchone()
            if stored is not None:
                if stored[0] != choice:
                    raise RequestRejected(
                        f"trial {trial + 1} was already answered with {stored[0]!r}: an answer cannot"
                        " be changed"
                    )
                return False
            now = _now()
            db.execute(
                "INSERT INTO votes VALUES (?, ?, ?, ?, ?, ?)",
                (participant.number, trial, choice, json.dumps([*plays]), ms, now),
            )
            db.execute(
                "UPDATE participants SET finished = ? WHERE number = ? AND"
                " (SELECT count(*) FROM votes WHERE participant = number) = ?",
                (now, participant.number, len(self._study.trial_lists[participant.trial_list])),
            )
            return True

    def answered_trials(self, code: str) -> list[int]:
        """Looks up which trials a participant has answered.

        Args:
          code: The participant's code.

        Returns:
          Indices in their trial list, ascending.

        Raises:
          UnknownCode: There is no such participant.
        """
        with self._transaction() as db:
            number = _by_code(db, code).number
            rows = db.execute("SELECT trial FROM votes WHERE participant = ?", (number,))
            return sorted(trial for (trial,) in rows)

    def withdraw(self, code: str) -> None:
        """Deletes a participant and all their votes; only that there was one is kept.

        Args:
          code: The participant's code.

        Raises:
          UnknownCode: There is no such participant, such as one who has withdrawn before.
        """
        with self._transaction("IMMEDIATE") as db:
            participant = _by_code(db, code)
            db.execute("DELETE FROM participants WHERE number = ?", (participant.number,))
            db.execute("UPDATE study SET withdrawn = withdrawn + 1")
        with self._lock:
            self._truncate_log()

    def read_all(self) -> tuple[list[Participant], list[Vote], int]:
        """Reads the whole database in one transaction.

        Returns:
          The participants by number, their votes by participant and trial, and the number of
          participants who have withdrawn.
        """
        with self._transaction() as db:
            rows = db.execute(f"SELECT {_PARTICIPANT_COLUMNS} FROM participants ORDER BY number")
            participants = [Participant(*row) for row in rows]
            votes = [
                Vote(number, trial, choice, tuple(json.loads(plays)), ms, at)
                for number, trial, choice, plays, ms, at in db.execute(
                    "SELECT participant, trial, choice, plays, ms, at FROM votes"
                    " ORDER BY participant, trial"
                )
            ]
            return participants, votes, db.execute("SELECT withdrawn FROM study").fetchone()[0]

    def _truncate_log(self) -> None:
        # The log would hold withdrawn data until it is next overwritten. While another process reads
        # it, truncating is postponed rather than waited for, since votes would wait, too.
        try:
            self._db.execute("PRAGMA busy_timeout = 0")
            busy = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        except sqlite3.OperationalError:  # Such as of a full disk.
            busy = True
        finally:
            self._db.execute(f"PRAGMA busy_timeout = {1000 * _BUSY_SECONDS}")
        if busy and self._retry is None:
            self._retry = threading.Timer(_RETRY_SECONDS, self._retry_truncating)
            self._retry.daemon = True
            self._retry.start()

    def _retry_truncating(self) -> None:
        with self._lock:
            if self._retry is not None:  # The store is still open.
                self._retry = None
                self._truncate_log()

    def _free_trial_list(self, db: sqlite3.Connection) -> int:
        taken = {index for (index,) in db.execute("SELECT slot FROM participants")}
        free = next((i for i in range(len(self._study.trial_lists)) if i not in taken), None)
        if free is not None:
            return free
        released = db.execute(
            "SELECT number, slot FROM participants WHERE consented < ?"
            " AND NOT EXISTS (SELECT * FROM votes WHERE participant = number) ORDER BY slot LIMIT 1",
            (_now(-_RELEASED_AFTER),),
        ).fetchone()
        if released is None:
            raise RequestRejected(
                f"this study is full: it was planned for {len(taken)} participants"
            )
        db.execute("DELETE FROM participants WHERE number = ?", released[:1])
        return released[1]

    def _bind(self) -> None:
        # study.json may be changed until somebody takes part.
        with self._transaction("IMMEDIATE") as db:
            sha256, withdrawn = db.execute("SELECT sha256, withdrawn FROM study").fetchone()
            if sha256 == self._study.sha256:
                return
            if withdrawn or db.execute("SELECT 1 FROM participants").fetchone():
                raise UserError(
                    f"{self._study.folder / FILE}: was changed after people had begun to take part"
                    f" (its sha256 was {sha256[:12]}… and is {self._study.sha256[:12]}…); put back the"
                    " one they saw, or make a new study"
                )
            db.execute("UPDATE study SET sha256 = ?", (self._study.sha256,))

    def _check(
        self, participant: Participant, trial: int, choice: str, plays: Sequence[int], ms: int
    ) -> None:
        entries = self._study.trial_lists[participant.trial_list]
        if type(trial) is not int or not 0 <= trial < len(entries):
            raise RequestRejected(f"trial {trial!r}: must be in [0, {len(entries) - 1}]")
        if choice not in self._study.choices:
            raise RequestRejected(f"choice {choice!r}: must be {' or '.join(self._study.choices)}")
        if type(ms) is not int or not 0 <= ms < _MAX_INTEGER:
            raise RequestRejected(f"ms {ms!r}: must be a time in milliseconds")
        videos = len(self._study.trial(entries[trial]).videos)
        is_list = isinstance(plays, (list, tuple)) and len(plays) == videos
        if not is_list or not all(type(n) is int and 0 <= n < _MAX_INTEGER for n in plays):
            raise RequestRejected(f"plays {plays!r}: must be a number for each of {videos} videos")
        if min(plays) < 1:
            raise RequestRejected("each video has to be played to its end before the vote")

    @contextlib.contextmanager
    def _transaction(self, mode: str = "DEFERRED") -> Iterator[sqlite3.Connection]:
        # IMMEDIATE: excludes other writers. On the disk when the block has ended.
        try:
            with self._lock:
                self._db.execute(f"BEGIN {mode}")
                try:
                    yield self._db
                    self._db.execute("COMMIT")
                finally:
                    if self._db.in_transaction:
                        self._db.execute("ROLLBACK")
        except sqlite3.Error as error:
            raise UserError(
                f"{self._path}: cannot be read or written ({error}), nothing was stored; check whether"
                " the disk is full or the file damaged"
            ) from error


def exists(study: Study) -> bool:
    """Tells whether a store has ever been opened for a study.

    Args:
      study: The study.

    Returns:
      Whether its database exists.
    """
    return (pathlib.Path(study.folder) / FILE_NAME).exists()


def _by_code(db: sqlite3.Connection, code: str) -> Participant:
    row = None
    if isinstance(code, str) and _CODE.fullmatch(code := _normalized(code)):
        query = f"SELECT {_PARTICIPANT_COLUMNS} FROM participants WHERE code = ?"
        row = db.execute(query, (code,)).fetchone()
    if row is None:
        raise UnknownCode("no participant of this study has that code: check it, or begin anew")
    return Participant(*row)


def _by_key(db: sqlite3.Connection, key: str) -> Participant | None:
    row = db.execute(
        f"SELECT {_PARTICIPANT_COLUMNS} FROM participants JOIN joins ON participant = number"
        " WHERE sha256 = ?",
        (_digest(key),),
    ).fetchone()
    return None if row is None else Participant(*row)


def _digest(key: str) -> str:
    # Hashed, since a key gives access like a code until its page forgets it.
    return hashlib.sha256(key.encode()).hexdigest()


def _normalized(code: str) -> str:
    # People type codes without dashes, with spaces or longer dashes, in lower case.
    characters = "".join(c for c in code.upper() if c.isalnum())
    return "-".join(characters[at : at + 4] for at in range(0, len(characters), 4))


def _now(offset: datetime.timedelta = datetime.timedelta()) -> str:
    return (datetime.datetime.now(datetime.UTC) + offset).isoformat(timespec="seconds")
