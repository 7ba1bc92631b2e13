"""Whole columns into declared types: vectorised where all is well, value by value where it is not.

A fast cast either gives what `loader.exact` would give for every row, or refuses the lot. Then the
rows are halved until the doubtful ones stand alone, and `loader.exact` judges those. So a fast cast
may be too strict, never too lenient.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime, time, timedelta
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal, Inexact, InvalidOperation
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from loader import exact
from loader.datatypes import DataType
from loader.exact import Judge, Opaque, Reading, Refusal
from loader.frames import one_array

BLOCK = 256
"""Rows that are judged one by one when a fast cast refuses them together."""

FIRST_DAY, LAST_DAY = date.min.toordinal() - 719_163, date.max.toordinal() - 719_163
FIRST_MICROSECOND = FIRST_DAY * 86_400_000_000
LAST_MICROSECOND = (LAST_DAY + 1) * 86_400_000_000 - 1

MAX_DIGITS = 38
"""Digits that a 128-bit decimal always holds."""

Array = Any
"""A `pyarrow.Array`; pyarrow has no type stubs."""

Fast = Callable[[Any, DataType, Reading], Any]


class Doubt(ValueError):
    """A fast cast is not sure that every row of a block fits."""


_DOUBTS = (Doubt, pa.ArrowException, ValueError, TypeError, ArithmeticError)

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
    """The Arrow type that values of a declared type are staged as; text where there is none."""
    if data_type.name == "decimal":
        return pa.decimal128(data_type.precision, data_type.scale)
    return _TYPES.get(data_type.name, pa.string())


class ColumnCast:
    """One column of one chunk in its declared type, with the rows that do not fit as NULL."""

    def __init__(self, values: Any, data_type: DataType, reading: Reading) -> None:
        self._type = data_type
        self._judge: Judge = exact.judge(data_type, reading)
        self._source = _plain(values) if _is_arrow(values) else values
        self.bad: list[int] = []
        """The offsets of the rows that do not fit, in order."""
        if _is_arrow(self._source):
            self.values = self._cast_array(self._source, reading)
        else:
            self.values = self._cast_objects(self._source, reading)

    def complaint(self, row: int) -> str:
        """A bad row's value, and why it does not fit."""
        value = self._python(row, row + 1)[0]
        try:
            self._judge(value)
        except Refusal as refusal:
            return f"{exact.show(value)} {refusal}"
        return f"{exact.show(value)} came as {self._source.type}, not {self._type}"

    def _cast_array(self, array: Array, reading: Reading) -> Array:
        target = arrow_type(self._type)
        kind = kind_of(array.type)
        if kind == "null" or array.null_count == len(array):
            return pa.nulls(len(array), target)
        extension = isinstance(array.type, pa.BaseExtensionType)
        if (self._type.name, kind) in _JUDGED or (self._type.name == "super" and not extension):
            return self._judged(0, len(array))
        fast = _FAST.get((self._type.name, kind))
        if fast is None:
            self.bad = pc.indices_nonzero(array.is_valid()).to_pylist()
            return pa.nulls(len(array), target)
        found = fast
        return self._halved(
            lambda start, stop: found(array.slice(start, stop - start), self._type, reading),
            0,
            len(array),
        )

    def _cast_objects(self, values: Sequence[object], reading: Reading) -> Array:
        kinds = set(map(type, values)) - {type(None)}
        if not kinds:
            return pa.nulls(len(values), arrow_type(self._type))
        kind = kinds.pop()
        build = _NATURAL.get(kind)
        if kinds or build is None or self._type.name == "super":
            return self._judged(0, len(values))
        # A number in a file is text, and means the float nearest to it.
        nearest = kind is Decimal and self._type.name in _FLOATS and reading.text
        convert = _decimal_texts if nearest else build
        direct = kind is Decimal and self._type.name == "decimal"

        def cast(start: int, stop: int) -> Array:
            if direct:
                return _from_decimals(values[start:stop], self._type)
            array = convert(values[start:stop], reading)
            fast = _FAST.get((self._type.name, kind_of(array.type)))
            if fast is None:
                raise Doubt
            return fast(array, self._type, reading)

        return self._halved(cast, 0, len(values))

    def _halved(self, cast: Callable[[int, int], Array], start: int, stop: int) -> Array:
        """What the cast gives for a range of rows; where it is in doubt, what the judge gives."""
        try:
            return cast(start, stop)
        except _DOUBTS:
            if stop - start <= BLOCK:
                return self._judged(start, stop)
        middle = (start + stop) // 2
        parts = [self._halved(cast, start, middle), self._halved(cast, middle, stop)]
        return pa.concat_arrays(parts)

    def _judged(self, start: int, stop: int) -> Array:
        good: list[object] = []
        for row, value in enumerate(self._python(start, stop), start):
            try:
                good.append(None if value is None else self._judge(value))
            except Refusal:
                self.bad.append(row)
                good.append(None)
        return pa.array(good, arrow_type(self._type))

    def _python(self, start: int, stop: int) -> Sequence[object]:
        if _is_arrow(self._source):
            return python_values(self._source.slice(start, stop - start))
        found: Sequence[object] = self._source[start:stop]
        return found


def pick(values: Any, rows: Sequence[int]) -> list[object]:
    """Some values of a column as Python objects."""
    if not _is_arrow(values):
        return [values[row] for row in rows]
    plain = _plain(values)
    return pick(plain, rows) if not _is_arrow(plain) else python_values(plain.take(pa.array(rows)))


def _is_arrow(values: object) -> bool:
    return isinstance(values, pa.Array | pa.ChunkedArray)


# What a source type is, beneath its wrapping.

_STORED = ("arrow.json", "arrow.fixed_shape_tensor", "geoarrow.wkb", "geoarrow.wkt")


def _plain(array: Array) -> Any:
    """The array unwrapped, or its values as Python objects where Arrow cannot do that."""
    try:
        return _unwrapped(array)
    except _DOUBTS:
        return python_values(one_array(array))


def _unwrapped(array: Array) -> Array:
    """The same values without dictionaries, run ends, large offsets, views and extensions."""
    array = one_array(array)
    kind = array.type
    if isinstance(kind, pa.BaseExtensionType):
        return _from_extension(array)
    if pa.types.is_dictionary(kind):
        return _unwrapped(array.dictionary_decode())
    if pa.types.is_run_end_encoded(kind):
        return _unwrapped(pc.run_end_decode(array))
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return array.cast(pa.string())
    if pa.types.is_float16(kind):
        return array.cast(pa.float32())
    if pa.types.is_date64(kind):
        return _whole_days(array)
    if kind_of(kind) == "binary" and kind != pa.binary():
        return array.cast(pa.binary())
    return array


def _whole_days(array: Array) -> Array:
    """Dates of milliseconds as dates, or as the time stamps that they are."""
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
    return _unwrapped(array.storage) if name in _STORED else array


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


def kind_of(arrow: Any) -> str:
    """The family of an Arrow type, as the tables of casts name it."""
    if isinstance(arrow, pa.BaseExtensionType):
        return "other"
    if pa.types.is_timestamp(arrow):
        return "timestamp" if arrow.tz is None else "timestamptz"
    return next((kind for kind, known in _KINDS if known(arrow)), "other")


# Arrow to Python, whatever the values.


def python_values(array: Array) -> list[object]:
    """The values as Python objects; those that Python cannot hold as `Opaque`."""
    if pa.types.is_float32(array.type):
        # NumPy's own 32-bit floats know the decimal they print as.
        floats = array.to_numpy(zero_copy_only=False)
        valid = array.is_valid().to_pylist()
        return [value if ok else None for value, ok in zip(floats, valid, strict=True)]
    if getattr(array.type, "unit", "") == "ns":
        return _from_nanoseconds(array)
    try:
        found: list[object] = array.to_pylist(maps_as_pydicts="strict")
    except Exception:  # dates beyond Python's years, broken text, repeated keys, …
        return [_one_value(array.slice(row, 1)) for row in range(len(array))]
    return found


def _from_nanoseconds(array: Array) -> list[object]:
    """Times of nanoseconds, without pandas: whole microseconds, or the text of what is not."""
    coarse = array.cast(_in_microseconds(array.type), safe=False)
    whole = pc.equal(coarse.cast(array.type, safe=False), array)
    if array.null_count == len(array) or pc.all(whole).as_py():
        return python_values(coarse)
    texts = array.view(pa.int64()) if pa.types.is_duration(array.type) else array.cast(pa.string())
    return [
        value if value is None or exactly else Opaque(str(text), "is finer than a microsecond")
        for value, exactly, text in zip(
            python_values(coarse), whole.to_pylist(), texts.to_pylist(), strict=True
        )
    ]


def _in_microseconds(arrow: Any) -> Any:
    if pa.types.is_timestamp(arrow):
        return pa.timestamp("us", arrow.tz)
    return pa.duration("us") if pa.types.is_duration(arrow) else pa.time64("us")


def _one_value(single: Array) -> object:
    try:
        return single[0].as_py(maps_as_pydicts="strict")
    except UnicodeDecodeError:
        return Opaque(repr(single.cast(pa.binary())[0].as_py()), "is not valid UTF-8")
    except Exception as error:  # whatever stops Python from holding it, it cannot be loaded
        try:
            text = str(single.cast(pa.string())[0].as_py())
        except Exception:  # nor can Arrow print it
            text = f"a {single.type}"
        return Opaque(text, f"is out of bounds: {error}")


# Fast casts. Each gives the array of the declared type, or raises any of `_DOUBTS`.


def _sure(condition: Any) -> None:
    """Go on only when a mask holds in every row that is not NULL."""
    if pc.all(condition).as_py() is False:
        raise Doubt


def _within(array: Array, low: int, high: int) -> Array:
    ends = pc.min_max(array)
    if ends["min"].is_valid and not low <= ends["min"].as_py() <= ends["max"].as_py() <= high:
        raise Doubt
    return array


def _as_is(array: Array, data_type: DataType, _: Reading) -> Array:
    """Arrow's own cast, where it checks all that has to be checked."""
    return array.cast(arrow_type(data_type))


def _integer_from_text(array: Array, data_type: DataType, reading: Reading) -> Array:
    _sure(pc.match_substring_regex(array, "^-?[0-9]+$"))
    return _as_is(array, data_type, reading)


def _integer_from_decimal(array: Array, data_type: DataType, reading: Reading) -> Array:
    if array.type.scale < 0:
        raise Doubt
    return _as_is(array, data_type, reading)


def _decimal_from_integer(array: Array, data_type: DataType, reading: Reading) -> Array:
    return _decimal(array.cast(pa.decimal128(20, 0)), data_type, reading)


def _decimal_from_float(array: Array, data_type: DataType, reading: Reading) -> Array:
    if pa.types.is_float64(array.type) and data_type.scale <= EXACT_POWERS:
        try:
            return _decimal(_scaled(array, data_type.scale), data_type, reading)
        except Doubt:
            pass
    return _decimal_from_text(array.cast(pa.string()), data_type, reading)


EXACT_POWERS = 22
"""The powers of ten up to this one are exact in 64-bit floats."""


def _scaled(array: Array, scale: int) -> Array:
    """Floats as decimals of at most 15 digits, of which only one is the same float."""
    power = 10.0**scale
    unscaled = pc.round(pc.multiply(array, power))
    _sure(pc.and_(pc.less(pc.abs(unscaled), 1e15), pc.equal(pc.divide(unscaled, power), array)))
    whole = unscaled.cast(pa.int64()).cast(pa.decimal128(19, 0))
    return pa.Array.from_buffers(
        pa.decimal128(38, scale), len(whole), whole.buffers(), offset=whole.offset
    )


def _decimal_from_text(array: Array, data_type: DataType, reading: Reading) -> Array:
    return _in_64_bits(_parsed(array, arrow_type(data_type)), data_type)


def _parsed(array: Array, target: Any) -> Array:
    """Decimals of text, when Arrow reads them right: it does not notice that 128 bits overflow."""
    if (pc.max(pc.binary_length(array)).as_py() or 0) > MAX_DIGITS:
        raise Doubt
    size = pc.abs(array.cast(pa.float64()))
    low, high = 10.0**-target.scale, 10.0 ** (target.precision - target.scale)
    zero = pc.equal(size, 0.0)
    _sure(pc.and_(pc.less(size, high), pc.or_(pc.greater_equal(size, low), zero)))
    # A zero may be a number that is too small for a float.
    _sure(pc.match_substring_regex(array.filter(zero), r"^[+-]?[0.]+$"))
    return array.cast(target)


def _decimal(array: Array, data_type: DataType, reading: Reading) -> Array:
    # Checked here, since Arrow does not notice when rescaling overflows 128 bits.
    ends = pc.min_max(array)
    high = Decimal(10) ** (data_type.precision - data_type.scale)
    if ends["min"].is_valid and not -high < ends["min"].as_py() <= ends["max"].as_py() < high:
        raise Doubt
    return _in_64_bits(_as_is(array, data_type, reading), data_type)


def _from_decimals(values: Sequence[Any], data_type: DataType) -> Array:
    """Python decimals, first given the scale by Python itself, which raises where Arrow errs."""
    context = Context(
        prec=data_type.precision, Emin=MIN_EMIN, Emax=MAX_EMAX, traps=[Inexact, InvalidOperation]
    )
    unit = Decimal((0, (1,), -data_type.scale))
    scaled = [None if value is None else context.quantize(value, unit) for value in values]
    return _in_64_bits(pa.array(scaled, arrow_type(data_type)), data_type)


def _in_64_bits(array: Array, data_type: DataType) -> Array:
    """Redshift keeps a precision of 19 in 64 bits, which is a little less than 19 nines."""
    if data_type.precision == 19:
        unscaled = (1 << 63) - 1
        top = Decimal((0, tuple(map(int, str(unscaled))), -data_type.scale))
        ends = pc.min_max(array)
        if ends["min"].is_valid and not -top <= ends["min"].as_py() <= ends["max"].as_py() <= top:
            raise Doubt
    return array


def _float_from_float(array: Array, data_type: DataType, reading: Reading) -> Array:
    cast = _as_is(array, data_type, reading)
    if cast.type.bit_width < array.type.bit_width:
        back = cast.cast(array.type)
        _sure(pc.or_(pc.equal(back, array), pc.and_(pc.is_nan(back), pc.is_nan(array))))
    return cast


def _float_from_decimal(array: Array, data_type: DataType, reading: Reading) -> Array:
    cast = _float_from_text(array.cast(pa.string()), data_type, reading)
    if array.type.precision > (6 if data_type.name == "real" else 15):
        _sure(pc.equal(_parsed(cast.cast(pa.string()), array.type), array))
    return cast


def _float_from_text(array: Array, data_type: DataType, reading: Reading) -> Array:
    cast = _as_is(array, data_type, reading)
    _sure(pc.is_finite(cast))
    return cast


def _boolean_from_integer(array: Array, data_type: DataType, reading: Reading) -> Array:
    return _as_is(_within(array, 0, 1), data_type, reading)


_TRUE, _FALSE = pa.array(exact.TRUE_WORDS), pa.array(exact.FALSE_WORDS)


def _boolean_from_text(array: Array, _: DataType, __: Reading) -> Array:
    words = pc.ascii_lower(array)
    true = pc.is_in(words, _TRUE)
    _sure(pc.or_(true, pc.is_in(words, pa.concat_arrays([_FALSE, pa.nulls(1, pa.string())]))))
    return pc.if_else(array.is_valid(), true, pa.scalar(None, pa.bool_()))


def _text(array: Array, data_type: DataType, reading: Reading) -> Array:
    longest = pc.max(pc.binary_length(array)).as_py()
    if longest is not None and longest > data_type.length:
        raise Doubt
    if data_type.name == "char":
        _sure(pc.string_is_ascii(array))
    return _any_text(array, data_type, reading)


def _any_text(array: Array, _: DataType, reading: Reading) -> Array:
    if reading.null_marker:
        _sure(pc.not_equal(array, exact.NULL_MARKER))
    # The way through binary checks the UTF-8, which a foreign array may have got wrong.
    return array if reading.text else array.cast(pa.binary()).cast(pa.string())


def _varbyte(array: Array, data_type: DataType, _: Reading) -> Array:
    longest = pc.max(pc.binary_length(array)).as_py()
    if longest is not None and longest > data_type.length:
        raise Doubt
    return array


def _date(array: Array, data_type: DataType, reading: Reading) -> Array:
    days = _as_is(array, data_type, reading)
    _within(days.view(pa.int32()), FIRST_DAY, LAST_DAY)
    return days


def _date_from_timestamp(array: Array, data_type: DataType, reading: Reading) -> Array:
    days = _date(array, data_type, reading)
    _sure(pc.equal(days.cast(array.type), array))
    return days


def _date_from_text(array: Array, data_type: DataType, reading: Reading) -> Array:
    if reading.text and reading.date_format:
        return _date_from_timestamp(_strptime(array, reading.date_format), data_type, reading)
    return _date(array, data_type, reading)


def _strptime(array: Array, written: str) -> Array:
    """Time stamps of a format, when writing them again gives the very same text."""
    stamps = pc.strptime(array, format=written, unit="s")
    if stamps.type.tz is not None:
        raise Doubt
    _sure(pc.equal(pc.strftime(stamps, format=written), array))
    return stamps


def _stamps(array: Array, data_type: DataType, reading: Reading) -> Array:
    stamps = _as_is(array, data_type, reading)
    _within(stamps.view(pa.int64()), FIRST_MICROSECOND, LAST_MICROSECOND)
    return stamps


def _timestamp_from_text(array: Array, data_type: DataType, reading: Reading) -> Array:
    if reading.text and reading.timestamp_format:
        array = _strptime(array, reading.timestamp_format)
    return _stamps(array, data_type, reading)


def _timestamptz_from_naive(array: Array, data_type: DataType, reading: Reading) -> Array:
    if reading.timezone is None:
        raise Doubt
    naive = array.cast(pa.timestamp("us"))
    local = pc.assume_timezone(naive, reading.timezone, ambiguous="raise", nonexistent="raise")
    return _stamps(local, data_type, reading)


def _timestamptz_from_text(array: Array, data_type: DataType, reading: Reading) -> Array:
    if reading.text and reading.timestamp_format:
        naive = _strptime(array, reading.timestamp_format)
        return _timestamptz_from_naive(naive, data_type, reading)
    try:
        return _stamps(array, data_type, reading)
    except pa.ArrowInvalid:
        if reading.timezone is None:
            raise
        return _timestamptz_from_naive(array, data_type, reading)


def _times(array: Array, data_type: DataType, reading: Reading) -> Array:
    times = _as_is(array, data_type, reading)
    _within(times.view(pa.int64()), 0, 86_400_000_000 - 1)
    return times


_CLOCK = r"([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,6})?)?"
_OFFSET = r"(Z|[+-]([01][0-9]|2[0-3])(:?[0-5][0-9])?)"


def _time_from_text(array: Array, data_type: DataType, _: Reading) -> Array:
    _sure(pc.match_substring_regex(array, f"^{_CLOCK}$"))
    # Arrow reads times only as part of a time stamp; on day 0 the two are the same number.
    stamps = pc.binary_join_element_wise("1970-01-01", array, "T").cast(pa.timestamp("us"))
    return stamps.view(pa.int64()).view(arrow_type(data_type))


def _timetz_from_text(array: Array, _: DataType, __: Reading) -> Array:
    _sure(pc.match_substring_regex(array, f"^{_CLOCK}{_OFFSET}$"))
    return array


_INTEGERS = ("smallint", "integer", "bigint")
_FLOATS = ("real", "double precision")
_INTERVALS = ("interval year to month", "interval day to second")
_HEXABLE = ("geometry", "geography", "hllsketch")


def _table(*rows: tuple[Sequence[str], str, Fast]) -> dict[tuple[str, str], Fast]:
    return {(name, kind): fast for names, kind, fast in rows for name in names}


_FAST = _table(
    (_INTEGERS, "integer", _as_is),
    (_INTEGERS, "float", _as_is),
    (_INTEGERS, "decimal", _integer_from_decimal),
    (_INTEGERS, "text", _integer_from_text),
    (["decimal"], "decimal", _decimal),
    (["decimal"], "integer", _decimal_from_integer),
    (["decimal"], "float", _decimal_from_float),
    (["decimal"], "text", _decimal_from_text),
    (_FLOATS, "float", _float_from_float),
    (_FLOATS, "integer", _as_is),
    (_FLOATS, "decimal", _float_from_decimal),
    (_FLOATS, "text", _float_from_text),
    (["boolean"], "boolean", _as_is),
    (["boolean"], "integer", _boolean_from_integer),
    (["boolean"], "text", _boolean_from_text),
    (["char", "varchar"], "text", _text),
    (["date"], "date", _date),
    (["date"], "timestamp", _date_from_timestamp),
    (["date"], "text", _date_from_text),
    (["timestamp"], "timestamp", _stamps),
    (["timestamp"], "date", _stamps),
    (["timestamp"], "text", _timestamp_from_text),
    (["timestamptz"], "timestamptz", _stamps),
    (["timestamptz"], "timestamp", _timestamptz_from_naive),
    (["timestamptz"], "date", _timestamptz_from_naive),
    (["timestamptz"], "text", _timestamptz_from_text),
    (["time"], "time", _times),
    (["time"], "text", _time_from_text),
    (["timetz"], "text", _timetz_from_text),
    (["varbyte"], "binary", _varbyte),
    (_HEXABLE, "text", _any_text),
)

_JUDGED = frozenset(
    [(name, "binary") for name in _HEXABLE]
    + [(name, kind) for name in _INTERVALS for kind in ("text", "duration", "interval")]
    + [("varbyte", "text")]
)
"""Pairs without a fast cast whose values may fit all the same."""


# Python objects of one type, as the Arrow type that holds exactly them.


def _naturally(arrow: Any) -> Callable[[Sequence[Any], Reading], Array]:
    return lambda values, _: pa.array(values, arrow)


def _decimal_texts(values: Sequence[Any], _: Reading) -> Array:
    return pa.array([None if value is None else str(value) for value in values], pa.string())


def _from_datetimes(values: Sequence[Any], _: Reading) -> Array:
    zones = {value.tzinfo is None for value in values if value is not None}
    if len(zones) == 2:
        raise Doubt
    return pa.array(values, pa.timestamp("us") if True in zones else pa.timestamp("us", "UTC"))


def _from_times(values: Sequence[Any], _: Reading) -> Array:
    if any(value is not None and value.tzinfo is not None for value in values):
        raise Doubt
    return pa.array(values, pa.time64("us"))


_NATURAL: dict[type, Callable[[Sequence[Any], Reading], Array]] = {
    bool: _naturally(pa.bool_()),
    int: _naturally(pa.int64()),
    float: _naturally(pa.float64()),
    str: _naturally(pa.string()),
    bytes: _naturally(pa.binary()),
    date: _naturally(pa.date32()),
    timedelta: _naturally(pa.duration("us")),
    datetime: _from_datetimes,
    time: _from_times,
    Decimal: lambda values, _: pa.array(values),
}
