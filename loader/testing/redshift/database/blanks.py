"""Comparisons of VARCHAR that ignore blanks at the end, as Redshift's do (``r_Character_types``).

PostgreSQL has them for CHAR. Their functions are given to VARCHAR too, as operators that fit its
columns better than those of TEXT do, and as what sorting, grouping and joins use.
"""

from __future__ import annotations

from collections.abc import Iterator

_OPERATORS = {
    "<": ("lt", ">", ">=", "scalarlt"),
    "<=": ("le", ">=", ">", "scalarle"),
    "=": ("eq", "=", "<>", "eq"),
    ">=": ("ge", "<=", "<", "scalarge"),
    ">": ("gt", "<", "<=", "scalargt"),
    "<>": ("ne", "<>", "=", "neq"),
}
"""Operator → the end of its function's name, its commutator, its negator, its estimator."""

_PAIRS = (
    ("varchar", "varchar"),
    ("varchar", "text"),
    ("text", "varchar"),
    ("varchar", "bpchar"),
    ("bpchar", "varchar"),
)
"""Operands. Two of TEXT are left: PostgreSQL's own catalog needs them as they are."""

_NAMES = (("varchar", "name"), ("name", "varchar"))
"""Operands of which one is a name of the catalog, which is compared as VARCHAR."""


def _function(name: str, arguments: str, returns: str, symbol: str) -> str:
    return (
        f"CREATE FUNCTION pg_catalog.{name}({arguments}) RETURNS {returns}"
        f" LANGUAGE internal IMMUTABLE STRICT PARALLEL SAFE AS '{symbol}';"
    )


def _statements() -> Iterator[str]:
    for left, right in _PAIRS:
        arguments = f"{left}, {right}"
        yield _function("redshift_cmp", arguments, "int4", "bpcharcmp")
        for sign, (name, commutator, negator, estimate) in _OPERATORS.items():
            yield _function(f"redshift_{name}", arguments, "bool", f"bpchar{name}")
            joins = ", HASHES, MERGES" if sign == "=" and left == right else ""
            yield (
                f"CREATE OPERATOR pg_catalog.{sign} (FUNCTION = pg_catalog.redshift_{name},"
                f" LEFTARG = {left}, RIGHTARG = {right},"
                f" COMMUTATOR = OPERATOR(pg_catalog.{commutator}),"
                f" NEGATOR = OPERATOR(pg_catalog.{negator}), RESTRICT = {estimate}sel,"
                f" JOIN = {estimate}joinsel{joins});"
            )
    for left, right in _NAMES:
        for sign, (name, *_) in _OPERATORS.items():
            yield (
                f"CREATE FUNCTION pg_catalog.redshift_{name}({left}, {right}) RETURNS bool"
                " LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE"
                f" RETURN $1::pg_catalog.varchar {sign} $2::pg_catalog.varchar;"
                f"CREATE OPERATOR pg_catalog.{sign} (FUNCTION = pg_catalog.redshift_{name},"
                f" LEFTARG = {left}, RIGHTARG = {right});"
            )
    yield _function("redshift_hash", "varchar", "int4", "hashbpchar")
    yield _function("redshift_hash", "varchar, int8", "int8", "hashbpcharextended")
    signs = ("<", "<=", "=", ">=", ">")
    operators = ", ".join(f"OPERATOR {at} pg_catalog.{sign}" for at, sign in enumerate(signs, 1))
    yield (
        "CREATE OPERATOR CLASS pg_catalog.redshift_varchar_ops DEFAULT FOR TYPE varchar USING btree"
        f" AS {operators}, FUNCTION 1 pg_catalog.redshift_cmp(varchar, varchar);"
    )
    yield (
        "CREATE OPERATOR CLASS pg_catalog.redshift_varchar_ops DEFAULT FOR TYPE varchar USING hash"
        " AS OPERATOR 1 pg_catalog.=, FUNCTION 1 pg_catalog.redshift_hash(varchar),"
        " FUNCTION 2 pg_catalog.redshift_hash(varchar, int8);"
    )


SQL = "\n".join(_statements())
