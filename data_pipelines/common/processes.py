"""A pool of spawned worker processes that survives the death of a worker."""

import collections
import concurrent.futures
import multiprocessing
import os
import signal
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Self, TypeVar

import cv2

Item = TypeVar("Item")
Result = TypeVar("Result")

_QUEUED_PER_WORKER = 2  # One is being worked on, one is ready to follow it.


class WorkerPool:
    """Worker processes that are reused from one call to the next and end with their parent.

    Workers are spawned as they are needed. They ignore Ctrl-C, which is the parent's to handle, and
    run OpenCV on one thread each. Functions, items and results are pickled. With one worker the
    work is done in the calling process.

    Args:
      workers: Number of processes; 0 is one per core.
      tasks: Number of items in all, if known: no more workers than that.
      initializer: Called once in each worker (with one worker: in this process) before any item.
      initargs: Arguments of `initializer`.

    Attributes:
      workers: Number of processes at most.
    """

    def __init__(
        self,
        workers: int = 0,
        tasks: int | None = None,
        initializer: Callable[..., None] | None = None,
        initargs: tuple = (),
    ):
        self.workers = workers or os.cpu_count() or 1
        if tasks is not None:
            self.workers = min(self.workers, tasks)
        self._initializer, self._initargs = initializer, initargs
        self._initialized_here = False
        self._executor: concurrent.futures.ProcessPoolExecutor | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def map(self, function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
        """Applies a function to every item, with the results in the items' order.

        Args:
          function: Called with one item; a module's top-level function, or a partial of one.
          items: Arguments of the function, one call each.

        Yields:
          The results.

        Raises:
          Exception: What the function raised, or a ChildProcessError if an item killed its worker.
        """
        for result in self.map_with_exceptions(function, items):
            if isinstance(result, Exception):
                raise result
            yield result

    def map_with_exceptions(
        self, function: Callable[[Item], Result], items: Sequence[Item]
    ) -> Iterator[Result | Exception]:
        """Applies a function to every item; an exception takes the place of the item's result.

        Args:
          function: Called with one item; a module's top-level function, or a partial of one.
          items: Arguments of the function, one call each.

        Yields:
          The results in the items' order; exceptions as in `map_unordered`.
        """
        early: dict[int, Result | Exception] = {}
        due = 0
        for index, result in self.map_unordered(function, items):
            early[index] = result
            while due in early:
                yield early.pop(due)
                due += 1

    def map_unordered(
        self, function: Callable[[Item], Result], items: Sequence[Item]
    ) -> Iterator[tuple[int, Result | Exception]]:
        """Applies a function to every item; an error costs only the item that causes it.

        When a worker dies, each item that was in progress is tried again in a process of its own.

        Args:
          function: Called with one item; a module's top-level function, or a partial of one.
          items: Arguments of the function, one call each.

        Yields:
          Index of an item and its result, or the exception that the function raised, or a
          ChildProcessError if the item killed its worker twice; in order of completion.
        """
        if self.workers <= 1:
            yield from self._map_here(function, items)
            return
        waiting = collections.deque(enumerate(items))
        running: dict[concurrent.futures.Future, tuple[int, Item]] = {}
        while waiting or running:
            try:
                while waiting and len(running) < _QUEUED_PER_WORKER * self.workers:
                    future = self._started().submit(function, waiting[0][1])
                    running[future] = waiting.popleft()
                done, _ = concurrent.futures.wait(
                    running, return_when=concurrent.futures.FIRST_COMPLETED
                )
                for future in done:
                    result = _outcome(future)
                    index, _ = running.pop(future)
                    yield index, result
            except BrokenProcessPool:
                self.close()
                unfinished = list(running.values())
                running.clear()
                # Workers take items in order, so that one of the first killed its worker.
                waiting.extendleft(reversed(unfinished[self.workers :]))
                for index, item in unfinished[: self.workers]:
                    yield index, self._run_alone(function, item)

    def close(self) -> None:
        """Ends the workers; later calls start others."""
        if self._executor is not None:
            self._shutdown()
            self._executor = None

    def _map_here(
        self, function: Callable[[Item], Result], items: Sequence[Item]
    ) -> Iterator[tuple[int, Result | Exception]]:
        if self._initializer and not self._initialized_here:
            self._initializer(*self._initargs)
            self._initialized_here = True
        for index, item in enumerate(items):
            try:
                result = function(item)
            except Exception as e:
                result = e
            yield index, result

    def _started(self) -> concurrent.futures.ProcessPoolExecutor:
        if self._executor is None:
            self._executor = self._new_executor(self.workers)
            # An executor that is left to the interpreter's end prints a traceback.
            self._shutdown = weakref.finalize(self, self._executor.shutdown, cancel_futures=True)
        return self._executor

    def _run_alone(self, function: Callable[[Item], Result], item: Item) -> Result | Exception:
        try:
            with self._new_executor(1) as executor:
                return _outcome(executor.submit(function, item))
        except BrokenProcessPool:
            return ChildProcessError("the worker process died")

    def _new_executor(self, workers: int) -> concurrent.futures.ProcessPoolExecutor:
        # Spawned, since forked processes inherit the locks of threads that they do not have.
        context = multiprocessing.get_context("spawn")
        args = (self._initializer, self._initargs)
        return concurrent.futures.ProcessPoolExecutor(workers, context, _initialize_worker, args)


def _outcome(future: concurrent.futures.Future) -> Any:
    # The result or the exception that the function raised.
    error = future.exception()
    if isinstance(error, BrokenProcessPool) or not isinstance(error, Exception | None):
        raise error
    return error or future.result()


def _initialize_worker(initializer: Callable[..., None] | None, initargs: tuple) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent to act upon.
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    cv2.setNumThreads(1)  # There is a process per core already.
    if initializer:
        initializer(*initargs)


def _exit_with_parent() -> None:
    """Ends a worker whose parent was killed; it would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
