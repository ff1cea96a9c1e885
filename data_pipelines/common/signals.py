"""Signal handlers for the length of a block."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any


@contextlib.contextmanager
def handle_signals(handler: Callable[[int, Any], None], *numbers: int) -> Iterator[None]:
    """Installs a signal handler, and the handlers before it again at the end of the block.

    Only the main thread may install handlers; in another one, nothing happens.

    Args:
      handler: Called with the signal's number and the current stack frame.
      *numbers: The signals.

    Yields:
      None.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)
