"""The TPC-H table `lineitem`, as the limit and the data files declare it."""

import pyarrow as pa

_MONEY = pa.decimal128(15, 2)

COLUMNS = {
    "l_orderkey": ("BIGINT", pa.int64()),
    "l_partkey": ("BIGINT", pa.int64()),
    "l_suppkey": ("BIGINT", pa.int64()),
    "l_linenumber": ("INTEGER", pa.int32()),
    "l_quantity": ("DECIMAL(15, 2)", _MONEY),
    "l_extendedprice": ("DECIMAL(15, 2)", _MONEY),
    "l_discount": ("DECIMAL(15, 2)", _MONEY),
    "l_tax": ("DECIMAL(15, 2)", _MONEY),
    "l_returnflag": ("VARCHAR", pa.string()),
    "l_linestatus": ("VARCHAR", pa.string()),
    "l_shipdate": ("DATE", pa.date32()),
    "l_commitdate": ("DATE", pa.date32()),
    "l_receiptdate": ("DATE", pa.date32()),
    "l_shipinstruct": ("VARCHAR", pa.string()),
    "l_shipmode": ("VARCHAR", pa.string()),
    "l_comment": ("VARCHAR", pa.string()),
}

SCHEMA = pa.schema([pa.field(name, arrow, nullable=False) for name, (_, arrow) in COLUMNS.items()])
_DEFINITIONS = ", ".join(f"{name} {sql} NOT NULL" for name, (sql, _) in COLUMNS.items())
CREATE_TABLE = f"CREATE TABLE tpch.lineitem ({_DEFINITIONS})"
