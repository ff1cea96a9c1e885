"""The people who are at a study's page now: what each is shown, and whether they have seen it."""

import dataclasses
import pathlib
import secrets
import threading
import time
from collections.abc import Callable, Sequence

from s2f_jax.apps.server.allowance import Allowance
from s2f_jax.apps.study import store
from s2f_jax.apps.study.document import Study, Trial
from s2f_jax.apps.study.limits import StudyLimits
from s2f_jax.apps.study.store import Participant, Refused, Store

_PLAYED = 0.9  # Of a video's length: players round it, and clocks differ.
_APART = 1.0  # Seconds by which a page's clock may be ahead of ours.

_NOBODY = (
    "Nobody in this study has that code: check it, or begin anew. The place of somebody who has not"
    " answered within an hour may have been given to another."
)


class UnknownVisitor(Refused):
    """No participant has such a code, or no video such a name."""


class Full(Refused):
    """All places are taken."""


class TooOften(Refused):
    """They asked more often than they may."""

    def __init__(self, wait: int):
        super().__init__(f"That was too often: wait {wait} s.")
        self.wait = wait


class NotSeen(Refused):
    """The trial has to be shown (again) before the vote."""


@dataclasses.dataclass
class Person:
    """Somebody who is here."""

    participant: Participant
    trials: Sequence[Trial]
    answered: set[int]
    seen: float  # When they last said something; like all times here, by the room's clock.
    begun: dict[int, float] = dataclasses.field(default_factory=dict)  # When a trial was shown.
    videos: dict[int, list[str]] = dataclasses.field(
        default_factory=dict
    )  # Of this trial, the next.


@dataclasses.dataclass(frozen=True)
class Standing:
    """How far a participant is."""

    code: str
    answered: int
    trials: int


@dataclasses.dataclass(frozen=True)
class Shown:
    """A trial as a page may know it."""

    number: int  # Its place in the participant's order, from 0.
    videos: Sequence[str]  # Names, from left to right.
    next: Sequence[str]  # Of the trial after it, to be loaded before.


class Room:
    """Its methods may be called from any thread; they wait for the disk.

    A page never learns what a trial is of: trials are told by their places, and videos by names that
    are drawn for one participant and one trial. All raise Full, TooOften or Unknown.
    """

    def __init__(
        self,
        study: Study,
        votes: Store,
        limits: StudyLimits,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._study, self._store, self._limits, self._clock = study, votes, limits, clock
        self._lock = threading.Lock()
        self._door = threading.Lock()  # One comes in at a time, or there would be too many.
        self._here: dict[str, Person] = {}  # By code.
        # A video's name to whose, and its file.
        self._named: dict[str, tuple[str, pathlib.Path]] = {}
        self._fetched: set[str] = set()  # Names whose files somebody has asked for.
        self._asked = Allowance(limits.requests_per_minute, clock)
        self._arrived = Allowance(limits.arrivals_per_minute, clock)

    def join(self, key: str, address: str) -> Standing:
        """Somebody has agreed. key: drawn by their page; the same one again is the same person, since
        an answer may be lost on its way. Raises Refused where the study has no slot left."""
        _spend(self._arrived, address)
        with self._door:
            participant = self._store.joined(key)
            if participant is None or participant.code not in self._here:
                self._make_place()
            participant = participant or self._store.register(key)
            self._replace(participant)
            self._enter(participant)
        return self._standing(self._of(participant.code, address))

    def resume(self, code: str, address: str) -> Standing:
        """Of somebody who has begun before."""
        return self._standing(self._of(code, address))

    def show(self, code: str, address: str) -> Shown | None:
        """The first trial that is not answered, whose time begins; None: there is none left."""
        person = self._of(code, address)
        if self._standing(person).answered == len(person.trials):
            return None
        with self._lock:
            if self._here.get(person.participant.code) is not person:
                raise NotSeen("The study was interrupted: try again.")  # Meanwhile they left.
            number = _next(person)
            now = self._clock()
            person.begun = {number: person.begun.get(number, now)}
            shown = range(number, min(number + 2, len(person.trials)))
            for gone in set(person.videos) - set(shown):
                self._forget(person.videos.pop(gone))
            for trial in shown:
                if trial not in person.videos:
                    person.videos[trial] = self._name(person, person.trials[trial])
            after = person.videos.get(number + 1, [])
            return Shown(number, person.videos[number], after)

    def vote(
        self, code: str, address: str, trial: int, choice: str, plays: Sequence[int], ms: int
    ) -> Standing:
        """Stores it for good, as Store.vote does. Raises Refused for what cannot be, NotSeen where
        the videos cannot have been played as often as it says."""
        person = self._of(code, address)
        with self._lock:
            number = _next(person)
        if number < trial < len(person.trials):
            raise NotSeen(
                f"Trial {trial + 1} comes after trial {number + 1}, which is not answered."
            )
        if trial == number < len(person.trials):
            self._check_seen(person, trial, plays, ms)
        try:
            self._store.vote(person.participant.code, trial, choice, plays, ms)
        except store.UnknownParticipant as error:
            self._leave(person)  # Who withdrew by another server, or whose slot was given on.
            raise UnknownVisitor(_NOBODY) from error
        except Refused:  # Perhaps another server of this study has their answer.
            self._recall(person)
            raise
        with self._lock:
            person.answered.add(trial)
        return self._standing(person)

    def withdraw(self, code: str, address: str) -> None:
        """Deletes all that is stored of a participant."""
        try:
            participant = self._find(code, address)
        except UnknownVisitor as error:  # The answer to the first time may have been lost.
            raise UnknownVisitor(
                "Nobody in this study has that code: check it, or it has been deleted already."
            ) from error
        self._store.withdraw(participant.code)
        with self._lock:
            person = self._here.get(participant.code)
        if person is not None:
            self._leave(person)

    def video(self, name: str) -> pathlib.Path:
        """Of a trial that was shown, or is the next. Raises Unknown for any other name."""
        with self._lock:
            if name not in self._named:
                raise UnknownVisitor("There is no such video: open the page again.")
            code, path = self._named[name]
            self._here[code].seen = self._clock()
            self._fetched.add(name)
        _spend(self._asked, code)
        return path

    def _find(self, code: str, address: str) -> Participant:
        try:
            participant = self._store.participant(code)
        except store.UnknownParticipant as error:
            _spend(self._arrived, address)  # Who guesses.
            raise UnknownVisitor(_NOBODY) from error
        _spend(self._asked, participant.code)
        return participant

    def _of(self, code: str, address: str) -> Person:
        with self._lock:
            person = self._here.get(code)
            if person is not None:
                person.seen = self._clock()
        if person is not None:  # Without the disk, which others' votes may be waiting for.
            _spend(self._asked, code)
            return person
        participant = self._find(code, address)
        with self._door:
            if participant.code not in self._here:
                self._make_place()
            return self._enter(participant)

    def _make_place(self) -> None:
        """Raises Full where nobody has been silent for long."""
        with self._lock:
            if len(self._here) < self._limits.people:
                return
            since = self._clock() - self._limits.idle_seconds
            silent = [person for person in self._here.values() if person.seen <= since]
        if not silent:
            raise Full(
                f"All {self._limits.people} places of this study are taken now: try again in a few"
                " minutes. What you have answered is kept."
            )
        for person in silent:
            self._leave(person)

    def _replace(self, participant: Participant) -> None:
        """Whoever had the slot before, and has not voted for an hour."""
        with self._lock:
            others = [
                person
                for code, person in self._here.items()
                if person.participant.slot == participant.slot and code != participant.code
            ]
        for person in others:
            self._leave(person)

    def _enter(self, participant: Participant) -> Person:
        trials = self._study.trials(participant.slot)
        answered = set(self._store.voted(participant.code))
        with self._lock:
            new = Person(participant, trials, answered, self._clock())
            return self._here.setdefault(participant.code, new)

    def _leave(self, person: Person) -> None:
        code = person.participant.code
        with self._lock:
            if self._here.get(code) is person:
                del self._here[code]
                for names in person.videos.values():
                    self._forget(names)

    def _name(self, person: Person, trial: Trial) -> list[str]:
        names = [secrets.token_urlsafe(16) for _ in trial.videos]
        folder = pathlib.Path(self._study.folder)
        for name, video in zip(names, trial.videos, strict=True):
            self._named[name] = person.participant.code, folder / video.file
        return names

    def _forget(self, names: Sequence[str]) -> None:
        for name in names:
            del self._named[name]
            self._fetched.discard(name)

    def _recall(self, person: Person) -> None:
        answered = self._store.voted(person.participant.code)
        with self._lock:
            person.answered.update(answered)

    def _standing(self, person: Person) -> Standing:
        """Who has finished needs no place."""
        with self._lock:
            answered = len(person.answered)
        if answered == len(person.trials):
            self._leave(person)
        return Standing(person.participant.code, answered, len(person.trials))

    def _check_seen(self, person: Person, trial: int, plays: Sequence[int], ms: int) -> None:
        with self._lock:
            begun = person.begun.get(trial)
            passed = 0 if begun is None else self._clock() - begun
            # A browser may have fetched them while the trial before was shown, and keeps them.
            fetched = self._fetched.issuperset(person.videos.get(trial, ()))
        if begun is None:
            raise NotSeen("The study was interrupted: please play the videos once more.")
        if not fetched:
            raise NotSeen("The videos have not been loaded: please play them before you answer.")
        lengths = [video.seconds for video in person.trials[trial].videos]
        least = _PLAYED * sum(n * of for n, of in zip(plays, lengths, strict=False))
        if min(passed, ms / 1000) < least or ms / 1000 > passed + _APART:
            raise NotSeen("Each video has to be played to its end before you answer.")


def _next(person: Person) -> int:
    """The first trial that is not answered; after the last, how many there are."""
    return next(n for n in range(len(person.trials) + 1) if n not in person.answered)


def _spend(allowance: Allowance, who: str) -> None:
    if wait := allowance.wait(who):
        raise TooOften(wait)
