"""How much of this machine the visitors of a page may take."""

import dataclasses

from data_pipelines.common.errors import UserError

_MEGA = 1_000_000


@dataclasses.dataclass(frozen=True)
class Limits:
    """Each is at least 1. Raises UserError where one is not."""

    upload_mb: int = 25  # Megabytes of a picture or a sound file.
    megapixels: int = (
        16  # Of a picture; 6 bytes each while it is decoded, 30 where it is transparent.
    )
    sound_seconds: int = 60  # Of one video.
    sessions: int = 4  # Visitors at once.
    idle_seconds: int = 300  # Without a word from a visitor, until the place is given to another.
    stalled_seconds: int = 20  # That a visitor who is sent something may take to read it.
    request_seconds: int = 10  # That a connection may take to ask for something.

    def __post_init__(self):
        for name, value in vars(self).items():
            if value < 1:
                raise UserError(f"--{name}={value} is out of range: give 1 or more")

    @property
    def upload_bytes(self) -> int:
        return self.upload_mb * _MEGA

    @property
    def pixels(self) -> int:
        return self.megapixels * _MEGA
