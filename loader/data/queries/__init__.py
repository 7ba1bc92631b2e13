"""Reads the results of queries on other databases as streams of chunks."""
