"""Names for the columns of a drafted table: ``Order ID`` becomes ``order_id``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from unicodedata import category

from loader.sql.dialects.redshift import MAX_NAME_BYTES, SYSTEM_COLUMNS


def clean_names(names: Sequence[str]) -> dict[str, str]:
    """What a drafted table calls the columns of the data; no two are called alike.

    Letters of all scripts stay, in lower case; what is no letter or digit becomes an underscore.

    >>> clean_names(["ID", "Order ID", "order-id", "Größe (m)", "2026", "", "oid"])
    {'ID': 'id', 'Order ID': 'order_id', 'order-id': 'order_id_2', 'Größe (m)': 'größe_m', \
'2026': '_2026', '': 'column_6', 'oid': 'oid_'}
    """
    wanted = {name: clean_name(name, at) for at, name in enumerate(names, 1)}
    found: dict[str, str] = {}
    taken: set[str] = set()
    # A name that needs no change keeps it, whatever others become.
    for name in sorted(names, key=lambda name: wanted[name] != name):
        found[name] = distinct_name(wanted[name], taken)
        taken.add(found[name])
    return {name: found[name] for name in names}


def clean_name(name: str, position: int) -> str:
    """The name of a column, which may be that of another; without letters it is numbered."""
    text = "".join(each if _is_of_word(each) else " " for each in name.lower())
    if " " in text:
        text = re.sub("[ _]+", "_", text).strip("_")
    if not text.strip("_"):
        return f"column_{position}"
    text = _cut(f"_{text}" if text[0].isdigit() else text, MAX_NAME_BYTES)
    return f"{text}_" if text in SYSTEM_COLUMNS else text


def _is_of_word(character: str) -> bool:
    """Whether it is a letter, a mark such as a vowel sign, a digit or an underscore."""
    return category(character)[0] in "LMN" or character == "_"


def distinct_name(name: str, taken: set[str]) -> str:
    """The name, with a number where it is taken."""
    number, found = 1, name
    while found in taken:
        number += 1
        found = f"{_cut(name, MAX_NAME_BYTES - len(str(number)) - 1)}_{number}"
    return found


def _cut(name: str, size: int) -> str:
    """The name, cut to so many bytes."""
    return name.encode(errors="replace")[:size].decode(errors="ignore")


def source_of(name: str, column: str, names: Sequence[str]) -> dict[str, object]:
    """The ``from`` of a column that is called otherwise in the data; empty where it is not needed.

    Args:
        name: What the data calls it.
        column: What the table calls it.
        names: All columns of the data.
    """
    alike = [other for other in names if other.casefold() == column.casefold()]
    if name == column or alike == [name]:
        return {}
    return {"from": {"column": name}}
