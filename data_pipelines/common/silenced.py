"""Silences what C libraries print to stderr and no setting of theirs turns off."""

import contextlib
import os
import sys
import threading
from collections.abc import Iterator

_LOCK = threading.Lock()  # A second block would take the null device for the stderr to restore.


@contextlib.contextmanager
def silenced_stderr() -> Iterator[None]:
    """Discards whatever any thread of the process prints to stderr within a `with` block.

    Yields:
      Nothing.
    """
    with _LOCK:
        sys.stderr.flush()
        saved = os.dup(2)
        try:
            with open(os.devnull, "wb") as null:
                os.dup2(null.fileno(), 2)
            yield
        finally:
            os.dup2(saved, 2)
            os.close(saved)
