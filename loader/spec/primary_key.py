"""What a primary key demands of loads, and whether a table may declare it.

Redshift trusts a declared key without a check, and a key that is false changes answers:
``SELECT DISTINCT`` may return a row twice (``t_Defining_constraints``).
"""

from __future__ import annotations

from collections.abc import Callable

from loader.spec.model import TableSpec
from loader.spec.periods import Dimension
from loader.sql.lexer import names_in

_UNEVEN = frozenset({"char", "varchar", "real", "double precision"})
"""Types with equal values that functions tell apart: ``'a'`` and ``'a '``, 0.0 and -0.0."""

_VARYING = ("getdate", "sysdate", "timeofday", "random", "current_", "local", "now")
"""How words begin whose value is not the same each time."""


def declares_key(spec: TableSpec) -> bool:
    """Whether CREATE TABLE says PRIMARY KEY, where the warehouse does not enforce it."""
    if spec.primary_key_constraint == "proven":
        return is_key_proven(spec)
    return bool(spec.primary_key) and spec.primary_key_constraint == "always"


def is_key_proven(spec: TableSpec) -> bool:
    """Whether no sequence of loads can put one key into the table twice.

    Each load refuses duplicates among its own rows, so what counts is the rows of other loads.
    """
    prove = _PROOFS.get(spec.write_disposition)
    return bool(spec.primary_key) and prove is not None and prove(spec)


def requires_unique_keys(spec: TableSpec) -> bool:
    """Whether duplicate keys in a load are an error."""
    may_repeat = {
        "merge": spec.merge.on_duplicate == "last",
        # Several versions of a key are told apart by their time.
        "scd2": spec.scd2.effective_at is not None,
    }.get(spec.write_disposition, False)
    # The numbers of an identity tell rows apart, and are not in the data.
    numbered = any(spec.by_name[name].identity is not None for name in spec.primary_key)
    return bool(spec.primary_key) and not (may_repeat or numbered)


def _is_always_proven(_: TableSpec) -> bool:
    """A merge replaces the row of a known key."""
    return True


def _replaces_whole_keys(spec: TableSpec) -> bool:
    """Whether all rows that a key can have lie in one slice, which is replaced as a whole."""
    return all(_depends_on_key(spec, dimension) for dimension in spec.dimensions)


def _depends_on_key(spec: TableSpec, dimension: Dimension) -> bool:
    """Whether rows of one key have one value of a partition expression."""
    if dimension.column is not None:
        return dimension.column in spec.primary_key
    words = names_in(dimension.expr)
    used = words & spec.by_name.keys()
    if not used or not used <= {*spec.primary_key}:
        return False
    uneven = any(spec.by_name[name].data_type.name in _UNEVEN for name in used)
    return not uneven and not any(word.startswith(_VARYING) for word in words - used)


_PROOFS: dict[str, Callable[[TableSpec], bool]] = {
    "merge": _is_always_proven,
    "replace": _replaces_whole_keys,
}
"""By write disposition; a load that only adds rows proves nothing."""
