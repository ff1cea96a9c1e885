"""What C libraries print and no setting of theirs turns off."""

import contextlib
import os
import sys
import threading
from collections.abc import Iterator

_LOCK = threading.Lock()  # Of two at once, one would keep the other's nowhere.


@contextlib.contextmanager
def silenced_stderr() -> Iterator[None]:
    """Nothing that is printed meanwhile comes through, by whatever thread."""
    with _LOCK:
        sys.stderr.flush()
        kept = os.dup(2)
        try:
            with open(os.devnull, "wb") as nowhere:
                os.dup2(nowhere.fileno(), 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
