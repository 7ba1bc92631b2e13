"""The files of a new project, for ``loader init``."""

from __future__ import annotations

import os
from pathlib import Path

from loader.atomic_write import write_text
from loader.errors import ConfigError

_SETTINGS = """\
# The folders of specs and templates, and the targets of loads.
specs = "specs"
templates = "templates"
target = "local"

[targets.local]
type = "duckdb"
database = ".loader/warehouse.duckdb"
staging = ".loader/staging"

[targets.prod]
type = "redshift"
host = "${AWS_REDSHIFT_HOST}"
port = "${AWS_REDSHIFT_PORT:-5439}"
database = "${AWS_REDSHIFT_DATABASE}"
user = "${AWS_REDSHIFT_USER}"
password = "${AWS_REDSHIFT_PASSWORD:-}"
iam_role = "${AWS_REDSHIFT_S3_IAM_ROLE}"
staging = "s3://${AWS_REDSHIFT_BUCKET_NAME}/loader"
"""

_SPEC = """\
version: 1
schema: shop
name: orders
description: One row per order.
columns:
  - {name: order_id, data_type: bigint, description: Number on the receipt}
  - {name: ordered_on, data_type: date, nullable: false, description: Local date of the order}
  - {name: customer, data_type: varchar(80), nullable: false}
  - {name: amount, data_type: "decimal(12,2)", description: In euros}
primary_key: [order_id]
sort: [ordered_on]
partition_by:
  - {expr: ordered_on, grain: day}
checks:
  - {metric: row_count, must_be_greater_than: 0}
"""

_DATA = """\
order_id,ordered_on,customer,amount
1,2026-01-01,Ada,19.90
2,2026-01-01,Grace,7.50
3,2026-01-02,Edsger,120.00
"""

_IGNORE = "# staged files and the embedded database\n.loader/\n"

_FILES = {
    "loader.toml": _SETTINGS,
    "specs/shop/orders.yml": _SPEC,
    "data/orders.csv": _DATA,
    ".gitignore": _IGNORE,
}


def scaffold(folder: Path) -> list[str]:
    """Write the files of a new project and return their paths; existing files are never replaced.

    Raises:
        ConfigError: one of the files exists already, or a folder cannot be created.
        StageError: one of the files cannot be written.
    """
    wanted = {folder / name: text for name, text in _FILES.items()}
    ignore = folder / ".gitignore"
    if os.path.lexists(ignore):
        del wanted[ignore]
    if existing := [str(path) for path in wanted if os.path.lexists(path)]:
        raise ConfigError(
            f"nothing was written, because these files exist: {', '.join(existing)}",
            hint="name a new folder: loader init DIR",
        )
    try:
        for path, text in wanted.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_text(path, text)
    except OSError as error:
        raise ConfigError(f"{error.filename} cannot be created: {error.strerror}") from error
    return [str(path) for path in wanted]
