"""Whatever a user hands over as a frame, as a stream of chunks. Knows nothing of specs.

pandas, Polars and PyArrow datasets (which import pandas) are recognised by the names of their
classes, and never imported for anything else.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, islice
from typing import Any

import pyarrow as pa

from loader.errors import LoaderError, SourceError

CHUNK_ROWS = 65_536
"""The most rows of one chunk: few enough to bound memory, enough to be vectorised."""

CHUNK_BYTES = 64 << 20
"""The most bytes of one chunk, as far as cutting between rows can keep to it."""

SUPPORTED = (
    "a pandas, Polars or PyArrow table, a DuckDB relation, a polars.LazyFrame,"
    " a pyarrow.RecordBatchReader, a PyArrow dataset, anything else with __arrow_c_stream__,"
    " or an iterable of these"
)

Values = Any
"""A column: a `pyarrow.Array`, or a sequence of Python objects with None for NULL."""


@dataclass(frozen=True)
class Chunk:
    """Some rows of a frame or file."""

    columns: Mapping[str, Values]
    """By source name."""
    rows: int
    origin: str
    """The file, or `frame`, for messages."""
    first_row: int
    """The number of its first row within the origin, from 1."""
    text: bool = False
    """Values came as text, from CSV or JSON, and are read by the spec's source options."""


@dataclass(frozen=True)
class Frame:
    """A stream of chunks and the names of its columns, as the source spells them.

    An iterable that yields nothing has no columns and no chunks.
    """

    columns: tuple[str, ...]
    chunks: Iterator[Chunk]
    rows: int | None = None
    """How many rows there are, when that is known."""


class _NoPandas:
    """An import hook that says there is no pandas."""

    def find_spec(self, name: str, *_: object) -> None:
        if name == "pandas":
            raise ModuleNotFoundError(name)


def spare_pandas() -> None:
    """Keep PyArrow from importing pandas, for a process that has no pandas frames.

    PyArrow imports it at its first look at a Python value, which takes half a second and more. It
    still imports pandas when something is to become a pandas frame.
    """
    if "pandas" in sys.modules:
        return
    hook = _NoPandas()
    sys.meta_path.insert(0, hook)
    try:
        pa.array([])
    finally:
        sys.meta_path.remove(hook)


def open_frame(obj: object) -> Frame:
    """The stream of anything that is a frame.

    Raises:
        SourceError: it is not one, or its columns have no usable names. What goes wrong while
            it is read is raised by the chunks, with the cause kept.
    """
    frame = _open(obj)
    if frame is None:
        raise SourceError(
            f"an object of type {_kind(obj)} is not a frame", hint=f"hand over {SUPPORTED}"
        )
    return frame


def peek(obj: object) -> tuple[Frame, dict[str, str]]:
    """The stream of a frame, of which nothing is lost, and the types its first rows have.

    Raises:
        SourceError: it is no frame, or cannot be read.
    """
    frame = obj if isinstance(obj, Frame) else open_frame(obj)
    chunks = iter(frame.chunks)
    first = list(islice(chunks, 1))
    types = dict.fromkeys(frame.columns, "")
    for chunk in first:
        types |= {name: _type_name(values, chunk) for name, values in chunk.columns.items()}
    return Frame(frame.columns, chain(first, chunks), frame.rows), types


def _type_name(values: Values, chunk: Chunk) -> str:
    if chunk.text:
        return "text"
    if hasattr(values, "type"):
        return str(values.type)
    kinds = sorted({type(value).__name__ for value in values if value is not None})
    return ", ".join(kinds) or "nothing but NULL"


def _open(obj: Any) -> Frame | None:
    if isinstance(obj, str | bytes | Mapping | type):
        return None
    for known, opener in _OPENERS:
        if known(obj):
            return opener(obj)
    return _open_iterable(obj) if isinstance(obj, Iterable) else None


def _kind(obj: object) -> str:
    cls = type(obj)
    return cls.__name__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__name__}"


def _is(package: str, name: str) -> Callable[[object], bool]:
    """Whether an object is of a class of a package, without importing the package."""

    def check(obj: object) -> bool:
        return package in sys.modules and any(
            cls.__name__ == name and cls.__module__.partition(".")[0] == package
            for cls in type(obj).__mro__
        )

    return check


def check_names(names: Sequence[object], origin: str) -> tuple[str, ...]:
    """The names of columns, when each is text and none occurs twice.

    Raises:
        SourceError: one is not, or one does; all are named.
    """
    wrong = [name for name in names if not isinstance(name, str)]
    if wrong:
        raise SourceError(
            f"{origin} has column names that are not text: {', '.join(map(repr, wrong[:9]))}",
            hint="name the columns as the spec does; a pandas index becomes columns by"
            " `frame.reset_index()`",
        )
    texts = [str(name) for name in names]
    twice = [name for name in dict.fromkeys(texts) if texts.count(name) > 1]
    if twice:
        listed = ", ".join(f"`{name}`" for name in twice[:10])
        raise SourceError(f"{origin} has more than one column named {listed}")
    return tuple(texts)


def _open_pandas(obj: Any) -> Frame:
    names = check_names(list(obj.columns), "the frame")
    return Frame(names, _guarded(_pandas_chunks(obj, names), "frame"), rows=len(obj))


def _pandas_chunks(obj: Any, names: Sequence[str]) -> Iterator[Chunk]:
    for start in range(0, len(obj), CHUNK_ROWS):
        piece = obj.iloc[start : start + CHUNK_ROWS]
        columns = {name: _pandas_values(piece.iloc[:, at]) for at, name in enumerate(names)}
        yield Chunk(columns, len(piece), "frame", start + 1)


def _pandas_values(series: Any) -> Values:
    """A column as pandas means it: NaN, NaT and NA are NULL; objects stay objects."""
    if series.dtype != object:
        try:
            return one_array(pa.array(series, from_pandas=True))
        except (pa.ArrowException, TypeError, ValueError):
            pass  # a type without an Arrow form: its values are judged one by one
    values = series.to_numpy(dtype=object, copy=True)
    with suppress(ArithmeticError):  # pandas stumbles over the decimal sNaN, which is then refused
        values[series.isna().to_numpy()] = None
    found: list[object] = values.tolist()
    return found


def one_array(values: Any) -> Any:
    """An array from an array or a chunked one."""
    if not isinstance(values, pa.ChunkedArray):
        return values
    if values.num_chunks == 1:
        return values.chunk(0)
    whole = values.combine_chunks()
    if isinstance(whole, pa.ChunkedArray):
        raise SourceError("a column is too large for one Arrow array")
    return whole


def _open_lazy(obj: Any) -> Frame:
    try:
        names = check_names(obj.collect_schema().names(), "the frame")
    except Exception as error:  # Polars raises many kinds, all of them the frame's own fault
        raise _broken(error, "frame") from error
    if not hasattr(obj, "collect_batches"):  # Polars before 1.34
        return Frame(names, _stream_chunks(iter(obj.collect().to_arrow().to_batches())))
    batches = (
        batch
        for frame in obj.collect_batches(chunk_size=CHUNK_ROWS, lazy=True)
        for batch in pa.RecordBatchReader.from_stream(frame)
    )
    return Frame(names, _stream_chunks(batches))


def _open_stream(obj: Any) -> Frame | None:
    try:
        # Through the C interface, whoever keeps a part of a batch would keep all of it.
        ours = isinstance(obj, pa.RecordBatchReader)
        reader = obj if ours else pa.RecordBatchReader.from_stream(obj)
    except Exception as error:  # another library's stream may raise anything
        if _is_one_column(error):
            return None
        raise _broken(error, "frame") from error
    rows = obj.num_rows if isinstance(obj, pa.Table) else None
    if rows is None and _is("polars", "DataFrame")(obj):
        rows = obj.height
    return Frame(check_names(reader.schema.names, "the frame"), _stream_chunks(reader), rows)


def _is_one_column(error: Exception) -> bool:
    """Whether what was opened is an array, such as a Series."""
    return isinstance(error, pa.ArrowInvalid) and "non-struct type" in str(error)


def _open_batch(obj: Any) -> Frame | None:
    try:
        batch = pa.record_batch(obj)
    except Exception as error:  # another library's array may raise anything
        if _is_one_column(error):
            return None
        raise _broken(error, "frame") from error
    names = check_names(batch.schema.names, "the frame")
    return Frame(names, _stream_chunks(iter([batch])), batch.num_rows)


def _open_dataset(obj: Any) -> Frame:
    scanner = obj.scanner(batch_size=CHUNK_ROWS) if hasattr(obj, "scanner") else obj
    names = check_names(scanner.projected_schema.names, "the dataset")
    return Frame(names, _stream_chunks(scanner.to_reader()))


def _stream_chunks(batches: Iterable[Any]) -> Iterator[Chunk]:
    return number_batches(batches, "frame")


def number_batches(batches: Iterable[Any], origin: str) -> Iterator[Chunk]:
    """Record batches as chunks of bounded size, their rows numbered.

    Raises:
        SourceError: the batches' own reader raised.
    """
    row = 1
    for batch in _guarded(batches, origin):
        step = _step(batch)
        for start in range(0, batch.num_rows, step):
            piece = batch.slice(start, step)
            columns = dict(zip(piece.schema.names, piece.columns, strict=True))
            yield Chunk(columns, piece.num_rows, origin, row)
            row += piece.num_rows


def _step(batch: Any) -> int:
    """How many rows of a batch make a chunk."""
    if batch.num_rows == 0 or batch.nbytes <= CHUNK_BYTES:
        return CHUNK_ROWS
    fitting: int = batch.num_rows * CHUNK_BYTES // batch.nbytes
    return max(1, min(CHUNK_ROWS, fitting))


def _guarded(items: Iterable[Any], origin: str) -> Iterator[Any]:
    """The items, with what their source raises told as a `SourceError`."""
    iterator = iter(items)
    while True:
        try:
            item = next(iterator)
        except StopIteration:
            return
        except LoaderError:
            raise
        except BaseException as error:  # a user's generator may raise anything
            if not _is_fault(error):
                raise
            raise _broken(error, origin) from error
        yield item


def _is_fault(error: BaseException) -> bool:
    """Whether something broke; Polars panics are no `Exception`, nor is what stops a program."""
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"


def _broken(error: BaseException, origin: str) -> SourceError:
    text = str(error).strip() or type(error).__name__
    return SourceError(f"the {origin} cannot be read: {type(error).__name__}: {text}")


def _open_iterable(obj: Iterable[object]) -> Frame | None:
    parts = _guarded(obj, "frame")
    first = next(parts, None)
    if first is None:
        return Frame((), iter(()))
    frame = _open(first)
    if frame is None:
        raise SourceError(
            f"the first item of the {_kind(obj)} is of type {_kind(first)}, which is not a frame",
            hint=f"hand over {SUPPORTED}",
        )
    return Frame(frame.columns, _joined(frame, parts))


def _joined(first: Frame, parts: Iterator[object]) -> Iterator[Chunk]:
    """The chunks of a stream of frames, one after the other, numbered through."""
    row, frame, number = 1, first, 1
    while True:
        for chunk in frame.chunks:
            yield Chunk(chunk.columns, chunk.rows, chunk.origin, row, chunk.text)
            row += chunk.rows
        try:
            part = next(parts)
        except StopIteration:
            return
        number += 1
        found = _open(part)
        if found is None:
            raise SourceError(
                f"item {number} of the stream is of type {_kind(part)}, which is not a frame"
            )
        check_same(found.columns, first.columns, f"item {number} of the stream", "the first item")
        frame = found


def check_same(columns: Sequence[str], wanted: Sequence[str], name: str, other: str) -> None:
    """Refuse a part whose columns are not those of the first one, whatever their order.

    Raises:
        SourceError: they differ; both sides of the difference are named.
    """
    lacks = [f"`{column}`" for column in wanted if column not in columns]
    more = [f"`{column}`" for column in columns if column not in wanted]
    if lacks or more:
        parts = [f"lacks {', '.join(lacks)}"] * bool(lacks)
        parts += [f"has {', '.join(more)} besides"] * bool(more)
        raise SourceError(f"{name} has other columns than {other}: it {' and '.join(parts)}")


_OPENERS: tuple[tuple[Callable[[object], bool], Callable[[Any], Frame | None]], ...] = (
    (_is("pandas", "DataFrame"), _open_pandas),
    (_is("polars", "LazyFrame"), _open_lazy),
    (_is("pyarrow", "Dataset"), _open_dataset),
    (_is("pyarrow", "Scanner"), _open_dataset),
    (lambda obj: hasattr(obj, "__arrow_c_stream__"), _open_stream),
    (lambda obj: hasattr(obj, "__arrow_c_array__"), _open_batch),
)
