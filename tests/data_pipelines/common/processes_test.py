import os
import time

import cv2
import pytest

from data_pipelines.common import processes


def divide(number):
    """12 / number; 0 raises, 13 kills the process."""
    if number == 13:
        os._exit(9)
    return 12 / number


def slow_pid(_):
    time.sleep(0.2)
    return os.getpid()


def late_first(number):
    time.sleep(0.1 * number)
    return number


def remember(value):
    global _remembered
    _remembered = value


def recall(_):
    return _remembered


def opencv_threads(_):
    return cv2.getNumThreads()


def collected(numbers, workers):
    """Each number and its result, or the type of its exception."""
    with processes.WorkerPool(workers, len(numbers)) as pool:
        results = dict(pool.map_unordered(divide, numbers))
    return {
        n: type(r) if isinstance(r := results[i], Exception) else r for i, n in enumerate(numbers)
    }


def test_one_worker_is_this_process():
    assert collected([3, 0, 4], 1) == {3: 4, 0: ZeroDivisionError, 4: 3}
    assert collected([], 0) == {}
    assert list(processes.WorkerPool(8, tasks=1).map(lambda _: os.getpid(), [1])) == [os.getpid()]


@pytest.mark.slow
def test_an_item_that_kills_its_worker_costs_only_itself():
    done = collected([1, 2, 13, 3, 0, 4], 2)
    assert done == {1: 12, 2: 6, 13: ChildProcessError, 3: 4, 0: ZeroDivisionError, 4: 3}


@pytest.mark.slow
def test_a_pool_reuses_its_workers_and_replaces_those_that_die():
    pool = processes.WorkerPool(2)
    first = dict(pool.map_unordered(slow_pid, range(4)))
    assert set(dict(pool.map_unordered(slow_pid, range(4))).values()) <= set(first.values())
    assert os.getpid() not in first.values()
    results = dict(pool.map_unordered(divide, [1, 13, 3]))
    assert results[0] == 12 and results[2] == 4 and isinstance(results[1], ChildProcessError)
    assert dict(pool.map_unordered(divide, [4])) == {0: 3}
    pool.close()
    assert dict(pool.map_unordered(divide, [6])) == {0: 2}
    pool.close()


def test_a_pool_of_one_is_this_process():
    assert dict(processes.WorkerPool(1).map_unordered(divide, [3, 4])) == {0: 4, 1: 3}


@pytest.mark.slow
def test_results_come_in_order_and_the_first_exception_is_raised():
    with processes.WorkerPool(2) as pool:
        assert list(pool.map(late_first, [3, 2, 1, 0])) == [3, 2, 1, 0]
        with pytest.raises(ZeroDivisionError):
            list(pool.map(divide, [3, 0, 4]))
        first, killed, last = pool.map_with_exceptions(divide, [3, 13, 4])
    assert (first, type(killed), last) == (4, ChildProcessError, 3)


@pytest.mark.slow
def test_every_worker_is_initialized_before_its_items():
    with processes.WorkerPool(2, initializer=remember, initargs=("me",)) as pool:
        assert list(pool.map(recall, range(5))) == ["me"] * 5
    with processes.WorkerPool(1, initializer=remember, initargs=("here",)) as pool:
        assert list(pool.map(recall, range(2))) == ["here"] * 2


@pytest.mark.slow
def test_many_items_wait_here_and_not_in_the_workers_queue():
    with processes.WorkerPool(2) as pool:
        results = pool.map_unordered(slow_pid, range(1000))
        next(results)
        start = time.monotonic()
        results.close()
        pool.close()
    assert time.monotonic() - start < 5


def test_workers_run_opencv_on_one_thread():
    with processes.WorkerPool(2) as pool:
        assert set(pool.map(opencv_threads, range(2))) == {1}
