"""Reads and writes data contracts (ODCS) and dbt property files."""
