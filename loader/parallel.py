"""Work on very many items by all cores at once."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_MOST = 4
"""Processes at once: taking in the results is what takes time with more of them."""


def shared(
    work: Callable[[Sequence[Item]], Sequence[Result]], items: Sequence[Item], *, enough: int
) -> list[Result]:
    """What ``work`` makes of the items, in their order, by a process on each of a few cores.

    The processes are forks, so they see what this one sees, and only results are sent. A fork
    copies no other thread, and any lock that one holds: this is for a program of one thread. Where
    processes cannot be forked, all is done here.

    Args:
        work: Makes a result of each of some items; it changes nothing else.
        items: What there is to do.
        enough: Items that are worth a process of their own.

    Raises:
        Exception: whatever ``work`` raises first, as if it had been called with all items.
    """
    processes = min(_cores(), _MOST, len(items) // enough)
    if processes < 2:
        return list(work(items))
    size = -(-len(items) // processes)
    own, *others = (items[at : at + size] for at in range(0, len(items), size))
    with _frozen():
        started = [_started(work, share) for share in others]
        results = list(work(own))
        for share, finish in zip(others, started, strict=True):
            found = finish()
            # What went wrong there goes wrong here, with everything that is known of it.
            results += work(share) if found is None else found
    return results


@contextmanager
def _frozen() -> Iterator[None]:
    """Keep the garbage collector off what is there: it would copy every page that is shared."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _cores() -> int:
    """The cores that this process may use; one where forking is not safe."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1


def _started(
    work: Callable[[Sequence[Item]], Sequence[Result]], share: Sequence[Item]
) -> Callable[[], Sequence[Result] | None]:
    """Begin work in a process; what comes back waits for its results, or None."""
    import multiprocessing  # noqa: PLC0415  # most commands are too small for it

    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)

    def run() -> None:
        try:
            sender.send(work(share))
        except BaseException:  # noqa: BLE001  # it is raised again where somebody can be told
            os._exit(1)

    process = context.Process(target=run, daemon=True)
    process.start()
    sender.close()

    def finish() -> Sequence[Result] | None:
        try:
            found: Sequence[Result] = receiver.recv()
        except EOFError:
            return None
        finally:
            process.join()
            receiver.close()
        return found

    return finish
