"""Work spread over processes that import no more than it needs."""

import concurrent.futures
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def each(
    work: Callable[[Item], Result], items: Sequence[Item], workers: int
) -> Iterator[tuple[Item, Result | None]]:
    """(item, work(item)) as they are done; None for one that kills its process, tried alone again.

    `workers` processes, 0 for one per core; with one, the work is done here. Items and results are
    pickled.
    """
    workers = min(workers or os.cpu_count() or 1, len(items))
    if workers <= 1:
        yield from ((item, work(item)) for item in items)
        return
    waiting = dict(enumerate(items))
    while waiting:
        try:
            with _pool(workers) as pool:
                running = {pool.submit(work, item): i for i, item in waiting.items()}
                for future in concurrent.futures.as_completed(running):
                    result = future.result()
                    yield waiting.pop(running[future]), result
        except BrokenProcessPool:
            for i in list(waiting)[:workers]:  # They are begun in order, so one of these did it.
                yield waiting[i], _alone(work, waiting[i])
                del waiting[i]


def _alone(work: Callable[[Item], Result], item: Item) -> Result | None:
    try:
        with _pool(1) as pool:
            return pool.submit(work, item).result()
    except BrokenProcessPool:
        return None


def _pool(workers: int) -> concurrent.futures.ProcessPoolExecutor:
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
