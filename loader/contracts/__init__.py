"""Open Data Contracts and dbt files, read and written."""
