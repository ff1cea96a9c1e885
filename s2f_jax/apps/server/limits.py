"""Limits on how much of this machine the visitors of a page may take."""

import dataclasses
from typing import NamedTuple

from data_pipelines.common.errors import UserError


@dataclasses.dataclass(frozen=True)
class PageLimits:
    """Limits that every page has; those of one page are fields of a subclass, each at least 1.

    The help of the command line shows the descriptions below.

    Attributes:
      idle_seconds: seconds without a message after which a visitor's place is free for another.
      request_seconds: seconds that a connection may take to send a request.

    Raises:
      UserError: A limit is less than 1.
    """

    idle_seconds: int = 300
    request_seconds: int = 10

    def __post_init__(self):
        for name, value in vars(self).items():
            if value < 1:
                raise UserError(f"--{name}={value}: must be at least 1")


class ConnectionLimits(NamedTuple):
    """How many connections may be open; a request on a further one is answered with status 503.

    Attributes:
      total: Connections of all addresses together.
      per_address: Connections of one address.
      request_seconds: Seconds that each may take to send the whole head of a request.
    """

    total: int
    per_address: int
    request_seconds: int
