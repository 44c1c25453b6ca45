import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from core.errors import AtelierError
from core.resumable import Resumable


@dataclass(frozen=True)
class Count:
    done: int
    total: int = 5
    seconds: float = 0.0

    @property
    def finished(self):
        return self.done == self.total


def counted(taken):
    for step in range(6):
        taken.append(step)
        yield Count(step)


def test_work_is_left_and_goes_on_where_it_stood():
    taken = []
    work = Resumable(counted(taken))
    assert work.newest is None
    assert taken == []
    for now in work.advance():
        assert work.newest is now
        if now.done == 2:
            break
    assert not work.finished
    assert [now.done for now in work.advance()] == [3, 4, 5]
    assert work.finished
    assert list(work.advance()) == []
    assert taken == [0, 1, 2, 3, 4, 5]


def test_those_who_watch_together_take_every_step_once():
    """Each watcher sees rising states up to the last, and no step is taken twice."""
    taken, watchers = [], 4
    work = Resumable(counted(taken))
    together = threading.Barrier(watchers)

    def watch():
        together.wait()
        return [now.done for now in work.advance()]

    with ThreadPoolExecutor(watchers) as pool:
        seen = [pool.submit(watch) for _ in range(watchers)]
        seen = [future.result() for future in seen]
    assert taken == [0, 1, 2, 3, 4, 5]
    for one in seen:
        assert one == sorted(set(one))
    assert any(one and one[-1] == 5 for one in seen)


def test_a_second_watcher_gets_the_step_that_the_first_one_waits_for():
    begun, go_on = threading.Event(), threading.Event()

    def slow():
        begun.set()
        go_on.wait(10)
        yield Count(5)

    work = Resumable(slow())
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(lambda: list(work.advance()))
        begun.wait(10)
        second = pool.submit(lambda: list(work.advance()))
        go_on.set()
        assert first.result(10) == [Count(5)]
        assert second.result(10) in ([Count(5)], [])
    assert work.finished


def test_work_that_fails_says_so_and_stays_failed():
    def broken():
        yield Count(0)
        raise ValueError("no")

    work = Resumable(broken())
    with pytest.raises(ValueError, match="no"):
        list(work.advance())
    assert work.failed
    assert work.newest == Count(0)
    with pytest.raises(ValueError, match="no"):  # whoever watches with them is told as well
        list(work.advance())


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("out of memory"), KeyError("x")])
def test_work_without_memory_says_so_and_any_other_failure_is_itself(error):
    def failing():
        yield Count(0)
        raise error

    work = Resumable(failing())
    for _watcher in range(2):
        with pytest.raises(KeyError if isinstance(error, KeyError) else AtelierError):
            list(work.advance())
        assert work.failed
