"""Patterns of the text that a warehouse casts to the value that staging would load, or close to.

Files of text are read in place as text, and cast in the warehouse. Casts of warehouses round, trim
and guess, so text is cast only where it matches the pattern of its type in full. A pattern is no
wider than what `loader.data.cast.exact` takes, and leaves out forms that few programs write, such
as decimals with exponents. All engines read these patterns alike: they have no backslash, no
anchor, and no repetition of more than 255 times; what they match is shorter than 256 bytes.
"""

from __future__ import annotations

from collections.abc import Iterator

from loader.sql.datatypes import DataType

_BITS = {"smallint": 15, "integer": 31, "bigint": 63}

_ZEROS = "0{0,18}"
"""Zeros that say nothing: before a number, or at the end of its decimals."""

_BOOLEANS = "1|[Tt]|[Tt][Rr][Uu][Ee]|[Yy]|[Yy][Ee][Ss]|0|[Ff]|[Ff][Aa][Ll][Ss][Ee]|[Nn]|[Nn][Oo]"

_LEAP_YEAR = "[0-9][0-9](0[48]|[2468][048]|[13579][26])|(0[48]|[2468][048]|[13579][26])00"
_YEAR = "(000[1-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-9][0-9]{3})"
_DAY = (
    "-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)"
    "|02-(0[1-9]|1[0-9]|2[0-8]))"
)
_DATE = f"({_YEAR}{_DAY}|({_LEAP_YEAR})-02-29)"
_CLOCK = "[T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.][0-9]{1,6})?)?"
_UTC = "(Z|[-+]00(:?00)?)"
_OFFSET = "[-+](0[0-9]|1[0-4])(:?[0-5][0-9])?"
_INNER_YEAR = (
    "(000[2-9]|00[1-9][0-9]|0[1-9][0-9]{2}|[1-8][0-9]{3}|9[0-8][0-9]{2}|99[0-8][0-9]|999[0-8])"
)
"""Years that have a neighbour on both sides, so that an offset does not lead out of all years."""


def text_pattern(data_type: DataType, decimal: str = ".") -> str | None:
    """The pattern of a type's values in text; None for types that are not cast from text.

    A `varchar` has the empty pattern: any text is its own value.

    Args:
        data_type: The type.
        decimal: The decimal mark.
    """
    match data_type.name:
        case "varchar":
            return ""
        case "smallint" | "integer" | "bigint":
            high = (1 << _BITS[data_type.name]) - 1
            return f"[-+]?{_ZEROS}({_up_to(high)})|-{_ZEROS}{high + 1}"
        case "decimal" if data_type.precision != 19:  # these are bounded by 64 bits
            return _decimal(data_type, f"[{decimal}]")
        case "real":
            return _float(f"[{decimal}]", "[0-9]{1,19}", "[+]?(0?[0-9]|1[0-8])")
        case "double precision":
            return _float(f"[{decimal}]", "[0-9]{1,99}", "[+]?[0-9]{1,2}")
        case "boolean":
            return _BOOLEANS
        case "date":
            return _DATE
        case "timestamp":
            return f"{_DATE}({_CLOCK})?"
        case "timestamptz":
            inner = f"({_INNER_YEAR}{_DAY}|({_LEAP_YEAR})-02-29)"
            return f"{_DATE}{_CLOCK}{_UTC}|{inner}{_CLOCK}{_OFFSET}"
    return None


def _up_to(high: int) -> str:
    """The pattern of whole numbers up to this one, without zeros before them but for 0.

    >>> _up_to(127)
    '[0-9]{1,2}|0[0-9]{2}|1[0-1][0-9]|12[0-6]|127'
    """
    digits = str(high)
    return "|".join([f"[0-9]{{1,{len(digits) - 1}}}", *_smaller(digits), digits])


def _smaller(digits: str) -> Iterator[str]:
    """Patterns of the numbers of as many digits that are smaller."""
    for at, digit in enumerate(digits):
        if digit != "0":
            below = int(digit) - 1
            rest = len(digits) - at - 1
            first = f"[0-{below}]" if below else "0"
            many = "" if not rest else "[0-9]" if rest == 1 else f"[0-9]{{{rest}}}"
            yield f"{digits[:at]}{first}{many}"


def _whole(data_type: DataType) -> str:
    """The digits before the point."""
    room = data_type.precision - data_type.scale
    return f"{_ZEROS}[0-9]{{1,{room}}}" if room else "0{1,19}"


def _decimal(data_type: DataType, mark: str) -> str:
    whole, scale = _whole(data_type), data_type.scale
    decimals = f"[0-9]{{1,{scale}}}{_ZEROS}" if scale else "0{1,19}"
    return f"[-+]?({whole}({mark}{decimals})?|{mark}{decimals})"


def _float(mark: str, whole: str, exponent: str) -> str:
    """Numbers that are neither too large nor too small for the type."""
    number = f"({whole}({mark}[0-9]{{1,40}})?|{mark}[0-9]{{1,40}})"
    return f"[-+]?{number}([eE]({exponent}|-[0-9]{{1,2}}))?"
