"""One thread for the work of all visitors: a step of each in turn."""

import collections
import threading
from typing import Protocol


class Work(Protocol):
    def step(self, alone: bool) -> bool:
        """A small part of it; whether more could be done at once. alone: no other work is open.

        It must not raise.
        """
        ...


class Turns:
    """The thread, until `close`. A visitor waits for a step of each other one at most."""

    def __init__(self):
        self._changed = threading.Condition()
        self._waiting: collections.deque[Work] = collections.deque()
        self._open: set[Work] = set()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="model", daemon=True)
        self._thread.start()

    def enter(self, work: Work) -> None:
        """It begins, with a step."""
        with self._changed:
            self._open.add(work)
        self.wake(work)

    def wake(self, work: Work) -> None:
        """It can do a step, if it has not ended."""
        with self._changed:
            if work in self._open and work not in self._waiting:
                self._waiting.append(work)
                self._changed.notify()

    def leave(self, work: Work) -> None:
        """It has ended; also called in its step."""
        with self._changed:
            self._open.discard(work)
            if work in self._waiting:
                self._waiting.remove(work)

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._closed)
                if self._closed:
                    return
                work = self._waiting.popleft()
                alone = len(self._open) == 1
            more = work.step(alone)
            with self._changed:
                if more and work in self._open and work not in self._waiting:
                    self._waiting.append(work)
