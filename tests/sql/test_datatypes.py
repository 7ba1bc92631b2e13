"""Column types: spellings, limits, and what a wrong one is told."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loader.sql import datatypes
from loader.sql.datatypes import DataType, parse


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("int2", "smallint"),
        ("INT", "integer"),
        ("int8", "bigint"),
        ("numeric", "decimal(18,0)"),
        ("DECIMAL(12)", "decimal(12,0)"),
        ("decimal( 12 , 2 )", "decimal(12,2)"),
        ("decimal(38,37)", "decimal(38,37)"),
        ("float4", "real"),
        ("float8", "double precision"),
        ("float", "double precision"),
        ("float(24)", "real"),
        ("float(25)", "double precision"),
        ("double   precision", "double precision"),
        ("bool", "boolean"),
        ("char", "char(1)"),
        ("bpchar", "char(256)"),
        ("nchar(4096)", "char(4096)"),
        ("varchar", "varchar(256)"),
        ("text", "varchar(256)"),
        ("varchar(MAX)", "varchar(65535)"),
        ("character varying(40)", "varchar(40)"),
        ("timestamp without time zone", "timestamp"),
        ("Timestamp With Time Zone", "timestamptz"),
        ("time with time zone", "timetz"),
        ("varbinary", "varbyte(64000)"),
        ("binary varying(16777216)", "varbyte(16777216)"),
        ("interval day to second", "interval day to second"),
    ],
)
def test_aliases_become_one_spelling(text: str, canonical: str) -> None:
    """Every way Redshift spells a type is the same type, and prints in one way."""
    assert str(parse(text)) == canonical
    assert parse(canonical) == parse(text)


@pytest.mark.parametrize("name", datatypes.NAMES)
def test_each_name_is_a_type(name: str) -> None:
    """A canonical name parses as itself, with Redshift's default parameters."""
    found = parse(name)
    assert found.name == name
    assert parse(str(found)) == found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("varchr(3)", "unknown type `varchr(3)`; did you mean `varchar`?"),
        ("string", "unknown type `string`; Redshift spells it `varchar(n)`"),
        ("jsonb", "unknown type `jsonb`; Redshift spells it `super`"),
        ("datetime", "unknown type `datetime`; Redshift spells it `timestamp`"),
        ("uuid", "unknown type `uuid`; Redshift spells it `char(36)`"),
        ("varchar(0)", "`varchar(0)`: the length of varchar is 1 to 65,535 bytes"),
        ("varchar(65536)", "`varchar(65536)`: the length of varchar is 1 to 65,535 bytes"),
        ("char(4097)", "`char(4097)`: the length of char is 1 to 4,096 bytes"),
        ("char(max)", "`char(max)`: the parameters of char are whole numbers"),
        (
            "varbyte(16777217)",
            "`varbyte(16777217)`: the length of varbyte is 1 to 16,777,216 bytes",
        ),
        ("varchar(1,2)", "`varchar(1,2)`: varchar takes one length, in bytes"),
        ("varchar()", "`varchar()`: the parameters of varchar are whole numbers"),
        ("varchar(-1)", "`varchar(-1)`: the parameters of varchar are whole numbers"),
        ("varchar(٣)", "`varchar(٣)`: the parameters of varchar are whole numbers"),
        ("decimal(0)", "`decimal(0)`: the precision of decimal is 1 to 38 digits"),
        ("decimal(39,0)", "`decimal(39,0)`: the precision of decimal is 1 to 38 digits"),
        (
            "decimal(38,38)",
            "`decimal(38,38)`: the scale of decimal is at most its precision, and at most 37",
        ),
        (
            "decimal(5,6)",
            "`decimal(5,6)`: the scale of decimal is at most its precision, and at most 37",
        ),
        ("decimal(1,2,3)", "`decimal(1,2,3)`: decimal takes a precision and a scale"),
        ("integer(4)", "`integer(4)`: integer has no parameters"),
        ("timestamp(3)", "`timestamp(3)`: timestamp has no parameters"),
        ("float(54)", "`float(54)`: the precision of float is 1 to 53 bits"),
        ("float(x)", "`float(x)`: the precision of float is 1 to 53 bits"),
    ],
)
def test_wrong_types_are_told_why(text: str, message: str) -> None:
    """A type that Redshift lacks, or cannot hold, is refused with what would be right."""
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        parse(text)


def test_a_strange_type_gets_the_list() -> None:
    """A word that resembles no type is answered with all of them."""
    with pytest.raises(ValueError, match=f"the types are {', '.join(datatypes.NAMES)}$"):
        parse("🚀(3")


@given(st.text(max_size=30))
def test_any_text_parses_or_is_refused(text: str) -> None:
    """No text makes the parser fail in another way than by refusing it."""
    try:
        found = parse(text)
    except ValueError:
        return
    assert parse(str(found)) == found


def test_properties_say_what_a_type_is() -> None:
    """Lengths, digits and kinds are read from the type, never from its text."""
    assert DataType("varchar", (3,)).length == 3
    assert (parse("decimal(9,2)").precision, parse("decimal(9,2)").scale) == (9, 2)
    assert parse("bigint").is_integer
    assert not parse("decimal").is_integer
    assert parse("char").is_text
    assert parse("timestamptz").is_temporal
    assert not parse("time").is_temporal
