"""A vote that was confirmed is there, once, whatever happens; what was withdrawn is not."""

import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time

import pytest

from data_pipelines.common.errors import UserError
from s2f_jax.apps.study import document, store
from tests.programs import ROOT
from tests.s2f_jax.apps.study import made_up

# People who vote until they are stopped; each line is a vote that was confirmed.
_VOTERS = """
import os, sys
from s2f_jax.apps.study import document, store
made = document.read_study(sys.argv[1])
opened = store.Store(made)
while True:
    who = opened.register()
    for trial, _ in enumerate(made.trials(who.trial_list)):
        opened.add_vote(who.code, trial, "left", [1, 1], trial)
        os.write(1, f"{who.code} {trial}\\n".encode())
"""


@pytest.fixture
def made(tmp_path):
    return made_up.study(tmp_path, clips=4, participants=8)


@pytest.fixture
def opened(made):
    with store.Store(made) as found:
        yield found


def test_a_vote_is_there_for_whoever_opens_the_store_next(made, opened):
    who = opened.register()
    assert opened.add_vote(who.code, 2, "right", (1, 3), 4321)
    with store.Store(made) as other:
        people, votes, withdrawn = other.read_all()
        assert other.answered_trials(who.code) == [2]
    assert [p.code for p in people] == [who.code] and withdrawn == 0
    (vote,) = votes
    assert (vote.participant, vote.trial, vote.choice) == (who.number, 2, "right")
    assert (vote.plays, vote.ms) == ((1, 3), 4321)


def test_the_same_vote_again_changes_nothing_and_another_one_is_refused(opened):
    who = opened.register()
    assert opened.add_vote(who.code, 0, "left", [1, 1], 10)
    assert not opened.add_vote(who.code, 0, "left", [2, 2], 99)
    with pytest.raises(store.RequestRejected, match="trial 1 was already answered with 'left'"):
        opened.add_vote(who.code, 0, "right", [1, 1], 10)
    (vote,) = opened.read_all()[1]
    assert (vote.choice, vote.plays, vote.ms) == ("left", (1, 1), 10)


def test_who_has_given_the_last_vote_has_finished(opened):
    who = opened.register()
    for trial in (3, 0, 2):
        opened.add_vote(who.code, trial, "left", [1, 1], 0)
    assert opened.find(who.code).finished is None
    opened.add_vote(who.code, 1, "left", [1, 1], 0)
    assert opened.find(who.code).finished is not None


def test_a_code_is_taken_as_people_type_it(opened):
    who = opened.register()
    assert opened.find(f" {who.code.lower()}\n") == who
    for dash in ("", " ", " - ", "\N{EN DASH}", "\N{NON-BREAKING HYPHEN}", "."):
        assert opened.find(who.code.replace("-", dash)) == who
    assert len({opened.register().code for _ in range(7)}) == 7


@pytest.mark.parametrize(
    "code", ["", "AAAA-AAAA-AAAA-AAAA", "A" * 15, "É" * 16, "' OR 1=1 --", None, 7, "\ud800", []]
)
def test_a_code_that_is_nobody_s_is_refused(opened, code):
    opened.register()
    with pytest.raises(store.RequestRejected, match="no participant of this study has that code"):
        opened.add_vote(code, 0, "left", [1, 1], 0)
    assert opened.read_all()[1] == []


@pytest.mark.parametrize(
    ("trial", "choice", "plays", "ms", "expected"),
    [
        (4, "left", [1, 1], 0, "trial 4: must be in .0, 3."),
        (-1, "left", [1, 1], 0, "trial -1: must be"),
        (True, "left", [1, 1], 0, "trial True: must be"),
        (0, "middle", [1, 1], 0, "choice 'middle': must be left or right"),
        (0, "real", [1, 1], 0, "choice 'real': must be"),
        (0, ["left"], [1, 1], 0, "must be left or right"),
        (0, "left", [1, 0], 0, "each video has to be played to its end before the vote"),
        (0, "left", [1], 0, "must be a number for each of 2 videos"),
        (0, "left", None, 0, "plays None: must be a number"),
        (0, "left", [1, -1], 0, "must be a number for each"),
        (0, "left", [1, float("nan")], 0, "must be a number for each"),
        (0, "left", [1, 1], -1, "ms -1: must be a time in milliseconds"),
        (0, "left", [1, 1], 2**70, "must be a time in milliseconds"),
        (0, "left", [1, 1], 1.5, "ms 1.5: must be a time in milliseconds"),
    ],
)
def test_what_is_no_vote_is_refused(opened, trial, choice, plays, ms, expected):
    who = opened.register()
    with pytest.raises(store.RequestRejected, match=expected):
        opened.add_vote(who.code, trial, choice, plays, ms)
    assert opened.read_all()[1] == []


def test_a_full_study_says_so_and_a_withdrawn_slot_is_free_again(opened):
    people = [opened.register() for _ in range(8)]
    assert [who.trial_list for who in people] == list(range(8))
    with pytest.raises(
        store.RequestRejected, match="this study is full: it was planned for 8 participants"
    ):
        opened.register()
    opened.withdraw(people[5].code)
    new = opened.register()
    assert new.trial_list == 5 and new.number == 9  # A number is never given again.


def agreed_long_ago(opened, *people):
    for who in people:
        opened._db.execute(
            "UPDATE participants SET consented = '2026-01-01T00:00:00+00:00' WHERE number = ?",
            (who.number,),
        )


def test_a_slot_in_which_nobody_voted_for_an_hour_is_given_again_once_none_is_free(opened):
    people = [opened.register(f"key {n}") for n in range(7)]
    opened.add_vote(people[1].code, 0, "left", [1, 1], 0)
    agreed_long_ago(opened, people[1], people[4], people[5])
    assert opened.register().trial_list == 7  # Which is free.
    assert [opened.register().trial_list for _ in range(2)] == [4, 5]
    with pytest.raises(
        store.RequestRejected, match="this study is full: it was planned for 8 participants"
    ):
        opened.register()
    with pytest.raises(store.UnknownCode, match="no participant of this study has that code"):
        opened.add_vote(people[4].code, 0, "left", [1, 1], 0)
    assert opened.find_by_key("key 4") is None and opened.find_by_key("key 1").trial_list == 1


def test_the_same_key_is_the_same_participant_for_whoever_opens_the_store_next(made, opened):
    who = opened.register("key")
    assert opened.register("other") != who
    with store.Store(made) as other:
        assert other.register("key") == other.find_by_key("key") == who
    opened.withdraw(who.code)
    assert opened.find_by_key("key") is None and opened.register("key").number == 3


def test_a_study_of_an_older_version_goes_on(made, opened):
    who = opened.register()
    opened.add_vote(who.code, 0, "left", [1, 1], 0)
    opened._db.execute("DROP TABLE joins")
    with store.Store(made) as newer:
        assert newer.answered_trials(who.code) == [0]
        assert newer.register("key") == newer.register("key") != who


def test_of_who_withdraws_nothing_but_their_count_is_kept(made, opened):
    stays, goes = opened.register(), opened.register()
    for who in (stays, goes):
        opened.add_vote(who.code, 0, "left", [1, 1], 123456789)
    opened.withdraw(goes.code)
    people, votes, withdrawn = opened.read_all()
    assert [p.code for p in people] == [stays.code] and withdrawn == 1
    assert [vote.participant for vote in votes] == [stays.number]
    with pytest.raises(store.RequestRejected, match="no participant of this study has that code"):
        opened.withdraw(goes.code)
    assert opened.read_all()[2] == 1
    files = b"".join(path.read_bytes() for path in made.folder.glob("votes.sqlite*"))
    assert stays.code.encode() in files and goes.code.encode() not in files


def test_who_withdraws_while_somebody_reads_holds_nobody_up_and_leaves_the_log_then(made, opened):
    who = opened.register()
    opened.add_vote(who.code, 0, "left", [1, 1], 0)
    log = made.folder / "votes.sqlite-wal"
    with contextlib.closing(sqlite3.connect(made.folder / "votes.sqlite")) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM votes").fetchall()
        begun = time.monotonic()
        opened.withdraw(who.code)
        opened.add_vote(opened.register().code, 0, "left", [1, 1], 0)
        assert time.monotonic() - begun < 5  # Of the 30 that a write may wait.
        assert who.code.encode() in log.read_bytes()
        reader.execute("COMMIT")
        for _ in range(200):
            if not log.read_bytes():
                break
            time.sleep(0.05)
        files = b"".join(path.read_bytes() for path in made.folder.glob("votes.sqlite*"))
    assert who.code.encode() not in files and len(opened.read_all()[1]) == 1


def test_the_store_knows_nothing_personal(opened, made):
    opened.register()
    with contextlib.closing(sqlite3.connect(made.folder / "votes.sqlite")) as db:
        columns = {
            table: [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
            for table in ("study", "participants", "votes", "joins")
        }
    assert columns == {
        "study": ["sha256", "withdrawn"],
        "participants": ["number", "code", "slot", "consented", "finished"],
        "votes": ["participant", "trial", "choice", "plays", "ms", "at"],
        "joins": ["sha256", "participant"],
    }


def test_a_study_that_was_changed_is_told_once_somebody_takes_part(tmp_path):
    def asked(question):
        return made_up.study(tmp_path, question=question)

    store.Store(asked("Which one?")).close()
    with store.Store(asked("Which one, please?")) as opened:  # Nobody has seen the first.
        who = opened.register()
    with pytest.raises(UserError, match="was changed after people had begun to take part"):
        store.Store(asked("Which one, now?"))
    with store.Store(asked("Which one, please?")) as opened:
        opened.withdraw(who.code)
    with pytest.raises(UserError, match="was changed after people had begun"):
        store.Store(asked("Which one, now?"))


def test_a_file_that_is_no_store_is_told(made):
    (made.folder / "votes.sqlite").write_bytes(b"no database at all" * 100)
    with pytest.raises(UserError, match="votes.sqlite: cannot be opened .file is not a database"):
        store.Store(made)
    (made.folder / "votes.sqlite").unlink()
    (made.folder / "votes.sqlite").mkdir()
    with pytest.raises(UserError, match="votes.sqlite: cannot be opened .unable to open"):
        store.Store(made)


def test_a_full_disk_is_told_and_what_was_confirmed_stays(tmp_path):
    made = made_up.study(tmp_path, participants=500)
    with store.Store(made) as opened:
        pages = opened._db.execute("PRAGMA page_count").fetchone()[0]
        opened._db.execute(f"PRAGMA max_page_count = {pages + 2}")
        confirmed = []
        with pytest.raises(
            UserError, match="is full.*, nothing was stored; check whether the disk"
        ):
            for _ in range(500):
                confirmed.append(opened.register())
        assert 10 < len(confirmed) < 500 and opened.read_all()[0] == confirmed
        opened._db.execute(f"PRAGMA max_page_count = {10 * pages}")
        confirmed.append(opened.register())  # Somebody made room: the store goes on.
        assert opened.read_all()[0] == confirmed


def test_the_disk_is_asked_for_every_vote(opened):
    """2 is FULL: the log is flushed at every commit."""
    assert opened._db.execute("PRAGMA synchronous").fetchone() == (2,)
    assert opened._db.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_threads_of_one_store_lose_and_double_nothing(tmp_path):
    made = made_up.study(tmp_path, clips=6, participants=8)
    with store.Store(made) as opened:
        threads = [
            threading.Thread(target=made_up.answer, args=(opened, made, made_up.prefer("ours"), 1))
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        people, votes, _ = opened.read_all()
    assert sorted(who.trial_list for who in people) == list(range(8))
    assert len(votes) == 48 and all(who.finished for who in people)


def test_eight_who_open_a_new_store_at_once_all_get_in(made):
    start, codes = threading.Barrier(8), []

    def begin():
        start.wait()
        with store.Store(made) as opened:
            codes.append(opened.register().code)

    threads = [threading.Thread(target=begin) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with store.Store(made) as opened:
        people, _, _ = opened.read_all()
    assert sorted(who.code for who in people) == sorted(codes) and len(codes) == 8
    assert sorted(who.trial_list for who in people) == list(range(8))


def _start(folder):
    command = [sys.executable, "-c", _VOTERS, str(folder)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, stdout=subprocess.PIPE, env=environment)


def _killed(processes, lines):
    """Lets them vote until each has confirmed so many, ends them -> all that was confirmed."""
    confirmed = []
    for process in processes:
        confirmed += [process.stdout.readline().decode() for _ in range(lines)]
    for process in processes:
        process.send_signal(signal.SIGKILL)
    for process in processes:
        confirmed += process.stdout.read().decode().splitlines(keepends=True)
        process.stdout.close()
        assert process.wait() == -signal.SIGKILL
    return {tuple(line.split()) for line in confirmed if line.endswith("\n")}


def _hold(folder, confirmed):
    """Every vote that was confirmed is there, and of what was not at most one of each killed."""
    made = document.read_study(folder)
    with store.Store(made) as opened:
        people, votes, _ = opened.read_all()
    codes = {who.number: who.code for who in people}
    there = [(codes[vote.participant], str(vote.trial)) for vote in votes]
    assert confirmed <= set(there) and len(there) == len(set(there))
    with contextlib.closing(sqlite3.connect(made.folder / "votes.sqlite")) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    return len(there)


def test_two_processes_vote_at_once_and_are_killed(tmp_path):
    made_up.study(tmp_path, clips=8, participants=4000)
    processes = [_start(tmp_path) for _ in range(2)]
    confirmed = _killed(processes, 10)
    assert len(confirmed) >= 20
    assert _hold(tmp_path, confirmed) <= len(confirmed) + 2


@pytest.mark.slow  # Starting forty processes.
def test_killed_twenty_times_under_votes_it_holds_every_confirmed_one(tmp_path):
    made_up.study(tmp_path, clips=8, participants=20_000)
    dice, confirmed = random.Random(0), set()
    for kill in range(20):
        confirmed |= _killed([_start(tmp_path) for _ in range(2)], dice.randint(1, 30))
        assert _hold(tmp_path, confirmed) <= len(confirmed) + 2 * (kill + 1)
    assert len(confirmed) > 300
