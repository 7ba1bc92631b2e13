"""Arrow types of declared types, and source arrays as plain arrays or Python objects.

A plain array has no dictionary, run ends, views, large offsets or extension type.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from loader.data.batches import to_array
from loader.data.chunk import UnsupportedValue
from loader.sql.datatypes import DataType

Array = Any
"""A `pyarrow.Array`; pyarrow has no type stubs."""

_TYPES = {
    "smallint": pa.int16(),
    "integer": pa.int32(),
    "bigint": pa.int64(),
    "real": pa.float32(),
    "double precision": pa.float64(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "time": pa.time64("us"),
    "timestamp": pa.timestamp("us"),
    "timestamptz": pa.timestamp("us", "UTC"),
    "varbyte": pa.binary(),
}


def arrow_type(data_type: DataType) -> Any:
    """The Arrow type in which values of a declared type are staged; text where Arrow has none."""
    if data_type.name == "decimal":
        return pa.decimal128(data_type.precision, data_type.scale)
    return _TYPES.get(data_type.name, pa.string())


def take_values(values: Any, rows: Sequence[int]) -> list[object]:
    """The values of some rows of a column, as Python objects."""
    if not is_arrow(values):
        return [values[row] for row in rows]
    bare = to_plain(values)
    return (
        take_values(bare, rows) if not is_arrow(bare) else python_values(bare.take(pa.array(rows)))
    )


def is_arrow(values: object) -> bool:
    """Whether a column is an Arrow array, not a sequence of Python objects."""
    return isinstance(values, pa.Array | pa.ChunkedArray)


# Source arrays as plain arrays.

_STORED = ("arrow.json", "arrow.fixed_shape_tensor", "geoarrow.wkb", "geoarrow.wkt")


def to_plain_documents(array: Array) -> Any:
    """Like `to_plain`, but with UUIDs as Python objects, since their text is not JSON."""
    kind = array.type
    if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
        kind = kind.value_type
    return python_values(to_array(array)) if kind == pa.uuid() else to_plain(array)


def to_plain(array: Array) -> Any:
    """The plain array, or a list of its values as Python objects where Arrow cannot unwrap it."""
    try:
        return unwrap_array(array)
    except (pa.ArrowException, ValueError, TypeError):
        return python_values(to_array(array))


def unwrap_array(array: Array) -> Array:
    """The plain array of the same values.

    Raises:
        pa.ArrowException: PyArrow cannot convert it; ValueError and TypeError too.
    """
    array = to_array(array)
    kind = array.type
    if isinstance(kind, pa.BaseExtensionType):
        return _from_extension(array)
    if pa.types.is_dictionary(kind):
        if isinstance(
            kind.value_type, pa.BaseExtensionType
        ):  # decoding would give the storage of some
            return unwrap_array(array.dictionary).take(array.indices)
        return unwrap_array(array.dictionary_decode())
    if pa.types.is_run_end_encoded(kind):
        return unwrap_array(pc.run_end_decode(array))
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return array.cast(pa.string())
    if pa.types.is_float16(kind):
        return array.cast(pa.float32())
    if pa.types.is_date64(kind):
        return _whole_days(array)
    if type_family(kind) == "binary" and kind != pa.binary():
        return array.cast(pa.binary())
    return array


def _whole_days(array: Array) -> Array:
    """64-bit dates as 32-bit dates; as time stamps where one has a time of day."""
    try:
        return array.cast(pa.date32())
    except pa.ArrowInvalid:
        return array.view(pa.int64()).view(pa.timestamp("ms"))


def _from_extension(array: Array) -> Array:
    name = array.type.extension_name
    if name == "arrow.uuid":
        return pa.array([None if v is None else str(v) for v in array.to_pylist()], pa.string())
    if name == "arrow.bool8":
        return array.storage.cast(pa.bool_())
    if name == "arrow.fixed_shape_tensor" and len(array.type.shape) > 1:
        return array  # its storage lacks the inner lists
    if name == "arrow.opaque":
        name = array.type.type_name
    return unwrap_array(array.storage) if name in _STORED else array


_IN_PYTHON = ("arrow.uuid", "arrow.bool8", "geoarrow.wkt")


def unknown_extension_name(arrow: Any) -> str | None:
    """The name of an extension type, also nested, of which Python only sees the storage."""
    if isinstance(arrow, pa.BaseExtensionType):
        opaque = arrow.extension_name == "arrow.opaque"
        name = str(arrow.type_name if opaque else arrow.extension_name)
        return None if name in _IN_PYTHON else name
    if pa.types.is_dictionary(arrow) or pa.types.is_run_end_encoded(arrow):
        return unknown_extension_name(arrow.value_type)
    inners = (unknown_extension_name(each.type) for each in _fields(arrow))
    return next((name for name in inners if name is not None), None)


def _fields(arrow: Any) -> list[Any]:
    return [arrow.field(at) for at in range(arrow.num_fields)]


_KINDS: tuple[tuple[str, Callable[[Any], bool]], ...] = (
    ("null", pa.types.is_null),
    ("boolean", pa.types.is_boolean),
    ("integer", pa.types.is_integer),
    ("float", pa.types.is_floating),
    ("decimal", pa.types.is_decimal),
    ("text", pa.types.is_string),
    ("binary", pa.types.is_binary),
    ("binary", pa.types.is_large_binary),
    ("binary", pa.types.is_binary_view),
    ("binary", pa.types.is_fixed_size_binary),
    ("date", pa.types.is_date),
    ("time", pa.types.is_time),
    ("duration", pa.types.is_duration),
    ("interval", pa.types.is_interval),
)


def type_family(arrow: Any) -> str:
    """The family of an Arrow type, by which `vectorized` finds its casts."""
    if isinstance(arrow, pa.BaseExtensionType):
        return "other"
    if pa.types.is_timestamp(arrow):
        return "timestamp" if arrow.tz is None else "timestamptz"
    return next((kind for kind, known in _KINDS if known(arrow)), "other")


# Arrow values as Python objects.


def python_values(array: Array) -> list[object]:
    """The values as Python objects; those that Python cannot represent as `UnsupportedValue`."""
    if pa.types.is_float32(array.type):
        # NumPy's 32-bit floats keep their shortest decimal.
        floats = array.to_numpy(zero_copy_only=False)
        valid = array.is_valid().to_pylist()
        return [value if ok else None for value, ok in zip(floats, valid, strict=True)]
    if getattr(array.type, "unit", "") == "ns":
        return _from_nanoseconds(array)
    if name := unknown_extension_name(array.type):
        return _opaque_values(array, name)
    if pa.types.is_time(array.type):
        return _times_of_day(array)
    try:
        array = _inner_microseconds(array)
        found: list[object] = array.to_pylist(maps_as_pydicts="strict")
    except Exception:  # noqa: BLE001  # dates beyond Python's years, broken text, repeated keys, …
        return [_to_python_value(_take_row(array, row)) for row in range(len(array))]
    return found


def _take_row(array: Array, row: int) -> Array:
    """An array of one row; a slice would keep the nested values of all rows."""
    try:
        return array.take(pa.array([row]))
    except pa.ArrowException:
        return array.slice(row, 1)


def _from_nanoseconds(array: Array) -> list[object]:
    """Times of nanoseconds as Python objects, without pandas; finer ones are unsupported."""
    coarse = array.cast(_in_microseconds(array.type), safe=False)
    whole = pc.equal(coarse.cast(array.type, safe=False), array)
    if array.null_count == len(array) or pc.all(whole).as_py():
        return python_values(coarse)
    texts = array.view(pa.int64()) if pa.types.is_duration(array.type) else array.cast(pa.string())
    return [
        value
        if value is None or exactly
        else UnsupportedValue(str(text), "is finer than a microsecond")
        for value, exactly, text in zip(
            python_values(coarse), whole.to_pylist(), texts.to_pylist(), strict=True
        )
    ]


def _times_of_day(array: Array) -> list[object]:
    """Times as Python objects; PyArrow would start another day with what is after the first."""
    units = array.view(pa.int32() if array.type.bit_width == 32 else pa.int64()).to_pylist()
    day = 86_400 * {"s": 1, "ms": 1_000, "us": 1_000_000}[array.type.unit]
    return [
        value
        if unit is None or 0 <= unit < day
        else UnsupportedValue(_clock(unit * 86_400 // day), "is not between midnight and midnight")
        for unit, value in zip(units, array.to_pylist(), strict=True)
    ]


def _clock(seconds: int) -> str:
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def _in_microseconds(arrow: Any) -> Any:
    """The type with microseconds for nanoseconds, also inside lists, structs and maps."""
    types = pa.types
    if getattr(arrow, "unit", "") == "ns":
        if types.is_timestamp(arrow):
            return pa.timestamp("us", arrow.tz)
        return pa.duration("us") if types.is_duration(arrow) else pa.time64("us")
    if types.is_map(arrow):
        return pa.map_(arrow.key_type, _in_microseconds(arrow.item_type))
    if types.is_struct(arrow):
        return pa.struct([each.with_type(_in_microseconds(each.type)) for each in _fields(arrow)])
    if types.is_list(arrow) or types.is_list_view(arrow):
        return pa.list_(_in_microseconds(arrow.value_type))
    if types.is_large_list(arrow) or types.is_large_list_view(arrow):
        return pa.large_list(_in_microseconds(arrow.value_type))
    if types.is_fixed_size_list(arrow):
        return pa.list_(_in_microseconds(arrow.value_type), arrow.list_size)
    return arrow


def _inner_microseconds(array: Array) -> Array:
    """The array with nested times in microseconds; PyArrow would truncate them for Python.

    Raises:
        pa.ArrowException: one is finer than a microsecond.
    """
    if not _holds_nanoseconds(array.type):
        return array
    return array.cast(_in_microseconds(array.type))


def _holds_nanoseconds(arrow: Any) -> bool:
    if getattr(arrow, "unit", "") == "ns":
        return True
    return any(_holds_nanoseconds(each.type) for each in _fields(arrow))


def _opaque_values(array: Array, name: str) -> list[object]:
    reason = f"is of the unknown extension type {name}; convert it to text"
    stored = array.storage if isinstance(array, pa.ExtensionArray) else array
    texts = map(str, stored.to_pylist())
    valid = array.is_valid().to_pylist()
    return [
        UnsupportedValue(text, reason) if ok else None
        for text, ok in zip(texts, valid, strict=True)
    ]


def _to_python_value(single: Array) -> object:
    try:
        single = _inner_microseconds(single)
    except pa.ArrowException:
        return UnsupportedValue(
            str(single.to_pylist()[0]), "contains a time that is finer than a microsecond"
        )
    try:
        return single[0].as_py(maps_as_pydicts="strict")
    except UnicodeDecodeError:
        return UnsupportedValue(repr(single.cast(pa.binary())[0].as_py()), "is not valid UTF-8")
    except Exception as error:  # noqa: BLE001  # PyArrow raises many kinds
        try:
            text = str(single.cast(pa.string())[0].as_py())
        except Exception:  # noqa: BLE001  # likewise
            text = f"a {single.type}"
        return UnsupportedValue(text, f"is out of range: {error}")
