"""The results of a study: each vote with its trial, and who is excluded by the study's own rule."""

import collections
import dataclasses
from collections.abc import Sequence

from data_pipelines.common.errors import UserError
from s2f_jax.apps.study import document, store
from s2f_jax.apps.study.document import FROZEN, Study, StudyVideo, Trial
from s2f_jax.apps.study.store import Participant, Vote

# Reasons of an exclusion, as the reports have them.
FAILED = "failed catch pairs"
UNFINISHED = "did not finish"
ONE_SIDE = "always chose the same side"


@dataclasses.dataclass(frozen=True)
class TrialResponse:
    """A participant's vote with the trial it answers.

    Attributes:
      vote: The stored vote.
      trial: What was shown.
    """

    vote: Vote
    trial: Trial

    @property
    def chosen(self) -> StudyVideo:
        """The video that was chosen, in a preference study."""
        return self.trial.videos[document.CHOICES["preference"].index(self.vote.choice)]

    @property
    def showed_real(self) -> bool:
        """Whether the video was the real one, in a Turing test."""
        return self.trial.videos[0].name == self.trial.pair.a.name

    @property
    def correct(self) -> bool:
        """Whether the video was labelled correctly, in a Turing test."""
        return (self.vote.choice == "real") == self.showed_real


@dataclasses.dataclass(frozen=True)
class ParticipantResult:
    """A participant with their responses.

    Attributes:
      participant: The stored participant.
      responses: Responses in the order of the trials.
      exclusion_reasons: Why they are excluded from the main analysis; empty: they are not.
    """

    participant: Participant
    responses: Sequence[TrialResponse]
    exclusion_reasons: Sequence[str]


@dataclasses.dataclass(frozen=True)
class StudyResults:
    """All responses of a study.

    Attributes:
      study: The study.
      participants: Participants who have not withdrawn, in the order in which they joined.
      withdrawn: Number of participants who withdrew.
    """

    study: Study
    participants: Sequence[ParticipantResult]
    withdrawn: int


def read_results(folder: str) -> StudyResults:
    """Reads a study and its votes.

    Args:
      folder: The study's folder.

    Returns:
      The results.

    Raises:
      UserError: The folder holds no study, a changed or damaged one, or nobody has voted yet.
    """
    study = document.read_study(folder)
    if not store.exists(study):
        raise UserError(f"{folder}: has no votes yet; run `s2f study serve` first")
    with store.Store(study) as votes_store:
        participants, votes, withdrawn = votes_store.read_all()
    if not votes:
        raise UserError(
            f"{folder}: has no votes yet ({len(participants)} have begun, {withdrawn} have withdrawn);"
            " try again when people have voted"
        )
    votes_by_participant = collections.defaultdict(list)
    for vote in votes:
        votes_by_participant[vote.participant].append(vote)
    results = [_result(study, one, votes_by_participant[one.number]) for one in participants]
    return StudyResults(study, results, withdrawn)


def _result(study: Study, participant: Participant, votes: Sequence[Vote]) -> ParticipantResult:
    entries = study.trial_lists[participant.trial_list]
    responses = [TrialResponse(vote, study.trial(entries[vote.trial])) for vote in votes]
    reasons = _exclusion_reasons(study, participant, responses)
    return ParticipantResult(participant, responses, reasons)


def _exclusion_reasons(
    study: Study, participant: Participant, responses: Sequence[TrialResponse]
) -> list[str]:
    rule, reasons = study.exclusion, []
    failed = sum(one.chosen.method == FROZEN for one in responses if one.trial.pair.catch)
    if rule.failed_catches and failed >= rule.failed_catches:
        reasons.append(FAILED)
    if rule.unfinished and participant.finished is None:
        reasons.append(UNFINISHED)
    # If somebody stopped early, always the same side may be chance.
    elif participant.finished is not None or len(responses) >= document.MIN_TRIALS_ONE_SIDE:
        if rule.one_side and len({one.vote.choice for one in responses}) == 1:
            reasons.append(ONE_SIDE)
    return reasons
