"""This loader into embedded DuckDB, with only rows counted: what verifying values costs."""

from functools import partial

from tests.benchmarks.workers import harness, loader_api

if __name__ == "__main__":
    harness.main(partial(loader_api.load, verify="counts"), harness.count_in_duckdb)
