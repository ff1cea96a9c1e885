"""Limits of the live demo."""

import dataclasses

from s2f_jax.apps.server.limits import PageLimits

_MEGA = 1_000_000


@dataclasses.dataclass(frozen=True)
class DemoLimits(PageLimits):
    """How much of this machine the visitors of the live demo may take; each at least 1.

    Attributes:
      upload_mb: Megabytes of a picture or an audio file.
      megapixels: Of a picture; each takes 6 MB while it is decoded, 30 if it is transparent.
      sound_seconds: Seconds of one video.
      sessions: Visitors at once.
      stalled_seconds: Seconds that a visitor may take to read what is sent.
    """

    upload_mb: int = 25
    megapixels: int = 16
    sound_seconds: int = 60
    sessions: int = 4
    stalled_seconds: int = 20

    @property
    def upload_bytes(self) -> int:
        """Most bytes of an upload."""
        return self.upload_mb * _MEGA

    @property
    def pixels(self) -> int:
        """Most pixels of a picture."""
        return self.megapixels * _MEGA
