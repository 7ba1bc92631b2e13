"""The semaphore: as many threads at once as it lets in, in the order in which they came."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from loader.fair_semaphore import FairSemaphore


def start(work: Callable[..., None], *arguments: object) -> threading.Thread:
    """A thread that is at work, or waits for its turn."""
    thread = threading.Thread(target=work, args=arguments)
    thread.start()
    time.sleep(0.02)
    return thread


def join(*threads: threading.Thread) -> None:
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()


@pytest.mark.parametrize("count", [1, 3])
def test_threads_go_on_in_the_order_in_which_they_came(count: int) -> None:
    """At most so many are in their blocks at once, and nobody overtakes."""
    semaphore = FairSemaphore(count)
    order: list[int] = []
    inside: set[int] = set()
    most: list[int] = []

    def work(number: int) -> None:
        with semaphore:
            order.append(number)
            inside.add(number)
            most.append(len(inside))
            time.sleep(0.05)
            inside.discard(number)

    with semaphore:
        threads = [start(work, number) for number in range(9)]
    join(*threads)
    assert order == sorted(order)
    assert max(most) == count
    assert not semaphore.is_held


def test_a_thread_may_come_again_while_others_wait() -> None:
    """A block inside another one of the same thread does not wait for those who came in between."""
    semaphore = FairSemaphore()
    order: list[str] = []

    def work() -> None:
        with semaphore:
            order.append("other")

    with semaphore:
        thread = start(work)
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
        threads = [start(give_up), start(work)]
        time.sleep(0 if late else 0.2)
    join(*threads)
    assert order == ["next"]
    assert not semaphore.is_held
