"""A round-robin scheduler: one thread does a step of each visitor's work in turn."""

import collections
import threading
from typing import Protocol


class Job(Protocol):
    """Work that is done in small steps."""

    def step(self, only_job: bool) -> bool:
        """Does a small part of the work; must not raise.

        Args:
          only_job: Whether no other job is in progress, so that a longer step delays nobody.

        Returns:
          Whether another step could be done at once.
        """
        ...


class RoundRobinScheduler:
    """A thread that steps jobs in turn until `close`: a job waits for one step of each other job.

    The methods may be called from any thread.
    """

    def __init__(self):
        self._changed = threading.Condition()
        self._ready: collections.deque[Job] = collections.deque()
        self._jobs: set[Job] = set()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="model", daemon=True)
        self._thread.start()

    def add(self, job: Job) -> None:
        """Starts a job; its first step is due.

        Args:
          job: A new job.
        """
        with self._changed:
            self._jobs.add(job)
        self.wake(job)

    def wake(self, job: Job) -> None:
        """Schedules a step, unless the job was removed.

        Args:
          job: A job that may be able to do a step now.
        """
        with self._changed:
            if job in self._jobs and job not in self._ready:
                self._ready.append(job)
                self._changed.notify()

    def remove(self, job: Job) -> None:
        """Ends a job; may be called during its step.

        Args:
          job: Gets no further step.
        """
        with self._changed:
            self._jobs.discard(job)
            if job in self._ready:
                self._ready.remove(job)

    def close(self) -> None:
        """Ends the thread after the current step."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._ready or self._closed)
                if self._closed:
                    return
                job = self._ready.popleft()
                only_job = len(self._jobs) == 1
            if job.step(only_job):
                self.wake(job)
