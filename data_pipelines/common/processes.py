"""Work spread over processes that import no more than it needs."""

import concurrent.futures
import contextlib
import multiprocessing
import os
import signal
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def process_map(
    work: Callable[[Item], Result], items: Sequence[Item], workers: int
) -> Iterator[tuple[Item, Result | Exception]]:
    """(item, work(item)) as they are done, or the exception that it raised.

    `workers` processes, 0 for one per core; with one, the work is done here. Items and results are
    pickled. Of the items under way when a process dies, each is tried alone; the one that kills its
    process again gives a ChildProcessError.
    """
    with contextlib.closing(WorkerPool(min(workers or os.cpu_count() or 1, len(items)))) as pool:
        for i, result in pool.each(work, items):
            yield items[i], result


class WorkerPool:
    """Processes that wait for more work from one call to the next; they end with this one."""

    def __init__(self, workers: int):
        """workers: 0 for one per core; with one, the work is done in this process."""
        self.workers = workers or os.cpu_count() or 1
        self._processes: concurrent.futures.ProcessPoolExecutor | None = None

    def each(
        self, work: Callable[[Item], Result], items: Sequence[Item]
    ) -> Iterator[tuple[int, Result | Exception]]:
        """(number of the item, its result) as the function of that name has it."""
        if self.workers <= 1:
            for i, item in enumerate(items):
                try:
                    result = work(item)
                except Exception as e:
                    result = e
                yield i, result
            return
        waiting = dict(enumerate(items))
        while waiting:
            try:
                if self._processes is None:
                    self._processes = _processes(self.workers)
                    # Those left to the interpreter's end would print a traceback.
                    self._end = weakref.finalize(
                        self, self._processes.shutdown, cancel_futures=True
                    )
                running = {self._processes.submit(work, item): i for i, item in waiting.items()}
                for future in concurrent.futures.as_completed(running):
                    result, i = _outcome(future), running[future]
                    del waiting[i]
                    yield i, result
            except BrokenProcessPool:
                self.close()
                for i in list(waiting)[: self.workers]:  # They are begun in order: one did it.
                    yield i, _alone(work, waiting.pop(i))

    def close(self) -> None:
        """Ends the processes; more work starts others."""
        if self._processes is not None:
            self._end()
            self._processes = None


def _outcome(future: concurrent.futures.Future) -> Any:
    """The result or the exception; raises BrokenProcessPool."""
    error = future.exception()
    if isinstance(error, BrokenProcessPool) or not isinstance(error, Exception | None):
        raise error
    return error or future.result()


def _alone(work: Callable[[Item], Result], item: Item) -> Result | Exception:
    try:
        with _processes(1) as pool:
            return _outcome(pool.submit(work, item))
    except BrokenProcessPool:
        return ChildProcessError("the process that did it died")


def _processes(workers: int) -> concurrent.futures.ProcessPoolExecutor:
    # Spawned, since forked processes inherit the locks of threads that they do not have.
    context = multiprocessing.get_context("spawn")
    return concurrent.futures.ProcessPoolExecutor(workers, context, _start)


def _start() -> None:
    """What a worker does first."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent to act upon.
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent() -> None:
    """A worker whose parent was killed would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
