"""Processes a long list of items in several processes."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_MAX_PROCESSES = 4
"""With more of them, receiving the results becomes the slowest part."""


def run_parallel(
    work: Callable[[Sequence[Item]], Sequence[Result]], items: Sequence[Item], *, per_process: int
) -> list[Result]:
    """The results of ``work`` for all items, in their order, computed by up to four processes.

    The processes are forks, so only results are sent between them. A fork does not copy other
    threads but keeps their locks, so the caller must be single-threaded. Where forking is not
    safe, all work is done in this process.

    Args:
        work: Returns one result for each of the given items, without side effects.
        items: The items to process.
        per_process: The fewest items for which starting a process is worthwhile.

    Raises:
        Exception: the first error of ``work``, as if it had been called with all items.
    """
    processes = min(_count_cores(), _MAX_PROCESSES, len(items) // per_process)
    if processes < 2:
        return list(work(items))
    size = -(-len(items) // processes)
    own, *others = (items[at : at + size] for at in range(0, len(items), size))
    with _freeze_objects():
        started = [_start_process(work, share) for share in others]
        results = list(work(own))
        for share, finish in zip(others, started, strict=True):
            found = finish()
            # After an error run the share again here, to raise the error with its traceback.
            results += work(share) if found is None else found
    return results


@contextmanager
def _freeze_objects() -> Iterator[None]:
    """Exclude existing objects from garbage collection, which would copy shared memory pages."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _count_cores() -> int:
    """The number of CPU cores this process may use; 1 where forking is not safe."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1


def _start_process(
    work: Callable[[Sequence[Item]], Sequence[Result]], share: Sequence[Item]
) -> Callable[[], Sequence[Result] | None]:
    """Start a process; the returned function waits for its results, None after an error."""
    import multiprocessing  # noqa: PLC0415  # few commands need it

    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)

    def run() -> None:
        try:
            sender.send(work(share))
        except BaseException:  # noqa: BLE001  # the parent process raises it again
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
