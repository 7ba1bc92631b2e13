"""What differs between warehouses in SQL: one module each, found by name."""

from loader.sql.dialects.base import NAMES, Dialect, Value, check_schema, get

__all__ = ["NAMES", "Dialect", "Value", "check_schema", "get"]
