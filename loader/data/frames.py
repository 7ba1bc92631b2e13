"""Whatever a user hands over as a frame, as a stream of chunks. Knows nothing of specs.

pandas, Polars and PyArrow datasets (which import pandas) are recognised by the names of their
classes, and never imported for anything else.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain, islice
from typing import Any

import pyarrow as pa

from loader.data.combine_batches import Pile, small
from loader.data.pandas_index import index_columns, index_level
from loader.errors import LoaderError, SourceError
from loader.staging import int96

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
    nan_is_null: bool = False
    """Whether NaN inside a document means that a value is missing, as everywhere in pandas."""


class Opaque:
    """A value that Python cannot hold, with its text and why that is so."""

    def __init__(self, text: str, why: str) -> None:
        self.text, self.why = text, why

    def __repr__(self) -> str:
        return self.text


def is_missing(value: object) -> bool:
    """Whether an object is NaT or NA of pandas, or NaT of NumPy; NaN is a number."""
    kind = type(value)
    if kind.__name__ in ("NaTType", "NAType"):
        return kind.__module__.startswith("pandas.")
    times = kind.__module__ == "numpy" and kind.__name__ in ("datetime64", "timedelta64")
    return times and bool(value != value)  # noqa: PLR0124  # only NaT is not itself


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
    """The stream of anything that is a frame; small batches are put together.

    A level of a pandas index that has a name is a column, before the others. One without a name is
    left out when it holds whole numbers, which number the rows, and refused otherwise.

    Raises:
        SourceError: it is not one, or its columns have no usable names. What goes wrong while
            it is read is raised by the chunks, with the cause kept.
    """
    frame = _open(obj)
    if frame is None:
        raise SourceError(
            f"an object of type {_kind(obj)} is not a frame", hint=f"hand over {SUPPORTED}"
        )
    return replace(frame, chunks=gathered(frame.chunks))


def gathered(chunks: Iterable[Chunk]) -> Iterator[Chunk]:
    """Chunks, of which small ones that follow each other in one source are put together."""
    pile, first = Pile(), None
    for chunk in chunks:
        piece = small(chunk.columns, chunk.rows)
        if first and (piece is None or not _goes_on(first, pile, chunk)):
            yield from _taken(pile, first)
            first = None
        if piece is None:
            yield chunk
            continue
        first = first or chunk
        pile.add(piece, chunk.rows)
        if pile.is_full:
            yield from _taken(pile, first)
            first = None
    if first:
        yield from _taken(pile, first)


def _goes_on(first: Chunk, pile: Pile, chunk: Chunk) -> bool:
    """Whether a chunk follows those of a pile, and its values mean the same."""
    alike = replace(chunk, columns=first.columns, rows=first.rows, first_row=first.first_row)
    return (
        alike == first
        and chunk.first_row == first.first_row + pile.rows
        and pile.takes(chunk.columns)
    )


def _taken(pile: Pile, first: Chunk) -> Iterator[Chunk]:
    row = first.first_row
    for columns, rows in pile.take():
        yield replace(first, columns=columns, rows=rows, first_row=row)
        row += rows


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
            hint="name the columns as the spec does",
        )
    texts = [str(name) for name in names]
    twice = [name for name, times in Counter(texts).items() if times > 1]
    if twice:
        listed = ", ".join(f"`{name}`" for name in twice[:10])
        raise SourceError(f"{origin} has more than one column named {listed}")
    return tuple(texts)


def _open_pandas(obj: Any) -> Frame:
    """A pandas frame; the levels of its index that have names are columns, before the others.

    Raises:
        SourceError: its columns have no usable names, or it is not clear what the index is.
    """
    levels = index_columns(obj)
    names = check_names([*levels.values(), *obj.columns], "the frame")
    return Frame(names, _guarded(_pandas_chunks(obj, levels, names)), rows=len(obj))


def _pandas_chunks(obj: Any, levels: Iterable[int], names: Sequence[str]) -> Iterator[Chunk]:
    for start in range(0, len(obj), CHUNK_ROWS):
        piece = obj.iloc[start : start + CHUNK_ROWS]
        series = [index_level(piece.index, at).to_series() for at in levels]
        series += [piece.iloc[:, at] for at in range(piece.shape[1])]
        columns = dict(zip(names, map(_pandas_values, series), strict=True))
        yield Chunk(columns, len(piece), "frame", start + 1, nan_is_null=True)


def _pandas_values(series: Any) -> Values:
    """A column as pandas means it: NaN, NaT and NA are NULL; objects stay objects."""
    if type(series.dtype).__name__ == "SparseDtype":
        series = series.sparse.to_dense()
    categories = getattr(series.dtype, "categories", None)
    if categories is not None and categories.dtype == object:
        # Arrow would find one type for all of them, and cut time stamps among dates to dates.
        series = series.astype(object)
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
        raise _broken(error) from error
    return Frame(names, _guarded(_numbered(_lazy_chunks(obj))))


def _lazy_chunks(obj: Any) -> Iterator[Chunk]:
    if hasattr(obj, "collect_batches"):
        frames = obj.collect_batches(chunk_size=CHUNK_ROWS, lazy=True)
    else:  # Polars before 1.34
        frames = [obj.collect()]
    for frame in frames:
        yield from _polars_chunks(frame)


def _open_polars(obj: Any) -> Frame:
    names = check_names(obj.columns, "the frame")
    return Frame(names, _guarded(_polars_chunks(obj)), obj.height)


def _polars_chunks(frame: Any) -> Iterator[Chunk]:
    """The rows of a Polars frame, objects as the Python values that they are."""
    columns, objects = frame.columns, columns_without_arrow(frame)
    if objects:
        # Something has to tell how many rows there are when no other column is left.
        frame_in_arrow = frame.drop(objects).with_row_index("#" + max(columns, key=len))
    else:
        frame_in_arrow = frame
    for chunk in number_batches(pa.RecordBatchReader.from_stream(frame_in_arrow), "frame"):
        rows = frame.slice(chunk.first_row - 1, chunk.rows)
        found = {
            name: _polars_objects(rows[name]) if name in objects else chunk.columns[name]
            for name in columns
        }
        yield replace(chunk, columns=found)


def columns_without_arrow(frame: Any) -> list[str]:
    """The columns of a Polars frame that Arrow gets as memory addresses, or not at all."""
    schema = frame.collect_schema()
    return [name for name, kind in schema.items() if str(kind) in ("Object", "Int128", "UInt128")]


def _polars_objects(series: Any) -> list[object]:
    return [None if is_missing(value) else value for value in series.to_list()]


def _open_stream(obj: Any) -> Frame | None:
    try:
        reader = _reader(obj)
    except Exception as error:  # another library's stream may raise anything
        if _is_one_column(error):
            return None
        raise _broken(error) from error
    rows = obj.num_rows if isinstance(obj, pa.Table) else None
    return Frame(check_names(reader.schema.names, "the frame"), _stream_chunks(reader), rows)


def _open_duckdb(obj: Any) -> Frame | None:
    """A DuckDB relation; what DuckDB hands to Arrow as something else is marked as such."""
    frame = _open_stream(obj)
    lossy = {
        name: word
        for name, kind in zip(obj.columns, obj.types, strict=True)
        if (word := _lossy_in_arrow(kind))
    }
    if frame is None or not lossy:
        return frame
    return Frame(frame.columns, _marked(frame.chunks, lossy), frame.rows)


_LOSSY = ("uhugeint", "bit", "time with time zone")
"""Types of DuckDB that become negative numbers, DuckDB's own bytes, and times without a zone."""


def _lossy_in_arrow(kind: Any) -> str | None:
    """A type of DuckDB, or one nested in it, that Arrow gets with other values."""
    if kind.id in _LOSSY:
        return str(kind.id)
    if kind.id not in ("list", "array", "struct", "map", "union"):
        return None
    inner = (_lossy_in_arrow(each) for _, each in kind.children if hasattr(each, "id"))
    return next((word for word in inner if word), None)


def _marked(chunks: Iterable[Chunk], names: Mapping[str, str]) -> Iterator[Chunk]:
    """The chunks, with columns of an opaque type that bears a name."""
    for chunk in chunks:
        columns = {name: _opaque(chunk.columns[name], word) for name, word in names.items()}
        yield replace(chunk, columns={**chunk.columns, **columns})


def _reader(obj: Any) -> Any:
    """A `pyarrow.RecordBatchReader` of whatever streams.

    Of PyArrow's own objects it is made without the C interface, through which whoever keeps a part
    of a batch keeps all of it, and extension types inside of dictionaries are lost.
    """
    if isinstance(obj, pa.RecordBatchReader):
        return obj
    if isinstance(obj, pa.Table):
        return obj.to_reader()
    if isinstance(obj, pa.RecordBatch):
        return pa.RecordBatchReader.from_batches(obj.schema, [obj])
    return pa.RecordBatchReader.from_stream(obj)


def _is_one_column(error: Exception) -> bool:
    """Whether what was opened is an array, such as a Series."""
    return isinstance(error, pa.ArrowInvalid) and "non-struct type" in str(error)


def _open_batch(obj: Any) -> Frame | None:
    try:
        batch = pa.record_batch(obj)
    except Exception as error:  # another library's array may raise anything
        if _is_one_column(error):
            return None
        raise _broken(error) from error
    names = check_names(batch.schema.names, "the frame")
    return Frame(names, _stream_chunks(iter([batch])), batch.num_rows)


def _open_dataset(obj: Any) -> Frame:
    scanner = obj.scanner(batch_size=CHUNK_ROWS) if hasattr(obj, "scanner") else obj
    names = check_names(scanner.projected_schema.names, "the dataset")
    if scanner is not obj and int96.may_be_in(obj.schema):
        # PyArrow has no public way to ask for a dataset's filter, or for the files of such a one.
        wanted = getattr(obj, "_scan_options", {}).get("filter")
        fragments = list(obj._get_fragments(wanted))
        if all(hasattr(each, "row_groups") for each in fragments):  # they are Parquet files
            stamps = int96.columns_of(fragments, obj.schema)
            if stamps:
                chunks = _int96_chunks(fragments, obj.schema, stamps, wanted)
                return Frame(names, _guarded(chunks))
    return Frame(names, _stream_chunks(scanner.to_reader()))


def _int96_chunks(
    fragments: Sequence[Any], schema: Any, stamps: Mapping[str, Any], wanted: Any
) -> Iterator[Chunk]:
    """The chunks of a dataset with INT96; its filter looks at what is really in the files."""
    import pyarrow.dataset as ds  # noqa: PLC0415  # as above

    types = [pa.field(each.name, stamps.get(each.name, each.type)) for each in schema]
    coarse_parts = [int96.in_microseconds(each) for each in fragments]
    coarse = ds.FileSystemDataset(coarse_parts, pa.schema(types), coarse_parts[0].format)
    fine = ds.FileSystemDataset(fragments, schema, fragments[0].format)
    chunks = _stream_chunks(coarse.scanner(batch_size=CHUNK_ROWS).to_reader())
    batches = fine.scanner(columns=list(stamps), batch_size=CHUNK_ROWS).to_reader()
    return _numbered(exact_int96(chunks, batches, list(stamps), wanted))


def exact_int96(
    chunks: Iterable[Chunk], fine: Iterable[Any], names: Sequence[str], wanted: Any = None
) -> Iterator[Chunk]:
    """Chunks whose columns of Parquet's INT96 were read in microseconds, with all of their digits.

    Args:
        chunks: The chunks.
        fine: Record batches of these columns in nanoseconds, of the same rows, cut as may be.
        names: The columns that hold INT96.
        wanted: A `pyarrow.compute.Expression` that the rows have to fulfil.
    """
    batches, held = iter(fine), pa.table({})
    for chunk in chunks:
        parts = held.to_batches()
        while sum(part.num_rows for part in parts) < chunk.rows:
            parts.append(next(batches))
        held = pa.Table.from_batches(parts)
        stamps = {name: one_array(held[name].slice(0, chunk.rows)) for name in names}
        held = held.slice(chunk.rows)
        columns = dict(chunk.columns)
        if wanted is not None:
            rows = _rows_where(wanted, columns, chunk.rows)
            columns = {name: values.take(rows) for name, values in columns.items()}
            stamps = {name: values.take(rows) for name, values in stamps.items()}
            chunk = replace(chunk, rows=len(rows))  # noqa: PLW2901
        columns |= {name: _exact_stamps(columns[name], stamps[name]) for name in names}
        yield replace(chunk, columns=columns)


def _rows_where(wanted: Any, columns: Mapping[str, Any], rows: int) -> Any:
    number = "#" + max(columns, key=len)
    table = pa.table({**columns, number: range(rows)})
    return one_array(table.filter(wanted)[number])


def _exact_stamps(coarse: Any, fine: Any) -> Values:
    exact = int96.exact_stamps(coarse, fine)
    if exact is not None:
        return exact
    finer = int96.finer_rows(coarse, fine)
    return [_stamp(value, finer=no) for value, no in zip(coarse, finer, strict=True)]


def _stamp(value: Any, *, finer: bool) -> object:
    if finer:
        return Opaque(str(value), "is finer than a microsecond")
    try:
        return value.as_py()
    except (ValueError, OverflowError) as error:
        return Opaque(str(value), f"is out of bounds: {error}")


def _stream_chunks(batches: Iterable[Any]) -> Iterator[Chunk]:
    return number_batches(_guarded(batches), "frame")


def number_batches(batches: Iterable[Any], origin: str) -> Iterator[Chunk]:
    """Record batches as chunks of bounded size, their rows numbered."""
    row = 1
    for batch in batches:
        step = _step(batch)
        for start in range(0, batch.num_rows, step):
            piece = batch.slice(start, step)
            columns = dict(zip(piece.schema.names, map(_typed, piece.schema, piece), strict=True))
            yield Chunk(columns, piece.num_rows, origin, row)
            row += piece.num_rows


def _numbered(chunks: Iterable[Chunk]) -> Iterator[Chunk]:
    """The chunks of one stream after another, their rows numbered through."""
    row = 1
    for chunk in chunks:
        yield replace(chunk, first_row=row)
        row += chunk.rows


def _typed(field: Any, array: Any) -> Any:
    """An array, of an opaque type when PyArrow gives the storage of an extension type for it.

    PyArrow does so for extension types that nobody registered, and what they mean is not known.
    """
    name = _unregistered(field)
    return array if name is None else _opaque(array, name)


def _opaque(array: Any, name: str) -> Any:
    """An array of which only the storage is known."""
    if isinstance(array.type, pa.BaseExtensionType):
        return array
    return pa.opaque(array.type, name, "").wrap_array(array)


def _unregistered(field: Any) -> str | None:
    """The name of an extension type, in a field or nested in it, that PyArrow does not know."""
    if isinstance(field.type, pa.BaseExtensionType):
        return None
    name = (field.metadata or {}).get(b"ARROW:extension:name")
    if name is not None:
        return str(name, errors="replace")
    inner = (_unregistered(field.type.field(at)) for at in range(field.type.num_fields))
    return next((name for name in inner if name is not None), None)


def _step(batch: Any) -> int:
    """How many rows of a batch make a chunk."""
    if batch.num_rows == 0 or batch.nbytes <= CHUNK_BYTES:
        return CHUNK_ROWS
    fitting: int = batch.num_rows * CHUNK_BYTES // batch.nbytes
    return max(1, min(CHUNK_ROWS, fitting))


def _guarded(items: Iterable[Any]) -> Iterator[Any]:
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
            raise _broken(error) from error
        yield item


def _is_fault(error: BaseException) -> bool:
    """Whether something broke; Polars panics are no `Exception`, nor is what stops a program."""
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"


def _broken(error: BaseException) -> SourceError:
    text = str(error).strip() or type(error).__name__
    return SourceError(f"the frame cannot be read: {type(error).__name__}: {text}")


def _open_iterable(obj: Iterable[object]) -> Frame | None:
    parts = _guarded(obj)
    first = next(parts, None)
    if first is None:
        return Frame((), iter(()))
    frame = _open(first)
    if frame is None:
        raise SourceError(
            f"the first item of the {_kind(obj)} is of type {_kind(first)}, which is not a frame",
            hint=f"hand over {SUPPORTED}",
        )
    return Frame(frame.columns, _numbered(_joined(frame, parts)))


def _joined(first: Frame, parts: Iterator[object]) -> Iterator[Chunk]:
    """The chunks of a stream of frames, one after the other."""
    frame, number = first, 1
    while True:
        yield from frame.chunks
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
    found, known = frozenset(columns), frozenset(wanted)
    lacks = [f"`{column}`" for column in wanted if column not in found]
    more = [f"`{column}`" for column in columns if column not in known]
    if lacks or more:
        parts = [f"lacks {', '.join(lacks)}"] * bool(lacks)
        parts += [f"has {', '.join(more)} besides"] * bool(more)
        raise SourceError(f"{name} has other columns than {other}: it {' and '.join(parts)}")


_OPENERS: tuple[tuple[Callable[[object], bool], Callable[[Any], Frame | None]], ...] = (
    (_is("pandas", "DataFrame"), _open_pandas),
    (_is("polars", "DataFrame"), _open_polars),
    (_is("polars", "LazyFrame"), _open_lazy),
    (_is("pyarrow", "Dataset"), _open_dataset),
    (_is("pyarrow", "Scanner"), _open_dataset),
    (_is("duckdb", "DuckDBPyRelation"), _open_duckdb),
    (lambda obj: hasattr(obj, "__arrow_c_stream__"), _open_stream),
    (lambda obj: hasattr(obj, "__arrow_c_array__"), _open_batch),
)
