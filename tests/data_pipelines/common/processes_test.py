import os
import time

import pytest

from data_pipelines.common import processes


def third(number):
    """12 / number, of which 0 is none; 13 is deadly where another process does it."""
    if number == 13:
        os._exit(9)
    return 12 / number


def slow_pid(_):
    time.sleep(0.2)
    return os.getpid()


def collected(numbers, workers):
    pairs = processes.process_map(third, numbers, workers)
    return {i: type(r) if isinstance(r, Exception) else r for i, r in pairs}


def test_one_worker_is_this_process():
    assert collected([3, 0, 4], 1) == {3: 4, 0: ZeroDivisionError, 4: 3}
    assert collected([], 0) == {}
    assert [r for _, r in processes.process_map(lambda _: os.getpid(), [1], 8)] == [os.getpid()]


@pytest.mark.slow
def test_an_item_that_kills_its_process_is_found_out():
    done = collected([1, 2, 13, 3, 0, 4], 2)
    assert done == {1: 12, 2: 6, 13: ChildProcessError, 3: 4, 0: ZeroDivisionError, 4: 3}


@pytest.mark.slow
def test_a_pool_keeps_its_processes_and_replaces_those_that_die():
    pool = processes.WorkerPool(2)
    first = dict(pool.each(slow_pid, range(4)))
    assert set(dict(pool.each(slow_pid, range(4))).values()) <= set(first.values())
    assert os.getpid() not in first.values()
    results = dict(pool.each(third, [1, 13, 3]))
    assert results[0] == 12 and results[2] == 4 and isinstance(results[1], ChildProcessError)
    assert dict(pool.each(third, [4])) == {0: 3}
    pool.close()
    assert dict(pool.each(third, [6])) == {0: 2}
    pool.close()


def test_a_pool_of_one_is_this_process():
    assert dict(processes.WorkerPool(1).each(third, [3, 4])) == {0: 4, 1: 3}
