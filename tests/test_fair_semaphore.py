"""The semaphore: as many threads at once as it lets in, in the order in which they came."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from loader.fair_semaphore import FairSemaphore


def start(
    semaphore: FairSemaphore, work: Callable[..., None], *arguments: object
) -> threading.Thread:
    """A thread that is at work, or in the queue."""
    entered = threading.Event()

    def run() -> None:
        entered.set()
        work(*arguments)

    thread = threading.Thread(target=run)
    places = seats(semaphore)
    thread.start()
    assert entered.wait(10)
    for _ in range(10_000):
        if seats(semaphore) > places:
            return thread
        time.sleep(0.001)
    raise AssertionError("the thread never came to the semaphore")


def seats(semaphore: FairSemaphore) -> int:
    """How many threads are in blocks or wait for their turn."""
    return len(semaphore._depths) + len(semaphore._waiting)


def join(*threads: threading.Thread) -> None:
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()


@pytest.mark.parametrize("count", [1, 3])
def test_threads_go_on_in_the_order_in_which_they_came(count: int) -> None:
    """As many as it lets in are in their blocks at once, no more, and nobody overtakes."""
    semaphore = FairSemaphore(count)
    order: list[int] = []
    inside: set[int] = set()
    most: list[int] = []
    together = threading.Barrier(count, timeout=10)

    def work(number: int) -> None:
        with semaphore:
            order.append(number)
            inside.add(number)
            together.wait()
            most.append(len(inside))
            together.wait()
            inside.discard(number)

    with semaphore:
        threads = [start(semaphore, work, number) for number in range(9)]
    join(*threads)
    groups = [set(order[at : at + count]) for at in range(0, 9, count)]
    assert groups == [set(range(at, at + count)) for at in range(0, 9, count)]
    assert set(most) == {count}
    assert not semaphore.is_held


def test_a_thread_may_come_again_while_others_wait() -> None:
    """A block inside another one of the same thread does not wait for those who came in between."""
    semaphore = FairSemaphore()
    order: list[str] = []

    def work() -> None:
        with semaphore:
            order.append("other")

    with semaphore:
        thread = start(semaphore, work)
        with semaphore:
            order.append("own")
        assert semaphore.is_held
    join(thread)
    assert order == ["own", "other"]


@pytest.mark.parametrize("late", [False, True], ids=["while it waits", "when it has the turn"])
def test_who_is_interrupted_leaves_the_queue(monkeypatch: pytest.MonkeyPatch, late: bool) -> None:
    """After a Ctrl-C while waiting the next one gets the turn, and no turn is lost."""
    semaphore = FairSemaphore()
    order: list[str] = []
    wait = threading.Event.wait

    def interrupted(self: threading.Event, timeout: float | None = None) -> bool:
        if threading.current_thread().name == "first":
            time.sleep(0.1)
            if late:
                wait(self)
            raise KeyboardInterrupt
        return wait(self, timeout)

    def give_up() -> None:
        threading.current_thread().name = "first"
        with pytest.raises(KeyboardInterrupt), semaphore:
            order.append("interrupted")

    def work() -> None:
        with semaphore:
            order.append("next")

    with semaphore:
        monkeypatch.setattr(threading.Event, "wait", interrupted)
        threads = [start(semaphore, give_up), start(semaphore, work)]
        time.sleep(0 if late else 0.2)
    join(*threads)
    assert order == ["next"]
    assert not semaphore.is_held
