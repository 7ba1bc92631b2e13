"""The errors of executors, as this process raises them."""

from __future__ import annotations

import re

from loader import errors
from loader.data.from_spark import find_cause, unreadable_spark
from loader.errors import ConfigError, LoaderError

_OURS = re.compile(r"loader\.errors\.(\w+): (.*)", re.DOTALL)
_MISSING = re.compile(r"ModuleNotFoundError: No module named '(loader|pyarrow|pydantic|duckdb)\b")


def to_loader_error(error: Exception) -> LoaderError:
    """The error of a load for an exception of Spark, which has the traceback of a task in its text.

    An error that Loader raised in the last attempt of a task is of the same class here.
    """
    cause = find_cause(str(error))
    if missing := _MISSING.search(cause):
        return ConfigError(
            f"the executors of Spark cannot import `{missing[1]}`",
            hint="install loader in the Python of the executors: in their image, or as an archive"
            " with spark.archives; PYSPARK_PYTHON names that Python",
        )
    if ours := _OURS.match(cause):
        kind = getattr(errors, ours[1], LoaderError)
        message, _, hint = ours[2].partition("\n\nhint: ")
        if isinstance(kind, type) and issubclass(kind, LoaderError):
            return kind(f"in an executor of Spark: {message.strip()}", hint=hint.strip() or None)
    return unreadable_spark(error)
