"""The votes of a study, each beside what was shown, and who is left out by the study's own rule."""

import collections
import dataclasses
from collections.abc import Sequence

from data_pipelines.common.errors import UserError
from s2f_jax.apps.study import document, store
from s2f_jax.apps.study.document import FROZEN, Study, StudyVideo, Trial
from s2f_jax.apps.study.store import Participant, Vote

FAILED, UNFINISHED, ONE_SIDE = "failed catch pairs", "did not finish", "always chose the same side"


@dataclasses.dataclass(frozen=True)
class Ballot:
    """A vote, and the trial it is about."""

    vote: Vote
    entry: str  # In the participant's slot, such as p07b.
    trial: Trial

    @property
    def chosen(self) -> StudyVideo:
        """Of a preference study."""
        return self.trial.videos[document.CHOICES["preference"].index(self.vote.choice)]

    @property
    def correct(self) -> bool:
        """Of a Turing test."""
        return (self.vote.choice == "real") == (self.trial.videos[0].name == self.trial.pair.a.name)


@dataclasses.dataclass(frozen=True)
class Voter:
    """A participant and what they answered."""

    participant: Participant
    ballots: Sequence[Ballot]  # In the order of their trials.
    reasons: Sequence[str]  # Why they are left out; none: they count.


@dataclasses.dataclass(frozen=True)
class Poll:
    """All that a study has brought in."""

    study: Study
    voters: Sequence[Voter]
    withdrawn: int  # People.


def read_ballots(folder: str) -> Poll:
    """The votes in a study's folder.

    Raises:
      UserError: it holds no study, a changed or a damaged one, or nobody has voted yet.
    """
    study = document.read_study(folder)
    if not store.exists(study):
        raise UserError(f"nobody has voted in {folder} yet: let people vote, then ask again")
    with store.Store(study) as opened:
        participants, votes, withdrawn = opened.everything()
    if not votes:
        raise UserError(
            f"nobody has voted in {folder} yet ({len(participants)} have begun, {withdrawn} have"
            " withdrawn): let people vote, then ask again"
        )
    of = collections.defaultdict(list)
    for vote in votes:
        of[vote.participant].append(vote)
    return Poll(study, [_voter(study, p, of[p.number]) for p in participants], withdrawn)


def _voter(study: Study, participant: Participant, votes: Sequence[Vote]) -> Voter:
    entries = study.slots[participant.slot]
    ballots = [Ballot(v, entries[v.trial], study.trial(entries[v.trial])) for v in votes]
    return Voter(participant, ballots, _reasons(study, participant, ballots))


def _reasons(study: Study, participant: Participant, ballots: Sequence[Ballot]) -> list[str]:
    rule, reasons = study.exclusion, []
    failed = sum(b.chosen.method == FROZEN for b in ballots if b.trial.pair.catch)
    if rule.failed_catches and failed >= rule.failed_catches:
        reasons.append(FAILED)
    if rule.unfinished and participant.finished is None:
        reasons.append(UNFINISHED)
    # Of somebody who stopped early the same side may be chance.
    elif participant.finished is not None or len(ballots) >= document.MANY:
        if rule.one_side and len({ballot.vote.choice for ballot in ballots}) == 1:
            reasons.append(ONE_SIDE)
    return reasons
