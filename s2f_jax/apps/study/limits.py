"""How much of a study's server its visitors may take."""

import dataclasses

from data_pipelines.common.errors import UserError


@dataclasses.dataclass(frozen=True)
class StudyLimits:
    """Each is at least 1. Raises UserError where one is not."""

    people: int = 100  # At once.
    idle_seconds: int = 600  # Without a word, after which a place is given to whoever waits.
    requests_per_minute: int = 300  # Of a participant; a trial of two videos takes about 8.
    arrivals_per_minute: int = 60  # From one address, which a whole class may share.
    body_bytes: int = 4000  # Of what a page says.
    body_seconds: int = 10  # That it may take to say it.
    request_seconds: int = 10  # That a connection may take to ask for something.

    def __post_init__(self):
        for name, value in vars(self).items():
            if value < 1:
                raise UserError(f"--{name}={value} is out of range: give 1 or more")
