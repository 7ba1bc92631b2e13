"""Removes the staged files of a load, or keeps them, as the `keep` option of its spec says."""

from __future__ import annotations

from loader.errors import StageError, add_line
from loader.spec.model import Staging
from loader.staging.stores.base import Store


def apply_keep(store: Store, prefix: str, staging: Staging, *, failed: bool) -> bool:
    """Remove the staged files of a load that has ended, unless `keep` says otherwise.

    Returns:
        Whether files were kept.
    """
    if staging.keep == "always" or (staging.keep == "failed" and failed):
        return bool(store.list(prefix))
    store.delete(prefix)
    return False


def clean_up_failed(
    store: Store,
    prefix: str,
    staging: Staging,
    error: BaseException,
    what: str = "the staged files",
) -> None:
    """Apply `keep` after a failed load, and add to its error which files are kept.

    Args:
        store: Where the files are.
        prefix: The prefix of the load.
        staging: The options of the spec.
        error: The error of the load, to which a line is added.
        what: What the files are called in that line.
    """
    try:
        if apply_keep(store, prefix, staging, failed=True):
            add_line(error, f"{what} are kept in {store.uri(prefix)}")
    except StageError as second:
        # The first error explains more, so this one only adds a line.
        add_line(error, f"cleaning up failed as well: {second.message}")
