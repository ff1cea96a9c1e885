"""Limits of a study's page."""

import dataclasses

from s2f_jax.apps.server.limits import PageLimits


@dataclasses.dataclass(frozen=True)
class StudyLimits(PageLimits):
    """How much of this machine the participants of a study may take; each at least 1.

    Attributes:
      idle_seconds: Seconds without a request after which a place is given to whoever waits.
      people: Participants at once.
      requests_per_minute: Requests of a participant; a trial of two videos takes about 8.
      arrivals_per_minute: New participants and mistyped codes from one address, which a whole class
        may share.
      body_bytes: Bytes of a request's body.
      body_seconds: Seconds that the body may take to arrive.
    """

    idle_seconds: int = 600
    people: int = 100
    requests_per_minute: int = 300
    arrivals_per_minute: int = 60
    body_bytes: int = 4000
    body_seconds: int = 10
