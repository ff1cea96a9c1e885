"""Limits of a study's page."""

import dataclasses

from s2f_jax.apps.server.limits import PageLimits


@dataclasses.dataclass(frozen=True)
class StudyLimits(PageLimits):
    """How much of this machine the participants of a study may take; each at least 1.

    Attributes:
      idle_seconds: seconds without a request after which a place is given to whoever waits.
      people: most participants at once.
      requests_per_minute: most requests of a participant a minute.
      arrivals_per_minute: most new participants and mistyped codes a minute from one address.
      body_bytes: most bytes of a request's body.
      body_seconds: seconds that the body may take to arrive.
    """

    idle_seconds: int = 600
    people: int = 100
    requests_per_minute: int = 300  # A trial of two videos takes about 8.
    arrivals_per_minute: int = 60  # A whole class may share an address.
    body_bytes: int = 4000
    body_seconds: int = 10
