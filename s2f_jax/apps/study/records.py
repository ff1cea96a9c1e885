"""What a study stores: participants and votes; and why a request is rejected."""

import dataclasses

from data_pipelines.common.errors import UserError


class RequestRejected(UserError):
    """A participant's request that cannot be fulfilled; nothing was stored."""


class UnknownCode(RequestRejected):
    """No participant has such a code."""


@dataclasses.dataclass(frozen=True)
class Participant:
    """Somebody who agreed to take part.

    Attributes:
      number: 1, 2, ...; not given again after a withdrawal.
      code: Their secret, to resume or to withdraw.
      trial_list: Index of their trial list in the study ("slot" in the database).
      consented: Date and time, UTC.
      finished: When they gave their last vote; None: they have not.
    """

    number: int
    code: str
    trial_list: int
    consented: str
    finished: str | None


@dataclasses.dataclass(frozen=True)
class Vote:
    """A participant's answer to a trial.

    Attributes:
      participant: Number of the participant.
      trial: Index in their trial list, from 0.
      choice: One of the study's choices.
      plays: Number of times that each video of the trial was played to its end.
      ms: Milliseconds from showing the trial to the vote.
      at: Date and time, UTC.
    """

    participant: int
    trial: int
    choice: str
    plays: tuple[int, ...]
    ms: int
    at: str
