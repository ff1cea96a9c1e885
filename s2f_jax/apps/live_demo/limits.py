"""Limits of the live demo."""

import dataclasses

from s2f_jax.apps.server.limits import PageLimits


@dataclasses.dataclass(frozen=True)
class DemoLimits(PageLimits):
    """How much of this machine the visitors of the live demo may take; each at least 1.

    Attributes:
      upload_mb: most megabytes of a picture or an audio file.
      megapixels: most megapixels of a picture; decoding takes 6 MB for each, 30 if transparent.
      sound_seconds: longest video, in seconds.
      sessions: most visitors at once.
      stalled_seconds: seconds that a visitor may take to read what is sent.
    """

    upload_mb: int = 25
    megapixels: int = 16
    sound_seconds: int = 60
    sessions: int = 4
    stalled_seconds: int = 20
