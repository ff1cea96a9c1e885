"""The state of a running study: what each active participant is shown, and whether they played it."""

import dataclasses
import pathlib
import secrets
import threading
import time
from collections.abc import Callable, Sequence

from s2f_jax.apps.server.allowance import RateLimiter
from s2f_jax.apps.study.document import Study, Trial
from s2f_jax.apps.study.limits import StudyLimits
from s2f_jax.apps.study.store import Participant, RequestRejected, Store, UnknownCode

_MIN_PLAYED = 0.9  # Share of a video's length: players round it, and clocks differ.
_CLOCK_TOLERANCE = 1.0  # Seconds by which a page's time may exceed ours.

_UNKNOWN_CODE = (
    "No participant of this study has that code: check it, or begin anew. If you did not answer within"
    " an hour, your place may have been given to somebody else."
)


class Unknown(RequestRejected):
    """No participant has such a code, or no video such a name."""


class AllPlacesTaken(RequestRejected):
    """The most participants are active already."""


class TooManyRequests(RequestRejected):
    """A client exceeds its request rate.

    Args:
      wait: Seconds until the next request is allowed.
    """

    def __init__(self, wait: int):
        super().__init__(f"Too many requests: wait {wait} s.")
        self.wait = wait


class NotPlayed(RequestRejected):
    """The trial has to be shown, and its videos played, before the vote."""


@dataclasses.dataclass
class ActiveParticipant:
    """A participant who is at the page now.

    Attributes:
      participant: The stored participant.
      trials: Their trials, in order.
      answered: Indices of the answered trials.
      last_request: When their last request came; like all times here, by the service's clock.
      shown_at: Index of a trial to when it was shown.
      video_names: Index of a trial, the current or the next one, to the names of its videos.
    """

    participant: Participant
    trials: Sequence[Trial]
    answered: set[int]
    last_request: float
    shown_at: dict[int, float] = dataclasses.field(default_factory=dict)
    video_names: dict[int, list[str]] = dataclasses.field(default_factory=dict)

    @property
    def next_index(self) -> int:
        """Index of the first trial that is not answered; after the last, the number of trials."""
        return next(n for n in range(len(self.trials) + 1) if n not in self.answered)


@dataclasses.dataclass(frozen=True)
class StudyProgress:
    """How far a participant is; the response of the API.

    Attributes:
      code: The participant's code.
      answered: Number of answered trials.
      trials: Number of trials.
    """

    code: str
    answered: int
    trials: int


@dataclasses.dataclass(frozen=True)
class TrialView:
    """What a page may know of a trial; the response of the API.

    Attributes:
      number: Index in the trial list, from 0.
      videos: Names of its videos, from left to right.
      next: Names of the next trial's videos, to be loaded ahead.
    """

    number: int
    videos: Sequence[str]
    next: Sequence[str]


class StudyService:
    """Answers the requests of a study's pages; its methods may be called from any thread.

    They wait for the disk. A page never learns which method made a video: trials are identified by
    their index, and videos by random names for one participant and one trial. All methods raise
    AllPlacesTaken, TooManyRequests or Unknown where it applies.

    Args:
      study: The study.
      store: Store of the study's votes.
      limits: Limits on what participants may take.
      clock: Returns a monotonic time in seconds.
    """

    def __init__(
        self,
        study: Study,
        store: Store,
        limits: StudyLimits,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._study, self._store, self._limits, self._clock = study, store, limits, clock
        self._lock = threading.Lock()
        # Held while a participant is admitted: one at a time, or there would be too many.
        self._admission = threading.Lock()
        self._active: dict[str, ActiveParticipant] = {}  # By code.
        self._video_files: dict[str, tuple[str, pathlib.Path]] = {}  # Name to code and file.
        self._loaded: set[str] = set()  # Names whose files have been requested.
        self._requests = RateLimiter(limits.requests_per_minute, clock)
        self._arrivals = RateLimiter(limits.arrivals_per_minute, clock)

    def join(self, key: str, address: str) -> StudyProgress:
        """Registers somebody who has agreed.

        Args:
          key: Random key of the page; the same key again gives the same participant, since a response
            may be lost on its way.
          address: The client's address.

        Returns:
          The participant's progress, with a code.

        Raises:
          RequestRejected: The study has no trial list left.
        """
        _check_rate(self._arrivals, address)
        with self._admission:
            participant = self._store.find_by_key(key)
            if participant is None or participant.code not in self._active:
                self._free_place()
            participant = participant or self._store.register(key)
            self._remove_predecessor(participant)
            self._activate(participant)
        return self._progress(self._find_active(participant.code, address))

    def resume(self, code: str, address: str) -> StudyProgress:
        """Returns a participant who has begun before to the study.

        Args:
          code: The participant's code.
          address: The client's address.

        Returns:
          The participant's progress.
        """
        return self._progress(self._find_active(code, address))

    def next_trial(self, code: str, address: str) -> TrialView | None:
        """Shows the first trial that is not answered; its time starts.

        Args:
          code: The participant's code.
          address: The client's address.

        Returns:
          The trial; None: all are answered.

        Raises:
          NotPlayed: The participant left meanwhile.
        """
        active = self._find_active(code, address)
        if self._progress(active).answered == len(active.trials):
            return None
        with self._lock:
            if self._active.get(active.participant.code) is not active:  # They left meanwhile.
                raise NotPlayed("The study was interrupted: try again.")
            index = active.next_index
            active.shown_at = {index: active.shown_at.get(index, self._clock())}
            visible = range(index, min(index + 2, len(active.trials)))
            for old in set(active.video_names) - set(visible):
                self._forget_videos(active.video_names.pop(old))
            for trial in visible:
                if trial not in active.video_names:
                    active.video_names[trial] = self._name_videos(active, active.trials[trial])
            names = active.video_names
            return TrialView(index, names[index], names.get(index + 1, []))

    def vote(
        self, code: str, address: str, trial: int, choice: str, plays: Sequence[int], ms: int
    ) -> StudyProgress:
        """Stores a vote permanently.

        Args:
          code: The participant's code.
          address: The client's address.
          trial: Index in their trial list, from 0.
          choice: One of the study's choices.
          plays: Number of times that each video of the trial was played to its end.
          ms: Milliseconds from showing the trial to the vote.

        Returns:
          The participant's progress.

        Raises:
          NotPlayed: The videos cannot have been played as often as it says.
          RequestRejected: The vote is not acceptable to Store.add_vote.
          Unknown: The participant withdrew meanwhile.
        """
        active = self._find_active(code, address)
        with self._lock:
            index = active.next_index
        if index < trial < len(active.trials):
            raise NotPlayed(f"Trial {index + 1} has to be answered before trial {trial + 1}.")
        if trial == index < len(active.trials):
            self._check_played(active, trial, plays, ms)
        try:
            self._store.add_vote(active.participant.code, trial, choice, plays, ms)
        except UnknownCode as error:
            # They withdrew at another server, or their trial list was given again.
            self._deactivate(active)
            raise Unknown(_UNKNOWN_CODE) from error
        except RequestRejected:  # Another server of this study may have their answer.
            self._reload_answered(active)
            raise
        with self._lock:
            active.answered.add(trial)
        return self._progress(active)

    def withdraw(self, code: str, address: str) -> None:
        """Deletes all that is stored of a participant.

        Args:
          code: The participant's code.
          address: The client's address.

        Raises:
          Unknown: There is no such participant.
        """
        try:
            participant = self._find_stored(code, address)
        except Unknown as error:  # The response to an earlier request may have been lost.
            raise Unknown(
                "No participant of this study has that code: check it, or it was deleted already."
            ) from error
        self._store.withdraw(participant.code)
        with self._lock:
            active = self._active.get(participant.code)
        if active is not None:
            self._deactivate(active)

    def video_path(self, name: str) -> pathlib.Path:
        """Looks up the file of a video of the current or the next trial of a participant.

        Args:
          name: Name of the video, as in TrialView.

        Returns:
          Path of an mp4.

        Raises:
          Unknown: There is no such video.
        """
        with self._lock:
            if name not in self._video_files:
                raise Unknown("There is no such video: reload the page.")
            code, path = self._video_files[name]
            self._active[code].last_request = self._clock()
            self._loaded.add(name)
        _check_rate(self._requests, code)
        return path

    def _find_stored(self, code: str, address: str) -> Participant:
        try:
            participant = self._store.find(code)
        except UnknownCode as error:
            _check_rate(self._arrivals, address)  # Slows down guessing.
            raise Unknown(_UNKNOWN_CODE) from error
        _check_rate(self._requests, participant.code)
        return participant

    def _find_active(self, code: str, address: str) -> ActiveParticipant:
        with self._lock:
            active = self._active.get(code)
            if active is not None:
                active.last_request = self._clock()
        if active is not None:  # Without the disk, which votes of others may be waiting for.
            _check_rate(self._requests, code)
            return active
        participant = self._find_stored(code, address)
        with self._admission:
            if participant.code not in self._active:
                self._free_place()
            return self._activate(participant)

    def _free_place(self) -> None:
        with self._lock:
            if len(self._active) < self._limits.people:
                return
            oldest = self._clock() - self._limits.idle_seconds
            idle = [active for active in self._active.values() if active.last_request <= oldest]
        if not idle:
            raise AllPlacesTaken(
                f"All {self._limits.people} places of this study are taken: try again in a few minutes."
                " Your answers are kept."
            )
        for active in idle:
            self._deactivate(active)

    def _remove_predecessor(self, participant: Participant) -> None:
        # Who had the trial list before, and did not vote for an hour.
        with self._lock:
            others = (active for code, active in self._active.items() if code != participant.code)
            same_list = participant.trial_list
            predecessors = [each for each in others if each.participant.trial_list == same_list]
        for active in predecessors:
            self._deactivate(active)

    def _activate(self, participant: Participant) -> ActiveParticipant:
        trials = self._study.trials(participant.trial_list)
        answered = set(self._store.answered_trials(participant.code))
        with self._lock:
            new = ActiveParticipant(participant, trials, answered, self._clock())
            return self._active.setdefault(participant.code, new)

    def _deactivate(self, active: ActiveParticipant) -> None:
        code = active.participant.code
        with self._lock:
            if self._active.get(code) is active:
                del self._active[code]
                for names in active.video_names.values():
                    self._forget_videos(names)

    def _name_videos(self, active: ActiveParticipant, trial: Trial) -> list[str]:
        names = [secrets.token_urlsafe(16) for _ in trial.videos]
        folder = pathlib.Path(self._study.folder)
        for name, video in zip(names, trial.videos, strict=True):
            self._video_files[name] = active.participant.code, folder / video.file
        return names

    def _forget_videos(self, names: Sequence[str]) -> None:
        for name in names:
            del self._video_files[name]
            self._loaded.discard(name)

    def _reload_answered(self, active: ActiveParticipant) -> None:
        answered = self._store.answered_trials(active.participant.code)
        with self._lock:
            active.answered.update(answered)

    def _progress(self, active: ActiveParticipant) -> StudyProgress:
        with self._lock:
            answered = len(active.answered)
        if answered == len(active.trials):  # They need no place any more.
            self._deactivate(active)
        return StudyProgress(active.participant.code, answered, len(active.trials))

    def _check_played(
        self, active: ActiveParticipant, trial: int, plays: Sequence[int], ms: int
    ) -> None:
        with self._lock:
            shown_at = active.shown_at.get(trial)
            elapsed = 0 if shown_at is None else self._clock() - shown_at
            # A browser may have loaded them ahead, during the trial before.
            loaded = self._loaded.issuperset(active.video_names.get(trial, ()))
        if shown_at is None:
            raise NotPlayed("The study was interrupted: please play the videos once more.")
        if not loaded:
            raise NotPlayed("The videos have not been loaded: please play them before you answer.")
        lengths = [video.seconds for video in active.trials[trial].videos]
        played = _MIN_PLAYED * sum(n * length for n, length in zip(plays, lengths, strict=False))
        if min(elapsed, ms / 1000) < played or ms / 1000 > elapsed + _CLOCK_TOLERANCE:
            raise NotPlayed("Each video has to be played to its end before you answer.")


def _check_rate(limiter: RateLimiter, client: str) -> None:
    if wait := limiter.acquire(client):
        raise TooManyRequests(wait)
