"""Exceptions of the libraries and generators that frames come from, turned into `SourceError`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from loader.errors import LoaderError, SourceError


def raise_source_errors(items: Iterable[Any]) -> Iterator[Any]:
    """Yield the items; an exception of their source is raised as `SourceError`, its cause kept.

    Exceptions that stop a program (such as KeyboardInterrupt) and Loader's own pass unchanged.
    """
    iterator = iter(items)
    while True:
        try:
            item = next(iterator)
        except StopIteration:
            return
        except LoaderError:
            raise
        except BaseException as error:  # a user's generator may raise anything
            if not _is_failure(error):
                raise
            raise unreadable_frame(error) from error
        yield item


def _is_failure(error: BaseException) -> bool:
    """Whether it is a failure; a panic of Polars is not an `Exception`, but a failure."""
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"


def unreadable_frame(error: BaseException) -> SourceError:
    """The error to raise for a frame whose library raised this exception."""
    text = str(error).strip() or type(error).__name__
    return SourceError(f"the frame cannot be read: {type(error).__name__}: {text}")
